/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_KUBERNETES_H
#define EASTWEST_CONTROLLER_KUBERNETES_H

#include "controller/authenticator.h"
#include "controller/objects.h"
#include "controller/source.h"
#include "eastwest/base/metrics.h"
#include "eastwest/kube/client.h"

/* All that ties the controller to a cluster: objects, the CA's Secret, reviews
 * of tokens, the Lease, and what its holder writes. */
struct ew_kubernetes;

struct ew_kubernetes_opts {
  struct ew_kube_opts server;
  const char *namespace_; /* our own: of Secret and Lease */
  const char *pod;        /* our name among the replicas */
  const char *ca_secret, *lease;
  const char *trust_domain, *token_audience;
};

/* |opts|' strings, |o| and |ev| must outlive it. */
struct ew_kubernetes *ew_kubernetes_new(struct ew_loop *l,
                                        const struct ew_kubernetes_opts *opts,
                                        struct ew_objects *o,
                                        const struct ew_source_events *ev,
                                        void *arg);
/* No token may be under review. NULL is allowed. */
void ew_kubernetes_del(struct ew_kubernetes *k);
/* Every kind was listed once. */
bool ew_kubernetes_synced(const struct ew_kubernetes *k);
struct ew_authenticator *ew_kubernetes_authenticator(struct ew_kubernetes *k);
/* What is trusted now, for sidecars that have no certificate yet. */
void ew_kubernetes_set_roots(struct ew_kubernetes *k, const char *roots);
/* Sets the gauges before metrics are read. */
void ew_kubernetes_measure(struct ew_kubernetes *k, struct ew_metrics *m);

#endif
