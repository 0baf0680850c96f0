/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/httpd_test.h"
#include "net/tls_test.h"

static struct ew_tls_ctx *site_tls(void *arg) {
  return ((struct site *)arg)->tls;
}

static const char *const alpn[] = {"h2", "eastwest/http2", "http/1.1"};

static const struct ew_httpd_opts required = {.body_max = 1000,
                                              .stream_max = 1000,
                                              .conn_max = 10,
                                              .tls = site_tls,
                                              .alpn = alpn,
                                              .alpn_count = 3};
static const struct ew_httpd_opts optional = {.body_max = 1000,
                                              .stream_max = 1000,
                                              .conn_max = 10,
                                              .tls = site_tls,
                                              .tls_peer_optional = true,
                                              .alpn = alpn,
                                              .alpn_count = 3};

struct secure {
  struct site site;
  struct ew_tls_ctx *server, *client;
};

/* |id| NULL: a client without a certificate. */
static void open_secure(struct secure *s, const struct ew_httpd_opts *o,
                        const char *id) {
  site_init(&s->site, o);
  s->server = s->site.tls = ctx_good(ID_B);
  s->client = id ? ctx_good(id) : ctx_from(NULL, &root);
}

static void close_secure(struct secure *s) {
  site_fini(&s->site);
  ew_tls_ctx_unref(s->server);
  ew_tls_ctx_unref(s->client);
}

static struct side *connect_secure(struct secure *s, const char *protocol,
                                   side_make make) {
  static const char *const expected[] = {ID_B};
  struct side *cli = ew_calloc(1, sizeof(*cli));
  struct ew_stream *tls = ew_tls_client_new(s->client, site_connect(&s->site),
                                            expected, 1, protocol);
  side_init(cli, tls, make, NULL);
  cli->keep = true;
  return cli;
}

static void echo(const struct ew_httpd_opts *o, const char *id,
                 const char *protocol, side_make make, const char *want) {
  struct secure s;
  open_secure(&s, o, id);
  struct side *cli = connect_secure(&s, protocol, make);
  struct xch *x = side_request(cli, "GET", "/echo", 0);
  RUN_UNTIL(s.site.l, !x->st);
  assert_int_equal(x->reset, 0);
  assert_true(ew_slice_eq_str(ew_buf_peek(&x->body), want));
  site_h2_del(cli);
  close_secure(&s);
}

/* The protocol is what ALPN says, and the handler learns who asks. */
static void test_protocols(void **state) {
  static const char want[] = "GET /echo " ID_A " ";
  echo(&required, ID_A, "h2", ew_http2_client_new, want);
  echo(&required, ID_A, "eastwest/http2", ew_http2_client_new, want);
  echo(&required, ID_A, "http/1.1", ew_http1_client_new, want);
}

static void test_peer_optional(void **state) {
  echo(&optional, ID_A, "h2", ew_http2_client_new, "GET /echo " ID_A " ");
  echo(&optional, NULL, "h2", ew_http2_client_new, "GET /echo  ");
}

static void expect_lost(struct secure *s, struct side *cli) {
  struct xch *x = &cli->x[0];
  RUN_UNTIL(s->site.l, cli->closeds);
  assert_null(x->st);
  assert_true(x->reset < 0);
  assert_int_equal(s->site.requests, 0);
}

static void test_peer_required(void **state) {
  struct secure s;
  open_secure(&s, &required, NULL);
  struct side *cli = connect_secure(&s, "h2", ew_http2_client_new);
  side_request(cli, "GET", "/echo", 0);
  expect_lost(&s, cli);
  site_h2_del(cli);
  close_secure(&s);
}

static void test_no_certificate_yet(void **state) {
  struct secure s;
  open_secure(&s, &required, ID_A);
  s.site.tls = NULL;
  struct side *cli = connect_secure(&s, "h2", ew_http2_client_new);
  side_request(cli, "GET", "/echo", 0);
  expect_lost(&s, cli);
  site_h2_del(cli);
  /* The next connection asks anew. */
  s.site.tls = s.server;
  cli = connect_secure(&s, "h2", ew_http2_client_new);
  struct xch *x = side_request(cli, "GET", "/echo", 0);
  RUN_UNTIL(s.site.l, !x->st);
  assert_int_equal(x->m->status, 200);
  site_h2_del(cli);
  close_secure(&s);
}

/* A context that can't serve: it has no certificate. */
static void test_useless_context(void **state) {
  struct secure s;
  open_secure(&s, &required, ID_A);
  struct ew_tls_ctx *bare = ctx_from(NULL, &root);
  s.site.tls = bare;
  struct side *cli = connect_secure(&s, "h2", ew_http2_client_new);
  side_request(cli, "GET", "/echo", 0);
  expect_lost(&s, cli);
  site_h2_del(cli);
  ew_tls_ctx_unref(bare);
  close_secure(&s);
}

static void test_plain_text_to_tls(void **state) {
  struct secure s;
  struct raw c;
  open_secure(&s, &required, ID_A);
  raw_open(&c, &s.site.at);
  raw_send(&c, "GET /echo HTTP/1.1\r\nhost: a\r\n\r\n");
  RUN_UNTIL(s.site.l, raw_ended(&c));
  assert_int_equal(raw_count(&c, "HTTP/"), 0);
  raw_close(&c);
  close_secure(&s);
}

static void test_gone_within_the_handshake(void **state) {
  struct secure s;
  struct raw c;
  open_secure(&s, &required, ID_A);
  raw_open(&c, &s.site.at);
  ew_loop_run_once(s.site.l, 100);
  raw_close(&c);
  for (int i = 0; i < 5; i++)
    ew_loop_run_once(s.site.l, 10);
  close_secure(&s);
}

static void test_del_with_open_requests(void **state) {
  struct secure s;
  open_secure(&s, &required, ID_A);
  struct side *cli = connect_secure(&s, "h2", ew_http2_client_new);
  side_request(cli, "GET", "/wait", 0);
  RUN_UNTIL(s.site.l, s.site.open_n == 1);
  assert_string_equal(ew_httpd_peer_id(s.site.open[0]), ID_A);
  ew_httpd_del(s.site.d);
  s.site.d = NULL;
  assert_int_equal(s.site.gone, 1);
  RUN_UNTIL(s.site.l, cli->closeds);
  assert_true(cli->x[0].reset < 0);
  site_h2_del(cli);
  close_secure(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_protocols),
      cmocka_unit_test(test_peer_optional),
      cmocka_unit_test(test_peer_required),
      cmocka_unit_test(test_no_certificate_yet),
      cmocka_unit_test(test_useless_context),
      cmocka_unit_test(test_plain_text_to_tls),
      cmocka_unit_test(test_gone_within_the_handshake),
      cmocka_unit_test(test_del_with_open_requests),
  };
  return cmocka_run_group_tests(tests, make_roots, free_roots);
}
