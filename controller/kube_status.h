/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_KUBE_STATUS_H
#define EASTWEST_CONTROLLER_KUBE_STATUS_H

#include "controller/objects.h"
#include "eastwest/kube/client.h"

/* Writes status.parents of routes to the API server: only what differs from
 * what is there, and never over somebody else's change (resourceVersion). */
struct ew_kube_status;

struct ew_kube_status *ew_kube_status_new(struct ew_kube *k, struct ew_loop *l,
                                          const struct ew_objects *o);
void ew_kube_status_del(struct ew_kube_status *s); /* NULL is allowed */

/* Looks at all routes soon: |o| changed, or we became the one who writes. */
void ew_kube_status_changed(struct ew_kube_status *s);
/* Nothing is written while false, which it is at first. */
void ew_kube_status_set_writing(struct ew_kube_status *s, bool writing);

#endif
