/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_OBJECTS_H
#define EASTWEST_CONTROLLER_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "controller/route.h"
#include "controller/strmap.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/list.h"

/* The Kubernetes objects that decide about destinations, checked and typed. Fed
 * by upserts and deletes: from manifests or from a watch, it makes no
 * difference. */

enum ew_kind {
  EW_KIND_NAMESPACE,
  EW_KIND_POD,
  EW_KIND_SERVICE,
  EW_KIND_ENDPOINT_SLICE,
  EW_KIND_SERVICE_ACCOUNT,
  EW_KIND_HTTP_ROUTE,
  EW_KIND_GRPC_ROUTE,
  EW_KIND_TCP_ROUTE,
  EW_KIND_TLS_ROUTE,
  EW_KIND_REFERENCE_GRANT,
  EW_KINDS
};

/* A list of ports and port ranges, from an annotation. */
struct ew_ports {
  const struct ew_port_range { uint16_t from, to; } * ranges;
  size_t n;
};

bool ew_ports_have(const struct ew_ports *p, uint16_t port);

/* eastwest.dev/inject: what the label says. */
enum ew_inject { EW_INJECT_UNSET, EW_INJECT_ENABLED, EW_INJECT_DISABLED };

struct ew_namespace {
  enum ew_inject inject;
  struct ew_ports opaque;
};

/* Of a pod as Kubernetes has it: true or false. In manifests nobody writes
 * which containers were added, and the labels say it. */
#define EW_SIDECAR_MEMBER "eastwest.dev/sidecar"
enum ew_sidecar { EW_SIDECAR_BY_LABEL, EW_SIDECAR_NO, EW_SIDECAR_YES };

struct ew_pod {
  const char *const *ips;
  size_t ips_n;
  const char *service_account;
  enum ew_inject inject;
  enum ew_sidecar sidecar;
  bool host_network;
  bool ended; /* phase Succeeded or Failed: its address may be another's now */
  bool has_opaque;
  struct ew_ports opaque, skip_inbound;
};

struct ew_service_port {
  const char *name; /* "" without */
  uint16_t port;
  bool tcp;
  const char *app_protocol; /* NULL without */
};

enum ew_service_type {
  EW_SERVICE_CLUSTER_IP, /* NodePort and LoadBalancer too */
  EW_SERVICE_HEADLESS,
  EW_SERVICE_EXTERNAL_NAME
};

struct ew_service {
  enum ew_service_type type;
  const char *const *ips;
  size_t ips_n;
  const struct ew_service_port *ports;
  size_t ports_n;
  bool zone_aware; /* trafficDistribution or topology-mode ask for it */
  bool has_opaque;
  struct ew_ports opaque;
};

struct ew_slice_endpoint {
  const char *address;
  const char *zone;                /* NULL: not known */
  const char *pod_namespace, *pod; /* NULL: no pod */
  bool hinted; /* the zone is a hint: always to be followed */
  bool ready;  /* gets new requests */
};

struct ew_endpoint_slice {
  const char *service; /* in the same namespace; NULL: nobody's */
  bool ipv6;
  const struct ew_slice_endpoint *endpoints;
  size_t endpoints_n;
  const struct ew_service_port *ports; /* port 0: all ports */
  size_t ports_n;
};

struct ew_object {
  struct ew_list node; /* in ew_objects.kinds */
  enum ew_kind kind;
  const char *namespace_, *name; /* namespace "" if cluster-scoped */
  int64_t generation;            /* 1 if the object does not say */
  const char *created;           /* RFC 3339; "" if the object does not say */
  const char *where;             /* file and line, or "" */
  json_t *json;                  /* the object as it was given; read only */
  struct ew_arena arena;
  union {
    struct ew_namespace ns;
    struct ew_pod pod;
    struct ew_service service;
    struct ew_endpoint_slice slice;
    struct ew_route route;
  } u;
};

struct ew_objects {
  uint64_t changes; /* grows with every upsert and delete that took effect */
  struct ew_list kinds[EW_KINDS]; /* of ew_object.node */
  struct ew_strmap by_name;       /* "Kind/namespace/name" */
  /* An address can have two owners for a moment: the newest one counts. */
  struct ew_multimap service_by_ip, pod_by_ip;
  /* By "namespace/service". */
  struct ew_multimap slices_by_service, routes_by_service;
  struct ew_multimap slices_by_pod; /* by "namespace/pod" */
};

struct ew_objects *ew_objects_new(void);
void ew_objects_del(struct ew_objects *o); /* NULL is allowed */

/* Takes a reference to |json|, which nobody may change after that. |where| is
 * for messages ("routes.yaml:12"), may be NULL. Returns
 * - EW_OK: it is in force (or was equal to what was there: no change counted),
 * - EW_ENOENT: of no kind that is looked at; ignored,
 * - EW_EINVAL: faulty; the last good state of that object stays in force.
 *   |why| then says place, object, field, value and what was expected. */
int ew_objects_upsert(struct ew_objects *o, json_t *json, const char *where,
                      char *why, size_t why_len);
/* |kind| may have its group behind it ("HTTPRoute.gateway.networking.k8s.io");
 * a foreign group is never mistaken for ours. Returns EW_OK, or EW_ENOENT. */
int ew_objects_delete(struct ew_objects *o, const char *kind, const char *ns,
                      const char *name);

/* NULL if there is none. */
const struct ew_object *ew_objects_get(const struct ew_objects *o,
                                       enum ew_kind kind, const char *ns,
                                       const char *name);
/* Textual addresses in any spelling. */
const struct ew_object *ew_objects_service_by_ip(const struct ew_objects *o,
                                                 const char *ip);
const struct ew_object *ew_objects_pod_by_ip(const struct ew_objects *o,
                                             const char *ip);

/* Whether |pod| has a sidecar: one that is seen, else by the rules of the
 * injector. */
bool ew_objects_injected(const struct ew_objects *o,
                         const struct ew_object *pod);

const char *ew_kind_name(enum ew_kind k); /* "HTTPRoute", ... */

#endif
