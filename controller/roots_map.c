/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/roots_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/kube/json.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/kube/watch.h"

#define COALESCE_MS 50
#define RETRY_MS 5000

struct ew_roots_map {
  struct ew_kube *kube;
  const struct ew_objects *objects;
  struct ew_kube_watch *watch;
  struct ew_kube_request *request;
  struct ew_timer look, retry;
  json_t *there; /* namespace: the roots that its ConfigMap has */
  /* Namespaces where writing failed, until the next try; true: the ConfigMap is
   * there. The others don't wait for them. */
  json_t *failed;
  char *asked; /* the namespace of |request| */
  bool patching;
  char *roots;
  bool writing, synced;
};

static void look_in(struct ew_roots_map *r, uint64_t ms) {
  if (!ew_timer_active(&r->look))
    ew_timer_start(&r->look, ms);
}

static void note_failure(struct ew_roots_map *r,
                         const struct ew_kube_answer *a) {
  bool exists = r->patching ? a->status != 404 : a->status == 409;

  /* 404 or 403: the namespace is going. 409: it was made meanwhile. */
  if (a->status != 404 && a->status != 403 && a->status != 409)
    ew_log(EW_LOG_WARN, "ConfigMap of the roots not written",
           "namespace=%s status=%d error=%s", r->asked, a->status, a->error);
  json_object_set_new(r->failed, r->asked, json_boolean(exists));
  if (!ew_timer_active(&r->retry))
    ew_timer_start(&r->retry, RETRY_MS);
}

static void on_written(void *arg, const struct ew_kube_answer *a) {
  struct ew_roots_map *r = arg;

  r->request = NULL;
  if (a->status != 200 && a->status != 201)
    note_failure(r, a);
  look_in(r, 1);
}

static void on_retry(struct ew_timer *t) {
  struct ew_roots_map *r = EW_CONTAINER(t, struct ew_roots_map, retry);
  const char *ns;
  json_t *exists;

  json_object_foreach(r->failed, ns, exists) {
    if (json_is_true(exists))
      json_object_set_new(r->there, ns, json_string(""));
    else
      json_object_del(r->there, ns);
  }
  json_object_clear(r->failed);
  look_in(r, 1);
}

static void write_map(struct ew_roots_map *r, const char *ns, bool exists) {
  static const struct ew_kube_events events = {.on_done = on_written};
  char path[400];

  snprintf(path, sizeof(path), "/api/v1/namespaces/%s/configmaps%s", ns,
           exists ? "/" EW_ROOTS_MAP_NAME : "");
  /* It may come back by the watch only after the next look. */
  json_object_set_new(r->there, ns, json_string(r->roots));
  free(r->asked);
  r->asked = ew_strdup(ns);
  r->patching = exists;
  r->request = ew_kube_send_json(
      r->kube, exists ? "PATCH" : "POST", path,
      json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "apiVersion", "v1", "kind",
                "ConfigMap", "metadata", "name", EW_ROOTS_MAP_NAME, "data",
                EW_ROOTS_MAP_KEY, r->roots),
      exists ? EW_MERGE_PATCH : NULL, &events, r);
}

/* Writes one ConfigMap if |ns| needs it; true if it did. */
static bool check(struct ew_roots_map *r, const char *ns) {
  const json_t *has = json_object_get(r->there, ns);

  if (has && strcmp(json_string_value(has), r->roots) == 0)
    return false;
  write_map(r, ns, has != NULL);
  return true;
}

static bool check_namespaces(struct ew_roots_map *r) {
  const struct ew_list *all = &r->objects->kinds[EW_KIND_NAMESPACE];

  for (const struct ew_list *n = all->next; n != all; n = n->next) {
    const struct ew_object *ns = EW_CONTAINER(n, struct ew_object, node);
    if (ns->u.ns.inject == EW_INJECT_ENABLED && check(r, ns->name))
      return true;
  }
  return false;
}

/* Pods opt in by themselves, too. */
static bool check_pods(struct ew_roots_map *r) {
  const struct ew_list *all = &r->objects->kinds[EW_KIND_POD];

  for (const struct ew_list *n = all->next; n != all; n = n->next) {
    const struct ew_object *pod = EW_CONTAINER(n, struct ew_object, node);
    if (ew_objects_injected(r->objects, pod) && check(r, pod->namespace_))
      return true;
  }
  return false;
}

static void on_look(struct ew_timer *t) {
  struct ew_roots_map *r = EW_CONTAINER(t, struct ew_roots_map, look);

  if (r->writing && r->synced && r->roots && !r->request &&
      !check_namespaces(r))
    (void)check_pods(r);
}

static void on_object(void *arg, json_t *object) {
  struct ew_roots_map *r = arg;
  const json_t *meta = json_object_get(object, "metadata");
  const json_t *data = json_object_get(object, "data");

  json_object_set_new(r->there, ew_kube_text(meta, "namespace"),
                      json_string(ew_kube_text(data, EW_ROOTS_MAP_KEY)));
  look_in(r, COALESCE_MS);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  struct ew_roots_map *r = arg;

  (void)name;
  json_object_del(r->there, ns);
  look_in(r, COALESCE_MS);
}

static void on_synced(void *arg) {
  struct ew_roots_map *r = arg;

  r->synced = true;
  look_in(r, 1);
}

struct ew_roots_map *ew_roots_map_new(struct ew_kube *k, struct ew_loop *l,
                                      const struct ew_objects *o) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  static const struct ew_kube_watch_opts opts = {.path = "/api/v1/configmaps",
                                                 .api_version = "v1",
                                                 .kind = "ConfigMap",
                                                 .name = EW_ROOTS_MAP_NAME};
  struct ew_roots_map *r = ew_calloc(1, sizeof(*r));

  r->kube = k;
  r->objects = o;
  r->there = json_object();
  r->failed = json_object();
  ew_timer_init(l, &r->look, on_look);
  ew_timer_init(l, &r->retry, on_retry);
  r->watch = ew_kube_watch_new(k, l, &opts, &events, r);
  return r;
}

void ew_roots_map_del(struct ew_roots_map *r) {
  if (!r)
    return;
  ew_kube_watch_del(r->watch);
  if (r->request)
    ew_kube_cancel(r->request);
  ew_timer_stop(&r->look);
  ew_timer_stop(&r->retry);
  json_decref(r->there);
  json_decref(r->failed);
  free(r->asked);
  free(r->roots);
  free(r);
}

void ew_roots_map_set(struct ew_roots_map *r, const char *roots) {
  free(r->roots);
  r->roots = ew_strdup(roots);
  look_in(r, 1);
}

void ew_roots_map_changed(struct ew_roots_map *r) { look_in(r, COALESCE_MS); }

void ew_roots_map_set_writing(struct ew_roots_map *r, bool writing) {
  if (r->writing == writing)
    return;
  r->writing = writing;
  look_in(r, 1);
}
