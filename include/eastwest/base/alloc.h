/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_ALLOC_H
#define EASTWEST_BASE_ALLOC_H

#include <stddef.h>

/* Allocation never fails: out of memory aborts with one line on stderr. Every
 * size is bounded by a named maximum, so an abort means that the container's
 * limit is below what the configured limits add up to. Free with free(). */
void *ew_malloc(size_t n);
void *ew_calloc(size_t count, size_t n);
void *ew_realloc(void *p, size_t n);
char *ew_strdup(const char *s);
/* Copies |n| bytes and adds a terminating NUL. */
char *ew_strndup(const char *s, size_t n);

/* A bump allocator whose memory is freed at once. For the strings of one
 * message: no per-field free, no leak. Not thread safe. */
struct ew_arena_block;
struct ew_arena {
  struct ew_arena_block *head;
  char *next;
  size_t left;
};

void ew_arena_init(struct ew_arena *a);
/* Frees everything that was allocated from |a|; |a| can be used again. */
void ew_arena_fini(struct ew_arena *a);
/* Aligned for any type. Contents are not cleared. */
void *ew_arena_alloc(struct ew_arena *a, size_t n);
/* Copies |n| bytes into the arena and adds a NUL that is not counted. */
char *ew_arena_dup(struct ew_arena *a, const char *s, size_t n);

#endif
