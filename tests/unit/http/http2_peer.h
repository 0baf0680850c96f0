/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_UNIT_HTTP_HTTP2_PEER_H
#define EASTWEST_TESTS_UNIT_HTTP_HTTP2_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "eastwest/http/codec.h"

/* An HTTP/2 codec between two recorders: what it tells its user, and what it
 * sends, both as text with one event or frame a line. The other end is not a
 * session but a maker of frames, so that it can send what no session would. */

#define H2_STREAMS 2048
#define END NGHTTP2_FLAG_END_STREAM
#define EOH NGHTTP2_FLAG_END_HEADERS
#define ACK NGHTTP2_FLAG_ACK
#define PADDED NGHTTP2_FLAG_PADDED

struct h2_peer {
  struct ew_codec *c;
  bool client; /* the codec's role */
  /* The user's side. hstreams are numbered from 1 in the order seen. */
  struct ew_hstream *st[H2_STREAMS];
  size_t n;
  struct ew_message *m, *trailers; /* the last ones */
  struct ew_buf body;
  struct ew_buf told;
  bool hold;  /* don't consume */
  bool quiet; /* don't record in |told| */
  unsigned resets, refusals;
  void (*on_head)(struct h2_peer *p, size_t k, bool end);
  void (*on_data)(struct h2_peer *p, size_t k);
  void (*on_end)(struct h2_peer *p, size_t k);
  void (*on_reset)(struct h2_peer *p, size_t k);
  void (*on_writable)(struct h2_peer *p, size_t k);
  void (*on_closed)(struct h2_peer *p, size_t k);
  void (*on_refused)(struct h2_peer *p);
  /* The wire's side. */
  nghttp2_hd_deflater *deflate;
  nghttp2_hd_inflater *inflate;
  struct ew_buf in; /* frames to be fed */
  struct ew_buf sent;
  struct ew_buf block; /* a head that the codec sends */
  size_t piece;        /* feed at most so many bytes at a time; 0: all */
  size_t data_bytes;   /* DATA that the codec has sent, all streams */
  size_t conn_window;  /* that the codec has given */
  bool mute;           /* don't record in |sent| */
};

/* ---- the user's side ---- */

static inline void h2_tell(struct h2_peer *p, const char *fmt, ...) {
  char line[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line, sizeof(line), fmt, ap);
  va_end(ap);
  if (!p->quiet)
    assert_int_equal(ew_buf_append_str(&p->told, line), EW_OK);
}

static inline size_t h2_number(struct h2_peer *p, struct ew_hstream *st) {
  if (!st->user) {
    assert_true(p->n + 1 < H2_STREAMS);
    st->user = (void *)(uintptr_t)++p->n;
    p->st[p->n] = st;
  }
  size_t k = (size_t)(uintptr_t)st->user;
  assert_ptr_equal(p->st[k], st);
  return k;
}

static inline void h2_on_head_(void *arg, struct ew_hstream *st,
                               struct ew_message *m, bool end) {
  struct h2_peer *p = arg;
  size_t k = h2_number(p, st);
  ew_message_del(p->m);
  p->m = m;
  assert_int_equal(m->version, 20);
  if (m->status)
    h2_tell(p, "head %zu %d", k, m->status);
  else
    h2_tell(p, "head %zu %.*s %.*s://%.*s%.*s", k, EW_SLICE_FMT(m->method),
            EW_SLICE_FMT(m->scheme), EW_SLICE_FMT(m->authority),
            EW_SLICE_FMT(m->path));
  for (size_t i = 0; i < m->headers.n; i++)
    h2_tell(p, " %.*s=%.*s", EW_SLICE_FMT(m->headers.v[i].name),
            EW_SLICE_FMT(m->headers.v[i].value));
  if (m->body == EW_BODY_LENGTH)
    h2_tell(p, " length %zu", (size_t)m->content_length);
  if (m->body == EW_BODY_STREAM)
    h2_tell(p, " stream");
  h2_tell(p, end ? " end\n" : "\n");
  if (p->on_head)
    p->on_head(p, k, end);
}

static inline void h2_on_data_(void *arg, struct ew_hstream *st,
                               struct ew_slice bytes) {
  struct h2_peer *p = arg;
  size_t k = h2_number(p, st);
  assert_true(bytes.n > 0);
  assert_int_equal(ew_buf_append(&p->body, bytes), EW_OK);
  if (!p->hold)
    ew_hstream_consume(st, bytes.n);
  if (p->on_data)
    p->on_data(p, k);
}

static inline void h2_on_end_(void *arg, struct ew_hstream *st,
                              struct ew_message *trailers) {
  struct h2_peer *p = arg;
  size_t k = h2_number(p, st);
  ew_message_del(p->trailers);
  p->trailers = trailers;
  h2_tell(p, "end %zu", k);
  for (size_t i = 0; trailers && i < trailers->headers.n; i++)
    h2_tell(p, " %.*s=%.*s", EW_SLICE_FMT(trailers->headers.v[i].name),
            EW_SLICE_FMT(trailers->headers.v[i].value));
  h2_tell(p, "\n");
  if (p->on_end)
    p->on_end(p, k);
}

static inline void h2_on_reset_(void *arg, struct ew_hstream *st, int err) {
  struct h2_peer *p = arg;
  size_t k = h2_number(p, st);
  p->resets++;
  h2_tell(p, "reset %zu %s\n", k, ew_strerror(err));
  if (p->on_reset)
    p->on_reset(p, k);
}

static inline void h2_on_writable_(void *arg, struct ew_hstream *st) {
  struct h2_peer *p = arg;
  size_t k = h2_number(p, st);
  h2_tell(p, "writable %zu\n", k);
  if (p->on_writable)
    p->on_writable(p, k);
}

static inline void h2_on_closed_(void *arg, struct ew_hstream *st) {
  struct h2_peer *p = arg;
  size_t k = h2_number(p, st);
  h2_tell(p, "closed %zu\n", k);
  if (p->on_closed)
    p->on_closed(p, k);
  p->st[k] = NULL;
}

static inline void h2_on_goaway_(void *arg) { h2_tell(arg, "goaway\n"); }

static inline void h2_on_refused_(void *arg, int status, const char *why) {
  struct h2_peer *p = arg;
  p->refusals++;
  h2_tell(p, "refused %d %s\n", status, why);
  if (p->on_refused)
    p->on_refused(p);
}

static const struct ew_codec_events h2_events = {
    .on_head = h2_on_head_,
    .on_data = h2_on_data_,
    .on_end = h2_on_end_,
    .on_reset = h2_on_reset_,
    .on_writable = h2_on_writable_,
    .on_closed = h2_on_closed_,
    .on_goaway = h2_on_goaway_,
    .on_refused = h2_on_refused_,
};

/* ---- frames that the codec gets ---- */

static inline uint32_t h2_u32(const char *p) {
  const unsigned char *u = (const unsigned char *)p;
  return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 |
         u[3];
}

static inline void h2_put32(char *p, uint32_t v) {
  for (int i = 0; i < 4; i++)
    p[i] = (char)(v >> (24 - 8 * i));
}

static inline void h2_raw(struct h2_peer *p, struct ew_slice s) {
  assert_int_equal(ew_buf_append(&p->in, s), EW_OK);
}

static inline void h2_frame(struct h2_peer *p, int type, int flags, uint32_t id,
                            struct ew_slice payload) {
  char head[9];
  h2_put32(head, (uint32_t)payload.n << 8);
  head[3] = (char)type;
  head[4] = (char)flags;
  h2_put32(head + 5, id);
  h2_raw(p, ew_slice(head, 9));
  if (payload.n > 0)
    h2_raw(p, payload);
}

static inline void h2_u32_frame(struct h2_peer *p, int type, uint32_t id,
                                uint32_t value) {
  char b[4];
  h2_put32(b, value);
  h2_frame(p, type, 0, id, ew_slice(b, 4));
}

static inline void h2_rst(struct h2_peer *p, uint32_t id, uint32_t code) {
  h2_u32_frame(p, NGHTTP2_RST_STREAM, id, code);
}

static inline void h2_window(struct h2_peer *p, uint32_t id, uint32_t n) {
  h2_u32_frame(p, NGHTTP2_WINDOW_UPDATE, id, n);
}

static inline void h2_goaway(struct h2_peer *p, uint32_t last, uint32_t code) {
  char b[8];
  h2_put32(b, last);
  h2_put32(b + 4, code);
  h2_frame(p, NGHTTP2_GOAWAY, 0, 0, ew_slice(b, 8));
}

static inline void h2_setting(struct h2_peer *p, uint16_t id, uint32_t value) {
  char b[6] = {(char)(id >> 8), (char)id};
  h2_put32(b + 2, value);
  h2_frame(p, NGHTTP2_SETTINGS, 0, 0, ew_slice(b, 6));
}

static inline void h2_data(struct h2_peer *p, uint32_t id, int flags,
                           const char *text) {
  h2_frame(p, NGHTTP2_DATA, flags, id, ew_slice_str(text));
}

/* |n| zero bytes in frames of up to 16,384. */
static inline void h2_zeros(struct h2_peer *p, uint32_t id, size_t n) {
  static const char zeros[16384];
  while (n > 0) {
    size_t k = n < sizeof(zeros) ? n : sizeof(zeros);
    h2_frame(p, NGHTTP2_DATA, 0, id, ew_slice(zeros, k));
    n -= k;
  }
}

/* A head from fields, in one HEADERS frame and as many CONTINUATION as it
 * takes. */
static inline void h2_head_nv(struct h2_peer *p, uint32_t id, int flags,
                              const nghttp2_nv *nv, size_t n) {
  size_t bound = nghttp2_hd_deflate_bound(p->deflate, nv, n);
  uint8_t *buf = malloc(bound);
  ssize_t len = nghttp2_hd_deflate_hd(p->deflate, buf, bound, nv, n);
  assert_true(len >= 0);
  struct ew_slice rest = ew_slice((const char *)buf, (size_t)len);
  int type = NGHTTP2_HEADERS;
  do {
    struct ew_slice part = rest;
    if (part.n > 16384)
      part.n = 16384;
    rest = ew_slice(rest.p + part.n, rest.n - part.n);
    h2_frame(p, type, flags | (rest.n == 0 ? EOH : 0), id, part);
    type = NGHTTP2_CONTINUATION;
    flags = 0;
  } while (rest.n > 0);
  free(buf);
}

/* A head from text: "name=value" lines; a name may begin with ':'. */
static inline void h2_head(struct h2_peer *p, uint32_t id, int flags,
                           const char *text) {
  nghttp2_nv nv[256];
  size_t n = 0;
  struct ew_slice rest = ew_slice_str(text);
  while (rest.n > 0) {
    struct ew_slice value = ew_slice_cut(&rest, '\n');
    struct ew_slice name = ew_slice_cut(&value, '=');
    assert_true(n < 256);
    nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                           (uint8_t *)(uintptr_t)(value.p ? value.p : ""),
                           name.n, value.n, NGHTTP2_NV_FLAG_NONE};
  }
  h2_head_nv(p, id, flags, nv, n);
}

#define GET_LINES ":method=GET\n:scheme=http\n:authority=a.test\n:path=/\n"
#define POST_LINES ":method=POST\n:scheme=http\n:authority=a.test\n:path=/\n"

/* ---- frames that the codec sends ---- */

static inline void h2_note(struct h2_peer *p, const char *fmt, ...) {
  char line[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line, sizeof(line), fmt, ap);
  va_end(ap);
  if (!p->mute)
    assert_int_equal(ew_buf_append_str(&p->sent, line), EW_OK);
}

static inline void h2_note_block(struct h2_peer *p) {
  struct ew_slice s = ew_buf_peek(&p->block);
  int flags;
  do {
    nghttp2_nv nv;
    ssize_t n = nghttp2_hd_inflate_hd2(p->inflate, &nv, &flags,
                                       (const uint8_t *)s.p, s.n, 1);
    assert_true(n >= 0);
    s = ew_slice(s.p + n, s.n - (size_t)n);
    if (flags & NGHTTP2_HD_INFLATE_EMIT)
      h2_note(p, " %.*s=%.*s", (int)nv.namelen, (const char *)nv.name,
              (int)nv.valuelen, (const char *)nv.value);
  } while (!(flags & NGHTTP2_HD_INFLATE_FINAL));
  nghttp2_hd_inflate_end_headers(p->inflate);
  ew_buf_consume(&p->block, ew_buf_len(&p->block));
  h2_note(p, "\n");
}

static inline void h2_note_settings(struct h2_peer *p, struct ew_slice b) {
  h2_note(p, "SETTINGS");
  for (size_t i = 0; i < b.n; i += 6)
    h2_note(p, " %u=%u", h2_u32(b.p + i) >> 16, h2_u32(b.p + i + 2));
  h2_note(p, "\n");
}

static inline void h2_note_frame(struct h2_peer *p, int type, int flags,
                                 uint32_t id, struct ew_slice b) {
  switch (type) {
  case NGHTTP2_HEADERS:
  case NGHTTP2_CONTINUATION:
    if (type == NGHTTP2_HEADERS)
      h2_note(p, "HEADERS %u%s", id, flags & END ? " end" : "");
    assert_int_equal(ew_buf_append(&p->block, b), EW_OK);
    if (flags & EOH)
      h2_note_block(p);
    break;
  case NGHTTP2_DATA:
    p->data_bytes += b.n;
    h2_note(p, "DATA %u%s", id, flags & END ? " end" : "");
    if (b.n > 60)
      h2_note(p, " <%zu>\n", b.n);
    else
      h2_note(p, b.n ? " %.*s\n" : "\n", EW_SLICE_FMT(b));
    break;
  case NGHTTP2_SETTINGS:
    if (flags & ACK)
      h2_note(p, "SETTINGS ack\n");
    else
      h2_note_settings(p, b);
    break;
  case NGHTTP2_PING:
    h2_note(p, "PING%s %.8s\n", flags & ACK ? " ack" : "", b.p);
    break;
  case NGHTTP2_GOAWAY:
    h2_note(p, "GOAWAY %u %s\n", h2_u32(b.p),
            nghttp2_http2_strerror(h2_u32(b.p + 4)));
    break;
  case NGHTTP2_RST_STREAM:
    h2_note(p, "RST %u %s\n", id, nghttp2_http2_strerror(h2_u32(b.p)));
    break;
  case NGHTTP2_WINDOW_UPDATE:
    if (id == 0)
      p->conn_window += h2_u32(b.p);
    h2_note(p, "WINDOW %u %u\n", id, h2_u32(b.p));
    break;
  default:
    fail_msg("frame type %d", type);
  }
}

/* Takes what is in |out| now, as the transport would. */
static inline void h2_take_out(struct h2_peer *p) {
  struct ew_slice s = ew_buf_peek(&p->c->out);
  size_t all = s.n;
  if (p->client && ew_slice_starts(s, EW_SLICE_LIT(NGHTTP2_CLIENT_MAGIC))) {
    h2_note(p, "MAGIC\n");
    s = ew_slice(s.p + 24, s.n - 24);
  }
  while (s.n > 0) {
    assert_true(s.n >= 9);
    size_t n = h2_u32(s.p) >> 8;
    assert_true(n <= 16384 && s.n >= 9 + n);
    h2_note_frame(p, (unsigned char)s.p[3], (unsigned char)s.p[4],
                  h2_u32(s.p + 5), ew_slice(s.p + 9, n));
    s = ew_slice(s.p + 9 + n, s.n - 9 - n);
  }
  ew_buf_consume(&p->c->out, all);
}

/* Pulls until nothing comes. */
static inline void h2_pull(struct h2_peer *p) {
  do {
    h2_take_out(p);
    assert_int_equal(ew_codec_pull(p->c), EW_OK);
    assert_true(ew_buf_len(&p->c->out) <= EW_CODEC_OUT_MAX);
  } while (ew_buf_len(&p->c->out) > 0);
}

/* One piece. It is a copy of its own size, so that a read beyond the end is
 * seen. */
static inline ptrdiff_t h2_feed_piece(struct h2_peer *p, struct ew_slice s) {
  char *copy = malloc(s.n);
  memcpy(copy, s.p, s.n);
  ptrdiff_t used = ew_codec_feed(p->c, ew_slice(copy, s.n));
  free(copy);
  if (used >= 0)
    assert_int_equal(used, s.n);
  else
    assert_true(used == p->c->error && p->c->why && p->c->streams == 0);
  return used;
}

/* Feeds the frames made so far, pulls after each piece. Returns the last
 * feed's answer. */
static inline ptrdiff_t h2_feed(struct h2_peer *p) {
  struct ew_slice s = ew_buf_peek(&p->in);
  ptrdiff_t used = 0;
  while (s.n > 0 && used >= 0) {
    size_t n = p->piece && p->piece < s.n ? p->piece : s.n;
    used = h2_feed_piece(p, ew_slice(s.p, n));
    h2_pull(p);
    s = ew_slice(s.p + n, s.n - n);
  }
  ew_buf_consume(&p->in, ew_buf_len(&p->in));
  return used;
}

/* The same without a pull: nothing is taken out. */
static inline ptrdiff_t h2_feed_only(struct h2_peer *p) {
  ptrdiff_t used = h2_feed_piece(p, ew_buf_peek(&p->in));
  ew_buf_consume(&p->in, ew_buf_len(&p->in));
  return used;
}

/* ---- both ---- */

static inline void h2_expect_(struct ew_buf *b, const char *want,
                              const char *file, int line) {
  struct ew_slice got = ew_buf_peek(b);
  if (!ew_slice_eq_str(got, want)) {
    print_error("got:\n%.*swant:\n%s", EW_SLICE_FMT(got), want);
    _fail(file, line);
  }
  ew_buf_consume(b, got.n);
}

/* Exactly this was told, or sent, since it was last asked. */
#define expect_told(p, text) h2_expect_(&(p)->told, text, __FILE__, __LINE__)
#define expect_sent(p, text) h2_expect_(&(p)->sent, text, __FILE__, __LINE__)

static inline void h2_forget(struct h2_peer *p) {
  ew_buf_consume(&p->told, ew_buf_len(&p->told));
  ew_buf_consume(&p->sent, ew_buf_len(&p->sent));
}

/* Without the first words of either side. */
static inline void h2_init_bare(struct h2_peer *p, bool client) {
  memset(p, 0, sizeof(*p));
  p->client = client;
  ew_buf_init(&p->body, 64 << 20);
  ew_buf_init(&p->told, 1 << 20);
  ew_buf_init(&p->sent, 4 << 20);
  ew_buf_init(&p->block, 1 << 20);
  ew_buf_init(&p->in, 64 << 20);
  assert_int_equal(nghttp2_hd_deflate_new(&p->deflate, 4096), 0);
  assert_int_equal(nghttp2_hd_inflate_new(&p->inflate), 0);
  p->c = (client ? ew_http2_client_new : ew_http2_server_new)(&h2_events, p);
}

/* After the first words of both sides. */
static inline void h2_init(struct h2_peer *p, bool client) {
  h2_init_bare(p, client);
  if (!client)
    h2_raw(p, EW_SLICE_LIT(NGHTTP2_CLIENT_MAGIC));
  h2_frame(p, NGHTTP2_SETTINGS, 0, 0, ew_slice(NULL, 0));
  h2_frame(p, NGHTTP2_SETTINGS, ACK, 0, ew_slice(NULL, 0));
  assert_true(h2_feed(p) > 0);
  h2_forget(p);
}

static inline void h2_fini(struct h2_peer *p) {
  ew_codec_del(p->c);
  nghttp2_hd_deflate_del(p->deflate);
  nghttp2_hd_inflate_del(p->inflate);
  ew_message_del(p->m);
  ew_message_del(p->trailers);
  ew_buf_fini(&p->body);
  ew_buf_fini(&p->told);
  ew_buf_fini(&p->sent);
  ew_buf_fini(&p->block);
  ew_buf_fini(&p->in);
}

/* Something harmless passes: the connection still works. */
static inline void h2_expect_alive(struct h2_peer *p) {
  h2_pull(p);
  h2_forget(p);
  h2_frame(p, NGHTTP2_PING, 0, 0, EW_SLICE_LIT("stillup?"));
  assert_true(h2_feed(p) > 0);
  expect_sent(p, "PING ack stillup?\n");
  assert_true(ew_codec_want_read(p->c));
  assert_false(ew_codec_done(p->c));
}

/* A response by the user. |length|: -1 for none. */
static inline void h2_respond(struct h2_peer *p, size_t k, int status,
                              const char *body) {
  struct ew_message *m = ew_message_new();
  struct ew_slice b = ew_slice_str(body);
  m->status = status;
  m->body = b.n ? EW_BODY_LENGTH : EW_BODY_NONE;
  m->content_length = b.n;
  assert_int_equal(ew_hstream_send_head(p->st[k], m, b.n == 0), EW_OK);
  if (b.n > 0) {
    assert_int_equal(ew_hstream_send(p->st[k], b), b.n);
    assert_int_equal(ew_hstream_send_end(p->st[k], NULL), EW_OK);
  }
  ew_message_del(m);
}

/* A request by the user; its number. */
static inline size_t h2_ask(struct h2_peer *p, const char *method, bool end) {
  struct ew_message *m = ew_message_new();
  m->method = ew_slice_str(method);
  m->scheme = EW_SLICE_LIT("https");
  m->authority = EW_SLICE_LIT("a.test");
  m->path = EW_SLICE_LIT("/");
  m->version = 11;
  size_t k = ++p->n;
  p->st[k] = ew_codec_open(p->c, m, end, (void *)(uintptr_t)k);
  assert_non_null(p->st[k]);
  ew_message_del(m);
  return k;
}

#endif
