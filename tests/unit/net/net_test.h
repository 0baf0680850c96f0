/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_NET_TEST_H
#define EASTWEST_TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"

/* Runs the loop until |cond| holds; a test fails after 10 s. */
#define RUN_UNTIL(loop, cond)                 \
  do {                                        \
    uint64_t end_ = ew_clock_us() + 60000000; \
    while (!(cond)) {                         \
      assert_true(ew_clock_us() < end_);      \
      ew_loop_run_once((loop), 100);          \
    }                                         \
  } while (0)

/* Whoever uses a stream in a test: counts what it is told. */
struct user {
  struct ew_stream *s;
  unsigned calls;
  unsigned events; /* all that came so far */
  unsigned want;   /* set by the callback, when |set_want| */
  bool set_want;
  bool close; /* the callback closes the stream */
};

static inline void user_ready(void *arg, unsigned events) {
  struct user *u = arg;
  u->calls++;
  u->events |= events;
  if (u->close) {
    ew_stream_close(u->s);
    u->s = NULL;
  } else if (u->set_want) {
    ew_stream_want(u->s, u->want);
  }
}

static inline void user_init(struct user *u, struct ew_stream *s) {
  *u = (struct user){.s = s};
  ew_stream_set_user(s, user_ready, u);
}

static inline void make_pair(struct ew_loop *l, struct ew_stream *out[2]) {
  int fd[2];
  assert_int_equal(
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
      0);
  out[0] = ew_tcp_stream_new(l, fd[0]);
  out[1] = ew_tcp_stream_new(l, fd[1]);
}

struct tcp_pair_state {
  struct ew_stream *client;
  int server_fd;
};

static inline void pair_accepted(void *arg, int fd,
                                 const struct ew_addr *peer) {
  struct tcp_pair_state *p = arg;
  p->server_fd = fd;
}

static inline void pair_connected(void *arg, struct ew_stream *s, int err) {
  struct tcp_pair_state *p = arg;
  assert_int_equal(err, EW_OK);
  p->client = s;
}

/* out[0] connected to out[1] over loopback TCP. */
static inline void make_tcp_pair(struct ew_loop *l, struct ew_stream *out[2]) {
  struct tcp_pair_state p = {NULL, -1};
  struct ew_addr at;
  int err = 0;
  assert_int_equal(ew_addr_parse(&at, "127.0.0.1:0"), EW_OK);
  struct ew_listener *ls = ew_listener_new(l, &at, pair_accepted, &p, &err);
  assert_non_null(ls);
  ew_listener_addr(ls, &at);
  ew_connect(l, &at, 5000, pair_connected, &p);
  RUN_UNTIL(l, p.client && p.server_fd >= 0);
  ew_listener_close(ls);
  out[0] = p.client;
  out[1] = ew_tcp_stream_new(l, p.server_fd);
}

static inline ptrdiff_t write_str(struct ew_stream *s, const char *str) {
  struct ew_slice v = ew_slice_str(str);
  return ew_stream_write(s, &v, 1);
}

#endif
