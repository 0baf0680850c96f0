/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/objects.h"

#include <stdio.h>

#include "controller/objects_read.h"
#include "eastwest/base/err.h"

#define EW_KEY_MAX 640 /* kind, namespace and name: 63 + 253 + 253 */

static const struct {
  const char *name, *group;
} ew_kinds[EW_KINDS] = {
    [EW_KIND_NAMESPACE] = {"Namespace", ""},
    [EW_KIND_POD] = {"Pod", ""},
    [EW_KIND_SERVICE] = {"Service", ""},
    [EW_KIND_ENDPOINT_SLICE] = {"EndpointSlice", "discovery.k8s.io"},
    [EW_KIND_SERVICE_ACCOUNT] = {"ServiceAccount", ""},
    [EW_KIND_HTTP_ROUTE] = {"HTTPRoute", "gateway.networking.k8s.io"},
    [EW_KIND_GRPC_ROUTE] = {"GRPCRoute", "gateway.networking.k8s.io"},
    [EW_KIND_TCP_ROUTE] = {"TCPRoute", "gateway.networking.k8s.io"},
    [EW_KIND_TLS_ROUTE] = {"TLSRoute", "gateway.networking.k8s.io"},
    [EW_KIND_REFERENCE_GRANT] = {"ReferenceGrant", "gateway.networking.k8s.io"},
};

const char *ew_kind_name(enum ew_kind k) { return ew_kinds[k].name; }

static bool ew_is_route(enum ew_kind k) {
  return k >= EW_KIND_HTTP_ROUTE && k <= EW_KIND_TLS_ROUTE;
}

struct ew_objects *ew_objects_new(void) {
  struct ew_objects *o = ew_calloc(1, sizeof *o);
  for (int k = 0; k < EW_KINDS; k++)
    ew_list_init(&o->kinds[k]);
  return o;
}

static void ew_object_del(struct ew_object *x) {
  json_decref(x->json);
  ew_arena_fini(&x->arena);
  free(x);
}

void ew_objects_del(struct ew_objects *o) {
  if (!o)
    return;
  for (int k = 0; k < EW_KINDS; k++)
    while (!ew_list_empty(&o->kinds[k])) {
      struct ew_list *n = o->kinds[k].next;
      ew_list_remove(n);
      ew_object_del(EW_CONTAINER(n, struct ew_object, node));
    }
  ew_strmap_fini(&o->by_name);
  ew_multimap_fini(&o->service_by_ip);
  ew_multimap_fini(&o->pod_by_ip);
  ew_multimap_fini(&o->slices_by_service);
  ew_multimap_fini(&o->routes_by_service);
  ew_multimap_fini(&o->slices_by_pod);
  free(o);
}

typedef void ew_index_fn(struct ew_multimap *m, const char *key, void *value);

static void ew_index_at(ew_index_fn *fn, struct ew_multimap *m, const char *ns,
                        const char *name, struct ew_object *x) {
  char key[EW_KEY_MAX];
  snprintf(key, sizeof key, "%s/%s", ns, name);
  fn(m, key, x);
}

/* Whether an earlier parentRef names the same Service. */
static bool ew_parent_seen(const struct ew_route *r, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (r->parents[j].service &&
        strcmp(r->parents[j].namespace_, r->parents[i].namespace_) == 0 &&
        strcmp(r->parents[j].name, r->parents[i].name) == 0)
      return true;
  return false;
}

/* Adds to or removes from every index: the same walk for both. */
static void ew_index(struct ew_objects *o, struct ew_object *x,
                     ew_index_fn *fn) {
  if (x->kind == EW_KIND_SERVICE) {
    for (size_t i = 0; i < x->u.service.ips_n; i++)
      fn(&o->service_by_ip, x->u.service.ips[i], x);
  } else if (x->kind == EW_KIND_POD) {
    /* A pod of the host's network has the address of its node, and one that
     * has ended may have given its address to another. */
    for (size_t i = 0; i < x->u.pod.ips_n; i++)
      if (!x->u.pod.host_network && !x->u.pod.ended)
        fn(&o->pod_by_ip, x->u.pod.ips[i], x);
  } else if (x->kind == EW_KIND_ENDPOINT_SLICE && x->u.slice.service) {
    ew_index_at(fn, &o->slices_by_service, x->namespace_, x->u.slice.service,
                x);
    for (size_t i = 0; i < x->u.slice.endpoints_n; i++)
      if (x->u.slice.endpoints[i].pod)
        ew_index_at(fn, &o->slices_by_pod,
                    x->u.slice.endpoints[i].pod_namespace,
                    x->u.slice.endpoints[i].pod, x);
  } else if (ew_is_route(x->kind)) {
    for (size_t i = 0; i < x->u.route.parents_n; i++)
      if (x->u.route.parents[i].service && !ew_parent_seen(&x->u.route, i))
        ew_index_at(fn, &o->routes_by_service, x->u.route.parents[i].namespace_,
                    x->u.route.parents[i].name, x);
  }
}

static void ew_key(char key[EW_KEY_MAX], enum ew_kind kind, const char *ns,
                   const char *name) {
  snprintf(key, EW_KEY_MAX, "%s/%s/%s", ew_kinds[kind].name,
           kind == EW_KIND_NAMESPACE ? "" : ns, name);
}

/* EW_KINDS if it is none of ours. Kinds of other groups can have our names
 * (a Service of Knative). */
static enum ew_kind ew_kind_of(const char *kind, struct ew_slice group) {
  for (int k = 0; k < EW_KINDS; k++)
    if (strcmp(ew_kinds[k].name, kind) == 0 &&
        ew_slice_eq_str(group, ew_kinds[k].group))
      return (enum ew_kind)k;
  return EW_KINDS;
}

static void ew_read_head(struct ew_jr *r, const struct ew_jv *root,
                         struct ew_object *x) {
  struct ew_jv meta = ew_jr_obj(r, root, "metadata");
  const char *name = ew_jr_need(r, &meta, "name");
  const char *ns = ew_jr_str(r, &meta, "namespace");
  struct ew_jv at = ew_jv_get(&meta, "name");
  if (strlen(name) > 253 || strchr(name, '/'))
    ew_jr_fail(r, &at, "must be the name of an object");
  at = ew_jv_get(&meta, "namespace");
  if (ns && (strlen(ns) > 63 || strchr(ns, '/')))
    ew_jr_fail(r, &at, "must be the name of a namespace");
  if (x->kind == EW_KIND_NAMESPACE)
    ns = "";
  else if (!ns || !*ns)
    ns = "default";
  x->name = ew_arena_dup(&x->arena, name, strlen(name));
  x->namespace_ = ew_arena_dup(&x->arena, ns, strlen(ns));
  x->generation = (int64_t)ew_jr_u64(r, &meta, "generation", 0, INT64_MAX, 1);
  const char *created = ew_jr_str(r, &meta, "creationTimestamp");
  x->created = created ? ew_arena_dup(&x->arena, created, strlen(created)) : "";
}

static struct ew_object *ew_object_new(json_t *json, enum ew_kind kind,
                                       const char *where) {
  struct ew_object *x = ew_calloc(1, sizeof *x);
  ew_list_init(&x->node);
  ew_arena_init(&x->arena);
  x->kind = kind;
  x->json = json_incref(json);
  x->where = where ? ew_arena_dup(&x->arena, where, strlen(where)) : "";
  return x;
}

/* "where: Kind namespace/name: " */
static size_t ew_fault_head(char *out, size_t len, const struct ew_object *x) {
  bool named = x->name && *x->name;
  int n = snprintf(out, len, "%s%s%s%s%s%s%s: ", x->where,
                   *x->where ? ": " : "", ew_kinds[x->kind].name,
                   named ? " " : "", named ? x->namespace_ : "",
                   named && *x->namespace_ ? "/" : "", named ? x->name : "");
  return n > 0 && (size_t)n < len ? (size_t)n : 0;
}

static void ew_replace(struct ew_objects *o, struct ew_object *x,
                       const char *key) {
  struct ew_object *old = ew_strmap_put(&o->by_name, key, x);
  if (old) {
    ew_index(o, old, ew_multimap_remove);
    ew_list_remove(&old->node);
    ew_object_del(old);
  }
  ew_list_push_back(&o->kinds[x->kind], &x->node);
  ew_index(o, x, ew_multimap_add);
  o->changes++;
}

int ew_objects_upsert(struct ew_objects *o, json_t *json, const char *where,
                      char *why, size_t why_len) {
  const char *kind_name = json_string_value(json_object_get(json, "kind"));
  const char *api = json_string_value(json_object_get(json, "apiVersion"));
  if (!kind_name || !api)
    return EW_ENOENT;
  const char *slash = strchr(api, '/');
  enum ew_kind kind =
      ew_kind_of(kind_name, ew_slice(api, slash ? (size_t)(slash - api) : 0));
  if (kind == EW_KINDS)
    return EW_ENOENT;
  struct ew_object *x = ew_object_new(json, kind, where);
  char fault[512] = "";
  struct ew_jr r = {.why = fault, .why_len = sizeof fault};
  struct ew_jv root = ew_jv_root(json);
  ew_read_head(&r, &root, x);
  char key[EW_KEY_MAX];
  ew_key(key, kind, x->namespace_, x->name);
  struct ew_object *old = ew_strmap_get(&o->by_name, key);
  if (!r.failed && old && json_equal(old->json, json)) {
    ew_object_del(x);
    return EW_OK;
  }
  if (!r.failed)
    ew_object_read(&r, &root, x);
  if (r.failed) {
    size_t n = ew_fault_head(why, why_len, x);
    snprintf(why + n, why_len - n, "%s%s", fault,
             old ? " (the last good state stays in force)" : "");
    ew_object_del(x);
    return EW_EINVAL;
  }
  ew_replace(o, x, key);
  return EW_OK;
}

int ew_objects_delete(struct ew_objects *o, const char *kind, const char *ns,
                      const char *name) {
  struct ew_slice group = ew_slice_str(kind);
  struct ew_slice bare = ew_slice_cut(&group, '.');
  enum ew_kind k = EW_KINDS;
  for (int i = 0; i < EW_KINDS; i++)
    if (ew_slice_eq_str(bare, ew_kinds[i].name) &&
        (!group.p || ew_slice_eq_str(group, ew_kinds[i].group)))
      k = (enum ew_kind)i;
  if (k == EW_KINDS)
    return EW_ENOENT;
  char key[EW_KEY_MAX];
  ew_key(key, k, ns, name);
  struct ew_object *x = ew_strmap_remove(&o->by_name, key);
  if (!x)
    return EW_ENOENT;
  ew_index(o, x, ew_multimap_remove);
  ew_list_remove(&x->node);
  ew_object_del(x);
  o->changes++;
  return EW_OK;
}

const struct ew_object *ew_objects_get(const struct ew_objects *o,
                                       enum ew_kind kind, const char *ns,
                                       const char *name) {
  char key[EW_KEY_MAX];
  ew_key(key, kind, ns, name);
  return ew_strmap_get(&o->by_name, key);
}

static const struct ew_object *ew_by_ip(const struct ew_multimap *m,
                                        const char *ip) {
  char text[EW_IP_TEXT];
  if (!ew_ip_canonical(ip, text))
    return NULL;
  const struct ew_ptrs *l = ew_multimap_get(m, text);
  const struct ew_object *best = NULL;
  for (size_t i = 0; i < l->n; i++) {
    const struct ew_object *x = l->p[i];
    if (!best || strcmp(x->created, best->created) >= 0)
      best = x;
  }
  return best;
}

const struct ew_object *ew_objects_service_by_ip(const struct ew_objects *o,
                                                 const char *ip) {
  return ew_by_ip(&o->service_by_ip, ip);
}

const struct ew_object *ew_objects_pod_by_ip(const struct ew_objects *o,
                                             const char *ip) {
  return ew_by_ip(&o->pod_by_ip, ip);
}

bool ew_objects_injected(const struct ew_objects *o,
                         const struct ew_object *pod) {
  const struct ew_pod *p = &pod->u.pod;
  if (p->sidecar != EW_SIDECAR_BY_LABEL)
    return p->sidecar == EW_SIDECAR_YES && !p->host_network;
  if (p->host_network || p->inject == EW_INJECT_DISABLED)
    return false;
  if (p->inject == EW_INJECT_ENABLED)
    return true;
  const struct ew_object *ns =
      ew_objects_get(o, EW_KIND_NAMESPACE, "", pod->namespace_);
  return ns && ns->u.ns.inject == EW_INJECT_ENABLED;
}
