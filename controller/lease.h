/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_LEASE_H
#define EASTWEST_CONTROLLER_LEASE_H

#include "eastwest/kube/client.h"

/* Which of several replicas writes: the holder of a Lease
 * (coordination.k8s.io/v1). */
struct ew_lease;

#define EW_LEASE_S 15 /* another one may take it when it is this old */
#define EW_LEASE_RENEW_S 5

struct ew_lease_opts {
  const char *namespace_, *name;
  const char *identity; /* of this replica: the name of its pod */
};

/* Strings are copied. |on_change| is called when we get or lose it. */
struct ew_lease *ew_lease_new(struct ew_kube *k, struct ew_loop *l,
                              const struct ew_lease_opts *opts,
                              void (*on_change)(void *arg, bool held),
                              void *arg);
/* Does not give it up: the next one waits until it is old. */
void ew_lease_del(struct ew_lease *s); /* NULL is allowed */
/* False as soon as a renewal would have been due and did not succeed in time.
 */
bool ew_lease_held(const struct ew_lease *s);

#endif
