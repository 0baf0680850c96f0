/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>
#include <uv.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/net/tcp.h"
#include "lib/net/loop_uv.h"

#define BACKLOG 4096
#define ACCEPTS_A_TURN 64
/* Without a free descriptor accept fails at once, again and again. */
#define BACK_OFF_MS 100

struct ew_listener {
  uv_poll_t poll;
  int fd;
  struct ew_loop *loop;
  struct ew_timer back_off;
  bool paused; /* by the user */
  bool closed;
  ew_accept_fn on_accept;
  void *arg;
};

static void poll_cb(uv_poll_t *h, int status, int events);

static void update(struct ew_listener *ls) {
  if (ls->paused || ew_timer_active(&ls->back_off))
    uv_poll_stop(&ls->poll);
  else
    uv_poll_start(&ls->poll, UV_READABLE, poll_cb);
}

static void back_off_fire(struct ew_timer *t) {
  update(EW_CONTAINER(t, struct ew_listener, back_off));
}

/* False when accepting has to end for this turn. */
static bool accept_one(struct ew_listener *ls) {
  struct sockaddr_storage ss = {0};
  socklen_t len = sizeof(ss);
  struct ew_addr peer;
  int fd = accept4(ls->fd, (struct sockaddr *)&ss, &len,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    ew_addr_from_sockaddr(&peer, (struct sockaddr *)&ss);
    ls->on_accept(ls->arg, fd, &peer);
    return true;
  }
  switch (errno) {
  case EAGAIN:
    return false;
  case EMFILE:
  case ENFILE:
  case ENOBUFS:
  case ENOMEM:
    ew_log(EW_LOG_WARN, "accept failed, connections wait", "errno=%d", errno);
    ew_timer_start(&ls->back_off, BACK_OFF_MS);
    update(ls);
    return false;
  default: /* this one connection is gone already */
    return true;
  }
}

static void poll_cb(uv_poll_t *h, int status, int events) {
  struct ew_listener *ls = h->data;
  for (int i = 0; i < ACCEPTS_A_TURN; i++) {
    if (ls->closed || ls->paused || !accept_one(ls))
      return;
  }
}

static int open_socket(const struct ew_addr *at, int *err) {
  int on = 1, off = 0;
  int fd =
      socket(at->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *err = errno;
    return -1;
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (at->u.sa.sa_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (bind(fd, &at->u.sa, ew_addr_len(at)) != 0 || listen(fd, BACKLOG) != 0) {
    *err = errno;
    close(fd);
    return -1;
  }
  return fd;
}

struct ew_listener *ew_listener_new(struct ew_loop *l, const struct ew_addr *at,
                                    ew_accept_fn on_accept, void *arg,
                                    int *err) {
  struct ew_listener *ls;
  int fd = open_socket(at, err);
  if (fd < 0)
    return NULL;
  ls = ew_calloc(1, sizeof(*ls));
  ls->loop = l;
  ls->fd = fd;
  ls->on_accept = on_accept;
  ls->arg = arg;
  ew_timer_init(l, &ls->back_off, back_off_fire);
  int rc = uv_poll_init(ew_loop_uv(l), &ls->poll, fd);
  if (rc != 0) {
    *err = -rc;
    close(fd);
    free(ls);
    return NULL;
  }
  ls->poll.data = ls;
  update(ls);
  return ls;
}

void ew_listener_pause(struct ew_listener *ls, bool paused) {
  if (ls->paused == paused)
    return;
  ls->paused = paused;
  update(ls);
}

void ew_listener_addr(const struct ew_listener *ls, struct ew_addr *out) {
  struct sockaddr_storage ss = {0};
  socklen_t len = sizeof(ss);
  getsockname(ls->fd, (struct sockaddr *)&ss, &len);
  ew_addr_from_sockaddr(out, (struct sockaddr *)&ss);
}

static void poll_closed(uv_handle_t *h) { free(h->data); }

void ew_listener_close(struct ew_listener *ls) {
  ls->closed = true;
  ew_timer_stop(&ls->back_off);
  uv_close((uv_handle_t *)&ls->poll, poll_closed);
  close(ls->fd);
}
