/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/backends.h"

#include <stdio.h>
#include <string.h>

#include "controller/app_protocol.h"
#include "controller/refs.h"
#include "eastwest/base/ports.h"

#define KEY_MAX 768
#define ID_MAX 640

void ew_backends_fini(struct ew_backends *b) { ew_strmap_fini(&b->index); }

/* The place of |key|; *fresh if it was not there, the backend is zeroed then.
 */
static size_t place_of(struct ew_backends *b, const char *key, bool *fresh) {
  size_t at = (size_t)(uintptr_t)ew_strmap_get(&b->index, key);

  *fresh = at == 0;
  if (at)
    return at - 1;
  if (b->n == b->cap) {
    struct ew_backend *old = b->list;
    b->cap = b->cap ? b->cap * 2 : 8;
    b->list = ew_arena_alloc(b->arena, b->cap * sizeof(*b->list));
    if (b->n)
      memcpy(b->list, old, b->n * sizeof(*old));
  }
  memset(&b->list[b->n], 0, sizeof(*b->list));
  ew_strmap_put(&b->index, key, (void *)(uintptr_t)(b->n + 1));
  return b->n++;
}

static bool pod_has(const struct ew_object *pod, const char *ip) {
  for (size_t i = 0; i < pod->u.pod.ips_n; i++)
    if (strcmp(pod->u.pod.ips[i], ip) == 0)
      return true;
  return false;
}

/* The pod behind an endpoint. An address counts more than what a slice says: a
 * slice written by hand may name any pod. */
static const struct ew_object *pod_of(const struct ew_objects *o,
                                      const struct ew_slice_endpoint *e) {
  const struct ew_object *pod = NULL;

  if (e->pod)
    pod = ew_objects_get(o, EW_KIND_POD, e->pod_namespace, e->pod);
  if (pod && !pod->u.pod.host_network && pod_has(pod, e->address))
    return pod;
  return ew_objects_pod_by_ip(o, e->address);
}

/* NULL: the sidecar does not stand in front of that port. */
static const char *identity_of(struct ew_backends *b,
                               const struct ew_object *pod, uint16_t port) {
  char id[ID_MAX];
  int n;

  /* Where a sidecar answers itself it speaks plain text. */
  if (!pod || port == EW_PORT_STATUS || !ew_objects_injected(b->objects, pod) ||
      ew_ports_have(&pod->u.pod.skip_inbound, port))
    return NULL;
  n = snprintf(id, sizeof(id), "spiffe://%s/ns/%s/sa/%s", b->trust_domain,
               pod->namespace_, pod->u.pod.service_account);
  return ew_arena_dup(b->arena, id, (size_t)n);
}

static uint16_t target_port(const struct ew_endpoint_slice *s,
                            const struct ew_service_port *port, bool *found) {
  for (size_t i = 0; i < s->ports_n; i++)
    if (strcmp(s->ports[i].name, port->name) == 0 && s->ports[i].tcp) {
      *found = true;
      return s->ports[i].port ? s->ports[i].port : port->port;
    }
  *found = false;
  return 0;
}

static size_t ready_in(const struct ew_ptrs *slices, bool ipv6) {
  size_t n = 0;

  for (size_t i = 0; i < slices->n; i++) {
    const struct ew_object *x = slices->p[i];
    for (size_t j = 0; x->u.slice.ipv6 == ipv6 && j < x->u.slice.endpoints_n;
         j++)
      n += x->u.slice.endpoints[j].ready;
  }
  return n;
}

static void add_endpoints(struct ew_backends *b, struct ew_endpoint *out,
                          size_t *n, const struct ew_object *service,
                          const struct ew_service_port *port,
                          const struct ew_endpoint_slice *s) {
  bool found;
  uint16_t target = target_port(s, port, &found);

  for (size_t i = 0; found && i < s->endpoints_n; i++) {
    const struct ew_slice_endpoint *e = &s->endpoints[i];
    const struct ew_object *pod;
    if (!e->ready)
      continue;
    pod = pod_of(b->objects, e);
    out[(*n)++] = (struct ew_endpoint){
        .address = e->address,
        .port = target,
        .identity = identity_of(b, pod, target),
        .zone = e->hinted || service->u.service.zone_aware ? e->zone : NULL,
        .pod = pod ? pod->name : NULL};
  }
}

/* Of a dual-stack Service the family of the client's own connection is taken,
 * so that each pod counts once; the other one where that has nobody. */
static void fill_endpoints(struct ew_backends *b, struct ew_backend *out,
                           const struct ew_object *service,
                           const struct ew_service_port *port) {
  char key[KEY_MAX];
  const struct ew_ptrs *slices;
  struct ew_endpoint *list;
  bool ipv6 = b->ipv6;
  size_t most;

  snprintf(key, sizeof(key), "%s/%s", service->namespace_, service->name);
  slices = ew_multimap_get(&b->objects->slices_by_service, key);
  most = ready_in(slices, ipv6);
  if (most == 0) {
    ipv6 = !ipv6;
    most = ready_in(slices, ipv6);
  }
  if (most == 0)
    return;
  list = ew_arena_alloc(b->arena, most * sizeof(*list));
  for (size_t i = 0; i < slices->n; i++) {
    const struct ew_object *x = slices->p[i];
    if (x->u.slice.ipv6 == ipv6)
      add_endpoints(b, list, &out->endpoints_n, service, port, &x->u.slice);
  }
  out->endpoints = list;
}

size_t ew_backends_add_service(struct ew_backends *b,
                               const struct ew_object *service,
                               const struct ew_service_port *port) {
  char key[KEY_MAX];
  bool fresh;
  size_t at;

  snprintf(key, sizeof(key), "%s/%s:%u", service->namespace_, service->name,
           port->port);
  at = place_of(b, key, &fresh);
  if (!fresh)
    return at;
  b->list[at] = (struct ew_backend){
      .kind = "Service",
      .namespace_ = service->namespace_,
      .name = service->name,
      .port = port->port,
      .protocol = ew_service_port_protocol(b->objects, service, port)};
  fill_endpoints(b, &b->list[at], service, port);
  return at;
}

size_t ew_backends_add_ref(struct ew_backends *b, const struct ew_object *route,
                           const struct ew_route_ref *ref) {
  const struct ew_object *service;
  const struct ew_service_port *port;
  char why[256], key[KEY_MAX];
  const char *reason =
      ew_ref_fault(b->objects, route, ref, &service, &port, why, sizeof(why));
  bool fresh;
  size_t at;

  if (!reason)
    return ew_backends_add_service(b, service, port);
  snprintf(key, sizeof(key), "!%s %s %s/%s:%u", reason, ref->kind,
           ref->namespace_, ref->name, ref->port);
  at = place_of(b, key, &fresh);
  if (fresh)
    b->list[at] = (struct ew_backend){.kind = ref->kind,
                                      .namespace_ = ref->namespace_,
                                      .name = ref->name,
                                      .port = ref->port,
                                      .invalid = reason};
  return at;
}

size_t ew_backends_add_pod(struct ew_backends *b, const struct ew_object *pod,
                           const char *ip, uint16_t port,
                           enum ew_protocol protocol) {
  struct ew_endpoint *e = ew_arena_alloc(b->arena, sizeof(*e));
  bool fresh;
  size_t at = place_of(b, ip, &fresh);

  *e = (struct ew_endpoint){.address = ew_arena_dup(b->arena, ip, strlen(ip)),
                            .port = port,
                            .identity = identity_of(b, pod, port),
                            .pod = pod->name};
  b->list[at] = (struct ew_backend){.kind = "Pod",
                                    .namespace_ = pod->namespace_,
                                    .name = pod->name,
                                    .port = port,
                                    .protocol = protocol,
                                    .endpoints = e,
                                    .endpoints_n = 1};
  return at;
}
