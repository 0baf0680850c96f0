/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kubernetes.h"

#include <stdlib.h>

#include "controller/ca_secret.h"
#include "controller/kube_source.h"
#include "controller/kube_status.h"
#include "controller/lease.h"
#include "controller/roots_map.h"
#include "controller/token_review.h"
#include "controller/xmesh.h"
#include "eastwest/base/alloc.h"

struct ew_kubernetes {
  struct ew_kube *kube;
  struct ew_kube_source *source;
  struct ew_ca_secret *ca;
  struct ew_token_review *tokens;
  struct ew_lease *lease;
  struct ew_kube_status *status;
  struct ew_xmesh *xmesh;
  struct ew_roots_map *roots;
  const struct ew_source_events *ev;
  void *arg;
  bool held;
};

/* Before all objects are known, references would look broken. */
static void update_writing(struct ew_kubernetes *k) {
  bool writing = k->held && ew_kube_source_synced(k->source);

  ew_kube_status_set_writing(k->status, writing);
  ew_roots_map_set_writing(k->roots, writing);
  ew_xmesh_set_writing(k->xmesh, writing);
}

static void on_lease(void *arg, bool held) {
  struct ew_kubernetes *k = arg;

  k->held = held;
  update_writing(k);
}

static void on_change(void *arg) {
  struct ew_kubernetes *k = arg;

  update_writing(k);
  ew_kube_status_changed(k->status);
  ew_roots_map_changed(k->roots);
  k->ev->on_objects(k->arg);
}

static void on_fault(void *arg, const char *why) {
  struct ew_kubernetes *k = arg;
  k->ev->on_fault(k->arg, why);
}

static void on_ca(void *arg, struct ew_ca *ca) {
  struct ew_kubernetes *k = arg;
  k->ev->on_ca(k->arg, ca);
}

struct ew_kubernetes *ew_kubernetes_new(struct ew_loop *l,
                                        const struct ew_kubernetes_opts *opts,
                                        struct ew_objects *o,
                                        const struct ew_source_events *ev,
                                        void *arg) {
  static const struct ew_kube_source_events source_events = {on_change,
                                                             on_fault};
  struct ew_kubernetes *k = ew_calloc(1, sizeof(*k));

  k->ev = ev;
  k->arg = arg;
  k->kube = ew_kube_new(l, &opts->server);
  k->status = ew_kube_status_new(k->kube, l, o);
  k->roots = ew_roots_map_new(k->kube, l, o);
  k->xmesh = ew_xmesh_new(k->kube, l);
  k->tokens = ew_token_review_new(k->kube, opts->token_audience);
  k->source = ew_kube_source_new(l, k->kube, o, &source_events, k);
  k->ca = ew_ca_secret_new(k->kube, l,
                           &(struct ew_ca_secret_opts){opts->namespace_,
                                                       opts->ca_secret,
                                                       opts->trust_domain},
                           on_ca, k);
  k->lease = ew_lease_new(
      k->kube, l,
      &(struct ew_lease_opts){opts->namespace_, opts->lease, opts->pod},
      on_lease, k);
  return k;
}

void ew_kubernetes_del(struct ew_kubernetes *k) {
  if (!k)
    return;
  ew_lease_del(k->lease);
  ew_ca_secret_del(k->ca);
  ew_kube_source_del(k->source);
  ew_token_review_del(k->tokens);
  ew_xmesh_del(k->xmesh);
  ew_roots_map_del(k->roots);
  ew_kube_status_del(k->status);
  ew_kube_del(k->kube);
  free(k);
}

bool ew_kubernetes_synced(const struct ew_kubernetes *k) {
  return ew_kube_source_synced(k->source);
}

struct ew_authenticator *ew_kubernetes_authenticator(struct ew_kubernetes *k) {
  return ew_token_review_authenticator(k->tokens);
}

void ew_kubernetes_set_roots(struct ew_kubernetes *k, const char *roots) {
  ew_roots_map_set(k->roots, roots);
}

void ew_kubernetes_measure(struct ew_kubernetes *k, struct ew_metrics *m) {
  struct ew_series *held =
      ew_series_ref(m, EW_GAUGE, "eastwest_controller_lease_held",
                    "1 if this replica writes status.", NULL, 0);
  struct ew_series *faults =
      ew_series_ref(m, EW_GAUGE, "eastwest_controller_api_faults",
                    "Failed answers of the API server to watches.", NULL, 0);

  ew_series_set(held, ew_lease_held(k->lease));
  ew_series_set(faults, (int64_t)ew_kube_source_faults(k->source));
  ew_series_unref(m, held);
  ew_series_unref(m, faults);
}
