/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/net/prefix.h"
#include "lib/net/wrap.h"

struct prefix_stream {
  struct ew_wrap w; /* must be first */
  struct ew_buf seen;
  struct ew_task task;
  unsigned want;
  bool closed;
};

static struct prefix_stream *prefix_of(struct ew_stream *s) {
  return EW_CONTAINER(s, struct prefix_stream, w.s);
}

static ptrdiff_t prefix_read(struct ew_stream *s, char *p, size_t n) {
  struct prefix_stream *x = prefix_of(s);
  struct ew_slice seen = ew_buf_peek(&x->seen);
  if (seen.n == 0)
    return ew_stream_read(x->w.below, p, n);
  if (n > seen.n)
    n = seen.n;
  memcpy(p, seen.p, n);
  ew_buf_consume(&x->seen, n);
  if (n == seen.n) {
    ew_buf_release(&x->seen);
    ew_stream_want(x->w.below, x->want);
  }
  return (ptrdiff_t)n;
}

static ptrdiff_t prefix_write(struct ew_stream *s, const struct ew_slice *v,
                              size_t count) {
  return ew_stream_write(prefix_of(s)->w.below, v, count);
}

static int prefix_shutdown(struct ew_stream *s) {
  return ew_stream_shutdown(prefix_of(s)->w.below);
}

static bool replays(const struct prefix_stream *x) {
  return (x->want & EW_READ) && ew_buf_len(&x->seen) > 0;
}

static void prefix_want(struct ew_stream *s, unsigned events) {
  struct prefix_stream *x = prefix_of(s);
  x->want = events;
  if (replays(x)) {
    events &= ~EW_READ;
    ew_task_defer(s->loop, &x->task);
  }
  ew_stream_want(x->w.below, events);
}

static void task_run(struct ew_task *t) {
  struct prefix_stream *x = EW_CONTAINER(t, struct prefix_stream, task);
  if (x->closed) {
    ew_buf_fini(&x->seen);
    free(x);
  } else if (replays(x)) {
    ew_task_defer(x->w.s.loop, &x->task);
    x->w.s.on_ready(x->w.s.arg, EW_READ);
  }
}

static void below_ready(void *arg, unsigned events) {
  struct prefix_stream *x = arg;
  x->w.s.on_ready(x->w.s.arg, events);
}

static void prefix_close(struct ew_stream *s) {
  struct prefix_stream *x = prefix_of(s);
  x->closed = true;
  ew_stream_close(x->w.below);
  ew_task_defer(s->loop, &x->task);
}

const struct ew_stream_ops ew_prefix_stream_ops = {
    .name = "prefix",
    .read = prefix_read,
    .write = prefix_write,
    .shutdown = prefix_shutdown,
    .want = prefix_want,
    .close = prefix_close,
};

struct ew_stream *ew_prefix_stream_new(struct ew_stream *below,
                                       struct ew_buf *seen) {
  struct prefix_stream *x = ew_calloc(1, sizeof(*x));
  size_t max = seen->max;
  x->w.s.ops = &ew_prefix_stream_ops;
  x->w.s.loop = below->loop;
  x->w.below = below;
  x->seen = *seen;
  ew_buf_init(seen, max);
  ew_task_init(&x->task, task_run);
  ew_stream_want(below, 0);
  ew_stream_set_user(below, below_ready, x);
  return &x->w.s;
}
