/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_HTTPD_TEST_H
#define EASTWEST_TESTS_HTTPD_TEST_H

#include "conn/conn_test.h"

#include "eastwest/conn/httpd.h"

#define OPEN_MAX 64

/* A server under test. What it answers follows from the path: /echo, /large,
 * /stream (begun at once, continued by the test), all others wait. */
struct site {
  struct ew_loop *l;
  struct ew_httpd *d;
  struct ew_addr at;
  struct ew_httpd_request *open[OPEN_MAX]; /* in the order they came */
  size_t open_n;
  unsigned requests, gone;
  char *large;
  struct ew_tls_ctx *tls;
};

#define LARGE (8u << 20)

static inline void site_remove(struct site *s, struct ew_httpd_request *r) {
  for (size_t i = 0; i < s->open_n; i++)
    if (s->open[i] == r) {
      memmove(&s->open[i], &s->open[i + 1],
              (--s->open_n - i) * sizeof(s->open[0]));
      return;
    }
  fail_msg("a request that is not open");
}

static inline void site_echo(struct ew_httpd_request *r) {
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice body = ew_httpd_body(r);
  struct ew_buf text;
  ew_buf_init(&text, 1 << 20);
  assert_int_equal(ew_buf_printf(&text, "%.*s %.*s %s ",
                                 EW_SLICE_FMT(m->method), EW_SLICE_FMT(m->path),
                                 ew_httpd_peer_id(r)),
                   EW_OK);
  assert_int_equal(ew_buf_append(&text, body), EW_OK);
  ew_httpd_reply(r, 200, "text/plain", ew_buf_peek(&text));
  ew_buf_fini(&text);
}

static inline void site_request(void *arg, struct ew_httpd_request *r) {
  struct site *s = arg;
  const struct ew_message *m = ew_httpd_head(r);
  s->requests++;
  if (ew_slice_eq_str(m->path, "/echo")) {
    site_echo(r);
    return;
  }
  if (ew_slice_eq_str(m->path, "/large")) {
    ew_httpd_reply(r, 200, "text/plain", ew_slice(s->large, LARGE));
    return;
  }
  if (ew_slice_eq_str(m->path, "/stream"))
    ew_httpd_stream_begin(r, 200, "text/plain");
  ew_httpd_set_user(r, s);
  assert_true(s->open_n < OPEN_MAX);
  s->open[s->open_n++] = r;
}

static inline void site_gone(void *arg, struct ew_httpd_request *r) {
  struct site *s = arg;
  assert_ptr_equal(ew_httpd_user(r), s);
  s->gone++;
  site_remove(s, r);
}

static inline void site_init(struct site *s, const struct ew_httpd_opts *o) {
  static const struct ew_httpd_handler handler = {site_request, site_gone};
  static const struct ew_httpd_opts plain = {
      .body_max = 1000, .stream_max = 65536, .conn_max = 10};
  struct ew_addr at;
  int err = 0;
  memset(s, 0, sizeof(*s));
  s->l = ew_loop_new();
  s->large = malloc(LARGE);
  assert_non_null(s->large);
  memset(s->large, 'x', LARGE);
  assert_int_equal(ew_addr_parse(&at, "127.0.0.1:0"), EW_OK);
  s->d = ew_httpd_new(s->l, &at, o ? o : &plain, &handler, s, &err);
  assert_non_null(s->d);
  ew_httpd_addr(s->d, &s->at);
}

static inline void site_fini(struct site *s) {
  if (s->d)
    ew_httpd_del(s->d);
  assert_int_equal(s->open_n, 0);
  free(s->large);
  ew_loop_del(s->l);
}

static inline void site_reply(struct site *s, size_t i, const char *text) {
  struct ew_httpd_request *r = s->open[i];
  site_remove(s, r);
  ew_httpd_reply(r, 200, "text/plain", ew_slice_str(text));
}

struct site_connecting {
  struct ew_stream *s;
  int err;
};

static inline void site_connected(void *arg, struct ew_stream *s, int err) {
  struct site_connecting *c = arg;
  c->s = s;
  c->err = err;
}

static inline struct ew_stream *site_connect(struct site *s) {
  struct site_connecting c = {0};
  ew_connect(s->l, &s->at, 5000, site_connected, &c);
  RUN_UNTIL(s->l, c.s || c.err);
  assert_int_equal(c.err, EW_OK);
  return c.s;
}

/* An HTTP/2 client with prior knowledge. */
static inline struct side *site_h2(struct site *s) {
  struct side *cli = ew_calloc(1, sizeof(*cli));
  side_init(cli, site_connect(s), ew_http2_client_new, NULL);
  cli->keep = true;
  return cli;
}

static inline void site_h2_del(struct side *cli) {
  side_fini(cli);
  free(cli);
}

#endif
