/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/http1.h"

enum ew_http1_field ew_http1_field(struct ew_slice name) {
#define IS(s) (memcmp(name.p, s, sizeof(s) - 1) == 0)
  switch (name.n) {
  case 2:
    return IS("te") ? FIELD_TE : FIELD_OTHER;
  case 4:
    return IS("host") ? FIELD_HOST : FIELD_OTHER;
  case 7:
    return IS("upgrade") ? FIELD_UPGRADE : FIELD_OTHER;
  case 10:
    if (IS("connection"))
      return FIELD_CONNECTION;
    return IS("keep-alive") ? FIELD_HOP : FIELD_OTHER;
  case 14:
    if (IS("content-length"))
      return FIELD_CONTENT_LENGTH;
    return IS("http2-settings") ? FIELD_HOP : FIELD_OTHER;
  case 16:
    return IS("proxy-connection") ? FIELD_HOP : FIELD_OTHER;
  case 17:
    return IS("transfer-encoding") ? FIELD_TRANSFER_ENCODING : FIELD_OTHER;
  default:
    return FIELD_OTHER;
  }
#undef IS
}

struct strip {
  struct ew_message *m;
  struct ew_http1_facts *f;
  struct ew_slice named[EW_FIELDS_MAX]; /* by Connection */
  size_t n_named;
  struct ew_slice length, coding;
  size_t lengths, codings;
  bool te_trailers;
};

static bool list_next(struct ew_slice *rest, struct ew_slice *item) {
  while (rest->n > 0) {
    *item = ew_slice_trim(ew_slice_cut(rest, ','));
    if (item->n > 0)
      return true;
  }
  return false;
}

static bool strip_connection(struct strip *s, struct ew_slice value) {
  struct ew_slice item;
  while (list_next(&value, &item)) {
    if (ew_slice_caseeq(item, EW_SLICE_LIT("close")))
      s->f->close = true;
    else if (ew_slice_caseeq(item, EW_SLICE_LIT("keep-alive")))
      s->f->keep_alive = true;
    else if (ew_slice_caseeq(item, EW_SLICE_LIT("upgrade")))
      s->f->upgrade_option = true;
    else if (s->n_named < EW_FIELDS_MAX)
      s->named[s->n_named++] = item;
    else
      return false;
  }
  return true;
}

static void strip_upgrade(struct strip *s, struct ew_slice value) {
  struct ew_slice item;
  while (list_next(&value, &item)) {
    s->f->upgrade = item;
    s->f->upgrades++;
  }
}

static void strip_te(struct strip *s, struct ew_slice value) {
  struct ew_slice item;
  while (list_next(&value, &item))
    if (ew_slice_caseeq(item, EW_SLICE_LIT("trailers")))
      s->te_trailers = true;
}

static bool strip_one(struct strip *s, const struct ew_field *field) {
  switch (ew_http1_field(field->name)) {
  case FIELD_HOST:
    s->f->host = field->value;
    s->f->hosts++;
    return true;
  case FIELD_CONTENT_LENGTH:
    s->length = field->value;
    s->lengths++;
    return true;
  case FIELD_TRANSFER_ENCODING:
    s->coding = field->value;
    s->codings++;
    return true;
  case FIELD_CONNECTION:
    return strip_connection(s, field->value);
  case FIELD_UPGRADE:
    strip_upgrade(s, field->value);
    return true;
  case FIELD_TE:
    strip_te(s, field->value);
    return true;
  default:
    return true;
  }
}

static void strip_named(struct strip *s) {
  struct ew_headers *h = &s->m->headers;
  for (size_t i = 0; i < s->n_named; i++)
    ew_message_remove(s->m, s->named[i]);
  /* At least one line, TE itself, has gone. */
  if (s->te_trailers && h->n < h->cap)
    h->v[h->n++] = (struct ew_field){.name = EW_SLICE_LIT("te"),
                                     .value = EW_SLICE_LIT("trailers")};
}

static int strip_framing(struct strip *s, const char **why) {
  int status = 400;
  *why = NULL;
  if (s->lengths > 0 && s->codings > 0)
    *why = "both content-length and transfer-encoding";
  else if (s->lengths > 1)
    *why = "several content-length fields";
  else if (s->lengths == 1 &&
           ew_slice_u64(s->length, INT64_MAX, &s->m->content_length) != EW_OK)
    *why = "malformed content-length";
  else if (s->codings > 0 && s->m->version == 10)
    *why = "transfer-encoding in HTTP/1.0";
  else if (s->codings > 1)
    *why = "several transfer-encoding fields";
  else if (s->codings == 1 &&
           !ew_slice_caseeq(s->coding, EW_SLICE_LIT("chunked"))) {
    *why = "transfer coding other than chunked";
    status = 501;
  }
  s->f->length = s->lengths == 1;
  s->f->chunked = s->codings == 1;
  return *why ? status : EW_OK;
}

int ew_http1_strip(struct ew_message *m, struct ew_http1_facts *f,
                   const char **why) {
  struct ew_headers *h = &m->headers;
  struct strip s;
  memset(f, 0, sizeof(*f));
  s.m = m;
  s.f = f;
  s.n_named = s.lengths = s.codings = 0;
  s.length = s.coding = ew_slice(NULL, 0);
  s.te_trailers = false;
  size_t n = 0;
  for (size_t i = 0; i < h->n; i++) {
    if (!strip_one(&s, &h->v[i])) {
      *why = "too many connection options";
      return 400;
    }
    if (ew_http1_field(h->v[i].name) == FIELD_OTHER)
      h->v[n++] = h->v[i];
  }
  h->n = n;
  strip_named(&s);
  return strip_framing(&s, why);
}
