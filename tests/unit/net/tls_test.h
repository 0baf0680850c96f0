/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_NET_TLS_TEST_H
#define EASTWEST_TESTS_NET_TLS_TEST_H

#include "net/net_test.h"

#include "eastwest/net/tls.h"
#include "lib/net/tls_ctx.h"
#include "net/cert.h"

#define TD "cluster.local"
#define ID_A "spiffe://cluster.local/ns/a/sa/client"
#define ID_B "spiffe://cluster.local/ns/b/sa/server"

static struct cert root, other_root;

static inline int make_roots(void **state) {
  struct cert_opts o = {.name = "root", .ca = true, .eku = ""};
  root = cert_make(&o, NULL);
  other_root = cert_make(&o, NULL); /* same name, other key */
  return 0;
}

static inline int free_roots(void **state) {
  cert_fini(&root);
  cert_fini(&other_root);
  return 0;
}

static inline struct ew_tls_ctx *ctx_from(const struct cert *c,
                                          const struct cert *ca) {
  char why[128] = "";
  char *roots = cert_pem(ca, NULL);
  char *pem = c ? cert_pem(c, NULL) : NULL;
  char *key = c ? cert_key_pem(c) : NULL;
  struct ew_tls_ctx *ctx =
      ew_tls_ctx_new(pem, key, roots, TD, why, sizeof(why));
  if (!ctx)
    print_error("ew_tls_ctx_new: %s\n", why);
  assert_non_null(ctx);
  free(roots);
  free(pem);
  free(key);
  return ctx;
}

static inline struct ew_tls_ctx *ctx_good(const char *id) {
  struct cert_opts o = {.name = "leaf", .uri = {id}};
  struct cert c = cert_make(&o, &root);
  struct ew_tls_ctx *ctx = ctx_from(&c, &root);
  cert_fini(&c);
  return ctx;
}

/* Presents |c| whatever is wrong with it. */
static inline struct ew_tls_ctx *ctx_forced(const struct cert *c) {
  struct ew_tls_ctx *ctx = ctx_from(NULL, &root);
  SSL_CTX_set_security_level(ctx->ssl, 0);
  assert_int_equal(SSL_CTX_use_cert_and_key(ctx->ssl, c->x, c->key, NULL, 1),
                   1);
  free(ctx->id);
  ctx->id = ew_strdup("forced");
  return ctx;
}

/* One end under test: reads all it gets. */
struct end {
  struct ew_stream *s;
  unsigned calls;
  int err; /* the first that was not EW_EAGAIN */
  size_t got;
  char buf[256];
};

static inline void end_ready(void *arg, unsigned events) {
  struct end *e = arg;
  char p[256];
  ptrdiff_t n;
  e->calls++;
  while ((n = ew_stream_read(e->s, p, sizeof(p))) > 0) {
    for (ptrdiff_t i = 0; i < n && e->got < sizeof(e->buf); i++)
      e->buf[e->got++] = p[i];
  }
  if (n != EW_EAGAIN) {
    e->err = (int)n;
    ew_stream_want(e->s, 0);
  }
}

static inline void end_init(struct end *e, struct ew_stream *s) {
  *e = (struct end){.s = s};
  assert_non_null(s);
  ew_stream_set_user(s, end_ready, e);
  ew_stream_want(s, EW_READ);
}

static inline bool end_done(const struct end *e) {
  return ew_tls_stream_done(e->s);
}

#define SERVER_OPTS(...)                          \
  (&(struct ew_tls_server_opts){                  \
      .alpn = (const char *const[]){__VA_ARGS__}, \
      .alpn_count =                               \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)})

#endif
