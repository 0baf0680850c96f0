/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/precedence.h"

#include <stdio.h>

#define EW_KEY_MAX 640

bool ew_route_applies(const struct ew_objects *o, const struct ew_object *route,
                      const struct ew_parent_ref *parent,
                      const struct ew_object *service,
                      const struct ew_service_port *port) {
  if (!parent->service || !port->tcp ||
      service->u.service.type == EW_SERVICE_EXTERNAL_NAME ||
      strcmp(parent->namespace_, service->namespace_) != 0 ||
      strcmp(parent->name, service->name) != 0)
    return false;
  if (parent->port && parent->port != port->port)
    return false;
  return !parent->section || strcmp(parent->section, port->name) == 0;
}

int ew_route_older(const struct ew_object *a, const struct ew_object *b) {
  int d = strcmp(a->created, b->created);
  if (d)
    return d;
  /* Not the namespaces first: '-' and '.' come before '/'. */
  char x[EW_KEY_MAX], y[EW_KEY_MAX];
  snprintf(x, sizeof x, "%s/%s", a->namespace_, a->name);
  snprintf(y, sizeof y, "%s/%s", b->namespace_, b->name);
  return strcmp(x, y);
}

size_t ew_route_faulty(const struct ew_route *r, bool only_dropped) {
  /* Faults are in the order of the rules, and a rule can have several. */
  size_t n = 0, next = 0;
  for (const struct ew_route_fault *f = r->faults; f; f = f->next)
    if (f->rule >= next && (f->dropped || !only_dropped)) {
      n++;
      next = f->rule + 1;
    }
  return n;
}

bool ew_route_in_force(const struct ew_object *route) {
  const struct ew_route *r = &route->u.route;
  return !r->rejected &&
         (r->rules_n == 0 || ew_route_faulty(r, true) < r->rules_n);
}

static bool ew_any_applies(const struct ew_objects *o,
                           const struct ew_object *route,
                           const struct ew_object *service,
                           const struct ew_service_port *port) {
  for (size_t i = 0; i < route->u.route.parents_n; i++)
    if (ew_route_applies(o, route, &route->u.route.parents[i], service, port))
      return true;
  return false;
}

static bool ew_beats(const struct ew_object *a, const struct ew_object *b) {
  if (a->u.route.type != b->u.route.type)
    return a->u.route.type < b->u.route.type;
  return ew_route_older(a, b) < 0;
}

const struct ew_object *ew_route_winner(const struct ew_objects *o,
                                        const char *ns,
                                        const struct ew_object *service,
                                        const struct ew_service_port *port) {
  char key[EW_KEY_MAX];
  snprintf(key, sizeof key, "%s/%s", service->namespace_, service->name);
  const struct ew_ptrs *routes = ew_multimap_get(&o->routes_by_service, key);
  const struct ew_object *best = NULL;
  for (size_t i = 0; i < routes->n; i++) {
    const struct ew_object *x = routes->p[i];
    if (strcmp(x->namespace_, ns) == 0 && (!best || ew_beats(x, best)) &&
        ew_any_applies(o, x, service, port) && ew_route_in_force(x))
      best = x;
  }
  return best;
}

bool ew_route_loses(const struct ew_object *route,
                    const struct ew_object *winner) {
  if (!winner || winner == route)
    return false;
  return route->u.route.type != winner->u.route.type ||
         route->u.route.type == EW_ROUTE_TCP;
}
