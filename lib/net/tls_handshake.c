/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "lib/net/tls_stream.h"

#define MAX_ALPN_LIST 256

static bool is_identity_failure(const char *why) {
  return strcmp(why, "wrong-identity") == 0 ||
         strcmp(why, "wrong-trust-domain") == 0 || strncmp(why, "san-", 4) == 0;
}

/* RFC 8446 section 6. Literals, because a failure outlives its stream. */
static const struct {
  int code;
  const char *why;
} alerts[] = {
    {SSL_AD_CLOSE_NOTIFY, "peer-alert:close-notify"},
    {SSL_AD_UNEXPECTED_MESSAGE, "peer-alert:unexpected-message"},
    {SSL_AD_BAD_RECORD_MAC, "peer-alert:bad-record-mac"},
    {SSL_AD_RECORD_OVERFLOW, "peer-alert:record-overflow"},
    {SSL_AD_HANDSHAKE_FAILURE, "peer-alert:handshake-failure"},
    {SSL_AD_BAD_CERTIFICATE, "peer-alert:bad-certificate"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "peer-alert:unsupported-certificate"},
    {SSL_AD_CERTIFICATE_REVOKED, "peer-alert:certificate-revoked"},
    {SSL_AD_CERTIFICATE_EXPIRED, "peer-alert:certificate-expired"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "peer-alert:certificate-unknown"},
    {SSL_AD_ILLEGAL_PARAMETER, "peer-alert:illegal-parameter"},
    {SSL_AD_UNKNOWN_CA, "peer-alert:unknown-ca"},
    {SSL_AD_ACCESS_DENIED, "peer-alert:access-denied"},
    {SSL_AD_DECODE_ERROR, "peer-alert:decode-error"},
    {SSL_AD_DECRYPT_ERROR, "peer-alert:decrypt-error"},
    {SSL_AD_PROTOCOL_VERSION, "peer-alert:protocol-version"},
    {SSL_AD_INSUFFICIENT_SECURITY, "peer-alert:insufficient-security"},
    {SSL_AD_INTERNAL_ERROR, "peer-alert:internal-error"},
    {SSL_AD_USER_CANCELLED, "peer-alert:user-canceled"},
    {SSL_AD_MISSING_EXTENSION, "peer-alert:missing-extension"},
    {SSL_AD_UNSUPPORTED_EXTENSION, "peer-alert:unsupported-extension"},
    {SSL_AD_UNRECOGNIZED_NAME, "peer-alert:unrecognized-name"},
    {SSL_AD_CERTIFICATE_REQUIRED, "peer-alert:certificate-required"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "peer-alert:no-application-protocol"},
};

static const char *alert_name(int code) {
  for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
    if (alerts[i].code == code)
      return alerts[i].why;
  return "peer-alert:unknown";
}

static const char *reason_of_queue(void) {
  unsigned long e = ERR_peek_error();
  int reason = ERR_GET_REASON(e);
  if (ERR_GET_LIB(e) == ERR_LIB_ASN1 || ERR_GET_LIB(e) == ERR_LIB_X509)
    return "bad-certificate";
  if (ERR_GET_LIB(e) != ERR_LIB_SSL)
    return "protocol";
  if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
    return alert_name(reason - SSL_AD_REASON_OFFSET);
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return "no-certificate";
  return "protocol";
}

static void fail_with(struct ew_tls_stream *t, int err, const char *why) {
  t->err = err;
  t->failure = why;
  ERR_clear_error();
}

void ew_tls_fail(struct ew_tls_stream *t) {
  if (t->verdict.failure)
    fail_with(t,
              is_identity_failure(t->verdict.failure) ? EW_EIDENTITY : EW_ETLS,
              t->verdict.failure);
  else if (t->lower.err != EW_OK) /* an end without close_notify is no end */
    fail_with(t, EW_ECONN, "closed");
  else
    fail_with(t, EW_ETLS, reason_of_queue());
}

void ew_tls_handshake_fini(struct ew_tls_stream *t) {
  free(t->protos);
  t->protos = NULL;
  for (size_t i = 0; i < t->verdict.expected_n; i++)
    free(t->verdict.expected[i]);
  free(t->verdict.expected);
  t->verdict.expected = NULL;
  t->verdict.expected_n = 0;
}

static void free_all(STACK_OF(X509) * certs) {
  while (certs && sk_X509_num(certs) > 0)
    X509_free(sk_X509_pop(certs));
}

/* An open connection would keep the parsed chain of its peer, 5 KiB, for a
 * resumption that we never do. Nothing but reading an empty session into the
 * one in use lets go of the leaf. */
static void drop_peer_certificate(SSL *ssl) {
  SSL_SESSION *live = SSL_get_session(ssl);
  SSL_SESSION *empty = SSL_SESSION_new();
  unsigned char *der = NULL;
  int n;

  EW_BUG_ON(!empty);
  SSL_SESSION_set_protocol_version(empty, TLS1_3_VERSION);
  SSL_SESSION_set_cipher(empty, SSL_get_current_cipher(ssl));
  n = i2d_SSL_SESSION(empty, &der);
  if (n > 0) {
    const unsigned char *p = der;
    d2i_SSL_SESSION(&live, &p, n);
  }
  OPENSSL_free(der);
  SSL_SESSION_free(empty);
  free_all(SSL_get_peer_cert_chain(ssl));
  free_all(SSL_get0_verified_chain(ssl));
  ERR_clear_error();
}

static void handshake_done(struct ew_tls_stream *t) {
  const unsigned char *alpn;
  unsigned alpn_n;
  bool cert = SSL_get0_peer_certificate(t->ssl) != NULL;

  if (SSL_get_verify_result(t->ssl) != X509_V_OK || (cert && !t->verdict.id)) {
    fail_with(t, EW_ETLS, "bad-certificate");
    return;
  }
  if (!cert && !t->peer_optional) {
    fail_with(t, EW_ETLS, "no-certificate");
    return;
  }
  SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_n);
  if (t->protos_n > 0 && alpn_n == 0 && !t->ctx->plain) {
    fail_with(t, EW_ETLS, "alpn");
    return;
  }
  t->alpn = alpn_n > 0 ? ew_strndup((const char *)alpn, alpn_n) : NULL;
  t->done = true;
  if (!t->ctx->plain)
    drop_peer_certificate(t->ssl);
  ew_tls_handshake_fini(t);
}

void ew_tls_handshake_step(struct ew_tls_stream *t) {
  ERR_clear_error();
  int r = SSL_do_handshake(t->ssl);
  if (r == 1) {
    handshake_done(t);
    return;
  }
  switch (SSL_get_error(t->ssl, r)) {
  case SSL_ERROR_WANT_READ:
    t->handshake_needs = EW_READ;
    break;
  case SSL_ERROR_WANT_WRITE:
    t->handshake_needs = EW_WRITE;
    break;
  default:
    ew_tls_fail(t);
  }
}

int ew_tls_select_alpn(SSL *ssl, const unsigned char **out,
                       unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg) {
  struct ew_tls_verdict *v = SSL_get_app_data(ssl);
  struct ew_tls_stream *t = EW_CONTAINER(v, struct ew_tls_stream, verdict);
  unsigned char *chosen;
  if (t->protos_n == 0)
    return SSL_TLSEXT_ERR_NOACK;
  if (SSL_select_next_proto(&chosen, out_len, t->protos, t->protos_n, in,
                            in_len) != OPENSSL_NPN_NEGOTIATED) {
    v->failure = "alpn";
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* A client without any ALPN would pass the selection above unasked. */
int ew_tls_client_hello(SSL *ssl, int *alert, void *arg) {
  struct ew_tls_verdict *v = SSL_get_app_data(ssl);
  struct ew_tls_stream *t = EW_CONTAINER(v, struct ew_tls_stream, verdict);
  const unsigned char *ext;
  size_t n;
  if (t->protos_n == 0 || t->ctx->plain ||
      SSL_client_hello_get0_ext(
          ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext, &n))
    return SSL_CLIENT_HELLO_SUCCESS;
  v->failure = "alpn";
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

int ew_tls_set_protos(struct ew_tls_stream *t, const char *const *names,
                      size_t count) {
  unsigned char list[MAX_ALPN_LIST];
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    size_t k = strnlen(names[i], sizeof(list));
    if (k == 0 || k > 255 || n + 1 + k > sizeof(list))
      return EW_EINVAL;
    list[n++] = (unsigned char)k;
    memcpy(list + n, names[i], k);
    n += k;
  }
  t->protos = ew_malloc(n + 1);
  memcpy(t->protos, list, n);
  t->protos_n = (unsigned)n;
  return EW_OK;
}
