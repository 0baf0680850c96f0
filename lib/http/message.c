/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/http/message.h"

#include "eastwest/base/chunk.h"
#include "eastwest/base/err.h"
#include "lib/http/octets.h"

struct ew_message *ew_message_new(void) {
  struct ew_message *m = ew_chunk_take_clear(sizeof(*m));
  ew_arena_init(&m->arena);
  return m;
}

void ew_message_del(struct ew_message *m) {
  if (!m)
    return;
  ew_arena_fini(&m->arena);
  ew_chunk_give(m, sizeof(*m));
}

struct ew_slice ew_message_dup_slice(struct ew_message *m, struct ew_slice s) {
  if (!s.p)
    return s;
  return ew_slice(ew_arena_dup(&m->arena, s.p, s.n), s.n);
}

/* Doubles within the arena: at most EW_FIELDS_MAX entries, so what is left
 * behind stays below the size of the final table. */
static void headers_grow(struct ew_message *m) {
  struct ew_headers *h = &m->headers;
  size_t cap = h->cap ? h->cap * 2 : 16;
  struct ew_field *v = ew_arena_alloc(&m->arena, cap * sizeof(*v));
  if (h->n)
    memcpy(v, h->v, h->n * sizeof(*v));
  h->v = v;
  h->cap = cap;
}

struct ew_message *ew_message_dup(const struct ew_message *m) {
  struct ew_message *d = ew_message_new();
  d->method = ew_message_dup_slice(d, m->method);
  d->scheme = ew_message_dup_slice(d, m->scheme);
  d->authority = ew_message_dup_slice(d, m->authority);
  d->path = ew_message_dup_slice(d, m->path);
  d->status = m->status;
  d->version = m->version;
  d->body = m->body;
  d->content_length = m->content_length;
  d->upgrade = ew_message_dup_slice(d, m->upgrade);
  for (size_t i = 0; i < m->headers.n; i++) {
    if (d->headers.n == d->headers.cap)
      headers_grow(d);
    d->headers.v[d->headers.n++] = (struct ew_field){
        .name = ew_message_dup_slice(d, m->headers.v[i].name),
        .value = ew_message_dup_slice(d, m->headers.v[i].value)};
  }
  return d;
}

int ew_message_add(struct ew_message *m, struct ew_slice name,
                   struct ew_slice value) {
  struct ew_headers *h = &m->headers;
  value = ew_slice_trim(value);
  if (h->n >= EW_FIELDS_MAX)
    return EW_ELIMIT;
  if (h->n == h->cap)
    headers_grow(m);
  char *p = ew_arena_alloc(&m->arena, name.n + value.n + 2);
  if (!ew_octets_copy_token(p, name) || !ew_is_field_value(value))
    return EW_EINVAL;
  p[name.n] = '\0';
  char *v = p + name.n + 1;
  if (value.n)
    memcpy(v, value.p, value.n);
  v[value.n] = '\0';
  h->v[h->n++] = (struct ew_field){.name = ew_slice(p, name.n),
                                   .value = ew_slice(v, value.n)};
  return EW_OK;
}

/* The lines of |name| from the |n|th on; returns how many there were. */
static size_t remove_from(struct ew_headers *h, size_t n,
                          struct ew_slice name) {
  size_t before = h->n;
  for (size_t i = n; i < before; i++) {
    if (ew_slice_caseeq(h->v[i].name, name))
      continue;
    if (n < i)
      h->v[n] = h->v[i];
    n++;
  }
  h->n = n;
  return before - n;
}

/* The first line keeps its place, so the order of the others is kept too. */
int ew_message_set(struct ew_message *m, struct ew_slice name,
                   struct ew_slice value) {
  struct ew_headers *h = &m->headers;
  size_t first = h->n;
  value = ew_slice_trim(value);
  if (!ew_is_token(name) || !ew_is_field_value(value))
    return EW_EINVAL;
  for (size_t i = 0; i < h->n && first == h->n; i++)
    if (ew_slice_caseeq(h->v[i].name, name))
      first = i;
  if (first == h->n)
    return ew_message_add(m, name, value);
  /* |name| or |value| may be a part of the line that goes away: its bytes
   * stay in the arena. */
  h->v[first].value =
      value.n ? ew_message_dup_slice(m, value) : ew_slice("", 0);
  remove_from(h, first + 1, name);
  return EW_OK;
}

size_t ew_message_remove(struct ew_message *m, struct ew_slice name) {
  return remove_from(&m->headers, 0, name);
}

struct ew_slice ew_message_get(const struct ew_message *m, const char *name) {
  struct ew_slice want = ew_slice_str(name);
  for (size_t i = 0; i < m->headers.n; i++)
    if (ew_slice_eq(m->headers.v[i].name, want))
      return m->headers.v[i].value;
  return ew_slice(NULL, 0);
}

struct ew_slice ew_message_joined(struct ew_message *m, struct ew_slice name) {
  const struct ew_headers *h = &m->headers;
  size_t lines = 0, total = 0, last = 0;
  if (ew_slice_caseeq(name, EW_SLICE_LIT("host")))
    return m->authority;
  /* Crumbs of one cookie have a separator of their own, RFC 9113 section
   * 8.2.3: a match must not tell them from one line. */
  struct ew_slice sep = ew_slice_caseeq(name, EW_SLICE_LIT("cookie"))
                            ? EW_SLICE_LIT("; ")
                            : EW_SLICE_LIT(",");
  for (size_t i = 0; i < h->n; i++) {
    if (!ew_slice_caseeq(h->v[i].name, name))
      continue;
    lines++;
    total += h->v[i].value.n + sep.n;
    last = i;
  }
  if (lines == 0)
    return ew_slice(NULL, 0);
  if (lines == 1)
    return h->v[last].value;
  char *p = ew_arena_alloc(&m->arena, total), *w = p;
  for (size_t i = 0; i <= last; i++) {
    if (!ew_slice_caseeq(h->v[i].name, name))
      continue;
    if (h->v[i].value.n)
      memcpy(w, h->v[i].value.p, h->v[i].value.n);
    w += h->v[i].value.n;
    memcpy(w, sep.p, sep.n);
    w += sep.n;
  }
  return ew_slice(p, total - sep.n);
}

struct ew_slice ew_message_path_only(const struct ew_message *m) {
  ptrdiff_t q = ew_slice_chr(m->path, '?');
  return q < 0 ? m->path : ew_slice(m->path.p, (size_t)q);
}

struct ew_slice ew_message_query(const struct ew_message *m) {
  ptrdiff_t q = ew_slice_chr(m->path, '?');
  if (q < 0)
    return ew_slice(NULL, 0);
  return ew_slice(m->path.p + q + 1, m->path.n - (size_t)q - 1);
}
