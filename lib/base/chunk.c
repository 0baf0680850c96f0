/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"

/* 256 bytes, 512, 1 KiB, and so on to 128 KiB */
#define CLASSES 10
#define SMALLEST 256u

struct free_chunk {
  struct free_chunk *next;
};

/* Small ones in number for many requests at a time, large ones for the one
 * that is being moved. */
static const unsigned char keep[CLASSES] = {64, 64, 32, 32, 32, 8, 4, 2, 2, 1};

static _Thread_local struct {
  struct free_chunk *head[CLASSES];
  unsigned char n[CLASSES];
} kept;

/* CLASSES for a size that is none. Only what is small may have less than its
 * class's size. */
static unsigned class_of(size_t n) {
#if defined(__SANITIZE_ADDRESS__) && !defined(EW_CHUNK_TEST)
  (void)n;
  return CLASSES;
#else
  if (n <= SMALLEST)
    return 0;
  if (n > EW_CHUNK_MAX || (n >= EW_CHUNK_MIN && (n & (n - 1)) != 0))
    return CLASSES;
  return 64u - (unsigned)__builtin_clzl(n - 1) -
         (unsigned)__builtin_ctzl(SMALLEST);
#endif
}

void *ew_chunk_take(size_t n) {
  unsigned c = class_of(n);
  struct free_chunk *p;

  if (c == CLASSES)
    return ew_malloc(n);
  if (!kept.head[c])
    return ew_malloc((size_t)SMALLEST << c);
  p = kept.head[c];
  kept.head[c] = p->next;
  kept.n[c]--;
  return p;
}

void *ew_chunk_take_clear(size_t n) { return memset(ew_chunk_take(n), 0, n); }

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
