/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/pick.h"

const struct ew_backend_ref *ew_pick(const struct ew_backend_ref *refs,
                                     size_t n, uint64_t random) {
  uint64_t total = 0;
  for (size_t i = 0; i < n; i++)
    total += refs[i].weight;
  if (total == 0)
    return NULL;
  uint64_t left = random % total;
  size_t i = 0;
  for (; left >= refs[i].weight; i++)
    left -= refs[i].weight;
  return &refs[i];
}

uint64_t ew_mix64(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
