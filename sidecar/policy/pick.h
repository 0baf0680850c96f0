/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_PICK_H
#define EASTWEST_SIDECAR_POLICY_PICK_H

#include <stddef.h>
#include <stdint.h>

#include "eastwest/model/destination.h"

/* One of |refs| with a chance in proportion to its weight. An invalid backend
 * keeps its share (the caller then answers 500 for it, GAMMA rule 19); weight 0
 * is never chosen. NULL if there are none or all weights are 0
 * (EW_REFUSE_NO_BACKENDS). Linear: a rule has at most 16 in the API. */
const struct ew_backend_ref *ew_pick(const struct ew_backend_ref *refs,
                                     size_t n, uint64_t random);

/* The next of a sequence of well mixed numbers (splitmix64), for callers that
 * need several from one random number. */
uint64_t ew_mix64(uint64_t *state);

#endif
