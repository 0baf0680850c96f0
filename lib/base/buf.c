/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/chunk.h"
#include "eastwest/base/err.h"

/* The first piece of memory: a chunk where much may follow. It costs less than
 * one of malloc's, and most of what is written at once fits. */
#define EW_BUF_FIRST 256u
#define EW_BUF_LARGE 32768u

void ew_buf_init(struct ew_buf *b, size_t max) {
  *b = (struct ew_buf){.max = max};
}

void ew_buf_fini(struct ew_buf *b) {
  if (!b->p)
    return;
  ew_chunk_give(b->p, b->cap);
  ew_buf_init(b, b->max);
}

void ew_buf_release(struct ew_buf *b) {
  if (ew_buf_len(b) == 0)
    ew_buf_fini(b);
}

static size_t ew_buf_grown(const struct ew_buf *b, size_t need) {
  size_t first = b->max >= EW_BUF_LARGE ? EW_CHUNK_MIN : EW_BUF_FIRST;
  size_t cap = b->cap ? b->cap : first;
  /* What outgrew a few KiB is likely to go on: fewer copies on the way. */
  while (cap < need && cap <= b->max / 2)
    cap *= cap >= EW_CHUNK_MIN && cap <= b->max / 4 ? 4 : 2;
  if (cap < need || cap > b->max)
    cap = b->max;
  return cap;
}

/* Also moves what is unread to the front. */
static void ew_buf_grow(struct ew_buf *b, size_t need) {
  size_t cap = ew_buf_grown(b, need), len = ew_buf_len(b);
  char *p = ew_chunk_take(cap);
  if (len > 0)
    memcpy(p, b->p + b->off, len);
  ew_chunk_give(b->p, b->cap);
  b->p = p;
  b->cap = cap;
  b->off = 0;
  b->end = len;
}

char *ew_buf_reserve(struct ew_buf *b, size_t n) {
  if (n > ew_buf_room(b))
    return NULL;
  size_t len = ew_buf_len(b);
  if (!b->p || b->cap - len < n) {
    ew_buf_grow(b, len + n);
  } else if (b->cap - b->end < n) {
    memmove(b->p, b->p + b->off, len);
    b->off = 0;
    b->end = len;
  }
  return b->p + b->end;
}

void ew_buf_commit(struct ew_buf *b, size_t n) {
  EW_BUG_ON(n > b->cap - b->end);
  b->end += n;
}

void ew_buf_consume(struct ew_buf *b, size_t n) {
  EW_BUG_ON(n > ew_buf_len(b));
  b->off += n;
  if (b->off == b->end)
    b->off = b->end = 0;
}

int ew_buf_append(struct ew_buf *b, struct ew_slice s) {
  if (s.n == 0)
    return EW_OK;
  char *to = ew_buf_reserve(b, s.n);
  if (!to)
    return EW_EAGAIN;
  memcpy(to, s.p, s.n);
  b->end += s.n;
  return EW_OK;
}

int ew_buf_append_str(struct ew_buf *b, const char *s) {
  return ew_buf_append(b, ew_slice_str(s));
}

size_t ew_buf_append_some(struct ew_buf *b, struct ew_slice s) {
  size_t room = ew_buf_room(b);
  if (s.n > room)
    s.n = room;
  ew_buf_append(b, s);
  return s.n;
}

int ew_buf_printf(struct ew_buf *b, const char *fmt, ...) {
  char small[256];
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int len = vsnprintf(small, sizeof(small), fmt, ap);
  va_end(ap);
  EW_BUG_ON(len < 0);
  size_t n = (size_t)len;
  int rc = EW_EAGAIN;
  if (n < sizeof(small)) {
    rc = ew_buf_append(b, ew_slice(small, n));
  } else if (n <= ew_buf_room(b)) {
    /* The NUL of vsnprintf need not fit below the maximum. */
    char *large = ew_malloc(n + 1);
    vsnprintf(large, n + 1, fmt, again);
    rc = ew_buf_append(b, ew_slice(large, n));
    free(large);
  }
  va_end(again);
  return rc;
}
