/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/area.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

void ew_area_init(struct ew_area *a, size_t slot, unsigned slots,
                  unsigned warm) {
  void *base = mmap(NULL, slot * slots, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  *a = (struct ew_area){.slot = slot, .slots = slots, .warm = warm};
  if (base == MAP_FAILED)
    return;
  /* A huge page would be taken whole for the first byte in it. */
  (void)madvise(base, slot * slots, MADV_NOHUGEPAGE);
  a->base = base;
  a->free = ew_calloc(slots, sizeof(*a->free));
}

void ew_area_fini(struct ew_area *a) {
  EW_BUG_ON(a->free_n != a->used);
  if (a->base)
    (void)munmap(a->base, a->slot * a->slots);
  free(a->free);
  a->base = NULL;
}

void *ew_area_take(struct ew_area *a) {
  unsigned at;

  if (!a->base)
    return NULL;
  if (a->free_n > 0)
    at = a->free[--a->free_n];
  else if (a->used < a->slots)
    at = a->used++;
  else
    return NULL;
  if (a->warm_n > 0)
    a->warm_n--;
  return a->base + at * a->slot;
}

bool ew_area_has(const struct ew_area *a, const void *p) {
  return a->base && (uintptr_t)p - (uintptr_t)a->base < a->slot * a->slots;
}

void ew_area_give(struct ew_area *a, void *p) {
  a->free[a->free_n++] = (uint32_t)((size_t)((char *)p - a->base) / a->slot);
  if (a->warm_n < a->warm)
    a->warm_n++;
  else
    (void)madvise(a->base + a->free[a->free_n - 1 - a->warm] * a->slot, a->slot,
                  MADV_DONTNEED);
}
