/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/tls_verify.h"

#include <openssl/x509v3.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "lib/net/spiffe.h"

static const char *reason_of(int x509_error) {
  switch (x509_error) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
    return "expired";
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return "not-yet-valid";
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_CERT_SIGNATURE_FAILURE:
  case X509_V_ERR_CERT_UNTRUSTED:
    return "unknown-ca";
  case X509_V_ERR_INVALID_PURPOSE:
  case X509_V_ERR_INVALID_CA:
  case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
  case X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE:
    return "bad-usage";
  case X509_V_ERR_EE_KEY_TOO_SMALL:
  case X509_V_ERR_CA_KEY_TOO_SMALL:
  case X509_V_ERR_CA_MD_TOO_WEAK:
    return "weak-key";
  default:
    return "bad-certificate";
  }
}

/* OpenSSL's purpose check takes a missing extension for "anything goes". */
static bool usage_ok(X509 *leaf, bool server) {
  uint32_t flags = X509_get_extension_flags(leaf);
  uint32_t eku = server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
  if (flags & (EXFLAG_INVALID | EXFLAG_CA))
    return false;
  if (!(flags & EXFLAG_KUSAGE) || !(flags & EXFLAG_XKUSAGE))
    return false;
  uint32_t ku = X509_get_key_usage(leaf);
  return (ku & KU_DIGITAL_SIGNATURE) &&
         !(ku & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) &&
         (X509_get_extended_key_usage(leaf) & eku);
}

/* By the length that ASN.1 gives, so that an embedded NUL hides nothing. */
static const char *check_uri(const ASN1_STRING *uri, const char *trust_domain,
                             char **id) {
  struct ew_slice s = {(const char *)ASN1_STRING_get0_data(uri),
                       (size_t)ASN1_STRING_length(uri)};
  struct ew_slice td;
  if (ew_spiffe_parse(s, &td) != EW_OK)
    return "san-syntax";
  if (!ew_slice_eq_str(td, trust_domain))
    return "wrong-trust-domain";
  *id = ew_strndup(s.p, s.n);
  return NULL;
}

const char *ew_tls_leaf_id(X509 *leaf, const char *trust_domain, char **id) {
  int critical = 0, uris = 0;
  const ASN1_STRING *uri = NULL;
  const char *why = "san-count";
  GENERAL_NAMES *names =
      X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);

  *id = NULL;
  if (!names) /* -1: none, -2: the extension stands there twice */
    return critical < 0 ? "san-count" : "san-syntax";
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
    if (g->type == GEN_URI) {
      uris++;
      uri = g->d.uniformResourceIdentifier;
    }
  }
  if (uris == 1)
    why = check_uri(uri, trust_domain, id);
  GENERAL_NAMES_free(names);
  return why;
}

static bool is_expected(const struct ew_tls_verdict *v) {
  for (size_t i = 0; i < v->expected_n; i++) {
    if (strcmp(v->expected[i], v->id) == 0)
      return true;
  }
  return v->expected_n == 0;
}

static const char *judge_leaf(struct ew_tls_verdict *v, X509 *leaf) {
  if (!usage_ok(leaf, v->peer_is_server))
    return "bad-usage";
  free(v->id);
  const char *why = ew_tls_leaf_id(leaf, v->trust_domain, &v->id);
  if (why)
    return why;
  return is_expected(v) ? NULL : "wrong-identity";
}

int ew_tls_verify_cb(int ok, X509_STORE_CTX *store) {
  SSL *ssl =
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct ew_tls_verdict *v = SSL_get_app_data(ssl);
  const char *why = NULL;

  if (!ok)
    why = reason_of(X509_STORE_CTX_get_error(store));
  else if (X509_STORE_CTX_get_error_depth(store) == 0)
    why = judge_leaf(v, X509_STORE_CTX_get0_cert(store));
  if (!why)
    return ok;
  if (!v->failure)
    v->failure = why;
  if (ok) /* becomes the alert bad_certificate */
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

void ew_tls_verdict_fini(struct ew_tls_verdict *v) {
  for (size_t i = 0; i < v->expected_n; i++)
    free(v->expected[i]);
  free(v->expected);
  free(v->id);
  v->expected = NULL;
  v->expected_n = 0;
  v->id = NULL;
}
