/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/net/tls_mem.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/area.h"

/* The buffers for handshake messages, for writing and for reading (with room
 * for reading ahead) are all between these. */
#define RECORD_MIN 16384
#define SLOT 69632
#define SLOTS 2048
#define WARM 16

static _Thread_local struct ew_area records;

static void *take(size_t n) {
  return n < RECORD_MIN || n > SLOT ? NULL : ew_area_take(&records);
}

static void *on_malloc(size_t n, const char *file, int line) {
  void *p = take(n);

  (void)file;
  (void)line;
  return p ? p : ew_malloc(n);
}

static void on_free(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  if (ew_area_has(&records, p))
    ew_area_give(&records, p);
  else
    free(p);
}

static void *on_realloc(void *p, size_t n, const char *file, int line) {
  void *to;

  if (!p)
    return on_malloc(n, file, line);
  if (!ew_area_has(&records, p)) {
    if (n > 0)
      return ew_realloc(p, n);
    free(p);
    return NULL;
  }
  if (n == 0) {
    on_free(p, file, line);
    return NULL;
  }
  to = on_malloc(n, file, line);
  memcpy(to, p, n < SLOT ? n : SLOT);
  on_free(p, file, line);
  return to;
}

bool ew_tls_mem_init(void) {
  if (CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free) != 1)
    return false;
  ew_area_init(&records, SLOT, SLOTS, WARM);
  return true;
}
