/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_test.h"

#include <openssl/err.h>

/* Servers for clients that are not of the mesh. */

static struct ew_loop *loop;
static struct cert leaf;
static char *pem, *key_pem;

static int setup(void **state) {
  struct cert_opts o = {
      .name = "webhook", .dns = "webhook.test", .eku = "serverAuth"};
  make_roots(state);
  leaf = cert_make(&o, &root);
  pem = cert_pem(&leaf, NULL);
  key_pem = cert_key_pem(&leaf);
  loop = ew_loop_new();
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  ew_loop_del(loop);
  free(pem);
  free(key_pem);
  cert_fini(&leaf);
  return free_roots(state);
}

static struct ew_tls_ctx *plain(void) {
  char why[128] = "";
  struct ew_tls_ctx *c =
      ew_tls_server_plain_ctx_new(pem, key_pem, why, sizeof(why));
  assert_string_equal(why, "");
  assert_non_null(c);
  return c;
}

struct client {
  int max_version;
  const char *ciphers; /* of TLS 1.2; NULL: the default */
  const char *alpn;    /* as on the wire; NULL: none */
  bool certificate;    /* would show one if asked */
};

/* The server's end after the handshake, or after its failure. */
static void shake(const struct client *o, struct end *s) {
  static const char *const names[] = {"h2", "http/1.1"};
  const struct ew_tls_server_opts opts = {.alpn = names, .alpn_count = 2};
  struct ew_tls_ctx *c = plain();
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  int fd[2];

  SSL_CTX_set_max_proto_version(ctx, o->max_version);
  SSL_CTX_set_security_level(ctx, 0);
  if (o->ciphers)
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, o->ciphers), 1);
  if (o->certificate)
    SSL_CTX_use_cert_and_key(ctx, leaf.x, leaf.key, NULL, 1);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root.x);
  SSL *ssl = SSL_new(ctx);
  assert_int_equal(SSL_set1_host(ssl, "webhook.test"), 1);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  SSL_set_fd(ssl, fd[0]);
  SSL_set_connect_state(ssl);
  if (o->alpn)
    SSL_set_alpn_protos(ssl, (const unsigned char *)o->alpn,
                        (unsigned)strlen(o->alpn));
  end_init(s, ew_tls_server_new(c, ew_tcp_stream_new(loop, fd[1]), &opts));
  ew_tls_ctx_unref(c); /* the stream keeps it */
  uint64_t end = ew_clock_us() + 10000000;
  while (s->err == 0 && !(end_done(s) && SSL_is_init_finished(ssl))) {
    assert_true(ew_clock_us() < end);
    SSL_do_handshake(ssl);
    ERR_clear_error();
    ew_loop_run_once(loop, 1);
  }
  if (end_done(s)) {
    char got[3];
    assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
    assert_int_equal(SSL_write(ssl, "hello", 5), 5);
    RUN_UNTIL(loop, s->got == 5);
    assert_memory_equal(s->buf, "hello", 5);
    assert_int_equal(write_str(s->s, "abc"), 3);
    assert_int_equal(SSL_read(ssl, got, 3), 3);
  }
  ERR_clear_error();
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  close(fd[0]);
}

static void accepted(const struct client *o, const char *alpn) {
  struct end s;
  shake(o, &s);
  assert_string_equal(ew_tls_stream_failure(s.s), "");
  assert_true(end_done(&s));
  assert_string_equal(ew_tls_stream_alpn(s.s), alpn);
  assert_string_equal(ew_tls_stream_peer_id(s.s), "");
  ew_stream_close(s.s);
  ew_loop_run_once(loop, 1);
}

static void refused(const struct client *o, const char *why) {
  struct end s;
  shake(o, &s);
  assert_false(end_done(&s));
  assert_string_equal(ew_tls_stream_failure(s.s), why);
  ew_stream_close(s.s);
  ew_loop_run_once(loop, 1);
}

static void ordinary_clients(void **state) {
  accepted(&(struct client){TLS1_3_VERSION, NULL, "\x02h2"}, "h2");
  accepted(&(struct client){TLS1_3_VERSION, NULL, NULL}, "");
  accepted(&(struct client){TLS1_3_VERSION, NULL, "\x08http/1.1\x02h2"}, "h2");
  accepted(&(struct client){TLS1_2_VERSION, NULL, "\x08http/1.1"}, "http/1.1");
  accepted(&(struct client){TLS1_2_VERSION, NULL, NULL}, "");
  accepted(
      &(struct client){TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL},
      "");
}

static void no_certificate_is_asked_for(void **state) {
  accepted(&(struct client){TLS1_3_VERSION, NULL, "\x02h2", true}, "h2");
  accepted(&(struct client){TLS1_2_VERSION, NULL, "\x02h2", true}, "h2");
}

static void weak_clients(void **state) {
  refused(&(struct client){TLS1_1_VERSION, NULL, NULL}, "protocol");
  refused(&(struct client){TLS1_2_VERSION, "AES128-GCM-SHA256", NULL},
          "protocol");
  refused(&(struct client){TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", NULL},
          "protocol");
  refused(&(struct client){TLS1_3_VERSION, NULL, "\x03xyz"}, "alpn");
}

static void what_it_tells(void **state) {
  struct ew_tls_ctx *c = plain();
  assert_string_equal(ew_tls_ctx_id(c), "");
  assert_true(ew_tls_ctx_not_after(c) > ew_tls_ctx_not_before(c));
  ew_tls_ctx_unref(c);
}

/* It verifies nobody, so it must not become a client. */
static void never_a_client(void **state) {
  static const char *const expected[] = {ID_B};
  struct ew_tls_ctx *c = plain();
  struct ew_stream *p[2];
  make_tcp_pair(loop, p);
  assert_null(ew_tls_client_new(c, p[0], expected, 1, "h2"));
  ew_stream_close(p[1]);
  ew_loop_run_once(loop, 1);
  ew_tls_ctx_unref(c);
}

static void bad_texts(void **state) {
  struct cert_opts o = {.name = "other"};
  struct cert other = cert_make(&o, &root);
  char *other_key = cert_key_pem(&other);
  const struct {
    const char *chain, *key, *why;
  } t[] = {
      {NULL, key_pem, "without"},  {pem, NULL, "without"},
      {"", key_pem, "read"},       {pem, "", "key"},
      {pem, other_key, "fit"},     {pem, pem, "key"},
      {key_pem, key_pem, "chain"},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
    char why[128] = "";
    assert_null(
        ew_tls_server_plain_ctx_new(t[i].chain, t[i].key, why, sizeof(why)));
    assert_non_null(strstr(why, t[i].why));
  }
  cert_fini(&other);
  free(other_key);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ordinary_clients),
      cmocka_unit_test(no_certificate_is_asked_for),
      cmocka_unit_test(weak_clients),
      cmocka_unit_test(what_it_tells),
      cmocka_unit_test(never_a_client),
      cmocka_unit_test(bad_texts),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
