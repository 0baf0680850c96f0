/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include <fcntl.h>

static struct ew_loop *loop;
static struct ew_stream *a, *b;
static struct user ua, ub;

static int setup(void **state) {
  struct ew_stream *p[2];
  loop = ew_loop_new();
  make_tcp_pair(loop, p);
  a = p[0];
  b = p[1];
  user_init(&ua, a);
  user_init(&ub, b);
  return 0;
}

static int teardown(void **state) {
  if (ua.s)
    ew_stream_close(ua.s);
  if (ub.s)
    ew_stream_close(ub.s);
  ew_loop_del(loop);
  return 0;
}

static void bytes_arrive_in_order(void **state) {
  struct ew_slice v[] = {EW_SLICE_LIT("one "), {NULL, 0}, EW_SLICE_LIT("two")};
  char buf[64];
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), EW_EAGAIN);
  assert_int_equal(ew_stream_write(a, v, 3), 7);
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ub.events, EW_READ);
  assert_int_equal(ew_stream_read(b, buf, 3), 3);
  assert_int_equal(ew_stream_read(b, buf + 3, sizeof(buf)), 4);
  assert_memory_equal(buf, "one two", 7);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), EW_EAGAIN);
}

static void readiness_is_level_triggered(void **state) {
  assert_int_equal(write_str(a, "x"), 1);
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls >= 5);
}

static void unwanted_readable_socket_does_not_spin(void **state) {
  ew_stream_want(b, EW_READ);
  ew_loop_run_once(loop, 1);
  ew_stream_want(b, 0);
  assert_int_equal(write_str(a, "x"), 1);
  for (int i = 0; i < 5; i++)
    ew_loop_run_once(loop, 5);
  assert_int_equal(ub.calls, 0);
  /* The loop has nothing left that could wake it: it sleeps through. */
  uint64_t begin = ew_clock_us();
  ew_loop_run_once(loop, 30);
  assert_true(ew_clock_us() - begin >= 25000);
  /* Wanted again, it comes at once. */
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls > 0);
}

static void half_close_leaves_the_other_direction(void **state) {
  char buf[16];
  assert_int_equal(write_str(a, "bye"), 3);
  assert_int_equal(ew_stream_shutdown(a), EW_OK);
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), 3);
  RUN_UNTIL(loop, ew_stream_read(b, buf, sizeof(buf)) == EW_EOF);
  ew_stream_want(b, 0);
  assert_int_equal(write_str(b, "still here"), 10);
  ew_stream_want(a, EW_READ);
  RUN_UNTIL(loop, ua.calls > 0);
  assert_int_equal(ew_stream_read(a, buf, sizeof(buf)), 10);
}

static void read_to_the_end(bool late) {
  char buf[16];
  assert_int_equal(write_str(a, "bye"), 3);
  if (!late)
    assert_int_equal(ew_stream_shutdown(a), EW_OK);
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), 3);
  ub.calls = 0;
  if (late)
    assert_int_equal(ew_stream_shutdown(a), EW_OK);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), EW_EOF);
}

/* The kernel reports bytes and the end behind them as one change. */
static void end_is_told_behind_the_last_bytes(void **state) {
  read_to_the_end(false);
}

static void end_that_comes_later_is_told(void **state) {
  read_to_the_end(true);
}

static void back_pressure_then_writable(void **state) {
  static char block[65536];
  struct ew_slice v = {block, sizeof(block)};
  size_t sent = 0, got = 0;
  ptrdiff_t n;
  while ((n = ew_stream_write(a, &v, 1)) > 0)
    sent += (size_t)n;
  assert_int_equal(n, EW_EAGAIN);
  ew_stream_want(a, EW_WRITE);
  ew_loop_run_once(loop, 10);
  assert_int_equal(ua.calls, 0);
  ew_stream_want(b, EW_READ);
  while (got < sent) {
    n = ew_stream_read(b, block, sizeof(block));
    if (n == EW_EAGAIN)
      ew_loop_run_once(loop, 100);
    else
      got += (size_t)n;
  }
  RUN_UNTIL(loop, ua.events & EW_WRITE);
  assert_true(ew_stream_write(a, &v, 1) > 0);
  ew_stream_want(a, 0);
}

static void both_events_at_once(void **state) {
  assert_int_equal(write_str(b, "x"), 1);
  ew_stream_want(a, EW_READ | EW_WRITE);
  RUN_UNTIL(loop, ua.events == (EW_READ | EW_WRITE));
}

static void close_within_the_callback(void **state) {
  ub.close = true;
  assert_int_equal(write_str(a, "x"), 1);
  ew_stream_want(b, EW_READ | EW_WRITE);
  RUN_UNTIL(loop, !ub.s);
  unsigned calls = ub.calls;
  ew_loop_run_once(loop, 5);
  assert_int_equal(ub.calls, calls);
}

static void nothing_comes_after_close(void **state) {
  assert_int_equal(write_str(a, "x"), 1);
  ew_stream_want(b, EW_READ);
  ew_loop_run_once(loop, 0);
  ew_stream_close(b);
  ub.s = NULL;
  unsigned calls = ub.calls;
  ew_loop_run_once(loop, 5);
  assert_int_equal(ub.calls, calls);
}

static void abort_is_a_reset(void **state) {
  char buf[4];
  ew_tcp_stream_abort_on_close(a);
  ew_stream_close(a);
  ua.s = NULL;
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), EW_ECONN);
  /* EPIPE must not kill the process. */
  assert_int_equal(write_str(b, "x"), EW_ECONN);
  assert_int_equal(ew_stream_shutdown(b), EW_ECONN);
}

static void reset_is_silent_while_nothing_is_wanted(void **state) {
  char buf[4];
  ew_stream_want(b, EW_READ);
  ew_loop_run_once(loop, 1);
  ew_stream_want(b, 0);
  ew_tcp_stream_abort_on_close(a);
  ew_stream_close(a);
  ua.s = NULL;
  for (int i = 0; i < 5; i++)
    ew_loop_run_once(loop, 5);
  assert_int_equal(ub.calls, 0);
  ew_stream_want(b, EW_WRITE);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ub.events, EW_WRITE);
  /* Wanted still: told again. */
  unsigned calls = ub.calls;
  RUN_UNTIL(loop, ub.calls > calls);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), EW_ECONN);
}

static void names_both_ends(void **state) {
  struct ew_addr x, y;
  assert_int_equal(ew_tcp_stream_local(a, &x), EW_OK);
  assert_int_equal(ew_tcp_stream_peer(b, &y), EW_OK);
  assert_true(ew_addr_eq(&x, &y));
  assert_true(ew_addr_is_loopback(&x));
  assert_int_equal(ew_tcp_stream_peer(a, &x), EW_OK);
  assert_int_equal(ew_tcp_stream_local(b, &y), EW_OK);
  assert_true(ew_addr_eq(&x, &y));
}

static void many_slices(void **state) {
  struct ew_slice v[100];
  char buf[128];
  for (int i = 0; i < 100; i++)
    v[i] = EW_SLICE_LIT("z");
  ptrdiff_t n = ew_stream_write(a, v, 100);
  assert_true(n > 0 && n <= 100);
  ew_stream_want(b, EW_READ);
  RUN_UNTIL(loop, ub.calls > 0);
  assert_int_equal(ew_stream_read(b, buf, sizeof(buf)), n);
}

static void flips_within_a_turn(void **state) {
  for (int i = 0; i < 100; i++) {
    ew_stream_want(b, EW_READ | EW_WRITE);
    ew_stream_want(b, EW_READ);
  }
  ew_loop_run_once(loop, 5);
  assert_int_equal(ub.calls, 0);
}

static void unpollable_descriptor_is_an_error(void **state) {
  struct user u;
  char buf[4];
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  struct ew_stream *s = ew_tcp_stream_new(loop, fd);
  struct ew_addr addr;
  user_init(&u, s);
  assert_int_equal(ew_tcp_stream_peer(s, &addr), EW_ECONN);
  assert_int_equal(ew_stream_read(s, buf, sizeof(buf)), EW_ECONN);
  assert_int_equal(write_str(s, "x"), EW_ECONN);
  assert_int_equal(ew_stream_shutdown(s), EW_ECONN);
  ew_stream_want(s, EW_READ);
  RUN_UNTIL(loop, u.calls >= 2);
  ew_stream_want(s, 0);
  ew_loop_run_once(loop, 1);
  unsigned calls = u.calls;
  ew_loop_run_once(loop, 1);
  assert_int_equal(u.calls, calls);
  u.close = true;
  ew_stream_want(s, EW_WRITE);
  RUN_UNTIL(loop, !u.s);
}

static void not_redirected_is_told(void **state) {
  struct ew_stream *p[2];
  struct ew_addr at, out;
  int err, fd[2];
  make_pair(loop, p);
  ew_stream_close(p[0]);
  ew_stream_close(p[1]);
  assert_int_equal(ew_orig_dst(-1, &out), EW_ENOENT);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
  assert_int_equal(ew_orig_dst(fd[0], &out), EW_ENOENT);
  close(fd[0]);
  close(fd[1]);
  static const char *const addr[] = {"127.0.0.1:0", "[::1]:0"};
  for (int i = 0; i < 2; i++) {
    struct tcp_pair_state st = {NULL, -1};
    assert_int_equal(ew_addr_parse(&at, addr[i]), EW_OK);
    struct ew_listener *ls =
        ew_listener_new(loop, &at, pair_accepted, &st, &err);
    assert_non_null(ls);
    ew_listener_addr(ls, &at);
    ew_connect(loop, &at, 5000, pair_connected, &st);
    RUN_UNTIL(loop, st.client && st.server_fd >= 0);
    assert_int_equal(ew_orig_dst(st.server_fd, &out), EW_ENOENT);
    assert_true(ew_addr_eq(&out, &at));
    close(st.server_fd);
    ew_stream_close(st.client);
    ew_listener_close(ls);
  }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(bytes_arrive_in_order),
      T(readiness_is_level_triggered),
      T(unwanted_readable_socket_does_not_spin),
      T(half_close_leaves_the_other_direction),
      T(end_is_told_behind_the_last_bytes),
      T(end_that_comes_later_is_told),
      T(back_pressure_then_writable),
      T(both_events_at_once),
      T(close_within_the_callback),
      T(nothing_comes_after_close),
      T(abort_is_a_reset),
      T(reset_is_silent_while_nothing_is_wanted),
      T(names_both_ends),
      T(many_slices),
      T(flips_within_a_turn),
      T(unpollable_descriptor_is_an_error),
      T(not_redirected_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
