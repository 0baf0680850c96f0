/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/http1.h"

/* llhttp's callbacks: pieces of a head become a message. No lenient flag of
 * llhttp is ever set. */

static struct ew_http1 *of(llhttp_t *p) { return p->data; }

int ew_http1_fail(struct ew_http1 *h, int status, const char *why) {
  if (h->fail_status == 0) {
    h->fail_status = status;
    h->fail_why = why;
  }
  return status;
}

static void span_clear(struct ew_http1_span *s) {
  s->s = ew_slice(NULL, 0);
  ew_buf_consume(&s->held, ew_buf_len(&s->held));
}

/* The caller has checked the size, so the buffer has room. */
static void span_add(struct ew_http1_span *s, struct ew_slice more) {
  if (ew_buf_len(&s->held) == 0) {
    if (!s->s.p) {
      s->s = more;
      return;
    }
    if (s->s.p + s->s.n == more.p) {
      s->s.n += more.n;
      return;
    }
    EW_BUG_ON(ew_buf_append(&s->held, s->s) != EW_OK);
  }
  EW_BUG_ON(ew_buf_append(&s->held, more) != EW_OK);
  s->s = ew_buf_peek(&s->held);
}

/* The input goes away: what was borrowed is copied. */
static void span_hold(struct ew_http1_span *s) {
  if (s->s.n == 0 || ew_buf_len(&s->held) > 0)
    return;
  EW_BUG_ON(ew_buf_append(&s->held, s->s) != EW_OK);
  s->s = ew_buf_peek(&s->held);
}

static int field_piece(llhttp_t *p, struct ew_http1_span *s, const char *at,
                       size_t n) {
  struct ew_http1 *h = of(p);
  h->head_size += n;
  if (h->head_size > EW_HEAD_MAX) {
    ew_http1_fail(h, 431, "header fields too large");
    return HPE_USER;
  }
  span_add(s, ew_slice(at, n));
  return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t n) {
  return field_piece(p, &of(p)->name, at, n);
}

static int on_header_value(llhttp_t *p, const char *at, size_t n) {
  return field_piece(p, &of(p)->value, at, n);
}

static int on_header_value_complete(llhttp_t *p) {
  struct ew_http1 *h = of(p);
  h->head_size += 32;
  if (!h->msg)
    h->msg = ew_message_new(); /* trailers */
  int rc = h->head_size > EW_HEAD_MAX
               ? EW_ELIMIT
               : ew_message_add(h->msg, h->name.s, h->value.s);
  span_clear(&h->name);
  span_clear(&h->value);
  if (rc == EW_ELIMIT)
    ew_http1_fail(h, 431, "too many header fields");
  else if (rc != EW_OK)
    ew_http1_fail(h, 400, "malformed header field");
  return rc == EW_OK ? 0 : HPE_USER;
}

static int on_headers_complete(llhttp_t *p) {
  struct ew_http1 *h = of(p);
  int rc = h->c.client ? ew_http1_client_head(h) : ew_http1_server_head(h);
  if (rc != EW_OK)
    return -1;
  if (!h->c.client) {
    /* Ours to decide, after the answer; a body is parsed all the same. */
    p->upgrade = 0;
    return 0;
  }
  return h->st->no_on_end || !h->st->final ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n) {
  return ew_http1_deliver(of(p), ew_slice(at, n)) ? 0 : HPE_USER;
}

static int on_chunk_header(llhttp_t *p) {
  struct ew_http1 *h = of(p);
  if (p->content_length == 0) {
    h->trailing = true;
    h->head_size = h->head_raw = 0;
  }
  return 0;
}

static int extension_bytes(llhttp_t *p, size_t n) {
  struct ew_http1 *h = of(p);
  h->extension_bytes += n;
  if (h->extension_bytes <= EW_HTTP1_EXTENSION_MAX)
    return 0;
  ew_http1_fail(h, 400, "chunk extensions too long");
  return HPE_USER;
}

static int on_chunk_extension(llhttp_t *p, const char *at, size_t n) {
  return extension_bytes(p, n);
}

/* The ';' or '=' before it. */
static int on_chunk_extension_complete(llhttp_t *p) {
  return extension_bytes(p, 1);
}

static int on_message_complete(llhttp_t *p) {
  of(p)->complete = true;
  return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_chunk_extension_name_complete = on_chunk_extension_complete,
    .on_chunk_extension_value_complete = on_chunk_extension_complete,
    .on_message_complete = on_message_complete,
};

void ew_http1_parser_init(struct ew_http1 *h) {
  llhttp_init(&h->parser, h->c.client ? HTTP_RESPONSE : HTTP_REQUEST,
              &settings);
  h->parser.data = h;
  ew_buf_init(&h->name.held, EW_HEAD_MAX);
  ew_buf_init(&h->value.held, EW_HEAD_MAX);
}

void ew_http1_parser_fini(struct ew_http1 *h) {
  ew_message_del(h->msg);
  ew_buf_fini(&h->name.held);
  ew_buf_fini(&h->value.held);
}

void ew_http1_parser_reset(struct ew_http1 *h) {
  llhttp_reset(&h->parser);
  ew_message_del(h->msg);
  h->msg = NULL;
  span_clear(&h->name);
  span_clear(&h->value);
  ew_buf_release(&h->name.held);
  ew_buf_release(&h->value.held);
  h->head_size = h->head_raw = h->extension_bytes = 0;
  h->blank = h->trailing = h->complete = h->until_close = false;
}

static ptrdiff_t parse_error(struct ew_http1 *h) {
  const char *reason = llhttp_get_error_reason(&h->parser);
  ew_http1_fail(h, 400, reason ? reason : "malformed message");
  return EW_EPROTO;
}

ptrdiff_t ew_http1_parse(struct ew_http1 *h, struct ew_slice in) {
  bool fields = h->rx == RX_HEAD || h->trailing;
  llhttp_errno_t rc = llhttp_execute(&h->parser, in.p, in.n);
  size_t used = in.n;
  if (rc == HPE_PAUSED || rc == HPE_PAUSED_UPGRADE) {
    EW_BUG_ON(!h->complete);
    used = (size_t)(llhttp_get_error_pos(&h->parser) - in.p);
  } else if (rc != HPE_OK) {
    return parse_error(h);
  }
  if (fields) {
    h->head_raw += used;
    if (h->head_raw > EW_HTTP1_RAW_MAX && !h->complete &&
        (h->rx == RX_HEAD || h->trailing)) {
      ew_http1_fail(h, 431, "header fields too large");
      return EW_EPROTO;
    }
  }
  span_hold(&h->name);
  span_hold(&h->value);
  return (ptrdiff_t)used;
}
