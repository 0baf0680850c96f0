/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include "eastwest/net/prefix.h"

static struct ew_loop *loop;
static struct ew_stream *peer, *s;
static struct user u;

static int setup(void **state) {
  struct ew_stream *p[2];
  struct ew_buf seen;
  loop = ew_loop_new();
  make_tcp_pair(loop, p);
  peer = p[0];
  ew_buf_init(&seen, 64);
  assert_int_equal(ew_buf_append_str(&seen, "seen "), EW_OK);
  s = ew_prefix_stream_new(p[1], &seen);
  assert_int_equal(ew_buf_len(&seen), 0);
  assert_int_equal(seen.max, 64);
  user_init(&u, s);
  return 0;
}

static int teardown(void **state) {
  if (u.s)
    ew_stream_close(u.s);
  ew_stream_close(peer);
  ew_loop_del(loop);
  return 0;
}

static void replays_then_reads_on(void **state) {
  char buf[32];
  assert_int_equal(write_str(peer, "fresh"), 5);
  assert_int_equal(ew_stream_read(s, buf, 2), 2);
  assert_int_equal(ew_stream_read(s, buf + 2, sizeof(buf) - 2), 3);
  ew_stream_want(s, EW_READ);
  RUN_UNTIL(loop, u.calls > 0);
  assert_int_equal(ew_stream_read(s, buf + 5, sizeof(buf) - 5), 5);
  assert_memory_equal(buf, "seen fresh", 10);
  assert_int_equal(ew_stream_read(s, buf, sizeof(buf)), EW_EAGAIN);
}

static void ready_without_network(void **state) {
  char buf[32];
  assert_int_equal(u.calls, 0);
  ew_stream_want(s, EW_READ);
  assert_int_equal(u.calls, 0);
  RUN_UNTIL(loop, u.calls >= 3);
  assert_int_equal(u.events, EW_READ);
  ew_stream_want(s, 0);
  ew_loop_run_once(loop, 1);
  unsigned calls = u.calls;
  ew_loop_run_once(loop, 1);
  assert_int_equal(u.calls, calls);
  ew_stream_want(s, EW_READ);
  assert_int_equal(ew_stream_read(s, buf, sizeof(buf)), 5);
  for (int i = 0; i < 3; i++)
    ew_loop_run_once(loop, 1);
  assert_int_equal(u.calls, calls);
  /* The wish to read went down to the socket. */
  assert_int_equal(write_str(peer, "x"), 1);
  RUN_UNTIL(loop, u.calls > calls);
}

static void the_rest_passes_through(void **state) {
  struct ew_addr a, b;
  char buf[32];
  assert_int_equal(write_str(s, "up"), 2);
  assert_int_equal(ew_stream_shutdown(s), EW_OK);
  RUN_UNTIL(loop, ew_stream_read(peer, buf, sizeof(buf)) == 2);
  RUN_UNTIL(loop, ew_stream_read(peer, buf, sizeof(buf)) == EW_EOF);
  assert_int_equal(ew_tcp_stream_peer(s, &a), EW_OK);
  assert_int_equal(ew_tcp_stream_local(peer, &b), EW_OK);
  assert_true(ew_addr_eq(&a, &b));
  ew_stream_want(s, EW_WRITE | EW_READ);
  RUN_UNTIL(loop, u.events == (EW_READ | EW_WRITE));
  assert_string_equal(s->ops->name, "prefix");
}

static void closes_in_its_callback(void **state) {
  u.close = true;
  ew_stream_want(s, EW_READ);
  RUN_UNTIL(loop, !u.s);
}

static void abort_goes_down_to_the_socket(void **state) {
  char buf[4];
  struct user up;
  ew_tcp_stream_abort_on_close(s);
  ew_stream_close(s);
  u.s = NULL;
  user_init(&up, peer);
  ew_stream_want(peer, EW_READ);
  RUN_UNTIL(loop, up.calls > 0);
  assert_int_equal(ew_stream_read(peer, buf, sizeof(buf)), EW_ECONN);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(replays_then_reads_on),         T(ready_without_network),
      T(the_rest_passes_through),       T(closes_in_its_callback),
      T(abort_goes_down_to_the_socket),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
