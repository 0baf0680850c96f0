/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/status_conditions.h"

#include <stdarg.h>
#include <stdio.h>

#include "controller/precedence.h"
#include "controller/refs.h"
#include "controller/status.h"

#define EW_MESSAGE_MAX 2048

/* What a condition says. */
struct ew_verdict {
  bool good;
  const char *reason;
  size_t n;
  char message[EW_MESSAGE_MAX];
};

static void ew_say(struct ew_verdict *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends; what does not fit is cut. */
static void ew_say(struct ew_verdict *v, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(v->message + v->n, sizeof v->message - v->n, fmt, ap);
  va_end(ap);
  if (n > 0)
    v->n += (size_t)n;
  if (v->n >= sizeof v->message)
    v->n = sizeof v->message - 1;
}

const char *ew_status_text(const json_t *obj, const char *name) {
  const char *s = json_string_value(json_object_get(obj, name));
  return s ? s : "";
}

bool ew_status_is_ours(const json_t *entry) {
  return strcmp(ew_status_text(entry, "controllerName"), EW_CONTROLLER_NAME) ==
         0;
}

const json_t *ew_status_condition(const json_t *status,
                                  const json_t *parent_ref, const char *type) {
  const json_t *parents = json_object_get(status, "parents");
  for (size_t i = 0; i < json_array_size(parents); i++) {
    const json_t *e = json_array_get(parents, i);
    if (!ew_status_is_ours(e) ||
        !json_equal(json_object_get(e, "parentRef"), parent_ref))
      continue;
    const json_t *list = json_object_get(e, "conditions");
    for (size_t j = 0; j < json_array_size(list); j++)
      if (strcmp(ew_status_text(json_array_get(list, j), "type"), type) == 0)
        return json_array_get(list, j);
  }
  return NULL;
}

static void ew_say_no_port(struct ew_verdict *v,
                           const struct ew_parent_ref *p) {
  ew_say(v, "Service %s/%s has no TCP port", p->namespace_, p->name);
  if (p->port)
    ew_say(v, " %u", p->port);
  if (p->section)
    ew_say(v, " with the name \"%s\"", p->section);
}

/* False if the parent is not there. */
static bool ew_judge_parent(const struct ew_objects *o,
                            const struct ew_object *route,
                            const struct ew_parent_ref *p,
                            const struct ew_object *service,
                            struct ew_verdict *v) {
  v->reason = "NoMatchingParent";
  if (!service) {
    ew_say(v, "Service %s/%s does not exist", p->namespace_, p->name);
    return false;
  }
  if (service->u.service.type == EW_SERVICE_EXTERNAL_NAME) {
    ew_say(v,
           "Service %s/%s is of type ExternalName, which can't be the parent "
           "of a route",
           p->namespace_, p->name);
    return false;
  }
  if (service->u.service.type == EW_SERVICE_HEADLESS) {
    ew_say(v,
           "Service %s/%s is headless: it has no address that a route could "
           "apply to",
           p->namespace_, p->name);
    return false;
  }
  for (size_t i = 0; i < service->u.service.ports_n; i++)
    if (ew_route_applies(o, route, p, service, &service->u.service.ports[i]))
      return true;
  ew_say_no_port(v, p);
  return false;
}

static void ew_say_faults(struct ew_verdict *v, const struct ew_route *r,
                          const char *verb) {
  for (const struct ew_route_fault *f = r->faults; f; f = f->next) {
    const char *name = r->rules[f->rule].name;
    ew_say(v, "%s%sRule %zu", f == r->faults ? "" : "; ", verb, f->rule);
    if (name)
      ew_say(v, " \"%s\"", name);
    ew_say(v, "%s: %s", f->dropped ? "" : " (its requests get 500)",
           f->message);
  }
}

/* False if nothing of the route is valid. */
static bool ew_judge_rules(const struct ew_route *r, struct ew_verdict *v) {
  if (r->rejected) {
    v->reason = "UnsupportedValue";
    ew_say(v, "%s", r->rejected);
    return false;
  }
  if (!r->faults || ew_route_faulty(r, false) < r->rules_n)
    return true;
  v->reason = r->faults->reason;
  ew_say_faults(v, r, "");
  return false;
}

static void ew_say_loss(struct ew_verdict *v, const struct ew_service_port *p,
                        const struct ew_object *winner) {
  ew_say(v, "%sport %u belongs to %s %s/%s",
         v->n ? "; " : "Not in effect: ", p->port, ew_kind_name(winner->kind),
         winner->namespace_, winner->name);
}

/* False if other routes win every port that |p| selects. A route that keeps
 * some ports is accepted; the message then tells the others. */
static bool ew_judge_conflict(const struct ew_objects *o,
                              const struct ew_object *route,
                              const struct ew_parent_ref *p,
                              const struct ew_object *service,
                              struct ew_verdict *v) {
  const struct ew_service *s = &service->u.service;
  bool kept = false;
  for (size_t i = 0; i < s->ports_n; i++) {
    if (!ew_route_applies(o, route, p, service, &s->ports[i]))
      continue;
    const struct ew_object *winner =
        ew_route_winner(o, route->namespace_, service, &s->ports[i]);
    if (ew_route_loses(route, winner))
      ew_say_loss(v, &s->ports[i], winner);
    else
      kept = true;
  }
  v->reason = "Conflicted";
  return kept;
}

static void ew_judge_accepted(const struct ew_objects *o,
                              const struct ew_object *route,
                              const struct ew_parent_ref *p,
                              struct ew_verdict *v) {
  const struct ew_object *service =
      ew_objects_get(o, EW_KIND_SERVICE, p->namespace_, p->name);
  v->good = ew_judge_parent(o, route, p, service, v) &&
            ew_judge_rules(&route->u.route, v) &&
            ew_judge_conflict(o, route, p, service, v);
  if (!v->good)
    return;
  v->reason = "Accepted";
  if (v->n == 0)
    ew_say(v, "Route is accepted");
}

/* The condition names one fault; the message tells how many there are. */
static void ew_judge_refs(const struct ew_objects *o,
                          const struct ew_object *route, struct ew_verdict *v) {
  const struct ew_route *r = &route->u.route;
  size_t faults = 0;
  for (size_t i = 0; i < r->refs_n; i++) {
    const struct ew_object *service;
    const struct ew_service_port *port;
    char why[EW_MESSAGE_MAX / 2] = "";
    const char *reason =
        ew_ref_fault(o, route, &r->refs[i], &service, &port, why, sizeof why);
    if (!reason || faults++)
      continue;
    v->reason = reason;
    ew_say(v, "%s", why);
  }
  if (faults > 1)
    ew_say(v, " (%zu references have a fault)", faults);
  v->good = faults == 0;
  if (!v->good)
    return;
  v->reason = "ResolvedRefs";
  ew_say(v, "All references are resolved");
}

/* What authors wrote is part of messages, and cutting can split a character,
 * which JSON does not allow. */
static json_t *ew_json_text(const char *s) {
  json_t *j = json_string(s);
  if (j)
    return j;
  char *copy = ew_strdup(s);
  for (char *p = copy; *p; p++)
    if ((unsigned char)*p >= 0x80)
      *p = '?';
  j = json_string(copy);
  free(copy);
  return j;
}

struct ew_about {
  const struct ew_object *route;
  const json_t *parent_ref, *old;
  const char *now;
};

static void ew_add_condition(json_t *list, const struct ew_about *a,
                             const char *type, const struct ew_verdict *v) {
  const char *status = v->good ? "True" : "False";
  const char *since = a->now;
  const json_t *old = ew_status_condition(a->old, a->parent_ref, type);
  if (strcmp(ew_status_text(old, "status"), status) == 0 &&
      *ew_status_text(old, "lastTransitionTime"))
    since = ew_status_text(old, "lastTransitionTime");
  json_t *c = json_object();
  json_object_set_new(c, "type", json_string(type));
  json_object_set_new(c, "status", json_string(status));
  json_object_set_new(c, "reason", json_string(v->reason));
  json_object_set_new(c, "message", ew_json_text(v->message));
  json_object_set_new(c, "observedGeneration",
                      json_integer(a->route->generation));
  json_object_set_new(c, "lastTransitionTime", json_string(since));
  json_array_append_new(list, c);
}

static json_t *ew_parent_status(const struct ew_objects *o,
                                const struct ew_about *a,
                                const struct ew_parent_ref *p) {
  const struct ew_route *r = &a->route->u.route;
  json_t *conditions = json_array();
  struct ew_verdict accepted = {0}, refs = {0}, partial = {0};
  ew_judge_accepted(o, a->route, p, &accepted);
  ew_add_condition(conditions, a, "Accepted", &accepted);
  ew_judge_refs(o, a->route, &refs);
  ew_add_condition(conditions, a, "ResolvedRefs", &refs);
  /* Never with a route that is not accepted, and never False. */
  if (accepted.good && r->faults) {
    partial.good = true;
    partial.reason = "UnsupportedValue";
    ew_say_faults(&partial, r, "Dropped ");
    ew_add_condition(conditions, a, "PartiallyInvalid", &partial);
  }
  json_t *entry = json_object();
  json_object_set_new(entry, "parentRef", json_deep_copy(a->parent_ref));
  json_object_set_new(entry, "controllerName", json_string(EW_CONTROLLER_NAME));
  json_object_set_new(entry, "conditions", conditions);
  return entry;
}

json_t *ew_status_of(const struct ew_objects *o, const struct ew_object *route,
                     const json_t *old, const char *now) {
  const struct ew_route *r = &route->u.route;
  const json_t *refs =
      json_object_get(json_object_get(route->json, "spec"), "parentRefs");
  const json_t *before = json_object_get(old, "parents");
  json_t *parents = json_array();
  bool ours = false;
  for (size_t i = 0; i < json_array_size(before); i++) {
    json_t *e = json_array_get(before, i);
    if (ew_status_is_ours(e))
      ours = true;
    else
      json_array_append(parents, e);
  }
  for (size_t i = 0; i < r->parents_n; i++) {
    if (!r->parents[i].service)
      continue;
    struct ew_about a = {route, json_array_get(refs, i), old, now};
    json_array_append_new(parents, ew_parent_status(o, &a, &r->parents[i]));
    ours = true;
  }
  if (!ours) {
    json_decref(parents);
    return NULL;
  }
  return json_pack("{s:o}", "parents", parents);
}
