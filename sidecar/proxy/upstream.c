/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

/* An endpoint in the form that connections are made with, and its pools; each
 * made when it is first needed. */
struct target {
  struct ew_addr to;
  bool mesh, valid;
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

static struct target *target_of(const struct ew_upstream *u,
                                struct ew_bal_endpoint *e) {
  struct target *t = e->user;

  if (t)
    return t;
  t = ew_calloc(1, sizeof(*t));
  t->valid = ew_addr_set(&t->to, e->address, e->port) == EW_OK;
  /* What the sidecar sends to its own pod goes to the app directly: the
   * redirection leaves its user alone. */
  t->mesh =
      t->valid && e->identity && !ew_config_is_own(u->env->config, &t->to);
  e->user = t;
  return t;
}

int ew_upstream_address(const struct ew_upstream *u, struct ew_bal_endpoint *e,
                        struct ew_addr *to, bool *mesh) {
  const struct target *t = target_of(u, e);

  *to = t->to;
  *mesh = t->mesh;
  return t->valid ? EW_OK : EW_EINVAL;
}

static enum ew_wire mesh_form(enum ew_wire wire, bool mesh) {
  if (!mesh)
    return wire;
  /* Requests of both versions share HTTP/2 between sidecars. */
  return wire == EW_WIRE_MESH_HTTP1 ? wire : EW_WIRE_MESH_HTTP2;
}

struct ew_pool *ew_upstream_pool(struct ew_upstream *u,
                                 struct ew_bal_endpoint *e, enum ew_wire wire) {
  struct target *t = target_of(u, e);

  if (!t->valid)
    return NULL;
  if (wire == EW_WIRE_MESH_HTTP1 && !t->mesh)
    wire = EW_WIRE_HTTP1;
  wire = mesh_form(wire, t->mesh);
  if (!t->pools[wire])
    t->pools[wire] =
        ew_pool_new(u->env, &t->to, wire, t->mesh ? e->identity : NULL);
  return t->pools[wire];
}
