/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include <errno.h>
#include <sys/resource.h>

#define MANY 200

static struct ew_loop *loop;
static struct ew_listener *ls;
static struct ew_addr at;

struct acceptor {
  unsigned count;
  int fd[MANY];
  bool close_listener;
  bool pause;
  struct ew_addr peer;
};

static void on_accept(void *arg, int fd, const struct ew_addr *peer) {
  struct acceptor *a = arg;
  a->fd[a->count++] = fd;
  a->peer = *peer;
  if (a->close_listener) {
    ew_listener_close(ls);
    ls = NULL;
  } else if (a->pause) {
    ew_listener_pause(ls, true);
  }
}

static void acceptor_fini(struct acceptor *a) {
  for (unsigned i = 0; i < a->count; i++)
    close(a->fd[i]);
}

static void listen_on(const char *where, struct acceptor *a) {
  int err = 0;
  assert_int_equal(ew_addr_parse(&at, where), EW_OK);
  ls = ew_listener_new(loop, &at, on_accept, a, &err);
  assert_non_null(ls);
  ew_listener_addr(ls, &at);
  assert_true(ew_addr_port(&at) != 0);
}

static int dial(const struct ew_addr *to) {
  int fd = socket(to->u.sa.sa_family, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, &to->u.sa, ew_addr_len(to)), 0);
  return fd;
}

static int setup(void **state) {
  loop = ew_loop_new();
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  if (ls)
    ew_listener_close(ls);
  ls = NULL;
  ew_loop_del(loop);
  return 0;
}

static void at_most_64_a_turn(void **state) {
  struct acceptor a = {0};
  int c[MANY];
  listen_on("127.0.0.1:0", &a);
  for (int i = 0; i < MANY; i++)
    c[i] = dial(&at);
  ew_loop_run_once(loop, 100);
  assert_int_equal(a.count, 64);
  RUN_UNTIL(loop, a.count == MANY);
  for (int i = 0; i < MANY; i++)
    close(c[i]);
  acceptor_fini(&a);
}

static void paused_ones_wait(void **state) {
  struct acceptor a = {0};
  listen_on("127.0.0.1:0", &a);
  ew_listener_pause(ls, true);
  ew_listener_pause(ls, true);
  int c = dial(&at);
  for (int i = 0; i < 3; i++)
    ew_loop_run_once(loop, 5);
  assert_int_equal(a.count, 0);
  ew_listener_pause(ls, false);
  RUN_UNTIL(loop, a.count == 1);
  close(c);
  acceptor_fini(&a);
}

static void pause_within_the_callback(void **state) {
  struct acceptor a = {.pause = true};
  int c[3];
  listen_on("127.0.0.1:0", &a);
  for (int i = 0; i < 3; i++)
    c[i] = dial(&at);
  for (int i = 0; i < 3; i++)
    ew_loop_run_once(loop, 5);
  assert_int_equal(a.count, 1);
  ew_listener_pause(ls, false);
  a.pause = false;
  RUN_UNTIL(loop, a.count == 3);
  for (int i = 0; i < 3; i++)
    close(c[i]);
  acceptor_fini(&a);
}

static void close_within_the_callback(void **state) {
  struct acceptor a = {.close_listener = true};
  int c[2];
  listen_on("127.0.0.1:0", &a);
  c[0] = dial(&at);
  c[1] = dial(&at);
  RUN_UNTIL(loop, !ls);
  assert_int_equal(a.count, 1);
  close(c[0]);
  close(c[1]);
  acceptor_fini(&a);
}

static void dual_stack(void **state) {
  struct acceptor a = {0};
  struct ew_addr v4, v6;
  listen_on("[::]:0", &a);
  assert_int_equal(ew_addr_set(&v4, "127.0.0.1", ew_addr_port(&at)), EW_OK);
  assert_int_equal(ew_addr_set(&v6, "::1", ew_addr_port(&at)), EW_OK);
  int c4 = dial(&v4);
  RUN_UNTIL(loop, a.count == 1);
  assert_int_equal(a.peer.u.sa.sa_family, AF_INET);
  struct ew_addr dst;
  assert_int_equal(ew_orig_dst(a.fd[0], &dst), EW_ENOENT);
  assert_true(ew_addr_eq(&dst, &v4));
  int c6 = dial(&v6);
  RUN_UNTIL(loop, a.count == 2);
  assert_int_equal(a.peer.u.sa.sa_family, AF_INET6);
  close(c4);
  close(c6);
  acceptor_fini(&a);
}

static void can_not_bind(void **state) {
  struct ew_addr where;
  int err = 0;
  /* TEST-NET-1: not an address of this machine. */
  assert_int_equal(ew_addr_parse(&where, "192.0.2.1:0"), EW_OK);
  assert_null(ew_listener_new(loop, &where, on_accept, NULL, &err));
  assert_int_equal(err, EADDRNOTAVAIL);
  memset(&where, 0, sizeof(where));
  where.u.sa.sa_family = AF_PACKET + 500;
  assert_null(ew_listener_new(loop, &where, on_accept, NULL, &err));
  assert_int_equal(err, EAFNOSUPPORT);
}

static void backs_off_without_descriptors(void **state) {
  struct acceptor a = {0};
  struct rlimit old, few;
  int fill[64], n = 0;
  listen_on("127.0.0.1:0", &a);
  int c = dial(&at);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  few = old;
  few.rlim_cur = (rlim_t)c + 1;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  while (n < 64 && (fill[n] = dup(c)) >= 0)
    n++;
  uint64_t turns = 0, begin = ew_clock_us();
  while (ew_clock_us() - begin < 50000) {
    ew_loop_run_once(loop, 60);
    turns++;
  }
  assert_int_equal(a.count, 0);
  assert_true(turns < 10); /* no spinning */
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  while (n > 0)
    close(fill[--n]);
  RUN_UNTIL(loop, a.count == 1);
  close(c);
  acceptor_fini(&a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(at_most_64_a_turn),
      T(paused_ones_wait),
      T(pause_within_the_callback),
      T(close_within_the_callback),
      T(dual_stack),
      T(can_not_bind),
      T(backs_off_without_descriptors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
