/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/net/loop.h"

/* Fixed times of the source are a hundredth here; those of a test are below a
 * second and stay. */
static void start_timer(struct ew_timer *t, uint64_t ms) {
  ew_timer_start(t, ms < 1000 ? ms : ms / 100);
}
#define ew_timer_start start_timer
#include "lib/conn/http_conn.c"
#undef ew_timer_start

#include "conn/conn_test.h"

struct world {
  struct ew_loop *l;
  struct raw_pair p;
  struct side *srv;
  uint64_t begin_us;
};

static void open_world(struct world *w, side_make make,
                       const struct ew_http_conn_opts *o) {
  w->l = ew_loop_new();
  assert_non_null(w->l);
  raw_pair_init(w->l, &w->p);
  w->srv = ew_calloc(1, sizeof(*w->srv));
  w->begin_us = ew_clock_us();
  side_init(w->srv, w->p.s, make, o);
}

static void close_world(struct world *w) {
  side_fini(w->srv);
  free(w->srv);
  raw_close(&w->p.raw);
  ew_loop_del(w->l);
}

static unsigned passed_ms(const struct world *w) {
  return (unsigned)((ew_clock_us() - w->begin_us) / 1000);
}

/* A connection with a client of ours. */
struct two {
  struct ew_loop *l;
  struct side *cli, *srv;
};

static void open_two(struct two *t, const struct ew_http_conn_opts *client,
                     const struct ew_http_conn_opts *server) {
  struct ew_stream *s[2];
  t->l = ew_loop_new();
  make_tcp_pair(t->l, s);
  t->cli = ew_calloc(1, sizeof(*t->cli));
  t->srv = ew_calloc(1, sizeof(*t->srv));
  side_init(t->cli, s[0], ew_http2_client_new, client);
  side_init(t->srv, s[1], ew_http2_server_new, server);
}

static void close_two(struct two *t) {
  side_fini(t->cli);
  side_fini(t->srv);
  free(t->cli);
  free(t->srv);
  ew_loop_del(t->l);
}

static void run_for(struct ew_loop *l, unsigned ms) {
  uint64_t end = ew_clock_us() + 1000 * ms;
  while (ew_clock_us() < end)
    ew_loop_run_once(l, 5);
}

#define GET "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"
#define OK2 "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n01"

#define LARGE (24u << 20)

/* Where a test must be faster than the timeout, that is long, for machines with
 * much to do. */
static const struct ew_http_conn_opts head_60 = {.head_timeout_ms = 60};
static const struct ew_http_conn_opts head_300 = {.head_timeout_ms = 300};

static void test_no_head(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, &head_60);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_true(passed_ms(&w) >= 59);
  assert_int_equal(w.srv->err, EW_ETIMEDOUT);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_int_equal(ew_buf_len(&w.p.raw.got), 0);
  close_world(&w);
}

/* Bytes that trickle in don't prolong it. */
static void test_half_a_head(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, &head_60);
  for (const char *s = GET; !raw_ended(&w.p.raw) && *s; s++) {
    raw_send_some(&w.p.raw, s, 1);
    run_for(w.l, 5);
  }
  assert_true(passed_ms(&w) >= 59);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  raw_expect(&w.p.raw, "HTTP/1.1 408 Request Timeout\r\n"
                       "content-type: text/plain\r\n"
                       "content-length: 30\r\n"
                       "connection: close\r\n\r\n"
                       "the head did not come in time\n");
  assert_int_equal(w.srv->refused, 1);
  raw_close(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_ETIMEDOUT);
  close_world(&w);
}

/* The second one counts from its first byte. */
static void test_half_a_second_head(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, &head_300);
  w.srv->on_request = answer_now;
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, raw_count(&w.p.raw, OK2) == 1);
  run_for(w.l, 400);
  assert_false(raw_ended(&w.p.raw));
  raw_send(&w.p.raw, "GET / HTTP");
  RUN_UNTIL(w.l, raw_count(&w.p.raw, "HTTP/1.1 408 Request Timeout") == 1);
  close_world(&w);
}

/* It waited behind a request; its time begins when it is looked at. */
static void test_half_a_pipelined_head(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, &head_300);
  raw_send(&w.p.raw, GET "GET / HTTP");
  RUN_UNTIL(w.l, w.srv->n == 1);
  run_for(w.l, 400);
  assert_false(raw_ended(&w.p.raw));
  xch_answer(&w.srv->x[0], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, raw_count(&w.p.raw, "HTTP/1.1 408 Request Timeout") == 1);
  close_world(&w);
}

static void test_no_request_http2(void **state) {
  struct two t;
  open_two(&t, NULL, &head_60);
  RUN_UNTIL(t.l, t.srv->closeds && t.cli->closeds);
  assert_int_equal(t.srv->err, EW_ETIMEDOUT);
  assert_int_equal(t.cli->goaways, 1);
  close_two(&t);
}

/* Frames between two requests are no head. */
static void test_ping_is_no_head(void **state) {
  struct two t;
  open_two(&t, NULL, &head_300);
  t.srv->on_request = answer_now;
  for (int i = 0; i < 2; i++) {
    side_request(t.cli, "GET", "/", 0);
    RUN_UNTIL(t.l, t.cli->x[i].end);
    ew_codec_ping(ew_http_conn_codec(t.cli->conn));
    ew_http_conn_touch(t.cli->conn);
    run_for(t.l, 500);
    assert_int_equal(t.srv->closeds, 0);
  }
  close_two(&t);
}

static const struct ew_http_conn_opts idle_80 = {.idle_timeout_ms = 80};
static const struct ew_http_conn_opts idle_400 = {.idle_timeout_ms = 400};

static void test_idle(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, &idle_80);
  w.srv->on_request = answer_now;
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(passed_ms(&w) >= 79);
  assert_true(w.p.raw.eof);
  raw_expect(&w.p.raw, OK2);
  raw_close(&w.p.raw);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EOF);
  close_world(&w);
}

/* Requests that are answered at once are no idle time either. */
static void test_not_idle(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, &idle_400);
  w.srv->on_request = answer_now;
  for (unsigned i = 1; i <= 6; i++) {
    raw_send(&w.p.raw, GET);
    RUN_UNTIL(w.l, raw_count(&w.p.raw, OK2) == i);
    run_for(w.l, 100);
    assert_false(raw_ended(&w.p.raw));
  }
  assert_true(passed_ms(&w) > 500);
  /* nor is a request that takes long */
  w.srv->on_request = NULL;
  raw_send(&w.p.raw, GET);
  run_for(w.l, 500);
  assert_false(raw_ended(&w.p.raw));
  xch_answer(&w.srv->x[6], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_int_equal(raw_count(&w.p.raw, OK2), 7);
  close_world(&w);
}

static void test_idle_http2(void **state) {
  struct two t;
  open_two(&t, NULL, &idle_80);
  t.srv->on_request = answer_now;
  side_request(t.cli, "GET", "/", 0);
  RUN_UNTIL(t.l, t.cli->closeds && t.srv->closeds);
  assert_int_equal(t.cli->x[0].got, 2);
  assert_int_equal(t.cli->goaways, 1);
  assert_int_equal(t.srv->err, EW_EOF);
  close_two(&t);
}

/* A request that crosses the GOAWAY on its way is answered. */
static void test_idle_http2_crossing(void **state) {
  struct two t;
  open_two(&t, NULL, &idle_80);
  t.srv->on_request = answer_now;
  side_request(t.cli, "GET", "/", 0);
  RUN_UNTIL(t.l, t.cli->x[0].end);
  /* The request is sent after the timer fired and before the GOAWAY is read:
   * the server must not be done with the connection then. */
  RUN_UNTIL(t.l, t.srv->conn && t.srv->conn->idled);
  if (ew_codec_capacity(ew_http_conn_codec(t.cli->conn)) > 0) {
    side_request(t.cli, "GET", "/", 0);
    RUN_UNTIL(t.l, !t.cli->x[1].st);
    assert_int_equal(t.cli->x[1].reset, 0);
    assert_int_equal(t.cli->x[1].got, 2);
  }
  RUN_UNTIL(t.l, t.cli->closeds && t.srv->closeds);
  close_two(&t);
}

/* A peer that does not answer the PING of the drain is not waited for. */
static void test_idle_http2_deaf(void **state) {
  struct world w;
  open_world(&w, ew_http2_server_new, &idle_80);
  assert_int_equal(
      raw_send_some(&w.p.raw,
                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33),
      33);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(passed_ms(&w) >= 179);
  assert_true(w.p.raw.eof);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EOF);
  close_world(&w);
}

static void test_idle_client(void **state) {
  struct two t;
  open_two(&t, &idle_80, NULL);
  RUN_UNTIL(t.l, t.cli->closeds && t.srv->closeds);
  assert_int_equal(t.cli->err, EW_EOF);
  close_two(&t);
}

static const struct ew_http_conn_opts ping_50 = {.ping_ms = 50};
static const struct ew_http_conn_opts ping_300 = {.ping_ms = 300};

static void test_ping_answered(void **state) {
  struct two t;
  open_two(&t, &ping_300, NULL);
  side_request(t.cli, "GET", "/", 0);
  RUN_UNTIL(t.l, t.srv->n == 1);
  run_for(t.l, 1000);
  assert_int_equal(t.cli->closeds + t.srv->closeds, 0);
  xch_answer(&t.srv->x[0], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(t.l, t.cli->x[0].end);
  close_two(&t);
}

static void test_ping_not_answered(void **state) {
  struct world w;
  open_world(&w, ew_http2_client_new, &ping_50);
  struct xch *x = side_request(w.srv, "GET", "/", 0);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_true(passed_ms(&w) >= 99);
  assert_int_equal(w.srv->err, EW_ETIMEDOUT);
  assert_int_equal(x->reset, EW_ETIMEDOUT);
  assert_null(x->st);
  close_world(&w);
}

/* The answer was sent, the client keeps the connection: not for ever. */
static void test_linger_ends(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, "nonsense\r\n\r\n");
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EPROTO);
  assert_int_equal(raw_count(&w.p.raw, "HTTP/1.1 400 "), 1);
  assert_true(raw_ended(&w.p.raw));
  close_world(&w);
}

/* The last bytes are not taken: the client must not see an orderly end. */
static void test_flush_ends(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, "GET / HTTP/1.0\r\nhost: a\r\n\r\n");
  RUN_UNTIL(w.l, w.srv->n == 1);
  /* As much as the kernel takes, and the rest in the codec. */
  xch_answer(&w.srv->x[0], 200, EW_BODY_STREAM, LARGE);
  for (int quiet = 0; quiet < 20;) {
    uint64_t before = w.srv->x[0].sent;
    ew_loop_run_once(w.l, 10);
    quiet = w.srv->x[0].sent == before ? quiet + 1 : 0;
  }
  w.srv->x[0].to_send = w.srv->x[0].sent;
  xch_send_more(&w.srv->x[0]);
  ew_http_conn_touch(w.srv->conn);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_EOF);
  RUN_UNTIL(w.l, raw_ended(&w.p.raw));
  assert_true(ew_buf_len(&w.p.raw.got) < w.srv->x[0].sent);
  assert_int_equal(w.p.raw.err, ECONNRESET);
  close_world(&w);
}

/* Its end of direction may be all that it will ever say. */
static void test_client_gone(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET);
  RUN_UNTIL(w.l, w.srv->n == 1);
  shutdown(w.p.raw.fd, SHUT_WR);
  RUN_UNTIL(w.l, w.srv->closeds);
  assert_int_equal(w.srv->err, EW_ECONN);
  assert_true(passed_ms(&w) >= 49);
  close_world(&w);
}

static void test_half_closed_client(void **state) {
  struct world w;
  open_world(&w, ew_http1_server_new, NULL);
  raw_send(&w.p.raw, GET GET);
  RUN_UNTIL(w.l, w.srv->n == 1);
  shutdown(w.p.raw.fd, SHUT_WR);
  xch_answer(&w.srv->x[0], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, w.srv->n == 2);
  xch_answer(&w.srv->x[1], 200, EW_BODY_LENGTH, 2);
  RUN_UNTIL(w.l, w.srv->closeds && raw_ended(&w.p.raw));
  assert_int_equal(w.srv->err, EW_EOF);
  assert_int_equal(raw_count(&w.p.raw, "\r\n\r\n01"), 2);
  close_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_head),
      cmocka_unit_test(test_half_a_head),
      cmocka_unit_test(test_half_a_second_head),
      cmocka_unit_test(test_half_a_pipelined_head),
      cmocka_unit_test(test_no_request_http2),
      cmocka_unit_test(test_ping_is_no_head),
      cmocka_unit_test(test_idle),
      cmocka_unit_test(test_not_idle),
      cmocka_unit_test(test_idle_http2),
      cmocka_unit_test(test_idle_http2_crossing),
      cmocka_unit_test(test_idle_http2_deaf),
      cmocka_unit_test(test_idle_client),
      cmocka_unit_test(test_ping_answered),
      cmocka_unit_test(test_ping_not_answered),
      cmocka_unit_test(test_linger_ends),
      cmocka_unit_test(test_flush_ends),
      cmocka_unit_test(test_client_gone),
      cmocka_unit_test(test_half_closed_client),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
