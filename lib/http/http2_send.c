/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/codec_out.h"
#include "lib/http/http2.h"

/* What goes to the peer: heads, data, ends. Bytes go to the transport at once
 * where that is possible; else the peer's windows decide when. */

/* Whether |n| bytes are too few to be worth a frame if more are to follow: as
 * RFC 9293 section 3.8.6.2.1 has it for TCP. The peer then has most of its
 * window's worth of bytes, and gives it back when it has passed half of it on.
 */
static bool is_splinter(const struct ew_h2 *h, size_t n) {
  return h->patient && n < EW_H2_SPLINTER &&
         nghttp2_session_get_remote_settings(
             h->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) >=
             4 * EW_H2_SPLINTER - 1;
}

/* What is to be sent next of a body. */
static struct ew_slice next_bytes(const struct ew_h2_stream *s) {
  return ew_buf_len(&s->pending) > 0 ? ew_buf_peek(&s->pending) : s->direct;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf,
                         size_t n, uint32_t *flags, nghttp2_data_source *source,
                         void *arg) {
  const struct ew_h2 *h = arg;
  struct ew_h2_stream *s = source->ptr;
  size_t have = next_bytes(s).n;

  (void)buf;
  if ((have == 0 && !s->tx_end) || (n < have && is_splinter(h, n)))
    return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (have <= n && s->tx_end) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->trailers) {
      struct ew_h2_fields f;
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      ew_h2_fields_trailers(&f, s->trailers);
      nghttp2_submit_trailer(session, id, f.nv, f.n);
    }
  }
  return (ssize_t)(have < n ? have : n);
}

/* nghttp2 takes the least of this, the windows and the peer's SETTINGS. */
static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t id,
                            int32_t session_window, int32_t stream_window,
                            uint32_t peer_max, void *arg) {
  (void)session;
  (void)type;
  (void)id;
  (void)session_window;
  (void)stream_window;
  (void)arg;
  return peer_max < EW_H2_FRAME_MAX ? (ssize_t)peer_max : EW_H2_FRAME_MAX;
}

nghttp2_data_provider ew_h2_body(struct ew_h2_stream *s) {
  return (nghttp2_data_provider){.source = {.ptr = s},
                                 .read_callback = read_body};
}

void ew_h2_submit_head(struct ew_h2 *h, struct ew_h2_stream *s,
                       const struct ew_message *m, bool end) {
  const nghttp2_data_provider body = ew_h2_body(s);
  struct ew_h2_fields f;

  ew_h2_fields_response(&f, m);
  if (m->status < 200)
    nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, f.nv,
                           f.n, NULL);
  else
    nghttp2_submit_response(h->session, s->id, f.nv, f.n, end ? NULL : &body);
}

static int send_body(nghttp2_session *session, nghttp2_frame *f,
                     const uint8_t *head, size_t n, nghttp2_data_source *source,
                     void *arg) {
  struct ew_h2 *h = arg;
  struct ew_h2_stream *s = source->ptr;

  (void)session;
  (void)f;
  if (ew_buf_room(&h->c.out) < 9 + n)
    return NGHTTP2_ERR_WOULDBLOCK;
  (void)ew_buf_append(&h->c.out, ew_slice((const char *)head, 9));
  h->passed += ew_codec_put_body(&h->c, ew_slice(next_bytes(s).p, n));
  if (ew_buf_len(&s->pending) == 0) {
    s->direct = ew_slice(s->direct.p + n, s->direct.n - n);
    return 0;
  }
  ew_buf_consume(&s->pending, n);
  if (ew_buf_len(&s->pending) == 0)
    ew_buf_release(&s->pending);
  return 0;
}

/* The connection's window is wide enough for all streams. */
static bool is_window_closed(const struct ew_h2 *h,
                             const struct ew_h2_stream *s) {
  int32_t n;

  if (!s->tx_direct || s->tx_end || !h->patient)
    return false;
  n = nghttp2_session_get_stream_remote_window_size(h->session, s->id);
  return is_splinter(h, n > 0 ? (size_t)n : 0);
}

bool ew_h2_await_window(struct ew_hstream *st) {
  struct ew_h2_stream *s = ew_h2_stream_of(st);
  struct ew_h2 *h = ew_h2_of(st->codec);

  if (!is_window_closed(h, s))
    return false;
  if (ew_list_empty(&s->blocked))
    ew_list_push_back(&h->blocked, &s->blocked);
  return true;
}

void ew_h2_wake_writers(struct ew_h2 *h) {
  struct ew_list woken;

  ew_list_take(&woken, &h->blocked);
  while (!ew_list_empty(&woken)) {
    struct ew_list *n = woken.next;
    struct ew_h2_stream *s = EW_CONTAINER(n, struct ew_h2_stream, blocked);
    ew_list_remove(n);
    if (ew_buf_len(&s->pending) > EW_H2_PENDING_LOW || is_window_closed(h, s))
      ew_list_push_back(&h->blocked, n);
    else if (ew_h2_is_live(s))
      h->c.ev->on_writable(h->c.arg, &s->st);
  }
}

int ew_h2_fill_out(struct ew_h2 *h) {
  h->passed = 0;
  while (ew_buf_len(&h->c.out) + h->passed < EW_H2_OUT_MARK &&
         nghttp2_session_want_write(h->session)) {
    const uint8_t *p;
    ssize_t n = nghttp2_session_mem_send(h->session, &p);
    if (n < 0)
      return EW_EPROTO;
    if (n == 0)
      break;
    if (ew_buf_append(&h->c.out, ew_slice((const char *)p, (size_t)n)) != EW_OK)
      return EW_ELIMIT;
  }
  return EW_OK;
}

int ew_h2_send_head(struct ew_hstream *st, const struct ew_message *m,
                    bool end) {
  struct ew_h2_stream *s = ew_h2_stream_of(st);

  if (st->codec->client || s->tx_head)
    return EW_EINVAL;
  if (m->status >= 200) {
    s->tx_head = true;
    s->tx_end = end;
  }
  ew_h2_submit_head(ew_h2_of(st->codec), s, m, end);
  return EW_OK;
}

/* Sends of |bytes| what the windows let through, without keeping a copy.
 * Returns how many bytes that were. Streams that end by it are told at the next
 * feed or pull, because the user is in the middle of something. */
static size_t send_directly(struct ew_h2 *h, struct ew_h2_stream *s,
                            struct ew_slice bytes) {
  size_t left = bytes.n + 1;
  int err = EW_OK;

  s->direct = bytes;
  nghttp2_session_resume_data(h->session, s->id);
  h->depth++;
  h->sending = true;
  while (err == EW_OK && s->direct.n > 0 && s->direct.n < left) {
    left = s->direct.n;
    err = ew_h2_fill_out(h);
  }
  h->sending = false;
  h->depth--;
  if (err != EW_OK && !h->failed)
    h->failed = err;
  left = s->direct.n;
  s->direct = ew_slice(NULL, 0);
  return bytes.n - left;
}

size_t ew_h2_send(struct ew_hstream *st, struct ew_slice bytes) {
  struct ew_h2_stream *s = ew_h2_stream_of(st);
  struct ew_h2 *h = ew_h2_of(st->codec);
  size_t n = 0, kept;

  if (s->tx_end)
    return bytes.n;
  /* A short body waits for its end, which then needs no frame of its own. */
  if (bytes.n >= EW_DIRECT_MIN && h->c.write_through && h->depth == 0 &&
      ew_buf_len(&s->pending) == 0)
    n = send_directly(h, s, bytes);
  s->tx_direct = n > 0;
  bool was_empty = ew_buf_len(&s->pending) == 0;
  kept = ew_buf_append_some(&s->pending, ew_slice(bytes.p + n, bytes.n - n));
  if (was_empty && kept > 0)
    nghttp2_session_resume_data(h->session, s->id);
  if (n + kept < bytes.n && ew_list_empty(&s->blocked))
    ew_list_push_back(&h->blocked, &s->blocked);
  return n + kept;
}

int ew_h2_send_end(struct ew_hstream *st, const struct ew_message *trailers) {
  struct ew_h2_stream *s = ew_h2_stream_of(st);

  if (s->tx_end)
    return EW_OK;
  s->tx_end = true;
  if (trailers && trailers->headers.n > 0)
    s->trailers = ew_message_dup(trailers);
  nghttp2_session_resume_data(ew_h2_of(st->codec)->session, s->id);
  return EW_OK;
}

void ew_h2_send_callbacks(nghttp2_session_callbacks *cb) {
  nghttp2_session_callbacks_set_send_data_callback(cb, send_body);
  nghttp2_session_callbacks_set_data_source_read_length_callback(cb,
                                                                 frame_length);
}
