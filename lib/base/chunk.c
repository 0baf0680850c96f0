/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/chunk.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"

#define CLASSES 7 /* 2, 4, 8, 16, 32, 64, 128 KiB */

struct free_chunk {
  struct free_chunk *next;
};

/* Small ones in number for many requests at a time, large ones for the one
 * that is being moved. */
static const unsigned char keep[CLASSES] = {32, 32, 8, 4, 2, 2, 1};

static _Thread_local struct {
  struct free_chunk *head[CLASSES];
  unsigned char n[CLASSES];
} kept;

/* CLASSES for a size that is none. */
static unsigned class_of(size_t n) {
#if defined(__SANITIZE_ADDRESS__) && !defined(EW_CHUNK_TEST)
  (void)n;
  return CLASSES;
#else
  if (n < EW_CHUNK_MIN || n > EW_CHUNK_MAX || (n & (n - 1)) != 0)
    return CLASSES;
  return (unsigned)__builtin_ctzl(n) - (unsigned)__builtin_ctzl(EW_CHUNK_MIN);
#endif
}

void *ew_chunk_take(size_t n) {
  unsigned c = class_of(n);
  struct free_chunk *p;

  if (c == CLASSES || !kept.head[c])
    return ew_malloc(n);
  p = kept.head[c];
  kept.head[c] = p->next;
  kept.n[c]--;
  return p;
}

void ew_chunk_give(void *p, size_t n) {
  unsigned c = class_of(n);
  struct free_chunk *f = p;

  if (!p || c == CLASSES || kept.n[c] == keep[c]) {
    free(p);
    return;
  }
  f->next = kept.head[c];
  kept.head[c] = f;
  kept.n[c]++;
}
