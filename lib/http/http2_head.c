/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/http2.h"

/* RFC 9113 section 8.2.3: a cookie may come in crumbs; between components it
 * has one line. Joined once, at the end: crumbs must not cost a copy each. */
static void join_cookies(struct ew_message *m) {
  const struct ew_slice name = EW_SLICE_LIT("cookie");
  size_t size = 0, count = 0, at = 0;
  char *joined;

  for (size_t i = 0; i < m->headers.n; i++) {
    if (ew_slice_eq(m->headers.v[i].name, name)) {
      size += m->headers.v[i].value.n + 2;
      count++;
    }
  }
  if (count < 2)
    return;
  joined = ew_arena_alloc(&m->arena, size);
  for (size_t i = 0; i < m->headers.n; i++) {
    struct ew_slice v = m->headers.v[i].value;
    if (!ew_slice_eq(m->headers.v[i].name, name))
      continue;
    if (at > 0) {
      memcpy(joined + at, "; ", 2);
      at += 2;
    }
    if (v.n > 0)
      memcpy(joined + at, v.p, v.n);
    at += v.n;
  }
  (void)ew_message_set(m, name, ew_slice(joined, at));
}

#define IS(text) ew_slice_eq(name, EW_SLICE_LIT(text))

static void add_pseudo(struct ew_message *m, struct ew_slice name,
                       struct ew_slice value) {
  struct ew_slice v = ew_message_dup_slice(m, value);
  uint64_t status;

  if (IS(":method"))
    m->method = v;
  else if (IS(":scheme"))
    m->scheme = v;
  else if (IS(":authority"))
    m->authority = v;
  else if (IS(":path"))
    m->path = v;
  else if (IS(":status") && ew_slice_u64(value, 999, &status) == EW_OK)
    m->status = (int)status;
}

/* What is for the codec alone. False: it is an ordinary field. */
static bool add_own(struct ew_h2_stream *s, struct ew_slice name,
                    struct ew_slice value) {
  struct ew_message *m = s->msg;
  bool head = !s->final;
  uint64_t length;

  if (IS("host")) {
    if (!head || s->st.codec->client)
      return true;
    if (m->authority.n == 0)
      m->authority = ew_message_dup_slice(m, value);
    else if (!ew_slice_caseeq(m->authority, value))
      s->fault = "host differs from authority";
  } else if (IS("content-length")) {
    if (head && ew_slice_u64(value, UINT64_MAX >> 1, &length) == EW_OK) {
      m->body = EW_BODY_LENGTH;
      m->content_length = length;
    }
  } else if (IS("te")) {
    if (head && !s->st.codec->client)
      (void)ew_message_set(m, name, EW_SLICE_LIT("trailers"));
  } else {
    return IS("http2-settings");
  }
  return true;
}

#undef IS

void ew_h2_head_add(struct ew_h2_stream *s, struct ew_slice name,
                    struct ew_slice value) {
  int err;

  s->head_size += name.n + value.n + 32;
  s->head_fields++;
  if (s->head_size > EW_HEAD_MAX || s->head_fields > EW_FIELDS_MAX) {
    s->too_large = true;
    return;
  }
  if (name.n > 0 && name.p[0] == ':') {
    add_pseudo(s->msg, name, value);
    return;
  }
  if (add_own(s, name, value))
    return;
  err = ew_message_add(s->msg, name, value);
  if (err == EW_ELIMIT)
    s->too_large = true;
  else if (err != EW_OK)
    s->fault = "malformed header field";
}

int ew_h2_head_done(struct ew_h2_stream *s, bool client, bool end,
                    const char **why) {
  struct ew_message *m = s->msg;

  if (s->too_large) {
    *why = "head too large";
    return client ? EW_EMESSAGE : 431;
  }
  if (s->fault) {
    *why = s->fault;
    return client ? EW_EMESSAGE : 400;
  }
  join_cookies(m);
  m->version = 20;
  if (m->status >= 100 && m->status < 200)
    m->body = EW_BODY_NONE;
  else if (end && !(client && m->body == EW_BODY_LENGTH))
    m->body = EW_BODY_NONE;
  else if (m->body == EW_BODY_NONE)
    m->body = EW_BODY_STREAM;
  return ew_message_gate(m, why);
}

static void put_flags(struct ew_h2_fields *f, struct ew_slice name,
                      struct ew_slice value, uint8_t flags) {
  nghttp2_nv *nv = &f->nv[f->n];

  if (f->n == sizeof(f->nv) / sizeof(f->nv[0]))
    return;
  /* nghttp2 copies; it does not write through these pointers. */
  nv->name = (uint8_t *)(uintptr_t)name.p;
  nv->namelen = name.n;
  nv->value = (uint8_t *)(uintptr_t)(value.p ? value.p : "");
  nv->valuelen = value.n;
  nv->flags = flags;
  f->n++;
}

static void put(struct ew_h2_fields *f, struct ew_slice name,
                struct ew_slice value) {
  put_flags(f, name, value, NGHTTP2_NV_FLAG_NONE);
}

/* |name| is lowercase and stays: nghttp2 need not copy it. */
#define put_own(f, name, value) \
  put_flags((f), EW_SLICE_LIT(name), value, NGHTTP2_NV_FLAG_NO_COPY_NAME)

static void put_all(struct ew_h2_fields *f, const struct ew_message *m) {
  for (size_t i = 0; i < m->headers.n; i++) {
    struct ew_slice name = m->headers.v[i].name;
    if (ew_is_token(name) && ew_is_field_value(m->headers.v[i].value))
      put(f, name, m->headers.v[i].value);
  }
}

static void put_length(struct ew_h2_fields *f, const struct ew_message *m) {
  if (m->body == EW_BODY_LENGTH)
    put_own(f, "content-length",
            ew_slice_decimal(f->number, m->content_length));
}

void ew_h2_fields_request(struct ew_h2_fields *f, const struct ew_message *m) {
  f->n = 0;
  put_own(f, ":method", m->method);
  put_own(f, ":scheme", m->scheme.n > 0 ? m->scheme : EW_SLICE_LIT("http"));
  if (m->authority.n > 0)
    put_own(f, ":authority", m->authority);
  put_own(f, ":path", m->path);
  put_all(f, m);
  put_length(f, m);
}

void ew_h2_fields_response(struct ew_h2_fields *f, const struct ew_message *m) {
  f->n = 0;
  put_own(f, ":status", ew_slice_decimal(f->status, (uint64_t)m->status));
  put_all(f, m);
  if (m->status >= 200 && m->status != 204)
    put_length(f, m);
}

void ew_h2_fields_trailers(struct ew_h2_fields *f, const struct ew_message *m) {
  f->n = 0;
  put_all(f, m);
}
