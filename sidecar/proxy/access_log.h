/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_ACCESS_LOG_H
#define SIDECAR_PROXY_ACCESS_LOG_H

#include "eastwest/model/destination.h"
#include "sidecar/config.h"
#include "sidecar/proxy/exchange.h"

/* One line of JSON per request on stdout. Lines of one loop turn are written
 * together; when stdout takes nothing, lines are dropped and counted. */
struct ew_access_log;

#define EW_ACCESS_LOG_MAX 65536

struct ew_access_log *ew_access_log_new(struct ew_loop *l,
                                        enum ew_access_mode mode);
void ew_access_log_del(struct ew_access_log *a);

struct ew_access_where {
  const char *direction;                    /* "outbound", "inbound" */
  const struct ew_destination *destination; /* NULL: none */
  const struct ew_rule *rule;
  const struct ew_backend *backend;
  const char *endpoint; /* address, or NULL */
  const char *peer;     /* SPIFFE id of the other side, or "" */
};

/* "errors": status 500 and above, refusals, and exchanges that were lost. */
void ew_access_log_request(struct ew_access_log *a, const struct ew_exchange *x,
                           const struct ew_access_where *w);
unsigned long long ew_access_log_dropped(const struct ew_access_log *a);

#endif
