/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/http2_mem.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/area.h"

#define FRAME_MIN 16384
#define SLOT 20480
#define SLOTS 16384
/* A slot keeps the pages that its last user touched: none is kept, so that the
 * next one begins with one page. */
#define WARM 0

static _Thread_local struct ew_area frames;

static void *take(size_t n) {
  if (n < FRAME_MIN || n > SLOT)
    return NULL;
  if (frames.slot == 0)
    ew_area_init(&frames, SLOT, SLOTS, WARM);
  return ew_area_take(&frames);
}

static void *on_malloc(size_t n, void *user) {
  void *p = take(n);

  (void)user;
  return p ? p : ew_malloc(n);
}

static void on_free(void *p, void *user) {
  (void)user;
  if (ew_area_has(&frames, p))
    ew_area_give(&frames, p);
  else
    free(p);
}

static void *on_calloc(size_t count, size_t n, void *user) {
  (void)user;
  return ew_calloc(count, n);
}

static void *on_realloc(void *p, size_t n, void *user) {
  void *to;

  if (!p)
    return on_malloc(n, user);
  if (!ew_area_has(&frames, p))
    return ew_realloc(p, n);
  to = on_malloc(n, user);
  memcpy(to, p, n < SLOT ? n : SLOT);
  on_free(p, user);
  return to;
}

nghttp2_mem *ew_http2_mem(void) {
  static nghttp2_mem mem = {NULL, on_malloc, on_free, on_calloc, on_realloc};

#ifdef __SANITIZE_ADDRESS__
  (void)mem;
  return NULL; /* the sanitizer is to see the bounds of each allocation */
#else
  return &mem;
#endif
}
