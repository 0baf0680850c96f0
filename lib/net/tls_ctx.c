/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/tls_ctx.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "lib/net/spiffe.h"
#include "lib/net/tls_verify.h"

#define CIPHERS \
  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256"
/* TLS 1.2, plain servers only. */
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS_PLAIN "X25519:P-256:P-384"
#define MAX_CHAIN 4
#define MAX_ROOTS 16
#define MAX_PEM (256 * 1024)
#define MAX_CERT_LIST (32 * 1024)
/* Four whole records in one read. */
#define READ_BUFFER 66048

struct reason {
  char *out;
  size_t len;
};

static void say(const struct reason *r, const char *what) {
  unsigned long e = ERR_peek_last_error();
  const char *detail = e ? ERR_reason_error_string(e) : NULL;
  snprintf(r->out, r->len, "%s%s%s", what, detail ? ": " : "",
           detail ? detail : "");
  ERR_clear_error();
}

/* Encrypted PEM is refused; OpenSSL would ask the terminal otherwise. */
static int no_password(char *buf, int size, int rw, void *arg) { return -1; }

static BIO *pem_open(const char *pem) {
  size_t n = strnlen(pem, MAX_PEM + 1);
  return n > MAX_PEM ? NULL : BIO_new_mem_buf(pem, (int)n);
}

/* Returns the certificates of |pem|, at least one and at most |max|, or NULL.
 */
static STACK_OF(X509) * read_certs(const char *pem, int max) {
  STACK_OF(X509) *out = sk_X509_new_null();
  BIO *b = pem_open(pem);
  X509 *x;
  bool ok = out && b;
  while (ok && (x = PEM_read_bio_X509(b, NULL, no_password, NULL)) != NULL)
    ok = sk_X509_push(out, x) > 0 && sk_X509_num(out) <= max;
  /* What ended the loop must be the end of the text. */
  ok = ok && sk_X509_num(out) > 0 &&
       ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  BIO_free(b);
  if (ok) {
    ERR_clear_error();
    return out;
  }
  sk_X509_pop_free(out, X509_free);
  return NULL;
}

static bool add_roots(SSL_CTX *ssl, const char *pem) {
  STACK_OF(X509) *roots = read_certs(pem, MAX_ROOTS);
  X509_STORE *store = X509_STORE_new();
  bool ok = roots && store;
  for (int i = 0; ok && i < sk_X509_num(roots); i++)
    ok = X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1;
  sk_X509_pop_free(roots, X509_free);
  if (!ok) {
    X509_STORE_free(store);
    return false;
  }
  SSL_CTX_set_cert_store(ssl, store); /* in place of the default one */
  return true;
}

static bool configure(SSL_CTX *ssl) {
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl);
  SSL_CTX_set_security_level(ssl, 2);
  SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                               SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify_depth(ssl, MAX_CHAIN);
  SSL_CTX_set_max_cert_list(ssl, MAX_CERT_LIST);
  SSL_CTX_set_read_ahead(ssl, 1);
  SSL_CTX_set_default_read_buffer_len(ssl, READ_BUFFER);
  SSL_CTX_set_alpn_select_cb(ssl, ew_tls_select_alpn, NULL);
  SSL_CTX_set_client_hello_cb(ssl, ew_tls_client_hello, NULL);
  return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(ssl, CIPHERS) == 1 &&
         SSL_CTX_set1_groups_list(ssl, GROUPS) == 1 &&
         SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
         SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
         SSL_CTX_set_recv_max_early_data(ssl, 0) == 1 &&
         X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT) == 1;
}

/* What |configure| set, but for clients that are not of the mesh. */
static bool configure_plain(SSL_CTX *ssl) {
  SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
  return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(ssl, CIPHERS_12) == 1 &&
         SSL_CTX_set1_groups_list(ssl, GROUPS_PLAIN) == 1;
}

static long long seconds(const ASN1_TIME *t) {
  struct tm tm;
  return ASN1_TIME_to_tm(t, &tm) == 1 ? (long long)timegm(&tm) : 0;
}

/* |chain| is what read_certs gave; its leaf is taken out of it. */
static bool use_chain(struct ew_tls_ctx *c, STACK_OF(X509) * chain,
                      const char *key_pem, const struct reason *r) {
  X509 *leaf = sk_X509_shift(chain);
  BIO *b = pem_open(key_pem);
  EVP_PKEY *key =
      b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
  const char *why;
  bool ok = false;

  if (!key) {
    say(r, "the private key can't be read");
  } else if (SSL_CTX_use_cert_and_key(c->ssl, leaf, key, chain, 1) != 1) {
    say(r, "certificate and key don't fit");
  } else if (c->plain) {
    c->id = ew_strdup("");
    ok = true;
  } else {
    why = ew_tls_leaf_id(leaf, c->trust_domain, &c->id);
    if (why)
      snprintf(r->out, r->len, "the certificate is not usable: %s", why);
    ok = !why;
  }
  c->not_before = seconds(X509_get0_notBefore(leaf));
  c->not_after = seconds(X509_get0_notAfter(leaf));
  EVP_PKEY_free(key);
  BIO_free(b);
  X509_free(leaf);
  return ok;
}

static bool use_identity(struct ew_tls_ctx *c, const char *pem,
                         const char *key_pem, const struct reason *r) {
  STACK_OF(X509) * chain;
  if (!pem && !key_pem) {
    c->id = ew_strdup("");
    return true;
  }
  if (!pem || !key_pem) {
    say(r, "certificate without key, or key without certificate");
    return false;
  }
  chain = read_certs(pem, MAX_CHAIN);
  if (!chain) {
    say(r, "the certificate chain can't be read");
    return false;
  }
  bool ok = use_chain(c, chain, key_pem, r);
  sk_X509_pop_free(chain, X509_free);
  return ok;
}

struct ew_tls_ctx *ew_tls_ctx_new(const char *chain, const char *key,
                                  const char *roots, const char *trust_domain,
                                  char *why, size_t why_len) {
  struct reason r = {why, why_len};
  struct ew_tls_ctx *c;

  /* Nothing may come in through a configuration file of the system. */
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
  ERR_clear_error();
  if (ew_spiffe_trust_domain_check(ew_slice_str(trust_domain)) != EW_OK) {
    say(&r, "the trust domain is not valid");
    return NULL;
  }
  c = ew_calloc(1, sizeof(*c));
  c->refs = 1;
  c->trust_domain = ew_strdup(trust_domain);
  c->ssl = SSL_CTX_new(TLS_method());
  if (!c->ssl || !configure(c->ssl))
    say(&r, "OpenSSL lacks what is needed");
  else if (!roots || !add_roots(c->ssl, roots))
    say(&r, "the root certificates can't be read");
  else if (use_identity(c, chain, key, &r))
    return c;
  ew_tls_ctx_unref(c);
  return NULL;
}

struct ew_tls_ctx *ew_tls_server_plain_ctx_new(const char *chain,
                                               const char *key, char *why,
                                               size_t why_len) {
  struct reason r = {why, why_len};
  struct ew_tls_ctx *c = ew_calloc(1, sizeof(*c));

  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
  ERR_clear_error();
  c->refs = 1;
  c->plain = true;
  c->trust_domain = ew_strdup("");
  c->ssl = SSL_CTX_new(TLS_method());
  if (!c->ssl || !configure(c->ssl) || !configure_plain(c->ssl))
    say(&r, "OpenSSL lacks what is needed");
  else if (!chain || !key)
    say(&r, "certificate without key, or key without certificate");
  else if (use_identity(c, chain, key, &r))
    return c;
  ew_tls_ctx_unref(c);
  return NULL;
}

struct ew_tls_ctx *ew_tls_ctx_ref(struct ew_tls_ctx *c) {
  c->refs++;
  return c;
}

void ew_tls_ctx_unref(struct ew_tls_ctx *c) {
  if (!c || --c->refs > 0)
    return;
  SSL_CTX_free(c->ssl);
  free(c->trust_domain);
  free(c->id);
  free(c);
}

long long ew_tls_ctx_not_after(const struct ew_tls_ctx *c) {
  return c->not_after;
}

long long ew_tls_ctx_not_before(const struct ew_tls_ctx *c) {
  return c->not_before;
}

const char *ew_tls_ctx_id(const struct ew_tls_ctx *c) { return c->id; }
