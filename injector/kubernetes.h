/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_KUBERNETES_H
#define EASTWEST_INJECTOR_KUBERNETES_H

#include "injector/certificate.h"
#include "injector/config.h"
#include "injector/review.h"

/* All that ties the injector to a cluster: Events, its certificate in a Secret
 * and the roots in the webhook's configuration, unless |own| is NULL because
 * the certificate comes from files. A certificate is served only once the API
 * server has its root. */
struct ew_injector_kube;

/* All must outlive it. */
struct ew_injector_kube *
ew_injector_kube_new(struct ew_loop *l, const struct ew_injector_config *c,
                     struct ew_certificate *own, struct ew_metrics *m);
void ew_injector_kube_del(struct ew_injector_kube *k); /* or NULL */
/* NULL: nothing is in the way of being ready. */
const char *ew_injector_kube_unready(const struct ew_injector_kube *k);
/* Writes the Events that an answer is worth. */
void ew_injector_kube_tell(struct ew_injector_kube *k,
                           const struct ew_review *r);
/* Brings the gauges up to date. */
void ew_injector_kube_measure(struct ew_injector_kube *k);

#endif
