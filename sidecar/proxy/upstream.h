/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_UPSTREAM_H
#define SIDECAR_PROXY_UPSTREAM_H

#include "eastwest/model/destination.h"
#include "sidecar/policy/balance.h"
#include "sidecar/proxy/env.h"
#include "sidecar/proxy/pool.h"

/* One backend of a destination at run time: its balancer, and behind each
 * endpoint the connection pools. Lives over changes of the destination as long
 * as the backend has the same name. Reference counted: requests keep it. */
struct ew_upstream {
  struct ew_env *env;
  char *kind, *namespace_, *name;
  uint16_t port;
  enum ew_protocol protocol;
  struct ew_balancer *balancer;
  unsigned refs;
};

struct ew_upstream *ew_upstream_new(struct ew_env *env,
                                    const struct ew_backend *b);
bool ew_upstream_is(const struct ew_upstream *u, const struct ew_backend *b);
/* New endpoints and protocol. */
void ew_upstream_update(struct ew_upstream *u, const struct ew_backend *b);
struct ew_upstream *ew_upstream_ref(struct ew_upstream *u);
void ew_upstream_unref(struct ew_upstream *u);

/* The pool of |e| for |wire| of plain HTTP; the mesh's form of it is taken
 * where the endpoint has an identity and is not this pod itself. NULL if the
 * endpoint's address is none. |e| must be referenced while it is used. */
struct ew_pool *ew_upstream_pool(struct ew_upstream *u,
                                 struct ew_bal_endpoint *e, enum ew_wire wire);
/* How to reach |e| for a tunnel: fills |to| and whether it is by mesh TLS. */
int ew_upstream_address(const struct ew_upstream *u, struct ew_bal_endpoint *e,
                        struct ew_addr *to, bool *mesh);

#endif
