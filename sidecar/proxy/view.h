/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_VIEW_H
#define SIDECAR_PROXY_VIEW_H

#include "sidecar/policy/route.h"
#include "sidecar/proxy/request_stats.h"
#include "sidecar/proxy/upstream.h"

/* One version of a destination, as requests use it. Reference counted: a
 * request keeps the version it began with. */
struct ew_view {
  struct ew_env *env;
  struct ew_destination *d;
  struct ew_routes *routes;
  struct ew_upstream **upstreams;  /* d->backends_n */
  struct ew_request_stats **stats; /* (d->rules_n + 1) x (d->backends_n + 1) */
  unsigned refs;
};

/* |before|: the version it replaces, whose upstreams it takes over where the
 * backend has the same name; NULL for the first. */
struct ew_view *ew_view_new(struct ew_env *env, struct ew_destination *d,
                            struct ew_view *before);
struct ew_view *ew_view_ref(struct ew_view *v);
void ew_view_unref(struct ew_view *v); /* NULL is allowed */
/* The counters of a rule (NULL: none matched) and a backend (EW_NO_BACKEND:
 * none was chosen). */
struct ew_request_stats *
ew_view_stats(struct ew_view *v, const struct ew_rule *rule, size_t backend);

#endif
