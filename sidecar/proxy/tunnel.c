/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/tunnel.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"
#include "eastwest/net/prefix.h"
#include "eastwest/net/tcp.h"

/* What pump answers, beside EW_OK and errors, when a is to be taken. */
#define TAKEN 1

/* One direction. The fast path reads into the loop's scratch and writes from
 * there; only what the writer did not take is kept in |rest|, and while
 * something is kept nothing is read. */
struct flow {
  struct ew_buf rest;
  bool eof;      /* the reader's side has ended */
  bool finished; /* the end was passed on */
  bool blocked;  /* the writer's side said would-block */
};

struct ew_tunnel {
  struct ew_stream *side[2];
  struct flow flow[2]; /* flow[i] reads side[i] and writes side[!i] */
  struct ew_timer half_open;
  struct ew_loop *loop;
  const struct ew_tunnel_events *ev;
  void *arg;
  bool a_begun, b_begun; /* has sent a byte */
  /* While |looking|: what a has sent, of which |passed| bytes went to b. */
  struct ew_buf seen;
  size_t passed;
  struct ew_timer look;
  bool looking;
  bool late;   /* bytes went one way or the other */
  bool hold_b; /* what b has sent waits until it is clear what a speaks */
};

/* What was cut off must not pass for a whole: |abort_it| passes a reset on. */
static void destroy(struct ew_tunnel *t, bool abort_it) {
  ew_timer_stop(&t->half_open);
  ew_timer_stop(&t->look);
  ew_buf_fini(&t->seen);
  for (int i = 0; i < 2; i++) {
    if (abort_it)
      ew_tcp_stream_abort_on_close(t->side[i]);
    ew_stream_close(t->side[i]);
    ew_buf_fini(&t->flow[i].rest);
  }
  free(t);
}

static void finish(struct ew_tunnel *t, int err) {
  const struct ew_tunnel_events *ev = t->ev;
  void *arg = t->arg;

  destroy(t, err != EW_OK);
  ev->on_done(arg, err);
}

/* b is closed in order: it has seen nothing that could be cut off. */
static void take(struct ew_tunnel *t) {
  const struct ew_tunnel_events *ev = t->ev;
  void *arg = t->arg;
  struct ew_stream *a = t->side[0];

  ew_timer_stop(&t->half_open);
  ew_timer_stop(&t->look);
  ew_stream_want(a, 0);
  ew_stream_close(t->side[1]);
  for (int i = 0; i < 2; i++)
    ew_buf_fini(&t->flow[i].rest);
  a = ew_prefix_stream_new(a, &t->seen);
  ew_buf_fini(&t->seen);
  free(t);
  ev->on_taken(arg, a);
}

/* Writes what is kept. Returns EW_OK when nothing is left, EW_EAGAIN, or an
 * error. */
static int push(struct ew_tunnel *t, int i) {
  struct flow *f = &t->flow[i];

  while (ew_buf_len(&f->rest) > 0) {
    struct ew_slice s = ew_buf_peek(&f->rest);
    ptrdiff_t n = ew_stream_write(t->side[!i], &s, 1);
    if (n < 0) {
      f->blocked = n == EW_EAGAIN;
      return (int)n;
    }
    ew_buf_consume(&f->rest, (size_t)n);
  }
  ew_buf_release(&f->rest);
  f->blocked = false;
  return EW_OK;
}

/* Passes the end on, once everything before it was written. */
static int pass_end(struct ew_tunnel *t, int i) {
  struct flow *f = &t->flow[i];
  int err;

  if (!f->eof || f->finished || ew_buf_len(&f->rest) > 0)
    return EW_OK;
  err = ew_stream_shutdown(t->side[!i]);
  if (err == EW_EAGAIN) {
    f->blocked = true;
    return EW_OK;
  }
  f->blocked = false;
  f->finished = true;
  return err;
}

static int forward(struct ew_tunnel *t, int i, struct ew_slice in) {
  struct flow *f = &t->flow[i];
  ptrdiff_t n = ew_stream_write(t->side[!i], &in, 1);

  if (n < 0 && n != EW_EAGAIN)
    return (int)n;
  if (n < 0)
    n = 0;
  if ((size_t)n < in.n) {
    in.p += n;
    in.n -= (size_t)n;
    /* Nothing was kept before, so a whole chunk fits. */
    EW_BUG_ON(ew_buf_append(&f->rest, in) != EW_OK);
    return push(t, i);
  }
  return EW_OK;
}

/* ---- who speaks first, and what ---- */

static int but_eagain(int err) { return err == EW_EAGAIN ? EW_OK : err; }

static int pass_seen(struct ew_tunnel *t) {
  struct ew_slice s = ew_buf_peek(&t->seen);
  struct ew_slice fresh = ew_slice(s.p + t->passed, s.n - t->passed);

  t->passed = s.n;
  if (fresh.n == 0)
    return EW_OK;
  t->late = true;
  return but_eagain(forward(t, 0, fresh));
}

static int stop_looking(struct ew_tunnel *t) {
  int err = pass_seen(t);

  t->looking = false;
  t->hold_b = false;
  ew_timer_stop(&t->look);
  ew_buf_fini(&t->seen);
  return err == EW_OK ? but_eagain(push(t, 1)) : err;
}

static int judge(struct ew_tunnel *t) {
  enum ew_peeked what;
  struct ew_slice sni;

  if (!ew_peek_classify(ew_buf_peek(&t->seen), &what, &sni) &&
      ew_buf_len(&t->seen) < EW_PEEK_MAX) {
    if (t->late)
      return pass_seen(t);
    if (!ew_timer_active(&t->look))
      ew_timer_start(&t->look, EW_TUNNEL_LOOK_MS);
    return EW_OK;
  }
  switch (t->ev->on_a_first(t->arg, what, t->late)) {
  case EW_TUNNEL_PASS:
    return stop_looking(t);
  case EW_TUNNEL_TAKE:
    EW_BUG_ON(t->late);
    return TAKEN;
  case EW_TUNNEL_REFUSE:
    break;
  }
  return EW_EPROTO;
}

static int look(struct ew_tunnel *t) {
  size_t room = EW_PEEK_MAX - ew_buf_len(&t->seen);
  char *to = ew_buf_reserve(&t->seen, room);
  ptrdiff_t n = ew_stream_read(t->side[0], to, room);

  if (n == EW_EOF) {
    t->flow[0].eof = true;
    return stop_looking(t);
  }
  if (n < 0)
    return but_eagain((int)n);
  t->a_begun = true;
  ew_buf_commit(&t->seen, (size_t)n);
  return judge(t);
}

/* The frame that a server of HTTP/2 begins with (RFC 9113 section 3.4). */
static bool is_settings(struct ew_slice s) {
  static const char rest[] = {4, 0, 0, 0, 0, 0};

  return s.n >= 9 && s.p[0] == 0 && memcmp(s.p + 3, rest, sizeof(rest)) == 0;
}

/* The first bytes of b, before it is clear what a speaks. */
static int greeting(struct ew_tunnel *t, struct ew_slice bytes) {
  bool http2 = is_settings(bytes);

  if (!http2 && !ew_slice_starts(bytes, EW_SLICE_LIT("HTTP/"))) {
    if (!t->a_begun)
      t->ev->on_b_first(t->arg);
    return t->looking ? stop_looking(t) : EW_OK;
  }
  t->hold_b = t->looking && http2 && !t->late;
  t->late = !t->hold_b;
  return EW_OK;
}

static int from_b(struct ew_tunnel *t, struct ew_slice bytes) {
  int err = t->b_begun ? EW_OK : greeting(t, bytes);

  t->b_begun = true;
  if (err != EW_OK)
    return err;
  if (!t->hold_b)
    return forward(t, 1, bytes);
  EW_BUG_ON(ew_buf_append(&t->flow[1].rest, bytes) != EW_OK);
  return EW_OK;
}

/* ---- both directions ---- */

static int pump(struct ew_tunnel *t, int i) {
  struct flow *f = &t->flow[i];
  char *scratch = ew_loop_scratch(t->loop);
  int err;

  if (i == 1 && t->hold_b)
    return EW_OK;
  err = push(t, i);
  if (err != EW_OK)
    return err == EW_EAGAIN ? EW_OK : err;
  if (!f->eof && i == 0 && t->looking) {
    err = look(t);
    if (err != EW_OK)
      return err;
  } else if (!f->eof) {
    ptrdiff_t n = ew_stream_read(t->side[i], scratch, EW_TUNNEL_CHUNK);
    if (n == EW_EOF) {
      f->eof = true;
    } else if (n < 0) {
      return n == EW_EAGAIN ? EW_OK : (int)n;
    } else {
      t->a_begun |= i == 0;
      err = i == 0 ? forward(t, 0, ew_slice(scratch, (size_t)n))
                   : from_b(t, ew_slice(scratch, (size_t)n));
      if (err != EW_OK && err != EW_EAGAIN)
        return err;
    }
  }
  return pass_end(t, i);
}

static void update_wants(struct ew_tunnel *t) {
  for (int i = 0; i < 2; i++) {
    unsigned want = 0;
    if (!t->flow[i].eof && ew_buf_len(&t->flow[i].rest) == 0)
      want |= EW_READ;
    if (t->flow[!i].blocked)
      want |= EW_WRITE;
    ew_stream_want(t->side[i], want);
  }
  if (t->flow[0].finished != t->flow[1].finished)
    ew_timer_start(&t->half_open, EW_TUNNEL_HALF_OPEN_MS);
}

static void run(struct ew_tunnel *t, int side, unsigned events) {
  int err = EW_OK;

  if (events & EW_READ)
    err = pump(t, side);
  if (err == EW_OK && (events & EW_WRITE))
    err = pump(t, !side);
  if (err == TAKEN) {
    take(t);
    return;
  }
  if (err != EW_OK) {
    finish(t, err);
    return;
  }
  if (t->flow[0].finished && t->flow[1].finished) {
    finish(t, EW_OK);
    return;
  }
  update_wants(t);
}

static void on_a(void *arg, unsigned events) { run(arg, 0, events); }
static void on_b(void *arg, unsigned events) { run(arg, 1, events); }

static void on_look(struct ew_timer *timer) {
  struct ew_tunnel *t = EW_CONTAINER(timer, struct ew_tunnel, look);
  int err = pass_seen(t);

  if (err != EW_OK)
    finish(t, err);
  else
    update_wants(t);
}

static void on_half_open(struct ew_timer *timer) {
  struct ew_tunnel *t = EW_CONTAINER(timer, struct ew_tunnel, half_open);
  finish(t, EW_ETIMEDOUT);
}

struct ew_tunnel *ew_tunnel_new(struct ew_stream *a, struct ew_stream *b,
                                const struct ew_tunnel_events *ev, void *arg) {
  struct ew_tunnel *t = ew_calloc(1, sizeof(*t));

  t->side[0] = a;
  t->side[1] = b;
  t->loop = a->loop;
  t->ev = ev;
  t->arg = arg;
  ew_buf_init(&t->flow[0].rest, EW_TUNNEL_CHUNK);
  ew_buf_init(&t->flow[1].rest, EW_TUNNEL_CHUNK);
  ew_timer_init(t->loop, &t->half_open, on_half_open);
  ew_timer_init(t->loop, &t->look, on_look);
  ew_buf_init(&t->seen, EW_PEEK_MAX);
  t->looking = ev->on_a_first != NULL;
  ew_stream_set_user(a, on_a, t);
  ew_stream_set_user(b, on_b, t);
  update_wants(t);
  return t;
}

void ew_tunnel_del(struct ew_tunnel *t) { destroy(t, true); }
