/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/chunk.h"
#include "lib/http/gate.h"
#include "lib/http/http2.h"

/* What comes from the peer: heads, data, ends. */

const uint8_t ew_h2_drain_text[8] = "ew-drain";

/* What was no more than a splinter may be a frame now. */
static void resume(struct ew_h2 *h, struct ew_h2_stream *s) {
  if (h->patient && s && ew_buf_len(&s->pending) > 0)
    nghttp2_session_resume_data(h->session, s->id);
}

static void resume_all(struct ew_h2 *h) {
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &h->streams)
  resume(h, EW_CONTAINER(it, struct ew_h2_stream, node));
}

/* ---- streams ---- */

struct ew_h2_stream *ew_h2_stream_new(struct ew_h2 *h, int32_t id) {
  struct ew_h2_stream *s = ew_chunk_take_clear(sizeof(*s));

  s->st.codec = &h->c;
  s->id = id;
  ew_buf_init(&s->pending,
              h->patient ? EW_H2_PENDING_PIECE : EW_H2_PENDING_MAX);
  ew_list_init(&s->blocked);
  ew_list_push_back(&h->streams, &s->node);
  return s;
}

void ew_h2_stream_free(struct ew_h2_stream *s) {
  struct ew_h2 *h = ew_h2_of(s->st.codec);

  if (h->recent == s)
    h->recent = NULL;
  ew_list_remove(&s->node);
  ew_list_remove(&s->blocked);
  ew_message_del(s->msg);
  ew_message_del(s->trailers);
  ew_buf_fini(&s->pending);
  ew_chunk_give(s, sizeof(*s));
}

/* The last words to the user. */
static void tell_closed(struct ew_h2 *h, struct ew_h2_stream *s, int err) {
  if (!ew_h2_is_live(s))
    return;
  if (err != EW_OK)
    h->c.ev->on_reset(h->c.arg, &s->st, err);
  if (!s->detached) {
    s->detached = true;
    h->c.streams--;
    h->c.ev->on_closed(h->c.arg, &s->st);
  }
}

void ew_h2_tell_gone(struct ew_h2 *h) {
  while (!ew_list_empty(&h->gone)) {
    struct ew_h2_stream *s =
        EW_CONTAINER(h->gone.next, struct ew_h2_stream, node);
    tell_closed(h, s, s->gone_err);
    ew_h2_stream_free(s);
  }
}

void ew_h2_lose_all(struct ew_h2 *h, int err) {
  struct ew_list *it, *tmp;

  if (h->lost_all)
    return;
  ew_h2_tell_gone(h);
  h->lost_all = true;
  EW_LIST_EACH(it, tmp, &h->streams)
  tell_closed(h, EW_CONTAINER(it, struct ew_h2_stream, node), err);
  if (h->c.client && !h->goaway) {
    h->goaway = true;
    h->c.ev->on_goaway(h->c.arg);
  }
}

static int close_reason(const struct ew_h2_stream *s, uint32_t code) {
  if (s->rx_reset) {
    /* RFC 9113 section 8.1: a server that has answered needs no more of the
     * request; the response stands. */
    if (code == NGHTTP2_NO_ERROR && s->rx_end && s->st.codec->client)
      return EW_OK;
    return code == NGHTTP2_REFUSED_STREAM && !s->final ? EW_EREFUSED
                                                       : EW_ERESET;
  }
  if (code == NGHTTP2_NO_ERROR)
    return EW_OK;
  /* Above the last stream of a GOAWAY, or never sent; or by nghttp2, because
   * of what the peer sent. */
  if (code != NGHTTP2_REFUSED_STREAM)
    return EW_EMESSAGE;
  /* Who has begun to answer can't take it back. */
  return s->final ? EW_ERESET : EW_EREFUSED;
}

/* Several callbacks in a row are about the same stream. */
static struct ew_h2_stream *stream_of(struct ew_h2 *h, int32_t id) {
  if (!h->recent || h->recent->id != id)
    h->recent = nghttp2_session_get_stream_user_data(h->session, id);
  return h->recent;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code,
                           void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s = stream_of(h, id);

  if (!s)
    return 0;
  if (s->gone_err == EW_OK)
    s->gone_err = close_reason(s, code);
  s->gone = true;
  h->recent = NULL;
  ew_list_remove(&s->node);
  ew_list_push_back(&h->gone, &s->node);
  if (!h->sending)
    ew_h2_tell_gone(h);
  return 0;
}

/* ---- received heads ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f,
                            void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s = stream_of(h, f->hd.stream_id);

  if (f->hd.type != NGHTTP2_HEADERS)
    return 0;
  if (!s) {
    if (h->c.client)
      return 0;
    s = ew_h2_stream_new(h, f->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, s->id, s);
  }
  ew_message_del(s->msg);
  s->msg = ew_message_new();
  s->head_size = 0;
  s->head_fields = 0;
  s->too_large = false;
  s->fault = NULL;
  return 0;
}

/* nghttp2 would drop the field; a malformed message is refused. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *f,
                             const uint8_t *name, size_t name_n,
                             const uint8_t *value, size_t value_n,
                             uint8_t flags, void *arg) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f,
                     const uint8_t *name, size_t name_n, const uint8_t *value,
                     size_t value_n, uint8_t flags, void *arg) {
  struct ew_h2_stream *s = stream_of(arg, f->hd.stream_id);

  (void)session;
  (void)flags;
  if (s && s->msg)
    ew_h2_head_add(s, ew_slice((const char *)name, name_n),
                   ew_slice((const char *)value, value_n));
  return 0;
}

/* A request that never becomes an exchange. */
static void answer_refused(struct ew_h2 *h, struct ew_h2_stream *s, int status,
                           const char *why) {
  struct ew_message *m = ew_message_new();
  struct ew_slice text = ew_slice_str(why);
  bool no_body = ew_slice_eq_str(s->msg->method, "HEAD");

  m->status = status;
  m->body = EW_BODY_LENGTH;
  m->content_length = text.n;
  (void)ew_message_add(m, EW_SLICE_LIT("content-type"),
                       EW_SLICE_LIT("text/plain"));
  if (h->c.ev->on_answer)
    h->c.ev->on_answer(h->c.arg, m);
  if (!no_body)
    (void)ew_buf_append(&s->pending, text);
  s->tx_head = true;
  s->tx_end = true;
  ew_h2_submit_head(h, s, m, no_body);
  ew_message_del(m);
  if (h->c.ev->on_refused)
    h->c.ev->on_refused(h->c.arg, status, why);
}

static void fault(struct ew_h2 *h, struct ew_h2_stream *s) {
  ew_h2_count_reset(h);
  nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id,
                            NGHTTP2_PROTOCOL_ERROR);
  tell_closed(h, s, EW_EMESSAGE);
}

static void show_request(struct ew_h2 *h, struct ew_h2_stream *s, bool end) {
  const char *why = NULL;
  int status = ew_h2_head_done(s, false, end, &why);
  struct ew_message *m;

  if (status != EW_OK) {
    answer_refused(h, s, status, why);
    return;
  }
  m = s->msg;
  s->msg = NULL;
  s->final = true;
  s->shown = true;
  h->c.streams++;
  h->c.served++;
  h->c.ev->on_head(h->c.arg, &s->st, m, end);
}

static void show_response(struct ew_h2 *h, struct ew_h2_stream *s, bool end) {
  const char *why = NULL;
  struct ew_message *m;

  if (ew_h2_head_done(s, true, end, &why) != EW_OK || s->msg->status == 101) {
    fault(h, s);
    return;
  }
  if (s->msg->status < 200 && ++s->interim > EW_H2_INTERIM_MAX) {
    fault(h, s);
    return;
  }
  m = s->msg;
  s->msg = NULL;
  if (m->status >= 200)
    s->final = true;
  h->c.ev->on_head(h->c.arg, &s->st, m, end);
}

static void show_end(struct ew_h2 *h, struct ew_h2_stream *s) {
  struct ew_message *trailers = s->msg;

  s->msg = NULL;
  if (s->too_large || s->fault) {
    ew_message_del(trailers);
    fault(h, s);
    return;
  }
  ew_gate_trailers(trailers);
  h->c.ev->on_end(h->c.arg, &s->st, trailers);
}

static void on_headers_frame(struct ew_h2 *h, struct ew_h2_stream *s,
                             bool end) {
  s->rx_end = end;
  if (!s->msg || s->detached)
    return;
  if (s->final)
    show_end(h, s);
  else if (h->c.client)
    show_response(h, s, end);
  else if (!s->tx_head)
    show_request(h, s, end);
}

/* ---- other received frames ---- */

static void on_data_frame(struct ew_h2 *h, struct ew_h2_stream *s,
                          const nghttp2_frame *f) {
  bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;

  if (f->hd.length <= f->data.padlen && !end)
    ew_h2_count_glitch(h);
  if (!s || !end)
    return;
  s->rx_end = true;
  if (ew_h2_is_live(s))
    h->c.ev->on_end(h->c.arg, &s->st, NULL);
}

static void on_ping_frame(struct ew_h2 *h, const nghttp2_frame *f) {
  if (!(f->hd.flags & NGHTTP2_FLAG_ACK)) {
    ew_h2_count_glitch(h);
    return;
  }
  if (h->drain == DRAIN_NOTICE &&
      memcmp(f->ping.opaque_data, ew_h2_drain_text, 8) == 0) {
    h->drain = DRAIN_FINAL;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
  } else if (h->ping_out) {
    h->ping_out = false;
  } else {
    ew_h2_count_glitch(h);
  }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *f,
                         void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s =
      f->hd.stream_id > 0 ? stream_of(h, f->hd.stream_id) : NULL;

  switch (f->hd.type) {
  case NGHTTP2_HEADERS:
    if (s)
      on_headers_frame(h, s, f->hd.flags & NGHTTP2_FLAG_END_STREAM);
    break;
  case NGHTTP2_DATA:
    on_data_frame(h, s, f);
    break;
  case NGHTTP2_RST_STREAM:
    if (s)
      s->rx_reset = true;
    ew_h2_count_reset(h);
    break;
  case NGHTTP2_WINDOW_UPDATE:
    ew_h2_count_window_update(h);
    if (f->hd.stream_id > 0)
      resume(h, s);
    else
      resume_all(h);
    break;
  case NGHTTP2_PING:
    on_ping_frame(h, f);
    break;
  case NGHTTP2_GOAWAY:
    if (h->c.client && !h->goaway) {
      h->goaway = true;
      h->c.ev->on_goaway(h->c.arg);
    }
    break;
  case NGHTTP2_SETTINGS:
    ew_h2_count_glitch(h);
    resume_all(h);
    break;
  default:
    ew_h2_count_glitch(h);
  }
  return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                         const uint8_t *data, size_t n, void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s = stream_of(h, id);

  (void)flags;
  /* Only streams hold a sender back: one that stalls must not stop others. */
  nghttp2_session_consume_connection(session, n);
  if (!s || !ew_h2_is_live(s)) {
    nghttp2_session_consume_stream(session, id, n);
  } else if (n > EW_H2_STREAM_WINDOW - s->unconsumed) {
    /* nghttp2 resets the stream, but shows what did not fit the window, and
     * all that follows until the reset was sent. */
    fault(h, s);
  } else {
    s->unconsumed += n;
    h->c.ev->on_data(h->c.arg, &s->st, ew_slice((const char *)data, n));
  }
  return 0;
}

static void on_goaway_sent(struct ew_h2 *h, const nghttp2_goaway *g) {
  /* Behind the first GOAWAY: who answers it has read that one. */
  if (g->error_code == NGHTTP2_NO_ERROR) {
    if (h->drain == DRAIN_NOTICE)
      nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, ew_h2_drain_text);
  } else if (!h->failed) {
    h->failed = EW_EPROTO;
    h->c.why = nghttp2_http2_strerror(g->error_code);
  }
}

static bool is_last(const nghttp2_frame *f) {
  return (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) &&
         f->hd.flags & NGHTTP2_FLAG_END_STREAM;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *f,
                         void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s =
      f->hd.stream_id > 0 ? stream_of(h, f->hd.stream_id) : NULL;

  switch (f->hd.type) {
  case NGHTTP2_RST_STREAM:
    /* What the peer did forced it on us: it counts as its own. */
    if (!s || !s->detached)
      ew_h2_count_reset(h);
    break;
  case NGHTTP2_GOAWAY:
    on_goaway_sent(h, &f->goaway);
    break;
  case NGHTTP2_DATA:
    ew_h2_earn_credit(h, f->hd.length);
    break;
  default:
    break;
  }
  /* Of a refused request nothing more is needed. */
  if (s && !s->shown && !s->rx_end && is_last(f))
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id,
                              NGHTTP2_NO_ERROR);
  return 0;
}

/* A head of ours that is too large: only a user's own could be. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *f,
                             int err, void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s;

  if (f->hd.type != NGHTTP2_HEADERS || err != NGHTTP2_ERR_FRAME_SIZE_ERROR)
    return 0;
  s = stream_of(h, f->hd.stream_id);
  nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, f->hd.stream_id,
                            NGHTTP2_INTERNAL_ERROR);
  if (!s)
    return 0;
  s->gone_err = EW_ELIMIT;
  if (!h->sending)
    tell_closed(h, s, EW_ELIMIT);
  return 0;
}

void ew_h2_receive_callbacks(nghttp2_session_callbacks *cb) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
  nghttp2_session_callbacks_set_on_invalid_header_callback(cb,
                                                           on_invalid_header);
  nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(cb,
                                                           on_frame_not_send);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
