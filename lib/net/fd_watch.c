/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/net/fd_watch.h"

#include <stdlib.h>
#include <uv.h>

#include "eastwest/base/alloc.h"
#include "lib/net/loop_uv.h"

struct ew_fd_watch {
  uv_poll_t poll;
  int fd;
  unsigned want;
  void (*on_ready)(void *arg, int fd, unsigned events);
  void *arg;
};

struct ew_fd_watch *ew_fd_watch_new(struct ew_loop *l, int fd,
                                    void (*on_ready)(void *arg, int fd,
                                                     unsigned events),
                                    void *arg) {
  struct ew_fd_watch *w = ew_calloc(1, sizeof(*w));

  if (uv_poll_init(ew_loop_uv(l), &w->poll, fd) != 0) {
    free(w);
    return NULL;
  }
  w->poll.data = w;
  w->fd = fd;
  w->on_ready = on_ready;
  w->arg = arg;
  return w;
}

static void on_poll(uv_poll_t *h, int status, int events) {
  struct ew_fd_watch *w = h->data;
  unsigned got = (events & UV_READABLE ? EW_READ : 0) |
                 (events & UV_WRITABLE ? EW_WRITE : 0);

  if (status < 0) {
    /* libuv has stopped the handle. */
    w->want = 0;
    got = EW_READ | EW_WRITE;
  }
  w->on_ready(w->arg, w->fd, got);
}

void ew_fd_watch_want(struct ew_fd_watch *w, unsigned events) {
  if (events == w->want)
    return;
  w->want = events;
  if (events == 0)
    uv_poll_stop(&w->poll);
  else
    uv_poll_start(&w->poll,
                  (events & EW_READ ? UV_READABLE : 0) |
                      (events & EW_WRITE ? UV_WRITABLE : 0),
                  on_poll);
}

static void on_closed(uv_handle_t *h) { free(h->data); }

void ew_fd_watch_del(struct ew_fd_watch *w) {
  uv_close((uv_handle_t *)&w->poll, on_closed);
}
