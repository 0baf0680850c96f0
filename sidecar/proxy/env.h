/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_ENV_H
#define SIDECAR_PROXY_ENV_H

#include "eastwest/base/list.h"
#include "eastwest/base/metrics.h"
#include "eastwest/net/tls.h"
#include "sidecar/config.h"

struct ew_access_log;
struct ew_discovery;
struct ew_identity;
struct ew_services;

/* What the connections of one worker share. */
struct ew_env {
  struct ew_loop *loop;
  const struct ew_config *config;
  struct ew_metrics *metrics;
  struct ew_identity *identity;   /* NULL: no mesh TLS at all */
  struct ew_discovery *discovery; /* NULL: every destination is unknown */
  struct ew_services *services;
  struct ew_access_log *access_log;
  uint64_t random; /* state of ew_env_random */
};

/* Not for secrets: balancing, weights, jitter. */
uint64_t ew_env_random(struct ew_env *env);
/* The current identity, borrowed; NULL before the first certificate. */
struct ew_tls_ctx *ew_env_tls(struct ew_env *env);

/* Counts one event of a fixed vocabulary: family{label="value"}. |value| comes
 * from a fixed set, never from a peer. */
void ew_env_count(struct ew_env *env, const char *family, const char *help,
                  const char *label, const char *value);
/* A failed mesh TLS handshake; |direction| is "inbound" or "outbound", |reason|
 * as ew_tls_stream_failure says. */
void ew_env_count_tls_failure(struct ew_env *env, const char *direction,
                              const char *reason);

#endif
