/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_KUBE_SOURCE_H
#define EASTWEST_CONTROLLER_KUBE_SOURCE_H

#include "controller/objects.h"
#include "eastwest/kube/client.h"

/* Objects from the API server: a watch for each kind feeds the same object
 * store as manifests do. */
struct ew_kube_source;

struct ew_kube_source_events {
  /* Something changed; also once when all is synced. */
  void (*on_change)(void *arg);
  /* An object is faulty: a text for the log. */
  void (*on_fault)(void *arg, const char *why);
};

struct ew_kube_source *
ew_kube_source_new(struct ew_loop *l, struct ew_kube *k, struct ew_objects *o,
                   const struct ew_kube_source_events *ev, void *arg);
void ew_kube_source_del(struct ew_kube_source *s); /* NULL is allowed */
/* Every kind was listed once: what is not known does not exist. */
bool ew_kube_source_synced(const struct ew_kube_source *s);
uint64_t ew_kube_source_faults(const struct ew_kube_source *s);

#endif
