/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_EVENTS_H
#define EASTWEST_INJECTOR_EVENTS_H

#include "eastwest/base/metrics.h"
#include "eastwest/kube/client.h"
#include "injector/subject.h"

/* Events (core/v1) that say why a pod is not, or not quite, in the mesh. They
 * are advice: one that can't be written is counted and gone. The same one is
 * not told again for a while, and whatever is asked of us there are never more
 * than some per second and some under way. */
struct ew_events;

#define EW_EVENTS_BURST 30u /* then one per second */
#define EW_EVENTS_OPEN_MAX 16u
#define EW_EVENTS_REPEAT_MS 600000u
#define EW_EVENTS_REMEMBERED 256u

/* All must outlive it. */
struct ew_events *ew_events_new(struct ew_kube *k, struct ew_loop *l,
                                struct ew_metrics *m);
void ew_events_del(struct ew_events *e); /* or NULL */
/* A Warning. |reason| is one word in CamelCase, |message| a sentence; what it
 * quotes may be anything. */
void ew_events_tell(struct ew_events *e, const struct ew_subject *s,
                    const char *reason, const char *message);

#endif
