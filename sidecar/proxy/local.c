/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/local.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

struct ew_locals {
  struct ew_env *env;
  struct ew_list list; /* most recently used first */
  size_t count;
};

struct ew_locals *ew_locals_new(struct ew_env *env) {
  struct ew_locals *l = ew_calloc(1, sizeof(*l));

  l->env = env;
  ew_list_init(&l->list);
  return l;
}

static void forget(struct ew_locals *l, struct ew_local *lo) {
  ew_list_remove(&lo->node);
  l->count--;
  for (int i = 0; i < 2; i++)
    if (lo->pools[i])
      ew_pool_del(lo->pools[i]);
  ew_request_stats_del(lo->stats);
  free(lo);
}

void ew_locals_del(struct ew_locals *l) {
  while (!ew_list_empty(&l->list))
    forget(l, EW_CONTAINER(l->list.next, struct ew_local, node));
  free(l);
}

static void drop_oldest_idle(struct ew_locals *l) {
  for (struct ew_list *it = l->list.prev; it != &l->list; it = it->prev) {
    struct ew_local *lo = EW_CONTAINER(it, struct ew_local, node);
    if (lo->users == 0) {
      forget(l, lo);
      return;
    }
  }
}

static struct ew_local *make(struct ew_locals *l, const struct ew_addr *addr) {
  struct ew_local *lo;
  char port[8];
  const struct ew_label labels[] = {{"direction", "inbound"}, {"port", port}};

  if (l->count >= EW_LOCALS_MAX)
    drop_oldest_idle(l);
  if (l->count >= EW_LOCALS_MAX)
    return NULL;
  lo = ew_calloc(1, sizeof(*lo));
  lo->env = l->env;
  lo->addr = *addr;
  snprintf(port, sizeof(port), "%u", ew_addr_port(addr));
  lo->stats = ew_request_stats_new(l->env->metrics, labels, 2);
  ew_list_push_front(&l->list, &lo->node);
  l->count++;
  return lo;
}

struct ew_local *ew_locals_use(struct ew_locals *l,
                               const struct ew_addr *addr) {
  struct ew_local *lo = NULL;
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &l->list) {
    struct ew_local *at = EW_CONTAINER(it, struct ew_local, node);
    if (ew_addr_eq(&at->addr, addr)) {
      lo = at;
      break;
    }
  }
  if (!lo)
    lo = make(l, addr);
  if (lo)
    lo->users++;
  return lo;
}

void ew_local_release(struct ew_local *lo) {
  EW_BUG_ON(lo->users == 0);
  lo->users--;
}

struct ew_pool *ew_local_pool(struct ew_local *lo, bool http2) {
  if (!lo->pools[http2])
    lo->pools[http2] = ew_pool_new(lo->env, &lo->addr,
                                   http2 ? EW_WIRE_HTTP2 : EW_WIRE_HTTP1, NULL);
  return lo->pools[http2];
}
