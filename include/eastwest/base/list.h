/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_LIST_H
#define EASTWEST_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Doubly linked, intrusive. A list head and a node are the same type; a node
 * that is on no list points to itself, so removing it twice is harmless. */
struct ew_list {
  struct ew_list *next, *prev;
};

#define EW_CONTAINER(ptr, type, field) \
  ((type *)(void *)((char *)(ptr)-offsetof(type, field)))

static inline void ew_list_init(struct ew_list *l) { l->next = l->prev = l; }

static inline bool ew_list_empty(const struct ew_list *l) {
  return l->next == l;
}

static inline void ew_list_push_back(struct ew_list *l, struct ew_list *n) {
  n->prev = l->prev;
  n->next = l;
  l->prev->next = n;
  l->prev = n;
}

static inline void ew_list_push_front(struct ew_list *l, struct ew_list *n) {
  n->next = l->next;
  n->prev = l;
  l->next->prev = n;
  l->next = n;
}

static inline void ew_list_remove(struct ew_list *n) {
  n->prev->next = n->next;
  n->next->prev = n->prev;
  ew_list_init(n);
}

/* |to| becomes what |from| was; |from| is empty then. |to| need not have been
 * initialised. */
static inline void ew_list_take(struct ew_list *to, struct ew_list *from) {
  ew_list_push_back(from, to);
  ew_list_remove(from);
}

/* |it| and |tmp| are struct ew_list *; the body may remove |it|, and only
 * |it|. Where a body can remove other nodes too, pop from the front. */
#define EW_LIST_EACH(it, tmp, l)                          \
  for ((it) = (l)->next, (tmp) = (it)->next; (it) != (l); \
       (it) = (tmp), (tmp) = (it)->next)

#endif
