/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_STATUS_H
#define EASTWEST_CONTROLLER_STATUS_H

#include <jansson.h>

#include "controller/objects.h"

#define EW_CONTROLLER_NAME "eastwest.dev/controller"

/* status.parents[] of the HTTPRoutes, GRPCRoutes, TCPRoutes and TLSRoutes whose
 * parents are Services, kept up to date in |dir|, one file a route:
 * KIND_NAMESPACE_NAME.json. A change of a condition is logged. */
struct ew_status;

/* |dir| is made if it is missing; NULL: log only. What another run left in it
 * is read, for the times of transition, and removed when its route is gone. */
struct ew_status *ew_status_new(const char *dir);
void ew_status_del(struct ew_status *s); /* NULL is allowed; files stay */

/* Call it after |o| changed. */
void ew_status_update(struct ew_status *s, const struct ew_objects *o);

/* The new status of |route| (an object with "parents"), a new reference. |old|
 * is the status there was, may be NULL: entries of other controllers are kept
 * as they are, and a condition whose status did not change keeps its
 * lastTransitionTime. |now| is RFC 3339. NULL if the route is not ours and the
 * status has nothing of ours in it. */
json_t *ew_status_of(const struct ew_objects *o, const struct ew_object *route,
                     const json_t *old, const char *now);

#endif
