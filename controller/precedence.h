/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_PRECEDENCE_H
#define EASTWEST_CONTROLLER_PRECEDENCE_H

#include "controller/objects.h"

/* Which routes decide about a port of a Service (GEP-1294). */

/* Whether |parent|, a parentRef of |route|, selects |port| of |service|: port
 * and sectionName, where given, must both name it. No port of an ExternalName
 * Service and no UDP port is ever selected. */
bool ew_route_applies(const struct ew_objects *o, const struct ew_object *route,
                      const struct ew_parent_ref *parent,
                      const struct ew_object *service,
                      const struct ew_service_port *port);

/* Negative if |a| comes first: the older one, then the first one in the order
 * of "namespace/name". */
int ew_route_older(const struct ew_object *a, const struct ew_object *b);

/* How many rules have a fault, or only: how many have no effect at all. */
size_t ew_route_faulty(const struct ew_route *r, bool only_dropped);

/* Whether |route| has any effect: not if it was rejected as a whole or if each
 * of its rules is dropped. Such a route must not displace another. */
bool ew_route_in_force(const struct ew_object *route);

/* Of the routes of namespace |ns| that are in force on this port, the one that
 * beats all others: the lowest type, then the oldest; NULL without any. Routes
 * compete only inside a namespace: |ns| is the Service's own for producer
 * routes, that of the client for consumer routes. */
const struct ew_object *ew_route_winner(const struct ew_objects *o,
                                        const char *ns,
                                        const struct ew_object *service,
                                        const struct ew_service_port *port);

/* Whether |route| is ignored on a port whose winner is |winner| (may be NULL).
 * Routes of one type are merged with each other, but for TCPRoutes: nothing
 * tells their connections apart, so there can be only one. */
bool ew_route_loses(const struct ew_object *route,
                    const struct ew_object *winner);

#endif
