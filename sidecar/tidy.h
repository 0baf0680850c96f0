/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_TIDY_H
#define SIDECAR_TIDY_H

#include "eastwest/net/loop.h"

/* Gives the heap's free memory back to the kernel after a burst: the C library
 * returns only what is free at the heap's very end, so a moment with many
 * handshakes would be paid for until the end of the process. */
struct ew_tidy {
  struct ew_timer timer; /* private */
  size_t left;           /* private: what the last time could not give back */
};

void ew_tidy_init(struct ew_tidy *t, struct ew_loop *l);

#endif
