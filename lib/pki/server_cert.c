/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/pki/server_cert.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/pki/pem.h"
#include "eastwest/pki/x509.h"

/* Far above what anybody trusts on purpose. */
#define READ_MAX 64

_Static_assert(EW_SERVER_CERT_BACKDATE_S == EW_X509_BACKDATE_S,
               "the same for all certificates");

/* ---- lists of certificates ---- */

static STACK_OF(X509) * read_all(const char *pem) {
  STACK_OF(X509) *out = sk_X509_new_null();
  BIO *b = BIO_new_mem_buf(pem, -1);
  X509 *c;

  EW_BUG_ON(!out || !b);
  while (sk_X509_num(out) < READ_MAX &&
         (c = PEM_read_bio_X509(b, NULL, NULL, NULL)))
    EW_BUG_ON(sk_X509_push(out, c) <= 0);
  BIO_free(b);
  ERR_clear_error();
  return out;
}

static void free_all(STACK_OF(X509) * list) {
  sk_X509_pop_free(list, X509_free);
}

static bool has(STACK_OF(X509) * list, const X509 *c) {
  for (int i = 0; i < sk_X509_num(list); i++)
    if (X509_cmp(sk_X509_value(list, i), c) == 0)
      return true;
  return false;
}

static bool is_valid_now(const X509 *c) {
  return X509_cmp_current_time(X509_get0_notBefore(c)) < 0 &&
         X509_cmp_current_time(X509_get0_notAfter(c)) > 0;
}

static long long seconds(const ASN1_TIME *t) {
  struct tm tm;

  return ASN1_TIME_to_tm(t, &tm) == 1 ? (long long)timegm(&tm) : 0;
}

/* The PEM text of |first|, and then of those of |more| that are valid. */
static char *roots_text(X509 *first, STACK_OF(X509) * more, size_t *n) {
  char *text = ew_pem_certificate(first);

  *n = text ? 1 : 0;
  for (int i = 0; text && i < sk_X509_num(more) && *n < EW_ROOTS_MAX; i++) {
    X509 *c = sk_X509_value(more, i);
    char *pem = is_valid_now(c) && X509_cmp(c, first) != 0
                    ? ew_pem_certificate(c)
                    : NULL;
    char *all = pem ? ew_pem_join(text, pem) : NULL;
    if (all && strcmp(all, text) != 0)
      ++*n;
    free(pem);
    if (!all)
      continue;
    free(text);
    text = all;
  }
  return text;
}

/* ---- making ---- */

static bool fill_in(struct ew_server_cert *out, X509 *leaf, EVP_PKEY *key,
                    X509 *root, const char *old_roots) {
  STACK_OF(X509) *old = read_all(old_roots ? old_roots : "");

  out->crt = ew_pem_certificate(leaf);
  out->key = ew_pem_key(key);
  out->roots = roots_text(root, old, &out->roots_n);
  out->not_before = seconds(X509_get0_notBefore(leaf));
  out->not_after = seconds(X509_get0_notAfter(leaf));
  free_all(old);
  return out->crt && out->key && out->roots;
}

int ew_server_cert_make(const char *const *names, size_t names_n,
                        uint64_t lifetime_s, const char *old_roots,
                        struct ew_server_cert *out) {
  EVP_PKEY *root_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
  X509 *root = root_key ? ew_x509_root(root_key, names[0], lifetime_s) : NULL;
  const struct ew_x509_leaf leaf_opts = {EW_X509_DNS, names, names_n,
                                         "serverAuth", lifetime_s};
  X509 *leaf =
      root && key ? ew_x509_leaf(key, &leaf_opts, root, root_key) : NULL;

  *out = (struct ew_server_cert){0};
  if (leaf && !fill_in(out, leaf, key, root, old_roots))
    ew_server_cert_fini(out);
  X509_free(leaf);
  X509_free(root);
  EVP_PKEY_free(key);
  EVP_PKEY_free(root_key);
  ERR_clear_error();
  return out->crt ? EW_OK : EW_EIO;
}

/* ---- reading ---- */

/* What signed |leaf|; not a reference of the caller's. */
static X509 *signer_of(X509 *leaf, STACK_OF(X509) * roots) {
  for (int i = 0; i < sk_X509_num(roots); i++) {
    X509 *c = sk_X509_value(roots, i);
    if (X509_check_issued(c, leaf) == X509_V_OK &&
        X509_verify(leaf, X509_get0_pubkey(c)) == 1 && is_valid_now(c))
      return c;
  }
  return NULL;
}

static const char *missing_name(X509 *leaf, const char *const *names,
                                size_t n) {
  for (size_t i = 0; i < n; i++)
    if (X509_check_host(leaf, names[i], 0, 0, NULL) != 1)
      return names[i];
  return NULL;
}

/* NULL: none. |name| is set if one is missing. */
static const char *fault_of(X509 *leaf, EVP_PKEY *key, const X509 *root,
                            const char *name) {
  if (!leaf)
    return "tls.crt: expected a certificate in PEM";
  if (!key || X509_check_private_key(leaf, key) != 1)
    return "tls.key: expected the private key of tls.crt in PEM";
  if (!is_valid_now(leaf))
    return "tls.crt: expected a certificate that is valid now";
  if (name)
    return "tls.crt: expected the name ";
  if (!root)
    return "ca.crt: expected the CA that signed tls.crt, valid now";
  return NULL;
}

int ew_server_cert_read(const char *crt, const char *key, const char *roots,
                        const char *const *names, size_t names_n,
                        struct ew_server_cert *out, char *why, size_t why_len) {
  STACK_OF(X509) *all = read_all(roots ? roots : "");
  X509 *leaf = crt ? ew_pem_read_certificate(crt) : NULL;
  EVP_PKEY *k = key ? ew_pem_read_key(key) : NULL;
  X509 *root = leaf ? signer_of(leaf, all) : NULL;
  const char *name = leaf ? missing_name(leaf, names, names_n) : NULL;
  const char *fault = fault_of(leaf, k, root, name);

  *out = (struct ew_server_cert){0};
  if (fault)
    snprintf(why, why_len, "%s%s", fault, name ? name : "");
  else if (!fill_in(out, leaf, k, root, roots))
    ew_server_cert_fini(out);
  if (!fault && !out->crt)
    snprintf(why, why_len, "OpenSSL failed");
  free_all(all);
  X509_free(leaf);
  EVP_PKEY_free(k);
  ERR_clear_error();
  return out->crt ? EW_OK : EW_EINVAL;
}

void ew_server_cert_retire(struct ew_server_cert *c) {
  X509 *first = ew_pem_read_certificate(c->roots);
  char *text = first ? ew_pem_certificate(first) : NULL;

  X509_free(first);
  EW_BUG_ON(!text);
  free(c->roots);
  c->roots = text;
  c->roots_n = 1;
}

void ew_server_cert_fini(struct ew_server_cert *c) {
  free(c->crt);
  ew_pem_wipe(c->key);
  free(c->roots);
  *c = (struct ew_server_cert){0};
}

/* ---- comparing ---- */

static long long newest_of(STACK_OF(X509) * list) {
  long long newest = 0;

  for (int i = 0; i < sk_X509_num(list); i++) {
    long long t = seconds(X509_get0_notBefore(sk_X509_value(list, i)));
    newest = t > newest ? t : newest;
  }
  return newest;
}

static enum ew_roots compare(STACK_OF(X509) * have, STACK_OF(X509) * want) {
  long long newest = newest_of(want);

  for (int i = 0; i < sk_X509_num(want); i++)
    if (!has(have, sk_X509_value(want, i)))
      return EW_ROOTS_MISSING;
  for (int i = 0; i < sk_X509_num(have); i++) {
    const X509 *c = sk_X509_value(have, i);
    if (!has(want, c) && seconds(X509_get0_notBefore(c)) <= newest)
      return EW_ROOTS_STALE;
  }
  return EW_ROOTS_GOOD;
}

enum ew_roots ew_roots_compare(const char *have, const char *want) {
  STACK_OF(X509) *a = read_all(have), *b = read_all(want);
  enum ew_roots out = compare(a, b);

  free_all(a);
  free_all(b);
  return out;
}
