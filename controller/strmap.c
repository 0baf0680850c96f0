/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/strmap.h"

#include <stdbool.h>
#include <stdint.h>

#include "eastwest/base/alloc.h"

#define EW_STRMAP_FIRST 16u

struct ew_strmap_entry {
  struct ew_strmap_entry *next;
  void *value;
  uint64_t hash;
  char key[];
};

static uint64_t ew_hash(const char *s) { /* FNV-1a */
  uint64_t h = 14695981039346656037u;
  for (; *s; s++)
    h = (h ^ (unsigned char)*s) * 1099511628211u;
  return h;
}

void ew_strmap_fini(struct ew_strmap *m) {
  for (size_t i = 0; i < m->buckets_n; i++)
    for (struct ew_strmap_entry *e = m->buckets[i], *next; e; e = next) {
      next = e->next;
      free(e);
    }
  free(m->buckets);
  *m = (struct ew_strmap){0};
}

static struct ew_strmap_entry **ew_strmap_find(const struct ew_strmap *m,
                                               const char *key) {
  if (!m->buckets_n)
    return NULL;
  uint64_t hash = ew_hash(key);
  struct ew_strmap_entry **at = &m->buckets[hash & (m->buckets_n - 1)];
  for (; *at; at = &(*at)->next)
    if ((*at)->hash == hash && strcmp((*at)->key, key) == 0)
      return at;
  return NULL;
}

void *ew_strmap_get(const struct ew_strmap *m, const char *key) {
  struct ew_strmap_entry **at = ew_strmap_find(m, key);
  return at ? (*at)->value : NULL;
}

static void ew_strmap_grow(struct ew_strmap *m) {
  size_t cap = m->buckets_n ? m->buckets_n * 2 : EW_STRMAP_FIRST;
  struct ew_strmap_entry **to = ew_calloc(cap, sizeof(void *));
  for (size_t i = 0; i < m->buckets_n; i++)
    for (struct ew_strmap_entry *e = m->buckets[i], *next; e; e = next) {
      next = e->next;
      e->next = to[e->hash & (cap - 1)];
      to[e->hash & (cap - 1)] = e;
    }
  free(m->buckets);
  m->buckets = to;
  m->buckets_n = cap;
}

void *ew_strmap_put(struct ew_strmap *m, const char *key, void *value) {
  struct ew_strmap_entry **at = ew_strmap_find(m, key);
  if (at) {
    void *old = (*at)->value;
    (*at)->value = value;
    return old;
  }
  if (m->n >= m->buckets_n)
    ew_strmap_grow(m);
  size_t len = strlen(key);
  struct ew_strmap_entry *e = ew_malloc(sizeof *e + len + 1);
  memcpy(e->key, key, len + 1);
  e->value = value;
  e->hash = ew_hash(key);
  e->next = m->buckets[e->hash & (m->buckets_n - 1)];
  m->buckets[e->hash & (m->buckets_n - 1)] = e;
  m->n++;
  return NULL;
}

void *ew_strmap_remove(struct ew_strmap *m, const char *key) {
  struct ew_strmap_entry **at = ew_strmap_find(m, key);
  if (!at)
    return NULL;
  struct ew_strmap_entry *e = *at;
  void *old = e->value;
  *at = e->next;
  free(e);
  m->n--;
  return old;
}

void ew_multimap_fini(struct ew_multimap *m) {
  for (size_t i = 0; i < m->map.buckets_n; i++)
    for (struct ew_strmap_entry *e = m->map.buckets[i]; e; e = e->next) {
      struct ew_ptrs *l = e->value;
      free(l->p);
      free(l);
    }
  ew_strmap_fini(&m->map);
}

const struct ew_ptrs *ew_multimap_get(const struct ew_multimap *m,
                                      const char *key) {
  static const struct ew_ptrs none;
  const struct ew_ptrs *l = ew_strmap_get(&m->map, key);
  return l ? l : &none;
}

void ew_multimap_add(struct ew_multimap *m, const char *key, void *value) {
  struct ew_ptrs *l = ew_strmap_get(&m->map, key);
  if (!l) {
    l = ew_calloc(1, sizeof *l);
    ew_strmap_put(&m->map, key, l);
  }
  if (l->n == l->cap) {
    l->cap = l->cap ? l->cap * 2 : 4;
    l->p = ew_realloc(l->p, l->cap * sizeof *l->p);
  }
  l->p[l->n++] = value;
}

void ew_multimap_remove(struct ew_multimap *m, const char *key, void *value) {
  struct ew_ptrs *l = ew_strmap_get(&m->map, key);
  for (size_t i = 0; l && i < l->n; i++)
    if (l->p[i] == value) {
      memmove(&l->p[i], &l->p[i + 1], (l->n - i - 1) * sizeof *l->p);
      l->n--;
      break;
    }
  if (l && l->n == 0) {
    ew_strmap_remove(&m->map, key);
    free(l->p);
    free(l);
  }
}
