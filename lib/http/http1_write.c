/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/codec_out.h"
#include "lib/http/gate.h"
#include "lib/http/http1.h"
#include "lib/http/octets.h"

/* Everything that goes out is made here, from the parsed form: no received
 * byte of a head is ever passed on. Fields are checked once more, so that a
 * value that came around the gate can't become a line of its own. */

static char *put(char *w, struct ew_slice s) {
  if (s.n)
    memcpy(w, s.p, s.n);
  return w + s.n;
}

static char *put_field(char *w, struct ew_slice name, struct ew_slice value) {
  w = put(w, name);
  *w++ = ':';
  *w++ = ' ';
  w = put(w, value);
  *w++ = '\r';
  *w++ = '\n';
  return w;
}

static char *put_hex(char *w, size_t v) {
  int shift = 0;
  while (shift < 60 && v >> (shift + 4))
    shift += 4;
  for (; shift >= 0; shift -= 4)
    *w++ = "0123456789abcdef"[(v >> shift) & 15];
  return w;
}

/* Framing is the codec's: a filter that sets one of its fields changes
 * nothing. */
static bool field_written(const struct ew_field *f) {
  enum ew_http1_field kind = ew_http1_field(f->name);
  return kind == FIELD_OTHER || kind == FIELD_TE;
}

static int fields_size(const struct ew_message *m, bool trailers, size_t *n) {
  for (size_t i = 0; m && i < m->headers.n; i++) {
    const struct ew_field *f = &m->headers.v[i];
    if (!ew_is_token(f->name) || !ew_is_field_value(f->value))
      return EW_EINVAL;
    if (trailers ? ew_gate_trailer(f->name) : field_written(f))
      *n += f->name.n + f->value.n + 4;
  }
  return EW_OK;
}

static char *put_connection(char *w, const struct ew_http1_framing *f,
                            bool te) {
  struct ew_slice sep = EW_SLICE_LIT("connection: ");
  const struct {
    bool on;
    struct ew_slice option;
  } options[] = {{f->close, EW_SLICE_LIT("close")},
                 {f->keep_alive, EW_SLICE_LIT("keep-alive")},
                 {f->upgrade.n > 0, EW_SLICE_LIT("upgrade")},
                 {te, EW_SLICE_LIT("te")}};
  bool any = false;
  for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
    if (!options[i].on)
      continue;
    w = put(put(w, sep), options[i].option);
    sep = EW_SLICE_LIT(", ");
    any = true;
  }
  return any ? put(w, EW_SLICE_LIT("\r\n")) : w;
}

static char *put_framing(char *w, const struct ew_http1_framing *f, bool te) {
  char number[EW_DECIMAL_MAX];
  if (f->length)
    w = put_field(w, EW_SLICE_LIT("content-length"),
                  ew_slice_decimal(number, f->content_length));
  if (f->chunked)
    w = put(w, EW_SLICE_LIT("transfer-encoding: chunked\r\n"));
  w = put_connection(w, f, te);
  if (f->upgrade.n)
    w = put_field(w, EW_SLICE_LIT("upgrade"), f->upgrade);
  return w;
}

int ew_http1_write_head(struct ew_http1 *h, const struct ew_slice *line,
                        size_t n, const struct ew_message *m,
                        const struct ew_http1_framing *f) {
  size_t size = 192 + f->upgrade.n; /* framing */
  bool te = false;
  int rc = fields_size(m, false, &size);
  if (rc != EW_OK)
    return rc;
  for (size_t i = 0; i < n; i++)
    size += line[i].n;
  if (f->request)
    size += m->authority.n + 8;
  char *p = ew_buf_reserve(&h->c.out, size), *w = p;
  if (!p)
    return EW_ELIMIT;
  for (size_t i = 0; i < n; i++)
    w = put(w, line[i]);
  w = put(w, EW_SLICE_LIT("\r\n"));
  if (f->request)
    w = put_field(w, EW_SLICE_LIT("host"), m->authority);
  for (size_t i = 0; m && i < m->headers.n; i++) {
    const struct ew_field *field = &m->headers.v[i];
    if (!field_written(field))
      continue;
    te = te || ew_http1_field(field->name) == FIELD_TE;
    w = put_field(w, field->name, field->value);
  }
  w = put_framing(w, f, te);
  w = put(w, EW_SLICE_LIT("\r\n"));
  ew_buf_commit(&h->c.out, (size_t)(w - p));
  return EW_OK;
}

/* How many of |want| body bytes go out now. None rather than a splinter. */
static size_t body_room(const struct ew_http1 *h, size_t want) {
  size_t queued = ew_buf_len(&h->c.out);
  size_t room = queued < EW_HTTP1_BODY_MAX ? EW_HTTP1_BODY_MAX - queued : 0;
  if (want <= room)
    return want;
  return room < 2048 ? 0 : room;
}

static void write_body(struct ew_http1 *h, bool chunked,
                       struct ew_slice bytes) {
  char head[18];
  int err = EW_OK; /* EW_HTTP1_BODY_MAX is far below the maximum */

  if (chunked) {
    char *end = put(put_hex(head, bytes.n), EW_SLICE_LIT("\r\n"));
    err |= ew_buf_append(&h->c.out, ew_slice(head, (size_t)(end - head)));
  }
  (void)ew_codec_put_body(&h->c, bytes);
  if (chunked)
    err |= ew_buf_append_str(&h->c.out, "\r\n");
  EW_BUG_ON(err != EW_OK);
}

/* Our side broke the framing it announced: what went out must not be taken
 * for a message. The exchange is reset from the next pull. */
static void body_broken(struct ew_http1 *h, const char *why) {
  h->c.error = EW_ERESET;
  h->c.why = why;
  h->rx = RX_CLOSED;
  h->st->tx_end = true;
  h->broken = true;
}

size_t ew_http1_send(struct ew_hstream *st, struct ew_slice bytes) {
  struct ew_http1 *h = ew_http1_of(st);
  struct ew_http1_stream *s = (struct ew_http1_stream *)(void *)st;
  if (s->tx_end || s->tx == TX_SKIP || bytes.n == 0)
    return bytes.n;
  if (s->tx == TX_LENGTH && bytes.n > s->tx_left) {
    body_broken(h, "body longer than its content-length");
    return bytes.n;
  }
  bool held = s->tx == TX_HELD || s->tx == TX_HEAD;
  size_t n = held ? 0 : body_room(h, bytes.n);
  if (n > 0)
    write_body(h, s->tx == TX_CHUNKED, ew_slice(bytes.p, n));
  if (s->tx == TX_LENGTH)
    s->tx_left -= n;
  if (n < bytes.n)
    s->blocked = true;
  return n;
}

static int write_last_chunk(struct ew_http1 *h,
                            const struct ew_message *trailers) {
  size_t size = 5;
  int rc = fields_size(trailers, true, &size);
  if (rc != EW_OK)
    return rc;
  struct ew_buf *b = &h->c.out;
  char *p = ew_buf_reserve(b, size), *w = p;
  if (!p) {
    b = &h->tail;
    p = w = ew_buf_reserve(b, size);
    if (!p)
      return EW_ELIMIT;
  }
  w = put(w, EW_SLICE_LIT("0\r\n"));
  for (size_t i = 0; trailers && i < trailers->headers.n; i++) {
    const struct ew_field *f = &trailers->headers.v[i];
    if (ew_gate_trailer(f->name))
      w = put_field(w, f->name, f->value);
  }
  w = put(w, EW_SLICE_LIT("\r\n"));
  ew_buf_commit(b, (size_t)(w - p));
  return EW_OK;
}

int ew_http1_send_end(struct ew_hstream *st,
                      const struct ew_message *trailers) {
  struct ew_http1 *h = ew_http1_of(st);
  struct ew_http1_stream *s = (struct ew_http1_stream *)(void *)st;
  int rc = EW_OK;
  if (s->tx_end)
    return EW_OK;
  if (s->tx == TX_HEAD)
    return EW_EINVAL;
  if (s->tx == TX_LENGTH && s->tx_left > 0) {
    body_broken(h, "body shorter than its content-length");
    return EW_EINVAL;
  }
  if (s->tx == TX_CHUNKED) {
    rc = write_last_chunk(h, trailers);
    if (rc != EW_OK)
      body_broken(h, "trailers can't be sent");
  }
  s->tx_end = true;
  s->blocked = false;
  return rc;
}

void ew_http1_write_more(struct ew_http1 *h) {
  struct ew_slice tail = ew_buf_peek(&h->tail);
  if (tail.n > 0 && ew_buf_append(&h->c.out, tail) == EW_OK)
    ew_buf_fini(&h->tail);
  struct ew_http1_stream *s = h->st;
  if (!s || !s->blocked || s->tx == TX_HELD || s->tx == TX_HEAD ||
      ew_buf_len(&h->c.out) > EW_HTTP1_BODY_LOW)
    return;
  s->blocked = false;
  h->c.ev->on_writable(h->c.arg, &s->st);
}
