/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/app_protocol.h"
#include "controller/backends.h"
#include "controller/order.h"
#include "controller/precedence.h"

#define KEY_MAX 640

/* The routes that decide about one port, oldest first. */
struct winners {
  const struct ew_object **list;
  size_t n;
};

static void *array(struct ew_destination *d, size_t n, size_t size) {
  void *p;

  if (n == 0)
    return NULL;
  p = ew_arena_alloc(&d->arena, n * size);
  memset(p, 0, n * size);
  return p;
}

/* ---- which routes ---- */

static bool selects(const struct ew_objects *o, const struct ew_object *route,
                    const struct ew_object *service,
                    const struct ew_service_port *port) {
  for (size_t i = 0; i < route->u.route.parents_n; i++)
    if (ew_route_applies(o, route, &route->u.route.parents[i], service, port))
      return true;
  return false;
}

static int by_age(const void *a, const void *b) {
  return ew_route_older(*(const struct ew_object *const *)a,
                        *(const struct ew_object *const *)b);
}

/* A client whose own namespace has routes for the Service (consumer routes)
 * uses those alone; everybody else uses those of the Service's namespace
 * (GAMMA rules 12 to 14). */
static struct winners find_routes(const struct ew_objects *o,
                                  struct ew_destination *d,
                                  const char *client_namespace,
                                  const struct ew_object *service,
                                  const struct ew_service_port *port) {
  char key[KEY_MAX];
  const char *ns = client_namespace;
  const struct ew_object *winner = ew_route_winner(o, ns, service, port);
  const struct ew_ptrs *all;
  struct winners w = {NULL, 0};

  if (!winner) {
    ns = service->namespace_;
    winner = ew_route_winner(o, ns, service, port);
  }
  if (!winner)
    return w;
  snprintf(key, sizeof(key), "%s/%s", service->namespace_, service->name);
  all = ew_multimap_get(&o->routes_by_service, key);
  w.list = array(d, all->n, sizeof(*w.list));
  for (size_t i = 0; i < all->n; i++) {
    const struct ew_object *x = all->p[i];
    if (strcmp(x->namespace_, ns) == 0 && selects(o, x, service, port) &&
        ew_route_in_force(x) && !ew_route_loses(x, winner))
      w.list[w.n++] = x;
  }
  qsort(w.list, w.n, sizeof(*w.list), by_age);
  return w;
}

/* ---- rules ---- */

/* Mirrors name a reference of the route; in a destination they name one of its
 * backends. */
static const struct ew_filter *copy_filters(struct ew_destination *d,
                                            struct ew_backends *b,
                                            const struct ew_object *route,
                                            const struct ew_filter *from,
                                            size_t n) {
  struct ew_filter *out = array(d, n, sizeof(*out));

  for (size_t i = 0; i < n; i++) {
    out[i] = from[i];
    if (from[i].type == EW_FILTER_MIRROR)
      out[i].u.mirror.backend = ew_backends_add_ref(
          b, route, &route->u.route.refs[from[i].u.mirror.backend]);
  }
  return out;
}

static void copy_rule(struct ew_destination *d, struct ew_backends *b,
                      const struct ew_object *route, const struct ew_rule *from,
                      struct ew_rule *out) {
  struct ew_backend_ref *refs = array(d, from->backends_n, sizeof(*refs));

  *out = *from;
  out->filters = copy_filters(d, b, route, from->filters, from->filters_n);
  for (size_t i = 0; i < from->backends_n; i++) {
    const struct ew_backend_ref *ref = &from->backends[i];
    refs[i] = *ref;
    refs[i].backend =
        ew_backends_add_ref(b, route, &route->u.route.refs[ref->backend]);
    refs[i].filters = copy_filters(d, b, route, ref->filters, ref->filters_n);
  }
  out->backends = refs;
}

/* What there is even if nothing can match: a destination with rules answers
 * 404, one without is balanced as if there were no route. */
static void no_rules(struct ew_destination *d, const struct ew_object *route) {
  struct ew_rule *rule = array(d, 1, sizeof(*rule));

  *rule = (struct ew_rule){.route_kind = ew_kind_name(route->kind),
                           .route_namespace = route->namespace_,
                           .route_name = route->name};
  d->rules = rule;
  d->rules_n = 1;
}

static void http_rules(struct ew_destination *d, struct ew_backends *b,
                       const struct winners *w) {
  size_t rules_n = 0, matches_n = 0, first = 0;
  struct ew_rule *rules;
  struct ew_match *matches;

  for (size_t i = 0; i < w->n; i++) {
    rules_n += w->list[i]->u.route.rules_n;
    matches_n += w->list[i]->u.route.matches_n;
  }
  if (rules_n == 0) {
    no_rules(d, w->list[0]);
    return;
  }
  rules = array(d, rules_n, sizeof(*rules));
  matches = array(d, matches_n, sizeof(*matches));
  for (size_t i = 0; i < w->n; i++) {
    const struct ew_route *r = &w->list[i]->u.route;
    for (size_t j = 0; j < r->rules_n; j++)
      copy_rule(d, b, w->list[i], &r->rules[j], &rules[first + j]);
    for (size_t j = 0; j < r->matches_n; j++) {
      matches[d->matches_n] = r->matches[j];
      matches[d->matches_n++].rule += first;
    }
    first += r->rules_n;
  }
  if (w->list[0]->u.route.type == EW_ROUTE_GRPC)
    ew_order_grpc(matches, matches_n);
  else
    ew_order_http(matches, matches_n);
  d->rules = rules;
  d->rules_n = rules_n;
  d->matches = matches;
}

/* One rule a server name, so that they can be put in order. */
static void tls_rules(struct ew_destination *d, struct ew_backends *b,
                      const struct winners *w) {
  size_t n = 0;
  struct ew_rule *out;

  for (size_t i = 0; i < w->n; i++)
    for (size_t j = 0; j < w->list[i]->u.route.rules_n; j++) {
      size_t names = w->list[i]->u.route.rules[j].snis_n;
      n += names ? names : 1;
    }
  out = array(d, n, sizeof(*out));
  for (size_t i = 0; i < w->n; i++)
    for (size_t j = 0; j < w->list[i]->u.route.rules_n; j++) {
      const struct ew_rule *from = &w->list[i]->u.route.rules[j];
      struct ew_rule one;
      copy_rule(d, b, w->list[i], from, &one);
      for (size_t k = 0; k < (from->snis_n ? from->snis_n : 1); k++) {
        out[d->l4_rules_n] = one;
        if (from->snis_n) {
          out[d->l4_rules_n].snis = from->snis + k;
          out[d->l4_rules_n].snis_n = 1;
        }
        d->l4_rules_n++;
      }
    }
  ew_order_tls(out, n);
  d->l4_rules = out;
}

/* There is only one TCPRoute, and only its first rule can ever match. */
static void tcp_rule(struct ew_destination *d, struct ew_backends *b,
                     const struct winners *w) {
  struct ew_rule *out = array(d, 1, sizeof(*out));

  if (w->list[0]->u.route.rules_n > 0)
    copy_rule(d, b, w->list[0], &w->list[0]->u.route.rules[0], out);
  else
    *out = (struct ew_rule){.route_kind = "TCPRoute",
                            .route_namespace = w->list[0]->namespace_,
                            .route_name = w->list[0]->name};
  d->l4_rules = out;
  d->l4_rules_n = 1;
}

static void attach(struct ew_destination *d, struct ew_backends *b,
                   const struct winners *w) {
  switch (w->list[0]->u.route.type) {
  case EW_ROUTE_GRPC:
  case EW_ROUTE_HTTP:
    http_rules(d, b, w);
    d->protocol = EW_PROTO_HTTP;
    break;
  case EW_ROUTE_TLS:
    tls_rules(d, b, w);
    d->protocol = EW_PROTO_TLS;
    break;
  case EW_ROUTE_TCP:
    tcp_rule(d, b, w);
    d->protocol = EW_PROTO_OPAQUE;
    break;
  }
}

/* ---- destinations ---- */

static const struct ew_service_port *port_of(const struct ew_object *service,
                                             uint16_t port) {
  for (size_t i = 0; service && i < service->u.service.ports_n; i++)
    if (service->u.service.ports[i].port == port &&
        service->u.service.ports[i].tcp)
      return &service->u.service.ports[i];
  return NULL;
}

static void compile_service(const struct ew_objects *o,
                            struct ew_destination *d, struct ew_backends *b,
                            const char *client_namespace,
                            const struct ew_object *service,
                            const struct ew_service_port *port) {
  struct winners w = find_routes(o, d, client_namespace, service, port);

  d->kind = EW_DEST_SERVICE;
  d->namespace_ = service->namespace_;
  d->name = service->name;
  d->port_name = *port->name ? port->name : NULL;
  if (w.n > 0) {
    attach(d, b, &w);
    return;
  }
  d->protocol = ew_service_port_protocol(o, service, port);
  d->default_backend = ew_backends_add_service(b, service, port);
}

/* What a pod's port speaks is told by a slice that leads there, and before that
 * by the pod itself. */
static enum ew_protocol pod_protocol(const struct ew_objects *o,
                                     const struct ew_object *pod,
                                     uint16_t port) {
  char key[KEY_MAX];
  const struct ew_ptrs *slices;

  if (pod->u.pod.has_opaque && ew_ports_have(&pod->u.pod.opaque, port))
    return EW_PROTO_OPAQUE;
  snprintf(key, sizeof(key), "%s/%s", pod->namespace_, pod->name);
  slices = ew_multimap_get(&o->slices_by_pod, key);
  for (size_t i = 0; i < slices->n; i++) {
    const struct ew_object *x = slices->p[i];
    for (size_t j = 0; j < x->u.slice.ports_n; j++)
      if (x->u.slice.ports[j].port == port && x->u.slice.ports[j].app_protocol)
        return ew_app_protocol(x->u.slice.ports[j].app_protocol);
  }
  return EW_PROTO_DETECT;
}

static void compile_pod(const struct ew_objects *o, struct ew_destination *d,
                        struct ew_backends *b, const struct ew_object *pod,
                        const char *ip) {
  d->kind = EW_DEST_POD;
  d->namespace_ = pod->namespace_;
  d->name = pod->name;
  d->protocol = pod_protocol(o, pod, d->port);
  d->default_backend = ew_backends_add_pod(b, pod, ip, d->port, d->protocol);
}

struct ew_destination *ew_compile(const struct ew_objects *o,
                                  const char *client_namespace, const char *ip,
                                  uint16_t port, const char *trust_domain) {
  struct ew_destination *d = ew_destination_new();
  struct ew_backends b = {.objects = o,
                          .arena = &d->arena,
                          .trust_domain = trust_domain,
                          .ipv6 = strchr(ip, ':') != NULL};
  const struct ew_object *service = ew_objects_service_by_ip(o, ip);
  const struct ew_object *pod = service ? NULL : ew_objects_pod_by_ip(o, ip);
  const struct ew_service_port *p = port_of(service, port);

  d->port = port;
  if (p)
    compile_service(o, d, &b, client_namespace, service, p);
  else if (pod)
    compile_pod(o, d, &b, pod, ip);
  d->backends = b.list;
  d->backends_n = b.n;
  ew_backends_fini(&b);
  return d;
}
