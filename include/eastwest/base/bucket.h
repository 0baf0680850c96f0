/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_BUCKET_H
#define EASTWEST_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* A token bucket: what may be done |burst| times at once, then |per_s| times a
 * second. {0} is a full one. */
struct ew_bucket {
  double left;
  uint64_t at_ms; /* when |left| was counted */
};

/* Takes one at |now_ms|, which never goes back and is not 0. False: there is
 * none. */
static inline bool ew_bucket_take(struct ew_bucket *b, double burst,
                                  double per_s, uint64_t now_ms) {
  if (b->at_ms == 0)
    b->left = burst;
  else
    b->left += (double)(now_ms - b->at_ms) * per_s / 1000;
  if (b->left > burst)
    b->left = burst;
  b->at_ms = now_ms;
  if (b->left < 1)
    return false;
  b->left -= 1;
  return true;
}

#endif
