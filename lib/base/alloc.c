/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/chunk.h"
#include "eastwest/base/err.h"

/* With its header a block is a chunk. */
#define EW_ARENA_CHUNK 4096u
#define EW_ARENA_BLOCK (EW_ARENA_CHUNK - sizeof(struct ew_arena_block))
#define SMALL 1024u
#define EW_ARENA_ALIGN _Alignof(max_align_t)

struct ew_arena_block {
  struct ew_arena_block *next;
  size_t size; /* of all of it */
  max_align_t data[];
};

static void *ew_checked(void *p, size_t n) {
  if (!p) {
    fprintf(stderr, "eastwest: out of memory (%zu bytes wanted)\n", n);
    abort();
  }
  return p;
}

void *ew_malloc(size_t n) { return ew_checked(malloc(n ? n : 1), n); }

void *ew_calloc(size_t count, size_t n) {
  if (count == 0 || n == 0)
    count = n = 1;
  /* glibc's calloc passes by the fast lists of its malloc. Where it may get
   * fresh pages they are clear already. */
  if (count <= SMALL / n)
    return memset(ew_malloc(count * n), 0, count * n);
  return ew_checked(calloc(count, n), count * n);
}

void *ew_realloc(void *p, size_t n) {
  return ew_checked(realloc(p, n ? n : 1), n);
}

char *ew_strdup(const char *s) { return ew_strndup(s, strlen(s)); }

char *ew_strndup(const char *s, size_t n) {
  EW_BUG_ON(n == SIZE_MAX);
  char *p = ew_malloc(n + 1);
  if (n)
    memcpy(p, s, n);
  p[n] = '\0';
  return p;
}

void ew_arena_init(struct ew_arena *a) { *a = (struct ew_arena){0}; }

void ew_arena_fini(struct ew_arena *a) {
  for (struct ew_arena_block *b = a->head, *next; b; b = next) {
    next = b->next;
    ew_chunk_give(b, b->size);
  }
  ew_arena_init(a);
}

static struct ew_arena_block *ew_arena_block_new(size_t n) {
  size_t size = sizeof(struct ew_arena_block) + n;
  struct ew_arena_block *b = ew_chunk_take(size);
  b->size = size;
  return b;
}

void *ew_arena_alloc(struct ew_arena *a, size_t n) {
  EW_BUG_ON(n > SIZE_MAX / 2);
  n = (n + EW_ARENA_ALIGN - 1) / EW_ARENA_ALIGN * EW_ARENA_ALIGN;
  if (n > EW_ARENA_BLOCK / 4) {
    /* A block of its own, behind the head, so that what is left of the head
     * is not lost. */
    struct ew_arena_block *b = ew_arena_block_new(n);
    b->next = a->head ? a->head->next : NULL;
    if (a->head)
      a->head->next = b;
    else
      a->head = b;
    return b->data;
  }
  if (!a->next || a->left < n) {
    struct ew_arena_block *b = ew_arena_block_new(EW_ARENA_BLOCK);
    b->next = a->head;
    a->head = b;
    a->next = (char *)b->data;
    a->left = EW_ARENA_BLOCK;
  }
  void *p = a->next;
  a->next += n;
  a->left -= n;
  return p;
}

char *ew_arena_dup(struct ew_arena *a, const char *s, size_t n) {
  EW_BUG_ON(n == SIZE_MAX);
  char *p = ew_arena_alloc(a, n + 1);
  if (n)
    memcpy(p, s, n);
  p[n] = '\0';
  return p;
}
