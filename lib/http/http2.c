/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/http2.h"
#include "lib/http/http2_mem.h"

#include <stdlib.h>

static const uint8_t ping_text[8] = "eastwest";

/* ---- the table ---- */

/* nghttp2 answers most faults of a peer by a GOAWAY alone. */
static void check_failed(struct ew_h2 *h) {
  if (!h->failed || h->c.error)
    return;
  h->c.error = h->failed;
  ew_h2_lose_all(h, h->failed);
}

static int pull(struct ew_codec *c) {
  struct ew_h2 *h = ew_h2_of(c);
  int err;

  EW_BUG_ON(h->depth > 0);
  h->depth++;
  ew_h2_tell_gone(h);
  err = ew_h2_fill_out(h);
  if (err == EW_OK && !ew_list_empty(&h->blocked)) {
    ew_h2_wake_writers(h);
    err = ew_h2_fill_out(h);
  }
  if (err != EW_OK && !h->failed)
    h->failed = err;
  check_failed(h);
  h->depth--;
  /* A last word of ours is still to be written. */
  return c->error == EW_EFLOOD || c->error == EW_EPROTO ? EW_OK : c->error;
}

static ptrdiff_t feed(struct ew_codec *c, struct ew_slice in) {
  struct ew_h2 *h = ew_h2_of(c);
  ssize_t n;

  EW_BUG_ON(h->depth > 0);
  if (c->error)
    return c->error;
  h->depth++;
  ew_h2_tell_gone(h);
  n = nghttp2_session_mem_recv(h->session, (const uint8_t *)in.p, in.n);
  if (n < 0 && !h->failed) {
    h->failed = n == NGHTTP2_ERR_FLOODED ? EW_EFLOOD : EW_EPROTO;
    c->why = nghttp2_strerror((int)n);
    nghttp2_session_terminate_session(
        h->session, n == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                                             : NGHTTP2_PROTOCOL_ERROR);
  }
  check_failed(h);
  (void)ew_h2_fill_out(h);
  check_failed(h);
  h->depth--;
  return c->error ? c->error : (ptrdiff_t)in.n;
}

static void eof(struct ew_codec *c) {
  struct ew_h2 *h = ew_h2_of(c);

  h->eof = true;
  h->depth++;
  ew_h2_lose_all(h, EW_ECONN);
  h->depth--;
}

static void lost(struct ew_codec *c, int err) {
  struct ew_h2 *h = ew_h2_of(c);

  h->eof = true;
  h->depth++;
  ew_h2_lose_all(h, err);
  h->depth--;
}

static bool want_read(const struct ew_codec *c) {
  const struct ew_h2 *h = (const struct ew_h2 *)(const void *)c;
  if (c->error || h->eof)
    return false;
  /* A peer that doesn't read can't make answers to its faults pile up. */
  if (ew_buf_len(&c->out) >= EW_H2_OUT_MARK &&
      nghttp2_session_get_outbound_queue_size(h->session) > EW_H2_QUEUE_MAX)
    return false;
  return nghttp2_session_want_read(h->session);
}

static bool done(const struct ew_codec *c) {
  const struct ew_h2 *h = (const struct ew_h2 *)(const void *)c;

  if (c->error || h->eof)
    return true;
  if (c->streams == 0 && (h->drain == DRAIN_FINAL || (c->client && h->goaway)))
    return true;
  return !nghttp2_session_want_read(h->session) &&
         !nghttp2_session_want_write(h->session);
}

static void drain(struct ew_codec *c) {
  struct ew_h2 *h = ew_h2_of(c);

  if (h->drain != RUNNING)
    return;
  if (c->client) {
    h->drain = DRAIN_FINAL;
    return;
  }
  h->drain = DRAIN_NOTICE;
  nghttp2_submit_shutdown_notice(h->session);
}

static size_t capacity(const struct ew_codec *c) {
  const struct ew_h2 *h = (const struct ew_h2 *)(const void *)c;
  size_t limit = nghttp2_session_get_remote_settings(
      h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

  if (!c->client || c->error || h->eof || h->goaway || h->drain != RUNNING ||
      nghttp2_session_get_next_stream_id(h->session) > INT32_MAX - 1024)
    return 0;
  if (limit > EW_H2_MAX_STREAMS)
    limit = limit == UINT32_MAX ? EW_H2_FIRST_STREAMS : EW_H2_MAX_STREAMS;
  return limit > c->streams ? limit - c->streams : 0;
}

static struct ew_hstream *open_stream(struct ew_codec *c,
                                      const struct ew_message *m, bool end,
                                      void *user) {
  struct ew_h2 *h = ew_h2_of(c);
  struct ew_h2_stream *s;
  nghttp2_data_provider body;
  struct ew_h2_fields f;

  if (capacity(c) == 0)
    return NULL;
  s = ew_h2_stream_new(h, 0);
  body = ew_h2_body(s);
  ew_h2_fields_request(&f, m);
  s->id = nghttp2_submit_request(h->session, NULL, f.nv, f.n,
                                 end ? NULL : &body, s);
  if (s->id < 0) {
    ew_h2_stream_free(s);
    return NULL;
  }
  s->st.user = user;
  s->shown = true;
  s->tx_head = true;
  s->tx_end = end;
  c->streams++;
  c->served++;
  return &s->st;
}

static void consume(struct ew_hstream *st, size_t n) {
  struct ew_h2_stream *s = ew_h2_stream_of(st);

  EW_BUG_ON(n > s->unconsumed);
  s->unconsumed -= n;
  nghttp2_session_consume_stream(ew_h2_of(st->codec)->session, s->id, n);
}

static uint32_t reset_code(int err) {
  switch (err) {
  case EW_ECANCELED:
    return NGHTTP2_CANCEL;
  case EW_EREFUSED:
    return NGHTTP2_REFUSED_STREAM;
  case EW_EMESSAGE:
    return NGHTTP2_PROTOCOL_ERROR;
  default:
    return NGHTTP2_INTERNAL_ERROR;
  }
}

static void reset(struct ew_hstream *st, int err) {
  struct ew_h2_stream *s = ew_h2_stream_of(st);
  struct ew_h2 *h = ew_h2_of(st->codec);

  if (s->detached)
    return;
  s->detached = true;
  s->tx_end = true;
  ew_list_remove(&s->blocked);
  h->c.streams--;
  if (!h->lost_all && !s->gone)
    nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id,
                              reset_code(err));
}

static int ping(struct ew_codec *c) {
  struct ew_h2 *h = ew_h2_of(c);

  if (h->ping_out)
    return EW_EAGAIN;
  h->ping_out = true;
  nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, ping_text);
  return EW_OK;
}

static void del(struct ew_codec *c) {
  struct ew_h2 *h = ew_h2_of(c);

  EW_BUG_ON(h->depth > 0);
  nghttp2_session_del(h->session);
  while (!ew_list_empty(&h->streams))
    ew_h2_stream_free(EW_CONTAINER(h->streams.next, struct ew_h2_stream, node));
  while (!ew_list_empty(&h->gone))
    ew_h2_stream_free(EW_CONTAINER(h->gone.next, struct ew_h2_stream, node));
  ew_buf_fini(&c->out);
  free(h);
}

static const struct ew_codec_ops ops = {
    .name = "h2",
    .feed = feed,
    .eof = eof,
    .pull = pull,
    .want_read = want_read,
    .done = done,
    .drain = drain,
    .capacity = capacity,
    .open = open_stream,
    .send_head = ew_h2_send_head,
    .send = ew_h2_send,
    .await_window = ew_h2_await_window,
    .send_end = ew_h2_send_end,
    .consume = consume,
    .reset = reset,
    .ping = ping,
    .lost = lost,
    .del = del,
};

static nghttp2_session_callbacks *callbacks(void) {
  nghttp2_session_callbacks *cb;

  EW_BUG_ON(nghttp2_session_callbacks_new(&cb) != 0);
  ew_h2_receive_callbacks(cb);
  ew_h2_send_callbacks(cb);
  return cb;
}

static nghttp2_option *options(void) {
  nghttp2_option *o;

  EW_BUG_ON(nghttp2_option_new(&o) != 0);
  nghttp2_option_set_no_auto_window_update(o, 1);
  nghttp2_option_set_no_closed_streams(o, 1);
  nghttp2_option_set_max_outbound_ack(o, 1000);
  nghttp2_option_set_max_settings(o, 32);
  nghttp2_option_set_max_continuations(o, 8);
  nghttp2_option_set_max_send_header_block_length(o, EW_H2_HEAD_BLOCK_MAX);
  /* Looser than our own count, which names its reason and so must be first. */
  nghttp2_option_set_stream_reset_rate_limit(o, 2 * EW_H2_RESETS_BURST,
                                             2 * EW_H2_RESETS_PER_S);
  return o;
}

static void announce(struct ew_h2 *h) {
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, EW_H2_MAX_STREAMS},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, EW_H2_STREAM_WINDOW},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, EW_HEAD_MAX},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, EW_H2_FRAME_MAX},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };

  /* ENABLE_PUSH, the last one, is a client's to send. */
  nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
                          h->c.client ? 5 : 4);
  nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                        EW_H2_CONN_WINDOW);
}

static struct ew_codec *codec_new(const struct ew_codec_events *ev, void *arg,
                                  bool client) {
  struct ew_h2 *h = ew_calloc(1, sizeof(*h));
  nghttp2_session_callbacks *cb = callbacks();
  nghttp2_option *o = options();

  h->c.ops = &ops;
  h->c.ev = ev;
  h->c.arg = arg;
  h->c.client = client;
  ew_list_init(&h->streams);
  ew_list_init(&h->gone);
  ew_list_init(&h->blocked);
  ew_buf_init(&h->c.out, EW_CODEC_OUT_MAX);
  if (client)
    EW_BUG_ON(nghttp2_session_client_new3(&h->session, cb, h, o,
                                          ew_http2_mem()) != 0);
  else
    EW_BUG_ON(nghttp2_session_server_new3(&h->session, cb, h, o,
                                          ew_http2_mem()) != 0);
  nghttp2_session_callbacks_del(cb);
  nghttp2_option_del(o);
  announce(h);
  return &h->c;
}

struct ew_codec *ew_http2_server_new(const struct ew_codec_events *ev,
                                     void *arg) {
  return codec_new(ev, arg, false);
}

void ew_http2_set_patient(struct ew_codec *c) { ew_h2_of(c)->patient = true; }

struct ew_codec *ew_http2_client_new(const struct ew_codec_events *ev,
                                     void *arg) {
  return codec_new(ev, arg, true);
}
