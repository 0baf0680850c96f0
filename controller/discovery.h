/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_DISCOVERY_H
#define EASTWEST_CONTROLLER_DISCOVERY_H

#include "controller/objects.h"
#include "eastwest/base/metrics.h"
#include "eastwest/conn/httpd.h"

/* The streams of GET /v1/destinations/IP:PORT (docs/discovery.md): a state at
 * once, a state after each change, heartbeats. */
struct ew_discovery;

/* All arguments must outlive it. */
struct ew_discovery *ew_discovery_new(struct ew_loop *loop,
                                      const struct ew_objects *objects,
                                      const char *trust_domain,
                                      struct ew_metrics *metrics);
/* All requests must be gone (ew_httpd_del). */
void ew_discovery_del(struct ew_discovery *d); /* NULL is allowed */

/* Answers |r|, whose path goes on with |address| after /v1/destinations/. The
 * request stays open; ew_discovery_gone is to be called if it ends. */
void ew_discovery_serve(struct ew_discovery *d, struct ew_httpd_request *r,
                        struct ew_slice address);
void ew_discovery_gone(struct ew_discovery *d, struct ew_httpd_request *r);

/* The objects changed: what follows from it is sent within 20 ms, several
 * changes at once. */
void ew_discovery_changed(struct ew_discovery *d);

/* Sets the gauges before metrics are read. */
void ew_discovery_measure(struct ew_discovery *d);

#endif
