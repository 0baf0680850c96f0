/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_test.h"

#include <openssl/err.h>

static struct ew_loop *loop;
static struct ew_tls_ctx *ctx_a, *ctx_b;
static const char *const expect_b[] = {ID_B};

static int setup(void **state) {
  loop = ew_loop_new();
  ctx_a = ctx_good(ID_A);
  ctx_b = ctx_good(ID_B);
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  ew_tls_ctx_unref(ctx_a);
  ew_tls_ctx_unref(ctx_b);
  ew_loop_del(loop);
  return 0;
}

static void close_both(struct end *a, struct end *b) {
  ew_stream_close(a->s);
  ew_stream_close(b->s);
}

static void pauses_within_the_handshake(void **state) {
  struct ew_stream *p[2];
  struct end c, s;
  make_tcp_pair(loop, p);
  end_init(&c, ew_tls_client_new(ctx_a, p[0], expect_b, 1, "x"));
  end_init(&s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("x")));
  ew_loop_run_once(loop, 10);
  ew_stream_want(c.s, 0);
  for (int i = 0; i < 5; i++)
    ew_loop_run_once(loop, 5);
  assert_false(end_done(&c));
  ew_stream_want(c.s, EW_READ);
  RUN_UNTIL(loop, end_done(&c) && end_done(&s));
  close_both(&c, &s);
}

static void closed_within_the_handshake(void **state) {
  struct ew_stream *p[2];
  struct end s;
  make_tcp_pair(loop, p);
  end_init(&s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("x")));
  ew_stream_close(p[0]);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_ECONN);
  assert_string_equal(ew_tls_stream_failure(s.s), "closed");
  ew_stream_close(s.s);
}

static void no_tls_is_protocol(void **state) {
  struct ew_stream *p[2];
  struct end s;
  make_tcp_pair(loop, p);
  end_init(&s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("x")));
  assert_true(write_str(p[0], "GET / HTTP/1.1\r\n\r\n") > 0);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_ETLS);
  assert_string_equal(ew_tls_stream_failure(s.s), "protocol");
  /* Wanted: told again. Not wanted: silent. */
  unsigned calls = s.calls;
  ew_stream_want(s.s, EW_READ);
  RUN_UNTIL(loop, s.calls > calls);
  ew_stream_close(s.s);
  ew_stream_close(p[0]);
}

static void alpn_by_the_servers_preference(void **state) {
  struct ew_stream *p[2];
  struct end c, s;
  make_tcp_pair(loop, p);
  end_init(&c, ew_tls_client_new(ctx_a, p[0], expect_b, 1, "eastwest/http1"));
  end_init(&s,
           ew_tls_server_new(ctx_b, p[1],
                             SERVER_OPTS("eastwest/http2", "eastwest/http1")));
  RUN_UNTIL(loop, end_done(&c) && end_done(&s));
  assert_string_equal(ew_tls_stream_alpn(s.s), "eastwest/http1");
  close_both(&c, &s);

  make_tcp_pair(loop, p);
  end_init(&c, ew_tls_client_new(ctx_a, p[0], expect_b, 1, "eastwest/tcp"));
  end_init(&s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("eastwest/http2")));
  RUN_UNTIL(loop, c.err != 0 && s.err != 0);
  assert_string_equal(ew_tls_stream_failure(s.s), "alpn");
  assert_string_equal(ew_tls_stream_failure(c.s),
                      "peer-alert:no-application-protocol");
  close_both(&c, &s);

  /* A server that selects none. */
  struct ew_tls_server_opts none = {0};
  make_tcp_pair(loop, p);
  end_init(&c, ew_tls_client_new(ctx_a, p[0], expect_b, 1, "eastwest/tcp"));
  end_init(&s, ew_tls_server_new(ctx_b, p[1], &none));
  RUN_UNTIL(loop, c.err != 0);
  assert_string_equal(ew_tls_stream_failure(c.s), "alpn");
  assert_int_equal(c.err, EW_ETLS);
  close_both(&c, &s);
}

/* Another TLS implementation's client, as far as OpenSSL can play one. */
static void foreign_client(int max_version, bool alpn, struct end *s) {
  bool expect_done = alpn && max_version == TLS1_3_VERSION;
  struct ew_stream *p[2];
  int fd[2];
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  struct cert_opts o = {.name = "leaf", .uri = {ID_A}};
  struct cert cert = cert_make(&o, &root);
  SSL_CTX_set_max_proto_version(ctx, max_version);
  SSL_CTX_use_cert_and_key(ctx, cert.x, cert.key, NULL, 1);
  cert_fini(&cert);
  SSL *ssl = SSL_new(ctx);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  SSL_set_fd(ssl, fd[0]);
  SSL_set_connect_state(ssl);
  if (alpn)
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x01x", 2);
  p[1] = ew_tcp_stream_new(loop, fd[1]);
  end_init(s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("x")));
  uint64_t end = ew_clock_us() + 10000000;
  while (s->err == 0 && !end_done(s)) {
    assert_true(ew_clock_us() < end);
    SSL_do_handshake(ssl);
    ERR_clear_error();
    ew_loop_run_once(loop, 1);
  }
  if (expect_done) {
    char c;
    assert_true(end_done(s));
    assert_int_equal(write_str(s->s, "y"), 1);
    assert_int_equal(SSL_read(ssl, &c, 1), 1);
    /* Nothing to resume with. */
    assert_false(SSL_SESSION_has_ticket(SSL_get0_session(ssl)));
  }
  ERR_clear_error();
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  close(fd[0]);
}

static void foreign_clients(void **state) {
  struct end s;
  foreign_client(TLS1_3_VERSION, true, &s);
  ew_stream_close(s.s);
  foreign_client(TLS1_3_VERSION, false, &s);
  assert_string_equal(ew_tls_stream_failure(s.s), "alpn");
  ew_stream_close(s.s);
  foreign_client(TLS1_2_VERSION, true, &s);
  assert_string_equal(ew_tls_stream_failure(s.s), "protocol");
  ew_stream_close(s.s);
}

/* What a client writes before it learns that it was refused. */
static void refusal_is_seen_by_a_writer(void **state) {
  struct cert_opts o = {.name = "leaf", .uri = {ID_A}, .begin = -9, .end = -5};
  struct cert cert = cert_make(&o, &root);
  struct ew_tls_ctx *expired = ctx_forced(&cert);
  struct ew_stream *p[2];
  struct end c, s;
  ptrdiff_t n;
  cert_fini(&cert);
  make_tcp_pair(loop, p);
  end_init(&c, ew_tls_client_new(expired, p[0], expect_b, 1, "x"));
  end_init(&s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("x")));
  RUN_UNTIL(loop, end_done(&c));
  ew_stream_want(c.s, 0);
  RUN_UNTIL(loop, s.err != 0);
  assert_string_equal(ew_tls_stream_failure(s.s), "expired");
  ew_stream_close(s.s);
  do
    n = write_str(c.s, "request");
  while (n > 0);
  assert_int_equal(n, EW_ETLS);
  assert_string_equal(ew_tls_stream_failure(c.s),
                      "peer-alert:certificate-expired");
  ew_stream_close(c.s);
  ew_tls_ctx_unref(expired);
}

static void key_update_goes_unnoticed(void **state) {
  struct ew_stream *p[2];
  struct end s;
  int fd[2];
  char c;
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  struct cert_opts o = {.name = "leaf", .uri = {ID_A}};
  struct cert cert = cert_make(&o, &root);
  SSL_CTX_use_cert_and_key(ctx, cert.x, cert.key, NULL, 1);
  cert_fini(&cert);
  SSL *ssl = SSL_new(ctx);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  SSL_set_fd(ssl, fd[0]);
  SSL_set_connect_state(ssl);
  SSL_set_alpn_protos(ssl, (const unsigned char *)"\x01x", 2);
  p[1] = ew_tcp_stream_new(loop, fd[1]);
  end_init(&s, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("x")));
  RUN_UNTIL(loop, SSL_do_handshake(ssl) == 1 && end_done(&s));
  for (int i = 0; i < 5; i++) {
    assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_write(ssl, "x", 1), 1);
  }
  RUN_UNTIL(loop, s.got == 5);
  assert_int_equal(write_str(s.s, "y"), 1);
  RUN_UNTIL(loop, SSL_read(ssl, &c, 1) == 1);
  ew_stream_close(s.s);
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  close(fd[0]);
}

static int select_x(SSL *ssl, const unsigned char **out, unsigned char *n,
                    const unsigned char *in, unsigned in_n, void *arg) {
  *out = in + 1;
  *n = in[0];
  return SSL_TLSEXT_ERR_OK;
}

/* Session tickets reach a client whose session was emptied. */
static void tickets_of_a_foreign_server_are_harmless(void **state) {
  struct ew_stream *p[2];
  struct end e;
  int fd[2];
  char c;
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  struct cert_opts o = {.name = "leaf", .uri = {ID_B}};
  struct cert cert = cert_make(&o, &root);
  SSL_CTX_use_cert_and_key(ctx, cert.x, cert.key, NULL, 1);
  cert_fini(&cert);
  SSL_CTX_set_alpn_select_cb(ctx, select_x, NULL);
  SSL_CTX_set_num_tickets(ctx, 4);
  SSL *ssl = SSL_new(ctx);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  SSL_set_fd(ssl, fd[0]);
  SSL_set_accept_state(ssl);
  p[1] = ew_tcp_stream_new(loop, fd[1]);
  end_init(&e, ew_tls_client_new(ctx_a, p[1], expect_b, 1, "x"));
  RUN_UNTIL(loop, SSL_do_handshake(ssl) == 1 && end_done(&e));
  assert_int_equal(SSL_write(ssl, "x", 1), 1);
  RUN_UNTIL(loop, e.got == 1);
  assert_int_equal(SSL_new_session_ticket(ssl), 1);
  assert_int_equal(SSL_write(ssl, "x", 1), 1);
  assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
  assert_int_equal(SSL_write(ssl, "x", 1), 1);
  RUN_UNTIL(loop, e.got == 3);
  assert_int_equal(write_str(e.s, "y"), 1);
  RUN_UNTIL(loop, SSL_read(ssl, &c, 1) == 1);
  assert_string_equal(ew_tls_stream_peer_id(e.s), ID_B);
  ew_stream_close(e.s);
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  close(fd[0]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(pauses_within_the_handshake),
      T(closed_within_the_handshake),
      T(no_tls_is_protocol),
      T(alpn_by_the_servers_preference),
      T(foreign_clients),
      T(refusal_is_seen_by_a_writer),
      T(key_update_goes_unnoticed),
      T(tickets_of_a_foreign_server_are_harmless),
  };
  return cmocka_run_group_tests(tests, make_roots, free_roots);
}
