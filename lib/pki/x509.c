/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/pki/x509.h"

#include <stdbool.h>
#include <time.h>

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define SERIAL_BYTES 16

/* Random and positive, at most 20 octets (RFC 5280 section 4.1.2.2). */
static bool set_serial(X509 *c) {
  unsigned char bytes[SERIAL_BYTES];
  BIGNUM *n;
  bool good;

  if (RAND_bytes(bytes, sizeof(bytes)) != 1)
    return false;
  bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
  n = BN_bin2bn(bytes, sizeof(bytes), NULL);
  good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c));
  BN_free(n);
  return good;
}

static bool set_validity(X509 *c, uint64_t lifetime_s, const X509 *root) {
  time_t now = time(NULL);
  time_t end = now + (time_t)lifetime_s;

  if (!ASN1_TIME_set(X509_getm_notBefore(c), now - EW_X509_BACKDATE_S))
    return false;
  if (root && X509_cmp_time(X509_get0_notAfter(root), &end) < 0)
    return X509_set1_notAfter(c, X509_get0_notAfter(root)) == 1;
  return ASN1_TIME_set(X509_getm_notAfter(c), end) != NULL;
}

static bool add_ext(X509 *c, X509 *issuer, int nid, const char *value) {
  X509V3_CTX ctx;
  X509_EXTENSION *e;
  bool good;

  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
  e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  good = e && X509_add_ext(c, e, -1);
  X509_EXTENSION_free(e);
  return good;
}

static bool add_name(GENERAL_NAMES *names, int type, const char *s) {
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *text = ASN1_IA5STRING_new();

  if (name && text && ASN1_STRING_set(text, s, -1)) {
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(names, name))
      return true;
    text = NULL;
  }
  ASN1_IA5STRING_free(text);
  GENERAL_NAME_free(name);
  return false;
}

/* Made from their parts, not from a text with a syntax of its own. Critical,
 * because the subject is empty (RFC 5280 section 4.2.1.6). */
static bool add_names(X509 *c, const struct ew_x509_leaf *opts) {
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  bool good = names && opts->names_n > 0;

  for (size_t i = 0; good && i < opts->names_n; i++)
    good = add_name(names, opts->type == EW_X509_URI ? GEN_URI : GEN_DNS,
                    opts->names[i]);
  good = good && X509_add1_ext_i2d(c, NID_subject_alt_name, names, 1, 0) == 1;
  GENERAL_NAMES_free(names);
  return good;
}

static bool set_root_name(X509 *c, const char *common_name) {
  X509_NAME *name = X509_get_subject_name(c);
  const unsigned char *o = (const unsigned char *)"Eastwest";
  const unsigned char *cn = (const unsigned char *)common_name;
  int n = (int)strlen(common_name);

  return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, o, -1, -1, 0) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, cn,
                                    n > 64 ? 64 : n, -1, 0) &&
         X509_set_issuer_name(c, name);
}

X509 *ew_x509_root(EVP_PKEY *key, const char *name, uint64_t lifetime_s) {
  X509 *c = X509_new();

  if (c && X509_set_version(c, X509_VERSION_3) && set_serial(c) &&
      set_validity(c, lifetime_s, NULL) && X509_set_pubkey(c, key) &&
      set_root_name(c, name) &&
      add_ext(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:1") &&
      add_ext(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_ext(c, c, NID_subject_key_identifier, "hash") &&
      add_ext(c, c, NID_authority_key_identifier, "keyid:always") &&
      X509_sign(c, key, EVP_sha256()))
    return c;
  X509_free(c);
  return NULL;
}

X509 *ew_x509_leaf(EVP_PKEY *subject_key, const struct ew_x509_leaf *opts,
                   X509 *root, EVP_PKEY *root_key) {
  X509 *c = X509_new();

  if (c && X509_set_version(c, X509_VERSION_3) && set_serial(c) &&
      set_validity(c, opts->lifetime_s, root) &&
      X509_set_pubkey(c, subject_key) &&
      X509_set_issuer_name(c, X509_get_subject_name(root)) &&
      add_ext(c, root, NID_basic_constraints, "critical,CA:FALSE") &&
      add_ext(c, root, NID_key_usage, "critical,digitalSignature") &&
      add_ext(c, root, NID_ext_key_usage, opts->usage) &&
      add_ext(c, root, NID_subject_key_identifier, "hash") &&
      add_ext(c, root, NID_authority_key_identifier, "keyid:always") &&
      add_names(c, opts) && X509_sign(c, root_key, EVP_sha256()))
    return c;
  X509_free(c);
  return NULL;
}
