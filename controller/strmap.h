/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_STRMAP_H
#define EASTWEST_CONTROLLER_STRMAP_H

#include <stddef.h>

/* A hash table from strings to pointers. Keys are copied. Zeroed memory is an
 * empty table. */
struct ew_strmap {
  struct ew_strmap_entry **buckets;
  size_t buckets_n, n;
};

void ew_strmap_fini(struct ew_strmap *m);
void *ew_strmap_get(const struct ew_strmap *m, const char *key); /* or NULL */
/* Replaces; returns what was there, or NULL. |value| must not be NULL. */
void *ew_strmap_put(struct ew_strmap *m, const char *key, void *value);
/* Returns what was there, or NULL. */
void *ew_strmap_remove(struct ew_strmap *m, const char *key);

/* Several pointers per key, in the order in which they were added. */
struct ew_multimap {
  struct ew_strmap map;
};

struct ew_ptrs {
  void **p;
  size_t n, cap;
};

void ew_multimap_fini(struct ew_multimap *m);
/* Never NULL; valid until the next add or remove. */
const struct ew_ptrs *ew_multimap_get(const struct ew_multimap *m,
                                      const char *key);
void ew_multimap_add(struct ew_multimap *m, const char *key, void *value);
/* Once; nothing happens if it is not there. */
void ew_multimap_remove(struct ew_multimap *m, const char *key, void *value);

#endif
