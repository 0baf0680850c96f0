/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_AREA_H
#define EASTWEST_BASE_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Large buffers of one size outside the heap. There they would leave holes
 * between small things that live longer, or keep all their pages while a few
 * bytes are used. Here a page is taken when it is first touched, and given back
 * when its slot is free and enough that were freed later keep theirs. Not
 * thread safe. */
struct ew_area {
  char *base;      /* private; NULL: every take fails */
  size_t slot;     /* private: bytes of one, whole pages */
  unsigned slots;  /* private */
  unsigned used;   /* private: slots that were ever taken */
  unsigned free_n; /* private */
  unsigned warm;   /* private: most free slots that keep their pages */
  unsigned warm_n; /* private: how many do now */
  uint32_t *free;  /* private: a stack, the last one freed is the warmest */
};

/* Reserves addresses for |slots| of |slot| bytes (a multiple of the page size).
 * If the kernel refuses, takes fail. */
void ew_area_init(struct ew_area *a, size_t slot, unsigned slots,
                  unsigned warm);
void ew_area_fini(struct ew_area *a); /* all slots must be free */
/* NULL when all slots are in use: the caller takes from the heap. */
void *ew_area_take(struct ew_area *a);
bool ew_area_has(const struct ew_area *a, const void *p);
void ew_area_give(struct ew_area *a, void *p);

#endif
