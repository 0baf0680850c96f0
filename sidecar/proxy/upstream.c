/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

/* An endpoint's pools, made when they are first needed. */
struct target {
  struct ew_pool *pools[EW_WIRES];
};

static void target_del(void *user) {
  struct target *t = user;

  for (int i = 0; i < EW_WIRES; i++)
    if (t->pools[i])
      ew_pool_del(t->pools[i]);
  free(t);
}

struct ew_upstream *ew_upstream_new(struct ew_env *env,
                                    const struct ew_backend *b) {
  struct ew_upstream *u = ew_calloc(1, sizeof(*u));

  u->env = env;
  u->refs = 1;
  u->kind = ew_strdup(b->kind);
  u->namespace_ = ew_strdup(b->namespace_ ? b->namespace_ : "");
  u->name = ew_strdup(b->name ? b->name : "");
  u->port = b->port;
  u->balancer = ew_balancer_new(env->config->zone, target_del);
  ew_upstream_update(u, b);
  return u;
}

bool ew_upstream_is(const struct ew_upstream *u, const struct ew_backend *b) {
  return u->port == b->port && strcmp(u->kind, b->kind) == 0 &&
         strcmp(u->namespace_, b->namespace_ ? b->namespace_ : "") == 0 &&
         strcmp(u->name, b->name ? b->name : "") == 0;
}

void ew_upstream_update(struct ew_upstream *u, const struct ew_backend *b) {
  u->protocol = b->protocol;
  ew_balancer_update(u->balancer, b->endpoints, b->endpoints_n, NULL);
}

struct ew_upstream *ew_upstream_ref(struct ew_upstream *u) {
  u->refs++;
  return u;
}

void ew_upstream_unref(struct ew_upstream *u) {
  if (--u->refs > 0)
    return;
  ew_balancer_del(u->balancer);
  free(u->kind);
  free(u->namespace_);
  free(u->name);
  free(u);
}

int ew_upstream_address(const struct ew_upstream *u,
                        const struct ew_bal_endpoint *e, struct ew_addr *to,
                        bool *mesh) {
  if (ew_addr_set(to, e->address, e->port) != EW_OK)
    return EW_EINVAL;
  /* What the sidecar sends to its own pod goes to the app directly: the
   * redirection leaves its user alone. */
  *mesh = e->identity && !ew_config_is_own(u->env->config, to);
  return EW_OK;
}

static enum ew_wire mesh_form(enum ew_wire wire, bool mesh) {
  if (!mesh)
    return wire;
  /* Requests of both versions share HTTP/2 between sidecars. */
  return wire == EW_WIRE_MESH_HTTP1 ? wire : EW_WIRE_MESH_HTTP2;
}

struct ew_pool *ew_upstream_pool(struct ew_upstream *u,
                                 struct ew_bal_endpoint *e, enum ew_wire wire) {
  struct target *t = e->user;
  struct ew_addr to;
  bool mesh;

  if (ew_upstream_address(u, e, &to, &mesh) != EW_OK)
    return NULL;
  if (wire == EW_WIRE_MESH_HTTP1 && !mesh)
    wire = EW_WIRE_HTTP1;
  wire = mesh_form(wire, mesh);
  if (!t) {
    t = ew_calloc(1, sizeof(*t));
    e->user = t;
  }
  if (!t->pools[wire])
    t->pools[wire] = ew_pool_new(u->env, &to, wire, mesh ? e->identity : NULL);
  return t->pools[wire];
}
