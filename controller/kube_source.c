/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube_source.h"

#include <stdlib.h>

#include "controller/kube_prune.h"
#include "eastwest/base/err.h"
#include "eastwest/kube/watch.h"

struct kind_watch {
  struct ew_kube_source *s;
  enum ew_kind kind;
  struct ew_kube_watch *watch;
  bool synced;
};

struct ew_kube_source {
  struct ew_objects *objects;
  const struct ew_kube_source_events *ev;
  void *arg;
  struct kind_watch watches[EW_KINDS];
  size_t watches_n, unsynced;
};

/* ServiceAccounts and ReferenceGrants decide nothing: they are not asked for.
 */
static const struct {
  enum ew_kind kind;
  struct ew_kube_watch_opts opts;
} sources[] = {
    {EW_KIND_NAMESPACE,
     {.path = "/api/v1/namespaces", .api_version = "v1", .kind = "Namespace"}},
    {EW_KIND_POD, {.path = "/api/v1/pods", .api_version = "v1", .kind = "Pod"}},
    {EW_KIND_SERVICE,
     {.path = "/api/v1/services", .api_version = "v1", .kind = "Service"}},
    {EW_KIND_ENDPOINT_SLICE,
     {.path = "/apis/discovery.k8s.io/v1/endpointslices",
      .api_version = "discovery.k8s.io/v1",
      .kind = "EndpointSlice"}},
    {EW_KIND_HTTP_ROUTE,
     {.path = "/apis/gateway.networking.k8s.io/v1/httproutes",
      .api_version = "gateway.networking.k8s.io/v1",
      .kind = "HTTPRoute"}},
    {EW_KIND_GRPC_ROUTE,
     {.path = "/apis/gateway.networking.k8s.io/v1/grpcroutes",
      .api_version = "gateway.networking.k8s.io/v1",
      .kind = "GRPCRoute"}},
    {EW_KIND_TCP_ROUTE,
     {.path = "/apis/gateway.networking.k8s.io/v1/tcproutes",
      .api_version = "gateway.networking.k8s.io/v1",
      .kind = "TCPRoute",
      .older_path = "/apis/gateway.networking.k8s.io/v1alpha2/tcproutes",
      .older_api_version = "gateway.networking.k8s.io/v1alpha2"}},
    {EW_KIND_TLS_ROUTE,
     {.path = "/apis/gateway.networking.k8s.io/v1/tlsroutes",
      .api_version = "gateway.networking.k8s.io/v1",
      .kind = "TLSRoute",
      .older_path = "/apis/gateway.networking.k8s.io/v1alpha3/tlsroutes",
      .older_api_version = "gateway.networking.k8s.io/v1alpha3"}},
};

#define SOURCES (sizeof(sources) / sizeof(sources[0]))

static void on_object(void *arg, json_t *object) {
  struct kind_watch *w = arg;
  struct ew_kube_source *s = w->s;
  char why[768] = "";
  uint64_t before = s->objects->changes;

  ew_kube_prune(w->kind, object);
  if (ew_objects_upsert(s->objects, object, NULL, why, sizeof(why)) ==
      EW_EINVAL)
    s->ev->on_fault(s->arg, why);
  if (s->objects->changes != before)
    s->ev->on_change(s->arg);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  struct kind_watch *w = arg;

  if (ew_objects_delete(w->s->objects, ew_kind_name(w->kind), ns, name) ==
      EW_OK)
    w->s->ev->on_change(w->s->arg);
}

static void on_synced(void *arg) {
  struct kind_watch *w = arg;

  w->synced = true;
  if (--w->s->unsynced == 0)
    w->s->ev->on_change(w->s->arg);
}

struct ew_kube_source *
ew_kube_source_new(struct ew_loop *l, struct ew_kube *k, struct ew_objects *o,
                   const struct ew_kube_source_events *ev, void *arg) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  struct ew_kube_source *s = ew_calloc(1, sizeof(*s));

  s->objects = o;
  s->ev = ev;
  s->arg = arg;
  s->watches_n = s->unsynced = SOURCES;
  for (size_t i = 0; i < SOURCES; i++) {
    s->watches[i].s = s;
    s->watches[i].kind = sources[i].kind;
    s->watches[i].watch =
        ew_kube_watch_new(k, l, &sources[i].opts, &events, &s->watches[i]);
  }
  return s;
}

void ew_kube_source_del(struct ew_kube_source *s) {
  if (!s)
    return;
  for (size_t i = 0; i < s->watches_n; i++)
    ew_kube_watch_del(s->watches[i].watch);
  free(s);
}

bool ew_kube_source_synced(const struct ew_kube_source *s) {
  return s->unsynced == 0;
}

uint64_t ew_kube_source_faults(const struct ew_kube_source *s) {
  uint64_t n = 0;

  for (size_t i = 0; i < s->watches_n; i++)
    n += ew_kube_watch_faults(s->watches[i].watch);
  return n;
}
