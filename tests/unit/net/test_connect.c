/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include <errno.h>
#include <sys/resource.h>

static struct ew_loop *loop;

struct result {
  unsigned calls;
  int err;
  struct ew_stream *s;
};

static void on_done(void *arg, struct ew_stream *s, int err) {
  struct result *r = arg;
  r->calls++;
  r->err = err;
  r->s = s;
}

static int setup(void **state) {
  loop = ew_loop_new();
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  ew_loop_del(loop);
  return 0;
}

/* A bound port that nobody listens on. */
static int unused_port(struct ew_addr *at, int listen_backlog) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in sa = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(sa);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
  if (listen_backlog >= 0)
    assert_int_equal(listen(fd, listen_backlog), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
  ew_addr_from_sockaddr(at, (struct sockaddr *)&sa);
  return fd;
}

static void connects_and_never_from_within(void **state) {
  struct ew_stream *p[2];
  make_tcp_pair(loop, p);
  ew_stream_close(p[0]);
  ew_stream_close(p[1]);

  struct ew_addr at;
  struct result r = {0};
  int fd = unused_port(&at, 8);
  ew_connect(loop, &at, 1000, on_done, &r);
  assert_int_equal(r.calls, 0);
  RUN_UNTIL(loop, r.calls > 0);
  assert_int_equal(r.err, EW_OK);
  assert_non_null(r.s);
  assert_int_equal(write_str(r.s, "x"), 1);
  ew_stream_close(r.s);
  close(fd);
}

static void refused(void **state) {
  struct ew_addr at;
  struct result r = {0};
  int fd = unused_port(&at, -1);
  ew_connect(loop, &at, 1000, on_done, &r);
  assert_int_equal(r.calls, 0);
  RUN_UNTIL(loop, r.calls > 0);
  assert_int_equal(r.err, EW_ECONNREFUSED);
  assert_null(r.s);
  close(fd);
}

static void unreachable_is_refused(void **state) {
  struct ew_addr at;
  struct result r = {0};
  /* A broadcast address is refused by connect(2) itself. */
  assert_int_equal(ew_addr_parse(&at, "255.255.255.255:9"), EW_OK);
  ew_connect(loop, &at, 1000, on_done, &r);
  assert_int_equal(r.calls, 0);
  RUN_UNTIL(loop, r.calls > 0);
  assert_int_equal(r.err, EW_ECONNREFUSED);
}

/* A listener whose backlog is full drops SYNs: connecting hangs. */
static void times_out_in_a_black_hole(void **state) {
  struct ew_addr at;
  struct result r[8] = {0};
  int fd = unused_port(&at, 0);
  unsigned timed_out = 0, done = 0;
  for (int i = 0; i < 8; i++)
    ew_connect(loop, &at, 100, on_done, &r[i]);
  RUN_UNTIL(loop, r[7].calls > 0);
  for (int i = 0; i < 8; i++) {
    RUN_UNTIL(loop, r[i].calls > 0);
    done += r[i].calls;
    timed_out += r[i].err == EW_ETIMEDOUT;
    if (r[i].s)
      ew_stream_close(r[i].s);
  }
  assert_int_equal(done, 8);
  assert_true(timed_out > 0);
  close(fd);
}

static void cancelled_never_calls(void **state) {
  struct ew_addr at, none;
  struct result r = {0};
  int fd = unused_port(&at, 8);
  assert_int_equal(ew_addr_parse(&none, "255.255.255.255:9"), EW_OK);
  ew_connect_cancel(ew_connect(loop, &at, 1000, on_done, &r));
  ew_connect_cancel(ew_connect(loop, &none, 1000, on_done, &r));
  struct ew_connect *c = ew_connect(loop, &at, 20, on_done, &r);
  ew_connect_cancel(c);
  for (int i = 0; i < 4; i++)
    ew_loop_run_once(loop, 10);
  assert_int_equal(r.calls, 0);
  close(fd);
}

static void no_descriptor_left(void **state) {
  struct ew_addr at;
  struct result r = {0};
  struct rlimit old, none;
  int fd = unused_port(&at, 8);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  none = old;
  none.rlim_cur = (rlim_t)fd + 1;
  /* Fill the holes below the limit. */
  int fill[64];
  int n = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  while (n < 64 && (fill[n] = dup(fd)) >= 0)
    n++;
  ew_connect(loop, &at, 1000, on_done, &r);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  while (n > 0)
    close(fill[--n]);
  RUN_UNTIL(loop, r.calls > 0);
  assert_int_equal(r.err, EW_EIO);
  close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(connects_and_never_from_within), T(refused),
      T(unreachable_is_refused),         T(times_out_in_a_black_hole),
      T(cancelled_never_calls),          T(no_descriptor_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
