/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/conns.h"

void ew_conns_init(struct ew_conns *c, size_t max, void (*on_change)(void *arg),
                   void *arg) {
  ew_list_init(&c->list);
  c->count = 0;
  c->max = max;
  c->draining = false;
  c->on_change = on_change;
  c->arg = arg;
}

void ew_conns_add(struct ew_conns *c, struct ew_conn_node *n,
                  void (*drain)(struct ew_conn_node *)) {
  n->conns = c;
  n->drain = drain;
  ew_list_push_back(&c->list, &n->node);
  c->count++;
  c->on_change(c->arg);
}

void ew_conns_remove(struct ew_conn_node *n) {
  ew_list_remove(&n->node);
  n->conns->count--;
  n->conns->on_change(n->conns->arg);
}

void ew_conns_drain(struct ew_conns *c) {
  struct ew_list todo;

  /* A drain may end a connection at once, and others with it. */
  c->draining = true;
  ew_list_take(&todo, &c->list);
  while (!ew_list_empty(&todo)) {
    struct ew_list *n = todo.next;
    ew_list_remove(n);
    ew_list_push_back(&c->list, n);
    EW_CONTAINER(n, struct ew_conn_node, node)
        ->drain(EW_CONTAINER(n, struct ew_conn_node, node));
  }
}
