/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/objects_read.h"

#include <arpa/inet.h>

#include "eastwest/base/err.h"

#define EW_LIST_MAX 4096
#define EW_ENDPOINTS_MAX 20000

bool ew_ip_canonical(const char *s, char out[EW_IP_TEXT]) {
  struct in6_addr a;
  if (inet_pton(AF_INET, s, &a) == 1)
    return inet_ntop(AF_INET, &a, out, EW_IP_TEXT) != NULL;
  if (inet_pton(AF_INET6, s, &a) == 1)
    return inet_ntop(AF_INET6, &a, out, EW_IP_TEXT) != NULL;
  return false;
}

static void *ew_new(struct ew_object *o, size_t n, size_t size) {
  if (!n)
    return NULL;
  void *p = ew_arena_alloc(&o->arena, n * size);
  memset(p, 0, n * size);
  return p;
}

static const char *ew_keep(struct ew_object *o, const char *s) {
  return s ? ew_arena_dup(&o->arena, s, strlen(s)) : NULL;
}

/* An address in its canonical spelling; "" after a fault. */
static const char *ew_keep_ip(struct ew_jr *r, struct ew_object *o,
                              const struct ew_jv *at, const char *s) {
  char ip[EW_IP_TEXT] = "";
  if (!s || !ew_ip_canonical(s, ip))
    ew_jr_fail(r, at, "must be an IP address");
  return ew_keep(o, ip);
}

static bool ew_read_range(struct ew_slice s, struct ew_port_range *out) {
  struct ew_slice from = ew_slice_trim(ew_slice_cut(&s, '-'));
  uint64_t a, b;
  if (ew_slice_u64(from, UINT16_MAX, &a) != EW_OK || a == 0)
    return false;
  b = a;
  if (s.p && ew_slice_u64(ew_slice_trim(s), UINT16_MAX, &b) != EW_OK)
    return false;
  *out = (struct ew_port_range){(uint16_t)a, (uint16_t)b};
  return b >= a;
}

/* Returns whether the annotation is there at all. */
static bool ew_read_ports(struct ew_jr *r, struct ew_object *o,
                          const struct ew_jv *annotations, const char *name,
                          struct ew_ports *out) {
  const char *s = ew_jr_str(r, annotations, name);
  struct ew_jv at = ew_jv_get(annotations, name);
  if (!s)
    return false;
  size_t most = 1;
  for (const char *p = s; *p; p++)
    most += *p == ',';
  struct ew_port_range *ranges = ew_new(o, most, sizeof *ranges);
  struct ew_slice rest = ew_slice_str(s);
  while (rest.n) {
    struct ew_slice one = ew_slice_trim(ew_slice_cut(&rest, ','));
    if (one.n == 0)
      continue;
    if (!ew_read_range(one, &ranges[out->n])) {
      ew_jr_fail(r, &at,
                 "must be a list of ports and ranges like "
                 "\"3306,8000-8100\"");
      return true;
    }
    out->n++;
  }
  out->ranges = ranges;
  return true;
}

bool ew_ports_have(const struct ew_ports *p, uint16_t port) {
  for (size_t i = 0; i < p->n; i++)
    if (port >= p->ranges[i].from && port <= p->ranges[i].to)
      return true;
  return false;
}

static enum ew_inject ew_read_inject(struct ew_jr *r,
                                     const struct ew_jv *meta) {
  struct ew_jv labels = ew_jr_obj(r, meta, "labels");
  const char *s = ew_jr_str(r, &labels, "eastwest.dev/inject");
  if (s && strcmp(s, "enabled") == 0)
    return EW_INJECT_ENABLED;
  if (s && strcmp(s, "disabled") == 0)
    return EW_INJECT_DISABLED;
  return EW_INJECT_UNSET;
}

static void ew_read_namespace(struct ew_jr *r, const struct ew_jv *meta,
                              struct ew_object *o) {
  struct ew_jv annotations = ew_jr_obj(r, meta, "annotations");
  o->u.ns.inject = ew_read_inject(r, meta);
  ew_read_ports(r, o, &annotations, "eastwest.dev/opaque-ports",
                &o->u.ns.opaque);
}

/* A list of addresses as text, or of objects {"ip": text}; and one by itself,
 * which is the first of the list where there is a list. */
static const char *const *ew_read_ips(struct ew_jr *r, struct ew_object *o,
                                      const struct ew_jv *v, const char *one,
                                      const char *many, bool wrapped,
                                      size_t *n) {
  struct ew_jv list = ew_jr_list(r, v, many, 16, n);
  const char **out = ew_new(o, *n + 1, sizeof *out);
  size_t kept = 0;
  for (size_t i = 0; i < *n; i++) {
    struct ew_jv at = ew_jv_at(&list, i);
    const char *s = wrapped ? json_string_value(json_object_get(at.v, "ip"))
                            : json_string_value(at.v);
    out[kept++] = ew_keep_ip(r, o, &at, s);
  }
  const char *s = ew_jr_str(r, v, one);
  struct ew_jv at = ew_jv_get(v, one);
  if (kept == 0 && s && *s)
    out[kept++] = ew_keep_ip(r, o, &at, s);
  *n = kept;
  return out;
}

static void ew_read_pod(struct ew_jr *r, const struct ew_jv *root,
                        const struct ew_jv *meta, struct ew_object *o) {
  struct ew_pod *pod = &o->u.pod;
  struct ew_jv spec = ew_jr_obj(r, root, "spec");
  struct ew_jv status = ew_jr_obj(r, root, "status");
  struct ew_jv annotations = ew_jr_obj(r, meta, "annotations");
  pod->inject = ew_read_inject(r, meta);
  if (ew_jv_get(root, EW_SIDECAR_MEMBER).v)
    pod->sidecar = ew_jr_bool(r, root, EW_SIDECAR_MEMBER, false)
                       ? EW_SIDECAR_YES
                       : EW_SIDECAR_NO;
  pod->host_network = ew_jr_bool(r, &spec, "hostNetwork", false);
  const char *account = ew_jr_str(r, &spec, "serviceAccountName");
  pod->service_account = account && *account ? ew_keep(o, account) : "default";
  const char *phase = ew_jr_str(r, &status, "phase");
  pod->ended =
      phase && (!strcmp(phase, "Succeeded") || !strcmp(phase, "Failed"));
  pod->ips = ew_read_ips(r, o, &status, "podIP", "podIPs", true, &pod->ips_n);
  pod->has_opaque = ew_read_ports(r, o, &annotations,
                                  "eastwest.dev/opaque-ports", &pod->opaque);
  ew_read_ports(r, o, &annotations, "eastwest.dev/skip-inbound-ports",
                &pod->skip_inbound);
}

/* Ports of a Service or an EndpointSlice. */
static const struct ew_service_port *
ew_read_service_ports(struct ew_jr *r, struct ew_object *o,
                      const struct ew_jv *v, bool need_port, size_t *n) {
  struct ew_jv list = ew_jr_list(r, v, "ports", EW_LIST_MAX, n);
  struct ew_service_port *out = ew_new(o, *n, sizeof *out);
  for (size_t i = 0; i < *n; i++) {
    struct ew_jv p = ew_jr_item(r, &list, i);
    struct ew_jv at = ew_jv_get(&p, "port");
    if (need_port && !at.v)
      ew_jr_fail(r, &at, "must be a port");
    const char *name = ew_jr_str(r, &p, "name");
    out[i].name = ew_keep(o, name ? name : "");
    out[i].port = (uint16_t)ew_jr_u64(r, &p, "port", 1, UINT16_MAX, 0);
    const char *protocol = ew_jr_str(r, &p, "protocol");
    out[i].tcp = !protocol || strcmp(protocol, "TCP") == 0;
    const char *app = ew_jr_str(r, &p, "appProtocol");
    out[i].app_protocol = app && *app ? ew_keep(o, app) : NULL;
  }
  return out;
}

static void ew_read_service(struct ew_jr *r, const struct ew_jv *root,
                            const struct ew_jv *meta, struct ew_object *o) {
  struct ew_service *s = &o->u.service;
  struct ew_jv spec = ew_jr_obj(r, root, "spec");
  if (!spec.v)
    ew_jr_fail(r, &spec, "must be an object");
  static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer",
                                      "ExternalName", NULL};
  int type = ew_jr_enum(r, &spec, "type", types, 0);
  const char *ip = ew_jr_str(r, &spec, "clusterIP");
  s->type = type == 3                       ? EW_SERVICE_EXTERNAL_NAME
            : ip && strcmp(ip, "None") == 0 ? EW_SERVICE_HEADLESS
                                            : EW_SERVICE_CLUSTER_IP;
  if (s->type == EW_SERVICE_CLUSTER_IP)
    s->ips =
        ew_read_ips(r, o, &spec, "clusterIP", "clusterIPs", false, &s->ips_n);
  s->ports = ew_read_service_ports(r, o, &spec, true, &s->ports_n);
  s->zone_aware = ew_jr_str(r, &spec, "trafficDistribution") != NULL;
  struct ew_jv annotations = ew_jr_obj(r, meta, "annotations");
  s->has_opaque = ew_read_ports(r, o, &annotations, "eastwest.dev/opaque-ports",
                                &s->opaque);
}

static void ew_read_slice_endpoint(struct ew_jr *r, const struct ew_jv *v,
                                   struct ew_object *o,
                                   struct ew_slice_endpoint *e) {
  size_t n;
  struct ew_jv list = ew_jr_list(r, v, "addresses", 100, &n);
  struct ew_jv first = ew_jv_at(&list, 0);
  /* Where there are several, they are the same: the first is enough. */
  e->address = ew_keep_ip(r, o, &first, json_string_value(first.v));
  struct ew_jv c = ew_jr_obj(r, v, "conditions");
  e->ready = ew_jr_bool(r, &c, "ready", true) &&
             !ew_jr_bool(r, &c, "terminating", false) &&
             ew_jr_bool(r, &c, "serving", true);
  const char *zone = ew_jr_str(r, v, "zone");
  struct ew_jv hints = ew_jr_obj(r, v, "hints");
  struct ew_jv zones = ew_jr_list(r, &hints, "forZones", 64, &n);
  e->hinted = n > 0;
  if (n > 0) {
    struct ew_jv z = ew_jr_item(r, &zones, 0);
    zone = ew_jr_need(r, &z, "name");
  }
  e->zone = ew_keep(o, zone);
  struct ew_jv target = ew_jr_obj(r, v, "targetRef");
  const char *kind = ew_jr_str(r, &target, "kind");
  if (!kind || strcmp(kind, "Pod") != 0)
    return;
  const char *ns = ew_jr_str(r, &target, "namespace");
  e->pod_namespace = ns ? ew_keep(o, ns) : o->namespace_;
  e->pod = ew_keep(o, ew_jr_need(r, &target, "name"));
}

static void ew_read_slice(struct ew_jr *r, const struct ew_jv *root,
                          const struct ew_jv *meta, struct ew_object *o) {
  struct ew_endpoint_slice *s = &o->u.slice;
  static const char *const types[] = {"IPv4", "IPv6", "FQDN", NULL};
  int type = ew_jr_enum(r, root, "addressType", types, 0);
  if (type == 2)
    return;
  s->ipv6 = type == 1;
  struct ew_jv labels = ew_jr_obj(r, meta, "labels");
  s->service = ew_keep(o, ew_jr_str(r, &labels, "kubernetes.io/service-name"));
  s->ports = ew_read_service_ports(r, o, root, false, &s->ports_n);
  size_t n;
  struct ew_jv list = ew_jr_list(r, root, "endpoints", EW_ENDPOINTS_MAX, &n);
  struct ew_slice_endpoint *e = ew_new(o, n, sizeof *e);
  for (size_t i = 0; i < n && !r->failed; i++) {
    struct ew_jv v = ew_jr_item(r, &list, i);
    ew_read_slice_endpoint(r, &v, o, &e[i]);
  }
  s->endpoints = e;
  s->endpoints_n = n;
}

void ew_object_read(struct ew_jr *r, const struct ew_jv *root,
                    struct ew_object *o) {
  struct ew_jv meta = ew_jr_obj(r, root, "metadata");
  static const enum ew_route_type types[] = {
      [EW_KIND_HTTP_ROUTE] = EW_ROUTE_HTTP,
      [EW_KIND_GRPC_ROUTE] = EW_ROUTE_GRPC,
      [EW_KIND_TCP_ROUTE] = EW_ROUTE_TCP,
      [EW_KIND_TLS_ROUTE] = EW_ROUTE_TLS};
  switch (o->kind) {
  case EW_KIND_NAMESPACE:
    ew_read_namespace(r, &meta, o);
    break;
  case EW_KIND_POD:
    ew_read_pod(r, root, &meta, o);
    break;
  case EW_KIND_SERVICE:
    ew_read_service(r, root, &meta, o);
    break;
  case EW_KIND_ENDPOINT_SLICE:
    ew_read_slice(r, root, &meta, o);
    break;
  case EW_KIND_HTTP_ROUTE:
  case EW_KIND_GRPC_ROUTE:
  case EW_KIND_TCP_ROUTE:
  case EW_KIND_TLS_ROUTE:
    ew_route_read(r, root, &o->arena, types[o->kind], o->namespace_, o->name,
                  &o->u.route);
    break;
  case EW_KIND_SERVICE_ACCOUNT:
  case EW_KIND_REFERENCE_GRANT:
  case EW_KINDS:
    break;
  }
}
