/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_LOCAL_H
#define EASTWEST_CONTROLLER_LOCAL_H

#include "controller/authenticator.h"
#include "controller/objects.h"
#include "controller/source.h"
#include "eastwest/base/metrics.h"
#include "eastwest/net/loop.h"

/* A mesh without Kubernetes: objects from folders of manifests, status into
 * files, the CA and the tokens from files. */
struct ew_local;

struct ew_local_opts {
  const char *const *manifests;
  size_t manifests_n;
  const char *status_dir; /* NULL: log only */
  const char *ca_dir, *token_file, *trust_domain;
};

/* Reads everything and tells the CA before it returns. |ev| and |o| must
 * outlive it. NULL with a reason in |why|. */
struct ew_local *ew_local_new(struct ew_loop *l,
                              const struct ew_local_opts *opts,
                              struct ew_objects *o,
                              const struct ew_source_events *ev, void *arg,
                              char *why, size_t why_len);
void ew_local_del(struct ew_local *m); /* NULL is allowed */
struct ew_authenticator *ew_local_authenticator(struct ew_local *m);
/* Sets the series that describe it. */
void ew_local_measure(struct ew_local *m, struct ew_metrics *metrics);

#endif
