/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_DISCOVERY_H
#define SIDECAR_DISCOVERY_H

#include "eastwest/base/metrics.h"
#include "eastwest/model/destination.h"
#include "eastwest/net/addr.h"
#include "sidecar/identity.h"

/* The sidecar's side of docs/discovery.md: connections to the controller, one
 * HTTP/2 stream per address. A lost controller changes nothing: who watches
 * keeps the last state, and the streams are opened again when it is back. */
struct ew_discovery;
struct ew_watch;

#define EW_DISCOVERY_SILENCE_MS 30000
#define EW_DISCOVERY_RETRY_MIN_MS 100
#define EW_DISCOVERY_RETRY_MAX_MS 10000

struct ew_discovery_opts {
  struct ew_addr controller;
  const char *controller_id;
  struct ew_identity *identity;
  struct ew_metrics *metrics;
};

struct ew_discovery *ew_discovery_new(struct ew_loop *l,
                                      const struct ew_discovery_opts *o);
/* All watches must be gone. */
void ew_discovery_del(struct ew_discovery *d);
bool ew_discovery_connected(const struct ew_discovery *d);

/* A complete and valid state. |d| is borrowed; take a reference. */
typedef void (*ew_watch_fn)(void *arg, struct ew_destination *d);

/* Never NULL; |on_state| is never called from within. */
struct ew_watch *ew_discovery_watch(struct ew_discovery *d,
                                    const struct ew_addr *dst,
                                    ew_watch_fn on_state, void *arg);
void ew_discovery_unwatch(struct ew_watch *w);

#endif
