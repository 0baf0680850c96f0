/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/tunables.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* What malloc keeps at hand of each small size. Requests come in batches, and
 * all that a batch gave back above the default of 7 went through the slow
 * lists. At most 64 * 33 KiB. */
#define TUNABLES "glibc.malloc.tcache_count=64"

void ew_tunables_apply(char **argv) {
#ifdef __SANITIZE_ADDRESS__
  (void)argv; /* it has a malloc of its own */
#else
  /* By its own path: a process started from the link would be named after the
   * link. */
  char path[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

  if (n <= 0 || getenv("GLIBC_TUNABLES") ||
      setenv("GLIBC_TUNABLES", TUNABLES, 1) != 0)
    return;
  path[n] = '\0';
  (void)execv(path, argv);
#endif
}
