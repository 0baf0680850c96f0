/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/conn_test.h"

#include "eastwest/net/prefix.h"

/* A server under test, and its client as a plain socket. */
struct world {
  struct ew_loop *l;
  struct raw_pair p;
  struct side *srv;
};

static void open_world(struct world *w, side_make make,
                       const struct ew_http_conn_opts *o) {
  w->l = ew_loop_new();
  assert_non_null(w->l);
  raw_pair_init(w->l, &w->p);
  w->srv = ew_calloc(1, sizeof(*w->srv));
  side_init(w->srv, w->p.s, make, o);
}

/* ew_loop_del aborts if anything was left open. */
static void close_world(struct world *w) {
  side_fini(w->srv);
  free(w->srv);
  raw_close(&w->p.raw);
  ew_loop_del(w->l);
}

static size_t out_len(struct side *s) {
  return ew_buf_len(&ew_http_conn_codec(s->conn)->out);
}

#define GET "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"
#define OK2 "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n01"

static void test_keep_alive(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  w.srv->on_request = answer_now;
  for (unsigned i = 1; i <= 3; i++) {
    raw_send(&w.p.raw, GET);
    RUN_UNTIL(w.l, raw_count(&w.p.raw, OK2) == 1);
    raw_expect(&w.p.raw, OK2);
    assert_int_equal(w.srv->n, i);
    assert_null(w.srv->x[i - 1].st);
  }
  assert_false(raw_ended(&w.p.raw));
  shutdown(w.p.raw.fd, SHUT_WR);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EOF);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(w.p.raw.eof);
  close_world(&w);
}

static void test_bytes_of_a_request_one_by_one(void **state) {
  static const char text[] = "POST / HTTP/1.1\r\nhost: a.test\r\n"
                             "content-length: 3\r\n\r\nabc";
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  w.srv->on_request = answer_now;
  for (size_t i = 0; i < sizeof(text) - 1; i++) {
    assert_int_equal(raw_send_some(&w.p.raw, text + i, 1), 1);
    ew_loop_run_once(w.l, 10);
  }
  RUN_UNTIL(w.l, raw_count(&w.p.raw, OK2) == 1);
  assert_int_equal(w.srv->x[0].got, 3);
  close_world(&w);
}

/* Requests wait until the one before is answered, in order. */
static void test_pipelined(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET GET GET);
  for (size_t i = 0; i < 3; i++) {
    RUN_UNTIL(w.l, w.srv->n == i + 1);
    ew_loop_run_once(w.l, 0);
    assert_int_equal(w.srv->n, i + 1);
    xch_answer(&w.srv->x[i], 200, EW_BODY_LENGTH, i);
    RUN_UNTIL(w.l, raw_count(&w.p.raw, "HTTP/1.1 200 OK") == i + 1);
  }
  raw_expect(&w.p.raw, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                       "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n0"
                       "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n01");
  close_world(&w);
}

/* The end of the client's direction does not lose what came before it. */
static void test_pipelined_then_end(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET GET);
  shutdown(w.p.raw.fd, SHUT_WR);
  RUN_UNTIL(w.l, w.srv->n == 1);
  xch_answer(&w.srv->x[0], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, w.srv->n == 2);
  xch_answer(&w.srv->x[1], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_int_equal(raw_count(&w.p.raw, "HTTP/1.1 200 OK"), 2);
  assert_true(w.p.raw.eof);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EOF);
  close_world(&w);
}

static void count_and_answer(struct side *s, struct xch *x) {
  xch_answer(x, 200, EW_BODY_LENGTH, 2);
  ew_message_del(x->m);
  x->m = NULL;
  s->n = 0;
}

/* A client that sends requests and reads no answer is held up; nothing piles
 * up, and nothing is lost. */
static void test_pipelined_without_reading(void **state) {
  enum { TOTAL = 100000 };
  struct world w;
  size_t sent = 0, len = strlen(GET), all = TOTAL * strlen(GET);
  open_world(&w, ew_http1_server_new, NULL);
  w.srv->on_request = count_and_answer;
  for (int quiet = 0; quiet < 20 && sent < all;) {
    char piece[64 * sizeof(GET)];
    size_t n = 0, taken;
    while (n < 64 * len) {
      memcpy(piece + n, GET, len);
      n += len;
    }
    taken = raw_send_some(&w.p.raw, piece + sent % len,
                          n - len < all - sent ? n - len : all - sent);
    sent += taken;
    quiet = taken ? 0 : quiet + 1;
    ew_loop_run_once(w.l, 1);
    assert_true(out_len(w.srv) <= EW_CODEC_OUT_MAX);
  }
  assert_true(sent < all);
  assert_false(ew_codec_want_read(ew_http_conn_codec(w.srv->conn)));
  RUN_UNTIL(w.l, raw_count(&w.p.raw, OK2) == sent / len);
  close_world(&w);
}

/* ---- large bodies ---- */

#define LARGE (24u << 20)

static void test_slow_reader(void **state) {
  struct world w;
  uint64_t before;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, w.srv->n == 1);
  xch_answer(&w.srv->x[0], 200, EW_BODY_LENGTH, LARGE);
  for (int quiet = 0; quiet < 20;) {
    before = w.srv->x[0].sent;
    ew_loop_run_once(w.l, 1);
    assert_true(out_len(w.srv) <= EW_CODEC_OUT_MAX);
    quiet = w.srv->x[0].sent == before ? quiet + 1 : 0;
  }
  assert_true(w.srv->x[0].sent < LARGE);
  RUN_UNTIL(w.l, (raw_read(&w.p.raw), ew_buf_len(&w.p.raw.got) >= LARGE));
  RUN_UNTIL(w.l, !w.srv->x[0].st);
  assert_int_equal(raw_count(&w.p.raw, "content-length: 25165824\r\n"), 1);
  assert_false(raw_ended(&w.p.raw));
  close_world(&w);
}

/* What the user does not consume is not read. */
static void test_slow_taker(void **state) {
  struct world w;
  static char piece[65536];
  uint64_t sent = 0;
  open_world(&w, ew_http1_server_new, NULL);
  w.srv->hold = true;
  raw_send(&w.p.raw, "POST / HTTP/1.1\r\nhost: a\r\n"
                     "content-length: 25165824\r\n\r\n");
  for (int quiet = 0; quiet < 20;) {
    size_t n = raw_send_some(&w.p.raw, piece, sizeof(piece));
    sent += n;
    assert_true(sent < LARGE);
    quiet = n ? 0 : quiet + 1;
    ew_loop_run_once(w.l, 1);
  }
  assert_true(w.srv->x[0].got <= 65535);
  w.srv->hold = false;
  ew_hstream_consume(w.srv->x[0].st, w.srv->x[0].got);
  ew_http_conn_touch(w.srv->conn);
  while (sent < LARGE) {
    size_t left = LARGE - (size_t)sent;
    sent += raw_send_some(&w.p.raw, piece,
                          left < sizeof(piece) ? left : sizeof(piece));
    ew_loop_run_once(w.l, 0);
  }
  RUN_UNTIL(w.l, w.srv->x[0].end);
  assert_int_equal(w.srv->x[0].got, LARGE);
  close_world(&w);
}

/* Both ends as conns. */
struct two {
  struct ew_loop *l;
  struct side *cli, *srv;
};

static void open_two(struct two *t, side_make client, side_make server,
                     const struct ew_http_conn_opts *o) {
  struct ew_stream *s[2];
  t->l = ew_loop_new();
  make_tcp_pair(t->l, s);
  t->cli = ew_calloc(1, sizeof(*t->cli));
  t->srv = ew_calloc(1, sizeof(*t->srv));
  side_init(t->cli, s[0], client, NULL);
  side_init(t->srv, s[1], server, o);
}

static void close_two(struct two *t) {
  side_fini(t->cli);
  side_fini(t->srv);
  free(t->cli);
  free(t->srv);
  ew_loop_del(t->l);
}

static void answer_large(struct side *s, struct xch *x) {
  xch_answer(x, 200, EW_BODY_STREAM, 3 << 20);
}

static void large_both_ways(side_make client, side_make server, size_t n) {
  struct two t;
  open_two(&t, client, server, NULL);
  t.srv->on_request = answer_large;
  for (size_t i = 0; i < n; i++)
    side_request(t.cli, "POST", "/", 3 << 20);
  for (size_t i = 0; i < n; i++) {
    RUN_UNTIL(t.l, !t.cli->x[i].st);
    assert_int_equal(t.cli->x[i].reset, 0);
    assert_int_equal(t.cli->x[i].got, 3 << 20);
    assert_true(t.cli->x[i].end);
    assert_int_equal(t.srv->x[i].got, 3 << 20);
  }
  assert_int_equal(t.cli->closeds + t.srv->closeds, 0);
  close_two(&t);
}

static void test_large_http1(void **state) {
  large_both_ways(ew_http1_client_new, ew_http1_server_new, 1);
}

static void test_large_http2(void **state) {
  large_both_ways(ew_http2_client_new, ew_http2_server_new, 5);
}

/* One stream that is not consumed stops itself and no other. */
static void test_http2_stalled_stream(void **state) {
  struct two t;
  open_two(&t, ew_http2_client_new, ew_http2_server_new, NULL);
  t.srv->hold = true;
  struct xch *stalled = side_request(t.cli, "POST", "/stalled", LARGE);
  RUN_UNTIL(t.l, t.srv->n == 1 && t.srv->x[0].got == 65535);
  t.srv->hold = false;
  struct xch *other = side_request(t.cli, "POST", "/other", 1 << 20);
  RUN_UNTIL(t.l, t.srv->n == 2 && t.srv->x[1].end);
  assert_int_equal(t.srv->x[0].got, 65535);
  assert_true(stalled->sent <= 65535 * 2);
  assert_int_equal(other->sent, 1 << 20);
  ew_hstream_consume(t.srv->x[0].st, 65535);
  ew_http_conn_touch(t.srv->conn);
  RUN_UNTIL(t.l, t.srv->x[0].end);
  assert_int_equal(t.srv->x[0].got, LARGE);
  close_two(&t);
}

/* ---- the far end goes away ---- */

static void test_gone_within_a_request(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, "POST / HTTP/1.1\r\nhost: a\r\n"
                     "content-length: 10\r\n\r\nabc");
  RUN_UNTIL(w.l, w.srv->n == 1 && w.srv->x[0].got == 3);
  raw_close(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->x[0].reset, EW_ECONN);
  assert_null(w.srv->x[0].st);
  assert_false(w.srv->x[0].end);
  assert_int_equal(w.srv->err, EW_ECONN);
  close_world(&w);
}

static void test_gone_within_a_response(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, w.srv->n == 1);
  xch_answer(&w.srv->x[0], 200, EW_BODY_STREAM, LARGE);
  RUN_UNTIL(w.l, raw_count(&w.p.raw, "HTTP/1.1 200 OK") == 1);
  raw_abort(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->x[0].reset, EW_ECONN);
  assert_null(w.srv->x[0].st);
  assert_int_equal(w.srv->err, EW_ECONN);
  close_world(&w);
}

static void test_gone_http2(void **state) {
  struct two t;
  open_two(&t, ew_http2_client_new, ew_http2_server_new, NULL);
  side_request(t.cli, "POST", "/", LARGE);
  side_request(t.cli, "GET", "/", 0);
  RUN_UNTIL(t.l, t.srv->n == 2 && t.srv->x[0].got > 0);
  ew_http_conn_del(t.cli->conn);
  t.cli->conn = NULL;
  RUN_UNTIL(t.l, t.srv->closeds);
  assert_int_equal(t.srv->x[0].reset, EW_ECONN);
  assert_int_equal(t.srv->x[1].reset, EW_ECONN);
  assert_null(t.srv->x[0].st);
  /* del is silent: the client's streams heard nothing. */
  assert_int_equal(t.cli->closeds, 0);
  assert_int_equal(t.cli->x[0].reset, 0);
  close_two(&t);
}

/* A client learns it for the exchange and for the connection. */
static void test_server_gone_before_the_answer(void **state) {
  struct two t;
  open_two(&t, ew_http1_client_new, ew_http1_server_new, NULL);
  side_request(t.cli, "GET", "/", 0);
  RUN_UNTIL(t.l, t.srv->n == 1);
  ew_http_conn_del(t.srv->conn);
  t.srv->conn = NULL;
  RUN_UNTIL(t.l, t.cli->closeds);
  assert_int_equal(t.cli->x[0].reset, EW_ECONN);
  assert_int_equal(t.cli->goaways, 1);
  assert_int_equal(t.cli->err, EW_ECONN);
  close_two(&t);
}

/* The write that meets the reset comes first; the answer is there all the
 * same. */
static void test_answered_and_gone_within_a_request(void **state) {
  struct world w;
  open_world(&w, ew_http1_client_new, NULL);
  raw_send(&w.p.raw, "HTTP/1.1 413 Content Too Large\r\n"
                     "content-length: 5\r\n\r\nlarge");
  raw_abort(&w.p.raw);
  struct xch *x = side_request(w.srv, "POST", "/", LARGE);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_true(x->head && x->end);
  assert_int_equal(x->m->status, 413);
  assert_int_equal(x->got, 5);
  assert_int_equal(x->reset, 0);
  assert_true(x->sent < LARGE);
  close_world(&w);
}

/* The same when the answer is not whole: it must not pass for one. */
static void test_cut_off_within_an_answer(void **state) {
  struct world w;
  open_world(&w, ew_http1_client_new, NULL);
  raw_send(&w.p.raw, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nlarge");
  raw_abort(&w.p.raw);
  struct xch *x = side_request(w.srv, "POST", "/", LARGE);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_true(x->head && !x->end);
  assert_int_equal(x->got, 5);
  assert_int_equal(x->reset, EW_ECONN);
  close_world(&w);
}

/* Bytes that were there before: the user is never called from within new. */
static void test_no_call_from_new(void **state) {
  struct ew_loop *l = ew_loop_new();
  struct raw_pair p;
  struct side *s = ew_calloc(1, sizeof(*s));
  raw_pair_init(l, &p);
  raw_send(&p.raw, "nonsense\r\n\r\n");
  raw_abort(&p.raw);
  side_init(s, p.s, ew_http1_server_new, NULL);
  ew_http_conn_drain(s->conn);
  assert_int_equal(s->closeds, 0);
  RUN_UNTIL(l, s->closeds == 1);
  side_fini(s);
  free(s);
  ew_loop_del(l);
}

/* ---- answers to nonsense ---- */

/* The answer must not be lost to a reset, though the client sends on. */
static void test_refused_and_lingers(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n");
  RUN_UNTIL(w.l, raw_count(&w.p.raw, "HTTP/1.1 400 Bad Request\r\n") == 1);
  for (int i = 0; i < 10; i++) {
    raw_send(&w.p.raw, GET);
    ew_loop_run_once(w.l, 1);
  }
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(w.p.raw.eof);
  assert_int_equal(w.srv->refused, 1);
  assert_int_equal(w.srv->n, 0);
  raw_close(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EPROTO);
  close_world(&w);
}

static void test_lingers_for_so_many_bytes(void **state) {
  static char junk[256 * 1024];
  struct world w;
  size_t sent = 0;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, "GET /\r\n\r\n");
  while (!w.srv->closeds && sent < sizeof(junk)) {
    sent += raw_send_some(&w.p.raw, junk, 4096);
    ew_loop_run_once(w.l, 1);
  }
  assert_int_equal(w.srv->closeds, 1);
  assert_true(sent < sizeof(junk));
  close_world(&w);
}

static void test_http2_nonsense(void **state) {
  struct world w;
  open_world(&w, ew_http2_server_new, NULL);
  raw_send(&w.p.raw, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  raw_close(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EPROTO);
  close_world(&w);
}

/* ---- what was cut off ---- */

static const struct prefixed {
  bool prefix;
} plain = {false}, prefixed = {true};

static void open_http10(struct world *w, const struct prefixed *how) {
  w->l = ew_loop_new();
  raw_pair_init(w->l, &w->p);
  w->srv = ew_calloc(1, sizeof(*w->srv));
  if (how->prefix) {
    struct ew_buf seen;
    ew_buf_init(&seen, 64);
    ew_buf_append_str(&seen, "GET / HT");
    w->p.s = ew_prefix_stream_new(w->p.s, &seen);
    raw_send(&w->p.raw, "TP/1.0\r\nhost: a\r\n\r\n");
  } else {
    raw_send(&w->p.raw, "GET / HTTP/1.0\r\nhost: a\r\n\r\n");
  }
  side_init(w->srv, w->p.s, ew_http1_server_new, NULL);
  RUN_UNTIL(w->l, w->srv->n == 1);
  /* Its end is the end of the connection. */
  struct ew_message *m = ew_message_new();
  m->status = 200;
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(w->srv->x[0].st, m, false);
  ew_message_del(m);
  ew_hstream_send(w->srv->x[0].st, EW_SLICE_LIT("part"));
  ew_http_conn_touch(w->srv->conn);
  RUN_UNTIL(w->l, raw_count(&w->p.raw, "part") == 1);
  assert_false(raw_ended(&w->p.raw));
}

static void test_reset_is_no_end(void **state) {
  struct world w;
  open_http10(&w, *state);
  ew_hstream_reset(w.srv->x[0].st, EW_ECANCELED);
  ew_http_conn_touch(w.srv->conn);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_int_equal(w.p.raw.err, ECONNRESET);
  assert_int_equal(w.srv->err, EW_ERESET);
  close_world(&w);
}

static void test_del_is_no_end(void **state) {
  struct world w;
  open_http10(&w, *state);
  ew_http_conn_del(w.srv->conn);
  w.srv->conn = NULL;
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_int_equal(w.p.raw.err, ECONNRESET);
  close_world(&w);
}

static void test_end_is_an_end(void **state) {
  struct world w;
  open_http10(&w, *state);
  ew_hstream_send_end(w.srv->x[0].st, NULL);
  ew_http_conn_touch(w.srv->conn);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(w.p.raw.eof);
  assert_int_equal(w.p.raw.err, 0);
  close_world(&w);
}

/* ---- drain ---- */

static void test_drain_idle(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  w.srv->on_request = answer_now;
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, raw_count(&w.p.raw, OK2) == 1);
  ew_http_conn_drain(w.srv->conn);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(w.p.raw.eof);
  raw_expect(&w.p.raw, OK2);
  raw_close(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EOF);
  close_world(&w);
}

static void test_drain_within_an_exchange(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, w.srv->n == 1);
  ew_http_conn_drain(w.srv->conn);
  ew_loop_run_once(w.l, 0);
  ew_loop_run_once(w.l, 0);
  assert_false(raw_ended(&w.p.raw));
  xch_answer(&w.srv->x[0], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  raw_expect(&w.p.raw, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
                       "connection: close\r\n\r\n01");
  assert_true(w.p.raw.eof);
  close_world(&w);
}

static void test_drain_http2(void **state) {
  struct two t;
  open_two(&t, ew_http2_client_new, ew_http2_server_new, NULL);
  side_request(t.cli, "GET", "/", 0);
  RUN_UNTIL(t.l, t.srv->n == 1);
  ew_http_conn_drain(t.srv->conn);
  RUN_UNTIL(t.l, t.cli->goaways == 1);
  assert_int_equal(ew_codec_capacity(ew_http_conn_codec(t.cli->conn)), 0);
  assert_int_equal(t.srv->closeds, 0);
  xch_answer(&t.srv->x[0], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(t.l, t.cli->closeds && t.srv->closeds);
  assert_int_equal(t.cli->x[0].got, 2);
  assert_true(t.cli->x[0].end);
  assert_int_equal(t.cli->x[0].reset, 0);
  assert_int_equal(t.srv->err, EW_EOF);
  close_two(&t);
}

static void test_drain_client(void **state) {
  side_make makes[][2] = {{ew_http1_client_new, ew_http1_server_new},
                          {ew_http2_client_new, ew_http2_server_new}};
  for (size_t i = 0; i < 2; i++) {
    struct two t;
    open_two(&t, makes[i][0], makes[i][1], NULL);
    side_request(t.cli, "GET", "/", 0);
    RUN_UNTIL(t.l, t.srv->n == 1);
    ew_http_conn_drain(t.cli->conn);
    xch_answer(&t.srv->x[0], 200, EW_BODY_LENGTH, 2);
    RUN_UNTIL(t.l, t.cli->closeds && t.srv->closeds);
    assert_int_equal(t.cli->err, EW_EOF);
    assert_int_equal(t.cli->x[0].got, 2);
    assert_int_equal(t.cli->x[0].reset, 0);
    close_two(&t);
  }
}

int main(void) {
  void *p = (void *)(uintptr_t)&plain, *x = (void *)(uintptr_t)&prefixed;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keep_alive),
      cmocka_unit_test(test_bytes_of_a_request_one_by_one),
      cmocka_unit_test(test_pipelined),
      cmocka_unit_test(test_pipelined_then_end),
      cmocka_unit_test(test_pipelined_without_reading),
      cmocka_unit_test(test_slow_reader),
      cmocka_unit_test(test_slow_taker),
      cmocka_unit_test(test_large_http1),
      cmocka_unit_test(test_large_http2),
      cmocka_unit_test(test_http2_stalled_stream),
      cmocka_unit_test(test_gone_within_a_request),
      cmocka_unit_test(test_gone_within_a_response),
      cmocka_unit_test(test_gone_http2),
      cmocka_unit_test(test_server_gone_before_the_answer),
      cmocka_unit_test(test_answered_and_gone_within_a_request),
      cmocka_unit_test(test_cut_off_within_an_answer),
      cmocka_unit_test(test_no_call_from_new),
      cmocka_unit_test(test_refused_and_lingers),
      cmocka_unit_test(test_lingers_for_so_many_bytes),
      cmocka_unit_test(test_http2_nonsense),
      cmocka_unit_test_prestate(test_reset_is_no_end, p),
      cmocka_unit_test_prestate(test_reset_is_no_end, x),
      cmocka_unit_test_prestate(test_del_is_no_end, p),
      cmocka_unit_test_prestate(test_del_is_no_end, x),
      cmocka_unit_test_prestate(test_end_is_an_end, p),
      cmocka_unit_test_prestate(test_end_is_an_end, x),
      cmocka_unit_test(test_drain_idle),
      cmocka_unit_test(test_drain_within_an_exchange),
      cmocka_unit_test(test_drain_http2),
      cmocka_unit_test(test_drain_client),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
