/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_LOCAL_H
#define SIDECAR_PROXY_LOCAL_H

#include "sidecar/proxy/env.h"
#include "sidecar/proxy/pool.h"
#include "sidecar/proxy/request_stats.h"

/* The app's own ports, as connections have asked for them. */
struct ew_locals;

/* Ports remembered; when they are used up, the idle ones are forgotten. */
#define EW_LOCALS_MAX 256

struct ew_local {
  struct ew_list node;      /* private */
  struct ew_addr addr;      /* the pod's address and the app's port */
  struct ew_pool *pools[2]; /* HTTP/1.1 and HTTP/2; NULL until needed */
  struct ew_request_stats *stats;
  /* Seen: here the server speaks first. */
  bool server_first;
  struct ew_env *env;
  unsigned users;
};

struct ew_locals *ew_locals_new(struct ew_env *env);
void ew_locals_del(struct ew_locals *l);
/* In use until ew_local_release. NULL when EW_LOCALS_MAX are in use. */
struct ew_local *ew_locals_use(struct ew_locals *l, const struct ew_addr *addr);
void ew_local_release(struct ew_local *lo);
struct ew_pool *ew_local_pool(struct ew_local *lo, bool http2);

#endif
