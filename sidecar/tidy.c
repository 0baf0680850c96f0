/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/tidy.h"

#include <malloc.h>

#define PERIOD_MS 5000
/* Less than this is not worth the walk through the heap. */
#define WORTH ((size_t)1 << 20)

static size_t free_bytes(void) {
  struct mallinfo2 m = mallinfo2();
  return m.fordblks;
}

static void on_timer(struct ew_timer *timer) {
  struct ew_tidy *t = EW_CONTAINER(timer, struct ew_tidy, timer);
  size_t now = free_bytes();

  if (now > t->left + WORTH) {
    (void)malloc_trim(0);
    t->left = free_bytes();
  } else if (now < t->left) {
    t->left = now;
  }
  ew_timer_start(timer, PERIOD_MS);
}

void ew_tidy_init(struct ew_tidy *t, struct ew_loop *l) {
  t->left = 0;
  ew_timer_init(l, &t->timer, on_timer);
  ew_timer_start(&t->timer, PERIOD_MS);
}
