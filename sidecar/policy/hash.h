/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_HASH_H
#define EASTWEST_SIDECAR_POLICY_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 of |n| bytes: with a secret key nobody can choose input that
 * collides. */
struct ew_hash_key {
  uint64_t k[2];
};

uint64_t ew_hash(const struct ew_hash_key *key, const void *p, size_t n);

/* From 64-bit hashes to small numbers; never shrinks, nothing is removed. */
struct ew_table {
  struct ew_table_slot *slots;
  size_t n, cap;
};

void ew_table_fini(struct ew_table *t); /* {0} is an empty table */
/* The number stored for |hash|, or NULL; valid until the next put. */
uint32_t *ew_table_get(const struct ew_table *t, uint64_t hash);
/* As get, but stores |value| first if there is nothing yet. */
uint32_t *ew_table_put(struct ew_table *t, uint64_t hash, uint32_t value);

#endif
