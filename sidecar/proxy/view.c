/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/view.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/log.h"

static struct ew_upstream *kept(struct ew_view *before,
                                const struct ew_backend *b) {
  for (size_t i = 0; before && i < before->d->backends_n; i++)
    if (ew_upstream_is(before->upstreams[i], b))
      return ew_upstream_ref(before->upstreams[i]);
  return NULL;
}

struct ew_view *ew_view_new(struct ew_env *env, struct ew_destination *d,
                            struct ew_view *before) {
  struct ew_view *v = ew_calloc(1, sizeof(*v));
  char why[256];

  v->env = env;
  v->d = ew_destination_ref(d);
  v->refs = 1;
  v->routes = ew_routes_new(d, why, sizeof(why));
  if (why[0])
    ew_log(EW_LOG_WARN, "a rule of a route answers 500",
           "namespace=%s name=%s reason=%s", d->namespace_, d->name, why);
  v->upstreams = ew_calloc(d->backends_n + 1, sizeof(*v->upstreams));
  for (size_t i = 0; i < d->backends_n; i++) {
    v->upstreams[i] = kept(before, &d->backends[i]);
    if (v->upstreams[i])
      ew_upstream_update(v->upstreams[i], &d->backends[i]);
    else
      v->upstreams[i] = ew_upstream_new(env, &d->backends[i]);
  }
  return v;
}

struct ew_view *ew_view_ref(struct ew_view *v) {
  v->refs++;
  return v;
}

static size_t stats_n(const struct ew_view *v) {
  return (v->d->rules_n + 1) * (v->d->backends_n + 1);
}

void ew_view_unref(struct ew_view *v) {
  if (!v || --v->refs > 0)
    return;
  for (size_t i = 0; v->stats && i < stats_n(v); i++)
    ew_request_stats_del(v->stats[i]);
  free(v->stats);
  for (size_t i = 0; i < v->d->backends_n; i++)
    ew_upstream_unref(v->upstreams[i]);
  free(v->upstreams);
  ew_routes_del(v->routes);
  ew_destination_unref(v->d);
  free(v);
}

static struct ew_request_stats *make_stats(struct ew_view *v,
                                           const struct ew_rule *rule,
                                           const struct ew_backend *b) {
  char port[8], backend_port[8], index[12];
  const struct ew_label labels[] = {
      {"direction", "outbound"},
      {"parent_namespace", v->d->namespace_},
      {"parent_name", v->d->name},
      {"parent_port", port},
      {"route_kind", rule ? rule->route_kind : ""},
      {"route_namespace", rule ? rule->route_namespace : ""},
      {"route_name", rule ? rule->route_name : ""},
      {"rule", !rule        ? ""
               : rule->name ? rule->name
                            : index},
      {"backend_namespace", b ? b->namespace_ : ""},
      {"backend_name", b ? b->name : ""},
      {"backend_port", b ? backend_port : ""},
  };

  snprintf(port, sizeof(port), "%u", v->d->port);
  snprintf(backend_port, sizeof(backend_port), "%u", b ? b->port : 0);
  snprintf(index, sizeof(index), "%u", rule ? rule->index : 0);
  return ew_request_stats_new(v->env->metrics, labels,
                              sizeof(labels) / sizeof(labels[0]));
}

struct ew_request_stats *
ew_view_stats(struct ew_view *v, const struct ew_rule *rule, size_t backend) {
  size_t row = rule ? (size_t)(rule - v->d->rules) : v->d->rules_n;
  size_t column = backend == EW_NO_BACKEND ? v->d->backends_n : backend;
  struct ew_request_stats **at;

  if (!v->stats)
    v->stats = ew_calloc(stats_n(v), sizeof(*v->stats));
  at = &v->stats[row * (v->d->backends_n + 1) + column];
  if (!*at)
    *at = make_stats(
        v, rule, backend == EW_NO_BACKEND ? NULL : &v->d->backends[backend]);
  return *at;
}
