/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"
#include "lib/net/loop_uv.h"
#include "lib/net/wrap.h"

#define MAX_IOV 64
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 10

struct tcp_stream {
  struct ew_stream s;
  uv_poll_t poll;
  struct ew_task task;
  int fd;
  unsigned want;  /* what the user waits for */
  unsigned ready; /* what may work, until the kernel says EAGAIN */
  bool polled;    /* uv_poll waits for everything ... */
  bool edge;      /* ... and the kernel reports each change once */
  bool ended;     /* so did the peer's direction: bytes may stand before that */
  bool broken;    /* the kernel can't poll it: only errors */
  bool closed;
};

static const struct ew_stream_ops tcp_ops;

static struct tcp_stream *tcp_of(struct ew_stream *s) {
  return EW_CONTAINER(s, struct tcp_stream, s);
}

/* The socket under |s|, or NULL. */
static struct tcp_stream *tcp_below(struct ew_stream *s) {
  while (s->ops != &tcp_ops) {
    struct ew_wrap *w = ew_wrap_of(s);
    if (!w)
      return NULL;
    s = w->below;
  }
  return tcp_of(s);
}

static int io_error(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK ? EW_EAGAIN : EW_ECONN;
}

static ptrdiff_t tcp_read(struct ew_stream *s, char *p, size_t n) {
  struct tcp_stream *t = tcp_of(s);
  ssize_t r;
  if (t->broken)
    return EW_ECONN;
  do
    r = recv(t->fd, p, n, 0);
  while (r < 0 && errno == EINTR);
  if (r == 0)
    return EW_EOF;
  if (r < 0 || ((size_t)r < n && !t->ended))
    t->ready &= ~EW_READ;
  return r > 0 ? r : io_error();
}

/* With one piece the kernel need not copy and check a list of them. */
static ssize_t send_pieces(int fd, const struct msghdr *m) {
  if (m->msg_iovlen == 1)
    return send(fd, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len,
                MSG_NOSIGNAL);
  return sendmsg(fd, m, MSG_NOSIGNAL);
}

static ptrdiff_t tcp_write(struct ew_stream *s, const struct ew_slice *v,
                           size_t count) {
  struct tcp_stream *t = tcp_of(s);
  struct iovec iov[MAX_IOV];
  struct msghdr m = {.msg_iov = iov};
  ssize_t r;

  if (t->broken)
    return EW_ECONN;
  for (size_t i = 0; i < count && m.msg_iovlen < MAX_IOV; i++) {
    if (v[i].n > 0)
      iov[m.msg_iovlen++] = (struct iovec){(void *)(uintptr_t)v[i].p, v[i].n};
  }
  do
    r = send_pieces(t->fd, &m);
  while (r < 0 && errno == EINTR);
  if (r < 0)
    t->ready &= ~EW_WRITE;
  return r >= 0 ? r : io_error();
}

static int tcp_shutdown(struct ew_stream *s) {
  struct tcp_stream *t = tcp_of(s);
  if (t->broken || shutdown(t->fd, SHUT_WR) != 0)
    return EW_ECONN;
  return EW_OK;
}

/* libuv knows level-triggered readiness only: each change of what is waited for
 * would cost two system calls, and each event is looked at twice. Its epoll is
 * told otherwise as soon as it has the descriptor, which is at the first event:
 * a socket can be written to from its beginning. */
static void make_edge_triggered(struct tcp_stream *t) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
  e.data.fd = t->fd; /* as libuv has it */
  t->edge = epoll_ctl(uv_backend_fd(ew_loop_uv(t->s.loop)), EPOLL_CTL_MOD,
                      t->fd, &e) == 0;
}

static void tell(struct tcp_stream *t) {
  if (t->ready & t->want)
    t->s.on_ready(t->s.arg, t->ready & t->want);
  if (!t->closed && (t->ready & t->want))
    ew_task_defer(t->s.loop, &t->task);
}

static void poll_cb(uv_poll_t *h, int status, int events) {
  struct tcp_stream *t = h->data;
  struct ew_loop *l = t->s.loop;

  if (status < 0) {
    /* A socket error: libuv has stopped the handle. */
    t->polled = t->edge = false;
    t->ready = EW_READ | EW_WRITE;
  } else if (!t->edge) {
    make_edge_triggered(t);
  }
  if (events & (UV_READABLE | UV_DISCONNECT))
    t->ready |= EW_READ;
  if (events & UV_WRITABLE)
    t->ready |= EW_WRITE;
  if (events & UV_DISCONNECT)
    t->ended = true;
  tell(t);
  ew_loop_callback_done(l);
}

static void task_run(struct ew_task *task) {
  struct tcp_stream *t = EW_CONTAINER(task, struct tcp_stream, task);
  if (t->closed) {
    free(t);
    return;
  }
  if (t->broken) {
    t->ready = EW_READ | EW_WRITE;
  } else if (!t->polled && (t->want & ~t->ready)) {
    t->polled = true;
    uv_poll_start(&t->poll, UV_READABLE | UV_WRITABLE | UV_DISCONNECT, poll_cb);
  }
  tell(t);
}

static void tcp_want(struct ew_stream *s, unsigned events) {
  struct tcp_stream *t = tcp_of(s);
  t->want = events;
  if ((t->ready & events) || (events && !t->polled))
    ew_task_defer(s->loop, &t->task);
}

static void poll_closed(uv_handle_t *h) { free(h->data); }

static void tcp_close(struct ew_stream *s) {
  struct tcp_stream *t = tcp_of(s);
  t->closed = true;
  t->want = 0;
  if (t->broken) {
    ew_task_defer(s->loop, &t->task);
  } else {
    ew_task_cancel(&t->task);
    uv_close((uv_handle_t *)&t->poll, poll_closed);
  }
  close(t->fd);
}

static const struct ew_stream_ops tcp_ops = {
    .name = "tcp",
    .read = tcp_read,
    .write = tcp_write,
    .shutdown = tcp_shutdown,
    .want = tcp_want,
    .close = tcp_close,
};

/* No TCP_USER_TIMEOUT: it also ends connections whose peer is alive and does
 * not read for that long. Dead peers are found by keep-alive and by PINGs. */
static void set_options(int fd) {
  /* A socket pair has none of these: no failure matters. */
  int on = 1;
  int idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
    return;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
}

struct ew_stream *ew_tcp_stream_new(struct ew_loop *l, int fd) {
  struct tcp_stream *t = ew_calloc(1, sizeof(*t));
  t->s.ops = &tcp_ops;
  t->s.loop = l;
  t->fd = fd;
  ew_task_init(&t->task, task_run);
  set_options(fd);
  t->broken = uv_poll_init(ew_loop_uv(l), &t->poll, fd) != 0;
  t->poll.data = t;
  return &t->s;
}

static int name_of(struct ew_stream *s,
                   int (*get)(int, struct sockaddr *restrict,
                              socklen_t *restrict),
                   struct ew_addr *out) {
  struct tcp_stream *t = tcp_below(s);
  struct sockaddr_storage ss = {0};
  socklen_t len = sizeof(ss);
  if (!t || get(t->fd, (struct sockaddr *)&ss, &len) != 0)
    return EW_ECONN;
  ew_addr_from_sockaddr(out, (struct sockaddr *)&ss);
  return EW_OK;
}

int ew_tcp_stream_peer(struct ew_stream *s, struct ew_addr *out) {
  return name_of(s, getpeername, out);
}

int ew_tcp_stream_local(struct ew_stream *s, struct ew_addr *out) {
  return name_of(s, getsockname, out);
}

void ew_tcp_stream_abort_on_close(struct ew_stream *s) {
  struct tcp_stream *t = tcp_below(s);
  struct linger lg = {.l_onoff = 1, .l_linger = 0};
  for (struct ew_wrap *w = ew_wrap_of(s); w; w = ew_wrap_of(w->below))
    w->abort = true;
  if (t)
    setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
}
