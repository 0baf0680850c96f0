/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_CONNS_H
#define SIDECAR_PROXY_CONNS_H

#include "eastwest/base/list.h"
#include "eastwest/net/loop.h"

/* The connections of one side of a worker (outbound or inbound): counted
 * against a maximum, drained together. */
struct ew_conn_node {
  struct ew_list node;
  struct ew_conns *conns;
  /* Finish what is open and close. Called for each connection when a drain
   * begins, and right away for those that come later. */
  void (*drain)(struct ew_conn_node *n);
};

struct ew_conns {
  struct ew_list list;
  size_t count, max;
  bool draining;
  /* The count has passed |max| (true) or fallen below it (false): pause or
   * resume accepting; or has become 0. */
  void (*on_change)(void *arg);
  void *arg;
};

void ew_conns_init(struct ew_conns *c, size_t max, void (*on_change)(void *arg),
                   void *arg);
void ew_conns_add(struct ew_conns *c, struct ew_conn_node *n,
                  void (*drain)(struct ew_conn_node *));
void ew_conns_remove(struct ew_conn_node *n);
void ew_conns_drain(struct ew_conns *c);
static inline bool ew_conns_full(const struct ew_conns *c) {
  return c->count >= c->max;
}

#endif
