/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_UNIT_HTTP_CODEC_PEER_H
#define EASTWEST_TESTS_UNIT_HTTP_CODEC_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/http/codec.h"

/* One end of an HTTP connection in memory: a codec and a sink that records what
 * it tells. Works for all four codecs. */
struct codec_peer {
  struct ew_codec *c;
  struct ew_hstream *st; /* the last one that was shown */
  struct ew_message *m;  /* its last head */
  struct ew_message *trailers;
  struct ew_buf body; /* since the last final head */
  unsigned heads, interims, ends, resets, closeds, writables, goaways;
  unsigned refusals;
  bool end; /* of the last on_head */
  int reset_err;
  int refused_status;
  const char *refused_why;
  bool hold; /* don't consume */
  /* Called from within the events, after recording; may be NULL. */
  void (*on_head)(struct codec_peer *p);
  void (*on_data)(struct codec_peer *p, struct ew_slice bytes);
  void (*on_end)(struct codec_peer *p);
  void (*on_closed)(struct codec_peer *p);
  void (*on_writable)(struct codec_peer *p);
};

static inline void codec_peer_head_(void *arg, struct ew_hstream *st,
                                    struct ew_message *m, bool end) {
  struct codec_peer *p = arg;
  ew_message_del(p->m);
  ew_message_del(p->trailers);
  p->trailers = NULL;
  p->m = m;
  p->st = st;
  p->end = end;
  if (m->status >= 100 && m->status < 200 && m->status != 101) {
    p->interims++;
  } else {
    p->heads++;
    ew_buf_consume(&p->body, ew_buf_len(&p->body));
  }
  if (p->on_head)
    p->on_head(p);
}

static inline void codec_peer_data_(void *arg, struct ew_hstream *st,
                                    struct ew_slice bytes) {
  struct codec_peer *p = arg;
  assert_ptr_equal(p->st, st);
  assert_int_equal(ew_buf_append(&p->body, bytes), EW_OK);
  if (!p->hold)
    ew_hstream_consume(st, bytes.n);
  if (p->on_data)
    p->on_data(p, bytes);
}

static inline void codec_peer_end_(void *arg, struct ew_hstream *st,
                                   struct ew_message *trailers) {
  struct codec_peer *p = arg;
  assert_ptr_equal(p->st, st);
  p->ends++;
  p->trailers = trailers;
  if (p->on_end)
    p->on_end(p);
}

static inline void codec_peer_reset_(void *arg, struct ew_hstream *st,
                                     int err) {
  struct codec_peer *p = arg;
  assert_true(err < 0);
  p->resets++;
  p->reset_err = err;
}

static inline void codec_peer_writable_(void *arg, struct ew_hstream *st) {
  struct codec_peer *p = arg;
  p->writables++;
  if (p->on_writable)
    p->on_writable(p);
}

static inline void codec_peer_closed_(void *arg, struct ew_hstream *st) {
  struct codec_peer *p = arg;
  p->closeds++;
  if (p->st == st)
    p->st = NULL;
  if (p->on_closed)
    p->on_closed(p);
}

static inline void codec_peer_goaway_(void *arg) {
  ((struct codec_peer *)arg)->goaways++;
}

static inline void codec_peer_refused_(void *arg, int status, const char *why) {
  struct codec_peer *p = arg;
  p->refusals++;
  p->refused_status = status;
  p->refused_why = why;
}

static const struct ew_codec_events codec_peer_events = {
    .on_head = codec_peer_head_,
    .on_data = codec_peer_data_,
    .on_end = codec_peer_end_,
    .on_reset = codec_peer_reset_,
    .on_writable = codec_peer_writable_,
    .on_closed = codec_peer_closed_,
    .on_goaway = codec_peer_goaway_,
    .on_refused = codec_peer_refused_,
};

typedef struct ew_codec *(*codec_peer_make)(const struct ew_codec_events *ev,
                                            void *arg);

static inline void codec_peer_init(struct codec_peer *p, codec_peer_make make) {
  memset(p, 0, sizeof(*p));
  ew_buf_init(&p->body, 16 << 20);
  p->c = make(&codec_peer_events, p);
}

static inline void codec_peer_fini(struct codec_peer *p) {
  ew_codec_del(p->c);
  ew_message_del(p->m);
  ew_message_del(p->trailers);
  ew_buf_fini(&p->body);
}

/* A message to send. |path| for a request, or NULL and |status|. */
static inline struct ew_message *codec_peer_request(const char *method,
                                                    const char *path) {
  struct ew_message *m = ew_message_new();
  m->method = ew_slice_str(method);
  m->scheme = ew_slice_str("http");
  m->authority = ew_slice_str("a.test");
  m->path = ew_slice_str(path);
  m->version = 11;
  return m;
}

static inline struct ew_message *codec_peer_response(int status) {
  struct ew_message *m = ew_message_new();
  m->status = status;
  m->version = 11;
  return m;
}

/* Feeds and pulls. Returns as ew_codec_feed. */
static inline ptrdiff_t codec_peer_feed(struct codec_peer *p,
                                        struct ew_slice in) {
  /* A copy of its own size, so that a read beyond the end is seen. */
  char *copy = malloc(in.n ? in.n : 1);
  assert_non_null(copy);
  memcpy(copy, in.p, in.n);
  ptrdiff_t used = ew_codec_feed(p->c, ew_slice(copy, in.n));
  free(copy);
  if (used >= 0)
    ew_codec_pull(p->c);
  return used;
}

/* What is to be sent is exactly |want|; it counts as sent. */
static inline void codec_peer_take_out(struct codec_peer *p, const char *want) {
  ew_codec_pull(p->c);
  struct ew_slice got = ew_buf_peek(&p->c->out);
  if (!ew_slice_eq_str(got, want))
    fail_msg("got:\n%.*s\nwant:\n%s", EW_SLICE_FMT(got), want);
  ew_buf_consume(&p->c->out, got.n);
}

static inline bool codec_peer_out_starts(struct codec_peer *p,
                                         const char *want) {
  return ew_slice_starts(ew_buf_peek(&p->c->out), ew_slice_str(want));
}

/* Moves what |from| has to say into |to|, at most |piece| bytes at a time.
 * Returns how many bytes |to| took; stops at back-pressure or an error. */
static inline size_t codec_peer_move(struct codec_peer *from,
                                     struct codec_peer *to, size_t piece) {
  size_t moved = 0;
  ew_codec_pull(from->c);
  while (ew_buf_len(&from->c->out) > 0 && ew_codec_want_read(to->c)) {
    struct ew_slice s = ew_buf_peek(&from->c->out);
    char copy[65536];
    if (s.n > piece)
      s.n = piece;
    if (s.n > sizeof(copy))
      s.n = sizeof(copy);
    memcpy(copy, s.p, s.n);
    ptrdiff_t used = ew_codec_feed(to->c, ew_slice(copy, s.n));
    if (used <= 0)
      break;
    moved += (size_t)used;
    ew_buf_consume(&from->c->out, (size_t)used);
    ew_codec_pull(to->c);
    ew_codec_pull(from->c);
  }
  return moved;
}

/* Until nothing moves. */
static inline void codec_peer_pump(struct codec_peer *a, struct codec_peer *b,
                                   size_t piece) {
  while (codec_peer_move(a, b, piece) + codec_peer_move(b, a, piece) > 0) {
  }
}

#endif
