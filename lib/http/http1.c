/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/chunk.h"
#include "lib/http/gate.h"
#include "lib/http/http1.h"

/* One exchange at a time, server and client. What ends an exchange runs in
 * settle(), outside of llhttp and of the user's callbacks. */

static struct ew_http1 *h1(struct ew_codec *c) {
  return (struct ew_http1 *)(void *)c;
}

struct ew_http1_stream *ew_http1_stream_new(struct ew_http1 *h) {
  EW_BUG_ON(h->st);
  h->st = ew_chunk_take_clear(sizeof(*h->st));
  h->st->st.codec = &h->c;
  h->c.streams = 1;
  h->c.served++;
  return h->st;
}

static void stream_free(struct ew_http1_stream *s) {
  ew_chunk_give(s, sizeof(*s));
}

/* Takes the exchange off the codec; the caller frees it. */
static struct ew_http1_stream *stream_take(struct ew_http1 *h) {
  struct ew_http1_stream *s = h->st;
  h->st = NULL;
  h->c.streams = 0;
  return s;
}

static void stream_closed(struct ew_http1 *h) {
  struct ew_http1_stream *s = stream_take(h);
  h->c.ev->on_closed(h->c.arg, &s->st);
  stream_free(s);
}

static void stream_lost(struct ew_http1 *h, int err) {
  struct ew_http1_stream *s = h->st;
  if (!s)
    return;
  h->c.ev->on_reset(h->c.arg, &s->st, err);
  if (h->st == s)
    stream_closed(h);
}

static void enter(struct ew_http1 *h) { h->depth++; }

static void leave(struct ew_http1 *h) {
  if (--h->depth > 0 || !h->dead)
    return;
  stream_free(h->dead);
  h->dead = NULL;
}

/* The exchange is over when both directions are, or when the rest of the
 * peer's direction has lost its meaning. */
static bool over(const struct ew_http1 *h, const struct ew_http1_stream *s) {
  if (!s->tx_end || ew_buf_len(&h->tail) > 0)
    return h->c.client && s->rx_end && !s->switched;
  if (s->rx_end || s->switched)
    return true;
  /* An early answer after which the body may or may not come. */
  return !h->c.client && s->final && (s->expect || s->tx == TX_CLOSE);
}

static void settle(struct ew_http1 *h) {
  struct ew_http1_stream *s = h->st;
  if (h->broken) {
    h->broken = false;
    stream_lost(h, EW_EMESSAGE);
    return;
  }
  if (!s || !over(h, s))
    return;
  bool keep = s->keep && s->rx_end && s->tx_end && !s->switched && !h->eof &&
              !h->draining && h->rx != RX_CLOSED;
  if (h->rx == RX_BODY)
    ew_http1_parser_reset(h);
  h->rx = keep ? RX_IDLE : RX_CLOSED;
  if (h->c.client && !keep)
    ew_http1_client_goaway(h);
  stream_closed(h);
}

static int failed(struct ew_http1 *h, int err, const char *why) {
  h->c.error = err;
  h->c.why = why;
  h->rx = RX_CLOSED;
  return err;
}

/* The peer's bytes make no sense. */
static int refuse(struct ew_http1 *h) {
  struct ew_http1_stream *s = h->st;
  failed(h, EW_EPROTO, h->fail_why);
  if (!h->c.client && (!s || !s->final)) {
    ew_http1_server_refuse(h);
    if (!s && h->c.ev->on_refused)
      h->c.ev->on_refused(h->c.arg, h->fail_status, h->fail_why);
  }
  stream_lost(h, EW_EMESSAGE);
  return EW_EPROTO;
}

bool ew_http1_deliver(struct ew_http1 *h, struct ew_slice bytes) {
  struct ew_http1_stream *s = h->st;
  if (bytes.n == 0)
    return true;
  s->unconsumed += bytes.n;
  h->c.ev->on_data(h->c.arg, &s->st, bytes);
  return h->st == s && h->rx != RX_CLOSED;
}

static void rx_ended(struct ew_http1 *h, struct ew_message *trailers) {
  struct ew_http1_stream *s = h->st;
  s->rx_end = true;
  if (s->no_on_end)
    ew_message_del(trailers);
  else
    h->c.ev->on_end(h->c.arg, &s->st, trailers);
}

/* |surplus|: bytes follow that nobody asked for. */
static void message_complete(struct ew_http1 *h, bool surplus) {
  struct ew_http1_stream *s = h->st;
  struct ew_message *trailers = h->msg;
  h->msg = NULL;
  ew_http1_parser_reset(h);
  if (trailers)
    ew_gate_trailers(trailers);
  if (s->switched) {
    h->rx = RX_RAW;
    ew_message_del(trailers);
    return;
  }
  if (h->c.client && !s->final) {
    h->rx = RX_IDLE; /* informational: another head follows */
    return;
  }
  if (h->c.client && surplus) {
    h->surplus = true;
    s->keep = false;
  }
  h->rx = s->upgrade[0] && !h->c.client ? RX_SWITCH : RX_WAIT;
  rx_ended(h, trailers);
}

static ptrdiff_t step_parse(struct ew_http1 *h, struct ew_slice in) {
  size_t room = EW_HTTP1_UNCONSUMED_MAX - (h->st ? h->st->unconsumed : 0);
  struct ew_slice some = ew_slice(in.p, in.n < room ? in.n : room);
  if (some.n == 0)
    return 0;
  ptrdiff_t used = ew_http1_parse(h, some);
  if (h->rx == RX_CLOSED) /* reset within a callback */
    return (ptrdiff_t)in.n;
  if (used < 0)
    return refuse(h);
  if (h->complete)
    message_complete(h, (size_t)used < in.n);
  return used;
}

static ptrdiff_t step_raw(struct ew_http1 *h, struct ew_slice in) {
  size_t room = EW_HTTP1_UNCONSUMED_MAX - h->st->unconsumed;
  if (in.n > room)
    in.n = room;
  ew_http1_deliver(h, in);
  return (ptrdiff_t)in.n;
}

/* Responses are let out before further requests come in. What is left of the
 * room takes a short answer as a whole. */
static bool backlog(const struct ew_http1 *h) {
  return ew_buf_len(&h->c.out) >= EW_HTTP1_BODY_LOW || ew_buf_len(&h->tail) > 0;
}

static ptrdiff_t step_start(struct ew_http1 *h, struct ew_slice in) {
  if (!h->c.client) {
    if (h->rx == RX_IDLE && backlog(h))
      return 0;
    ptrdiff_t used = ew_http1_server_line(h, in);
    return used < 0 ? refuse(h) : used;
  }
  if (!h->st)
    return failed(h, EW_EPROTO, "bytes without a request");
  /* llhttp would skip empty lines and take other protocols' names. */
  if (in.p[0] != 'H') {
    ew_http1_fail(h, 502, "malformed status line");
    return refuse(h);
  }
  h->rx = RX_HEAD;
  return step_parse(h, in);
}

/* One piece of input. Returns the bytes used, 0 to stop, or an error. */
static ptrdiff_t step(struct ew_http1 *h, struct ew_slice in) {
  switch (h->rx) {
  case RX_IDLE:
  case RX_LINE:
    return step_start(h, in);
  case RX_HEAD:
  case RX_BODY:
    return step_parse(h, in);
  case RX_RAW:
    return step_raw(h, in);
  case RX_CLOSED:
    return (ptrdiff_t)in.n;
  case RX_WAIT:
  case RX_SWITCH:
  default:
    return 0;
  }
}

static ptrdiff_t feed(struct ew_codec *c, struct ew_slice in) {
  struct ew_http1 *h = h1(c);
  size_t at = 0;
  ptrdiff_t used = 1;
  if (c->error)
    return c->error;
  enter(h);
  while (at < in.n && used > 0) {
    used = step(h, ew_slice(in.p + at, in.n - at));
    if (used > 0)
      at += (size_t)used;
    settle(h);
  }
  if (h->surplus && !c->error)
    failed(h, EW_EPROTO, "bytes after the response");
  leave(h);
  return c->error ? c->error : (ptrdiff_t)at;
}

static void eof_client(struct ew_http1 *h) {
  struct ew_http1_stream *s = h->st;
  if (s && h->until_close && h->rx == RX_BODY) {
    s->keep = false;
    rx_ended(h, NULL);
  } else if (s && h->rx == RX_RAW) {
    rx_ended(h, NULL);
  } else {
    h->rx = RX_CLOSED;
    if (s && !s->rx_end)
      failed(h, EW_ECONN, "connection ended within a response");
    ew_http1_client_goaway(h);
    stream_lost(h, EW_ECONN);
  }
}

static void eof_server(struct ew_http1 *h) {
  switch (h->rx) {
  case RX_RAW:
    rx_ended(h, NULL);
    return;
  case RX_WAIT:
  case RX_SWITCH:
    return; /* a client may end its direction and still read the answer */
  case RX_BODY:
    h->rx = RX_CLOSED;
    if (!h->st->tx_end)
      failed(h, EW_ECONN, "connection ended within a request");
    stream_lost(h, EW_ECONN);
    return;
  default:
    h->rx = RX_CLOSED;
  }
}

static void eof(struct ew_codec *c) {
  struct ew_http1 *h = h1(c);
  if (h->eof)
    return;
  h->eof = true;
  enter(h);
  if (c->client)
    eof_client(h);
  else
    eof_server(h);
  settle(h);
  leave(h);
}

static int pull(struct ew_codec *c) {
  struct ew_http1 *h = h1(c);
  enter(h);
  settle(h);
  ew_http1_write_more(h);
  if (h->st && h->rx == RX_RAW && h->eof && !h->st->rx_end)
    rx_ended(h, NULL);
  settle(h);
  leave(h);
  return c->error;
}

static void lost(struct ew_codec *c, int err) {
  struct ew_http1 *h = h1(c);
  h->eof = true;
  enter(h);
  if (!c->error)
    failed(h, err, "connection lost");
  if (c->client)
    ew_http1_client_goaway(h);
  stream_lost(h, err);
  leave(h);
}

static bool want_read(const struct ew_codec *c) {
  const struct ew_http1 *h = (const struct ew_http1 *)(const void *)c;
  if (c->error || h->eof || h->rx == RX_CLOSED || h->rx == RX_WAIT ||
      h->rx == RX_SWITCH)
    return false;
  if (!c->client && h->rx == RX_IDLE && backlog(h))
    return false;
  return !h->st || h->st->unconsumed < EW_HTTP1_UNCONSUMED_STOP;
}

static bool owes(const struct ew_codec *c) {
  const struct ew_http1 *h = (const struct ew_http1 *)(const void *)c;
  return !c->client && !c->error && h->st &&
         (h->rx == RX_WAIT || h->rx == RX_SWITCH);
}

static void refuse_head(struct ew_codec *c, int status, const char *why) {
  struct ew_http1 *h = h1(c);

  if (c->client || c->error)
    return;
  enter(h);
  ew_http1_fail(h, status, why);
  (void)refuse(h);
  leave(h);
}

static bool done(const struct ew_codec *c) {
  const struct ew_http1 *h = (const struct ew_http1 *)(const void *)c;
  if (h->st || ew_buf_len(&h->tail) > 0)
    return false;
  return c->error || h->rx == RX_CLOSED || (h->draining && h->rx == RX_IDLE);
}

static void drain(struct ew_codec *c) { h1(c)->draining = true; }

static size_t capacity(const struct ew_codec *c) {
  const struct ew_http1 *h = (const struct ew_http1 *)(const void *)c;
  return c->client && !c->error && !h->st && h->rx == RX_IDLE && !h->eof &&
         !h->draining && !backlog(h);
}

static void consume(struct ew_hstream *st, size_t n) {
  struct ew_http1_stream *s = (struct ew_http1_stream *)(void *)st;
  EW_BUG_ON(n > s->unconsumed);
  s->unconsumed -= n;
}

static void reset(struct ew_hstream *st, int err) {
  struct ew_http1 *h = ew_http1_of(st);
  struct ew_http1_stream *s = stream_take(h);
  /* Where a part went out, an orderly end could pass for the whole. */
  bool part = h->c.client ? !s->tx_end : s->final && !s->tx_end;
  if ((part || ew_buf_len(&h->tail) > 0) && !h->c.error)
    failed(h, EW_ERESET, "exchange given up");
  h->rx = RX_CLOSED;
  h->broken = false;
  ew_buf_fini(&h->tail);
  if (h->depth > 0)
    h->dead = s;
  else
    stream_free(s);
}

static int ping(struct ew_codec *c) { return EW_OK; }

static struct ew_hstream *open_server(struct ew_codec *c,
                                      const struct ew_message *m, bool end,
                                      void *user) {
  return NULL;
}

static int send_head_client(struct ew_hstream *st, const struct ew_message *m,
                            bool end) {
  return EW_EINVAL;
}

static void del(struct ew_codec *c) {
  struct ew_http1 *h = h1(c);
  EW_BUG_ON(h->depth > 0);
  ew_http1_parser_fini(h);
  ew_buf_fini(&h->line);
  ew_buf_fini(&h->tail);
  ew_buf_fini(&c->out);
  stream_free(h->st);
  free(h);
}

#define COMMON_OPS                                                           \
  .name = "http/1.1", .feed = feed, .eof = eof, .pull = pull,                \
  .want_read = want_read, .owes = owes, .refuse = refuse_head, .done = done, \
  .drain = drain, .capacity = capacity, .send = ew_http1_send,               \
  .send_end = ew_http1_send_end, .consume = consume, .reset = reset,         \
  .ping = ping, .lost = lost, .del = del

static const struct ew_codec_ops server_ops = {
    COMMON_OPS, .open = open_server, .send_head = ew_http1_server_send_head};
static const struct ew_codec_ops client_ops = {
    COMMON_OPS, .open = ew_http1_client_open, .send_head = send_head_client};

static struct ew_codec *codec_new(const struct ew_codec_events *ev, void *arg,
                                  bool client) {
  struct ew_http1 *h = ew_calloc(1, sizeof(*h));
  h->c.ops = client ? &client_ops : &server_ops;
  h->c.ev = ev;
  h->c.arg = arg;
  h->c.client = client;
  ew_buf_init(&h->c.out, EW_CODEC_OUT_MAX);
  ew_buf_init(&h->line, EW_HTTP1_LINE_MAX);
  ew_buf_init(&h->tail, 2 * EW_HEAD_MAX);
  ew_http1_parser_init(h);
  return &h->c;
}

struct ew_codec *ew_http1_server_new(const struct ew_codec_events *ev,
                                     void *arg) {
  return codec_new(ev, arg, false);
}

struct ew_codec *ew_http1_client_new(const struct ew_codec_events *ev,
                                     void *arg) {
  return codec_new(ev, arg, true);
}
