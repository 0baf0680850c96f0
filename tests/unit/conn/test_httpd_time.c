/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/httpd_test.h"

/* The fixed times of the source, a hundredth of them. */
static void start_timer(struct ew_timer *t, uint64_t ms) {
  ew_timer_start(t, ms / 100);
}
#define ew_timer_start start_timer
#include "lib/conn/httpd.c"
#undef ew_timer_start

static void run_for(struct ew_loop *l, unsigned ms) {
  uint64_t end = ew_clock_us() + 1000 * ms;
  while (ew_clock_us() < end)
    ew_loop_run_once(l, 5);
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nhost: a\r\n"

/* Who says nothing, or only begins to, is not waited for. */
static void test_silence(void **state) {
  struct site s;
  struct raw silent, half;
  uint64_t begin = ew_clock_us();
  site_init(&s, NULL);
  raw_open(&silent, &s.at);
  raw_open(&half, &s.at);
  raw_send(&half, "PRI *");
  RUN_UNTIL(s.l, raw_ended(&silent) && raw_ended(&half));
  assert_true(ew_clock_us() - begin >= START_MS * 10 - 1000);
  assert_int_equal(ew_buf_len(&silent.got) + ew_buf_len(&half.got), 0);
  raw_close(&silent);
  raw_close(&half);
  site_fini(&s);
}

static void test_slow_body_http1(void **state) {
  struct site s;
  struct raw c;
  uint64_t begin = ew_clock_us();
  site_init(&s, NULL);
  raw_open(&c, &s.at);
  raw_send(&c, REQUEST("POST", "/echo") "content-length: 500\r\n\r\n");
  while (!raw_ended(&c)) {
    raw_send_some(&c, "b", 1);
    run_for(s.l, 10);
    assert_true(ew_clock_us() - begin < 10000000);
  }
  assert_true(ew_clock_us() - begin >= BODY_MS * 10 - 1000);
  assert_true(c.eof);
  assert_int_equal(raw_count(&c, "HTTP/1.1 408 Request Timeout\r\n"), 1);
  assert_int_equal(raw_count(&c, "body too slow\n"), 1);
  assert_int_equal(s.requests + s.gone, 0);
  raw_close(&c);
  site_fini(&s);
}

/* Refused, and the rest of the body does not come. */
static void test_rest_of_a_refused_body(void **state) {
  struct site s;
  struct raw c;
  site_init(&s, NULL);
  raw_open(&c, &s.at);
  raw_send(&c, REQUEST("POST", "/echo") "content-length: 5000\r\n\r\nb");
  RUN_UNTIL(s.l, raw_ended(&c));
  assert_true(c.eof);
  assert_int_equal(raw_count(&c, "HTTP/1.1 "), 1);
  assert_int_equal(raw_count(&c, "HTTP/1.1 413 "), 1);
  raw_close(&c);
  site_fini(&s);
}

static void test_slow_body_http2(void **state) {
  struct site s;
  site_init(&s, NULL);
  struct side *cli = site_h2(&s);
  struct ew_message *m = ew_message_new();
  m->method = EW_SLICE_LIT("POST");
  m->scheme = EW_SLICE_LIT("http");
  m->authority = EW_SLICE_LIT("a");
  m->path = EW_SLICE_LIT("/echo");
  m->body = EW_BODY_STREAM;
  struct xch *x = side_xch(cli);
  x->st = ew_codec_open(ew_http_conn_codec(cli->conn), m, false, x);
  ew_message_del(m);
  ew_http_conn_touch(cli->conn);
  RUN_UNTIL(s.l, !x->st);
  assert_int_equal(x->reset, EW_ERESET);
  /* The connection is still good. */
  x = side_request(cli, "GET", "/echo", 0);
  RUN_UNTIL(s.l, !x->st);
  assert_int_equal(x->m->status, 200);
  site_h2_del(cli);
  site_fini(&s);
}

/* The time is for the request, not for its answer. */
static void test_slow_answer(void **state) {
  struct site s;
  struct raw c;
  site_init(&s, NULL);
  raw_open(&c, &s.at);
  raw_send(&c, REQUEST("POST", "/wait") "content-length: 1\r\n\r\nb");
  RUN_UNTIL(s.l, s.open_n == 1);
  run_for(s.l, BODY_MS / 100 + 100);
  assert_false(raw_ended(&c));
  site_reply(&s, 0, "late");
  RUN_UNTIL(s.l, raw_count(&c, "late") == 1);
  raw_close(&c);
  site_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_silence),
      cmocka_unit_test(test_slow_body_http1),
      cmocka_unit_test(test_rest_of_a_refused_body),
      cmocka_unit_test(test_slow_body_http2),
      cmocka_unit_test(test_slow_answer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
