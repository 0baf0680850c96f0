/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_BUF_H
#define EASTWEST_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "eastwest/base/slice.h"

/* A byte queue that grows on demand up to a maximum fixed at birth. Empty: no
 * memory is held after ew_buf_release. Full: an append takes nothing and
 * answers EW_EAGAIN; the writer then stops reading its own source. */
struct ew_buf {
  char *p;    /* private: allocation */
  size_t off; /* private: first unread byte */
  size_t end; /* private: one past the last byte */
  size_t cap; /* private: size of the allocation */
  size_t max; /* read-only: most bytes that may be unread at a time */
};

void ew_buf_init(struct ew_buf *b, size_t max);
void ew_buf_fini(struct ew_buf *b);
/* Gives the memory back if the buffer is empty; the maximum stays. */
void ew_buf_release(struct ew_buf *b);

static inline size_t ew_buf_len(const struct ew_buf *b) {
  return b->end - b->off;
}
/* How many bytes can still be appended. */
static inline size_t ew_buf_room(const struct ew_buf *b) {
  return b->max - ew_buf_len(b);
}
/* All unread bytes, contiguous; valid until the next append. */
static inline struct ew_slice ew_buf_peek(const struct ew_buf *b) {
  return ew_slice(b->p ? b->p + b->off : NULL, ew_buf_len(b));
}

/* Takes all of |s| or nothing. Returns EW_OK or EW_EAGAIN. */
int ew_buf_append(struct ew_buf *b, struct ew_slice s);
int ew_buf_append_str(struct ew_buf *b, const char *s);
/* printf into the buffer; all or nothing. Returns EW_OK or EW_EAGAIN. */
int ew_buf_printf(struct ew_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes as much of |s| as fits; returns the count. */
size_t ew_buf_append_some(struct ew_buf *b, struct ew_slice s);
/* Room for at least |n| bytes to write into directly, or NULL when |n| does
 * not fit below the maximum. Make them part of the buffer by ew_buf_commit. */
char *ew_buf_reserve(struct ew_buf *b, size_t n);
void ew_buf_commit(struct ew_buf *b, size_t n);
/* Drops |n| bytes from the front; |n| must not exceed the length. */
void ew_buf_consume(struct ew_buf *b, size_t n);

#endif
