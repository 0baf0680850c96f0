/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/hash.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"

static uint64_t rotl(uint64_t x, int n) { return (x << n) | (x >> (64 - n)); }

static void sip_round(uint64_t v[4]) {
  v[0] += v[1];
  v[2] += v[3];
  v[1] = rotl(v[1], 13) ^ v[0];
  v[3] = rotl(v[3], 16) ^ v[2];
  v[0] = rotl(v[0], 32);
  v[2] += v[1];
  v[0] += v[3];
  v[1] = rotl(v[1], 17) ^ v[2];
  v[3] = rotl(v[3], 21) ^ v[0];
  v[2] = rotl(v[2], 32);
}

static uint64_t read_le(const unsigned char *p, size_t n) {
  uint64_t x = 0;
  for (size_t i = 0; i < n; i++)
    x |= (uint64_t)p[i] << (8 * i);
  return x;
}

uint64_t ew_hash(const struct ew_hash_key *key, const void *data, size_t n) {
  const unsigned char *p = data;
  uint64_t v[4] = {
      key->k[0] ^ 0x736f6d6570736575u, key->k[1] ^ 0x646f72616e646f6du,
      key->k[0] ^ 0x6c7967656e657261u, key->k[1] ^ 0x7465646279746573u};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t m = read_le(p + i, 8);
    v[3] ^= m;
    sip_round(v);
    v[0] ^= m;
  }
  uint64_t last = ((uint64_t)n << 56) | (n > i ? read_le(p + i, n - i) : 0);
  v[3] ^= last;
  sip_round(v);
  v[0] ^= last;
  v[2] ^= 0xff;
  for (int k = 0; k < 3; k++)
    sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct ew_table_slot {
  uint64_t hash;
  uint32_t value;
  uint32_t used;
};

void ew_table_fini(struct ew_table *t) {
  free(t->slots);
  *t = (struct ew_table){0};
}

/* Where |hash| stands or would stand; there is always a free slot. */
static struct ew_table_slot *find(const struct ew_table *t, uint64_t hash) {
  size_t i = (size_t)hash & (t->cap - 1);
  while (t->slots[i].used && t->slots[i].hash != hash)
    i = (i + 1) & (t->cap - 1);
  return &t->slots[i];
}

uint32_t *ew_table_get(const struct ew_table *t, uint64_t hash) {
  if (t->cap == 0)
    return NULL;
  struct ew_table_slot *s = find(t, hash);
  return s->used ? &s->value : NULL;
}

static void grow(struct ew_table *t) {
  struct ew_table old = *t;
  t->cap = old.cap ? old.cap * 2 : 16;
  t->slots = ew_calloc(t->cap, sizeof *t->slots);
  for (size_t i = 0; i < old.cap; i++)
    if (old.slots[i].used)
      *find(t, old.slots[i].hash) = old.slots[i];
  free(old.slots);
}

uint32_t *ew_table_put(struct ew_table *t, uint64_t hash, uint32_t value) {
  if ((t->n + 1) * 2 > t->cap)
    grow(t);
  struct ew_table_slot *s = find(t, hash);
  if (!s->used) {
    *s = (struct ew_table_slot){hash, value, 1};
    t->n++;
  }
  return &s->value;
}
