/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include <uv.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"
#include "lib/net/loop_uv.h"

struct ew_connect {
  uv_poll_t poll;
  bool polled; /* |poll| is initialised and must be closed */
  int fd;      /* -1: none */
  int err;     /* what the first step said */
  struct ew_loop *loop;
  struct ew_timer timer;
  struct ew_task task;
  ew_connect_fn on_done;
  void *arg;
};

static int map_errno(int e) {
  switch (e) {
  case 0:
    return EW_OK;
  case ETIMEDOUT:
    return EW_ETIMEDOUT;
  case EMFILE:
  case ENFILE:
  case ENOBUFS:
  case ENOMEM:
  case EADDRNOTAVAIL: /* no local port left */
    return EW_EIO;
  default:
    return EW_ECONNREFUSED;
  }
}

static void free_cb(uv_handle_t *h) { free(h->data); }

static void free_task(struct ew_task *t) {
  free(EW_CONTAINER(t, struct ew_connect, task));
}

static void release(struct ew_connect *c) {
  ew_timer_stop(&c->timer);
  ew_task_cancel(&c->task);
  if (c->polled) {
    uv_close((uv_handle_t *)&c->poll, free_cb);
  } else {
    c->task.run = free_task;
    ew_task_defer(c->loop, &c->task);
  }
}

static void done(struct ew_connect *c, int err) {
  struct ew_stream *s = NULL;
  int fd = c->fd;
  c->fd = -1;
  /* First, because a descriptor can be in one uv_poll at a time only. */
  release(c);
  if (err == EW_OK)
    s = ew_tcp_stream_new(c->loop, fd);
  else if (fd >= 0)
    close(fd);
  c->on_done(c->arg, s, err);
}

static void task_run(struct ew_task *t) {
  struct ew_connect *c = EW_CONTAINER(t, struct ew_connect, task);
  done(c, c->err);
}

static void finish(struct ew_connect *c) {
  int e = 0;
  socklen_t len = sizeof(e);
  if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
    e = errno;
  done(c, map_errno(e));
}

static void poll_cb(uv_poll_t *h, int status, int events) { finish(h->data); }

/* A loop that was busy runs its timers before it sees what has happened since:
 * the time may be up for us alone. */
static void timer_fire(struct ew_timer *t) {
  struct ew_connect *c = EW_CONTAINER(t, struct ew_connect, timer);
  struct pollfd p = {.fd = c->fd, .events = POLLOUT};
  if (poll(&p, 1, 0) == 1)
    finish(c);
  else
    done(c, EW_ETIMEDOUT);
}

/* EW_EAGAIN: on its way. */
static int begin(struct ew_connect *c, const struct ew_addr *to) {
  int rc;
  c->fd =
      socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0)
    return map_errno(errno);
  do
    rc = connect(c->fd, &to->u.sa, ew_addr_len(to));
  while (rc != 0 && errno == EINTR);
  if (rc == 0)
    return EW_OK;
  if (errno != EINPROGRESS)
    return map_errno(errno);
  if (uv_poll_init(ew_loop_uv(c->loop), &c->poll, c->fd) != 0)
    return EW_EIO;
  c->poll.data = c;
  c->polled = true;
  uv_poll_start(&c->poll, UV_WRITABLE, poll_cb);
  return EW_EAGAIN;
}

struct ew_connect *ew_connect(struct ew_loop *l, const struct ew_addr *to,
                              unsigned timeout_ms, ew_connect_fn on_done,
                              void *arg) {
  struct ew_connect *c = ew_calloc(1, sizeof(*c));
  c->loop = l;
  c->on_done = on_done;
  c->arg = arg;
  ew_timer_init(l, &c->timer, timer_fire);
  ew_task_init(&c->task, task_run);
  c->err = begin(c, to);
  if (c->err == EW_EAGAIN)
    ew_timer_start(&c->timer, timeout_ms);
  else
    ew_task_defer(l, &c->task);
  return c;
}

void ew_connect_cancel(struct ew_connect *c) {
  int fd = c->fd;
  release(c);
  if (fd >= 0)
    close(fd);
}
