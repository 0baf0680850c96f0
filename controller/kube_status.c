/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/kube/json.h"
#include "controller/status.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

#define COALESCE_MS 50
#define RETRY_MS 5000
/* Writes at the same time; the rest follows when one is done. */
#define WRITES_MAX 16
#define PATH_MAX_LEN 800

struct ew_kube_status {
  struct ew_kube *kube;
  const struct ew_objects *objects;
  struct ew_timer look, retry;
  struct ew_list writes;
  size_t writes_n;
  bool writing, more;
};

/* A PATCH on its way. */
struct write {
  struct ew_list node;
  struct ew_kube_status *s;
  struct ew_kube_request *request;
  char path[PATH_MAX_LEN];
};

static bool path_of(const struct ew_object *route, char out[PATH_MAX_LEN]) {
  static const char *const plural[] = {[EW_ROUTE_GRPC] = "grpcroutes",
                                       [EW_ROUTE_HTTP] = "httproutes",
                                       [EW_ROUTE_TLS] = "tlsroutes",
                                       [EW_ROUTE_TCP] = "tcproutes"};
  int n = snprintf(out, PATH_MAX_LEN, "/apis/%s/namespaces/%s/%s/%s/status",
                   ew_kube_text(route->json, "apiVersion"), route->namespace_,
                   plural[route->u.route.type], route->name);

  return n > 0 && n < PATH_MAX_LEN;
}

static bool in_flight(const struct ew_kube_status *s, const char *path) {
  const struct ew_list *n;

  for (n = s->writes.next; n != &s->writes; n = n->next)
    if (strcmp(EW_CONTAINER(n, struct write, node)->path, path) == 0)
      return true;
  return false;
}

static void on_written(void *arg, const struct ew_kube_answer *a) {
  struct write *w = arg;
  struct ew_kube_status *s = w->s;

  /* 404: deleted meanwhile. 409: changed meanwhile, the watch brings it. */
  if (a->status != 200 && a->status != 404 && a->status != 409) {
    ew_log(EW_LOG_WARN, "status not written", "path=%s status=%d error=%s",
           w->path, a->status, a->error);
    if (!ew_timer_active(&s->retry))
      ew_timer_start(&s->retry, RETRY_MS + 1000ull * a->retry_after_s);
  }
  ew_list_remove(&w->node);
  s->writes_n--;
  free(w);
  if (s->more && !ew_timer_active(&s->look))
    ew_timer_start(&s->look, 1);
}

static void write_status(struct ew_kube_status *s,
                         const struct ew_object *route, json_t *status,
                         const char *path) {
  static const struct ew_kube_events events = {.on_done = on_written};
  const json_t *meta = json_object_get(route->json, "metadata");
  struct write *w = ew_calloc(1, sizeof(*w));

  w->s = s;
  snprintf(w->path, sizeof(w->path), "%s", path);
  ew_list_init(&w->node);
  ew_list_push_back(&s->writes, &w->node);
  s->writes_n++;
  w->request = ew_kube_send_json(
      s->kube, "PATCH", w->path,
      json_pack("{s:{s:s}, s:O}", "metadata", "resourceVersion",
                ew_kube_text(meta, "resourceVersion"), "status", status),
      EW_MERGE_PATCH, &events, w);
}

static void look_at(struct ew_kube_status *s, const struct ew_object *route,
                    const char *now) {
  json_t *old = json_object_get(route->json, "status");
  json_t *status = ew_status_of(s->objects, route, old, now);
  char path[PATH_MAX_LEN];

  if (!status)
    return;
  if (!json_equal(json_object_get(status, "parents"),
                  json_object_get(old, "parents")) &&
      path_of(route, path)) {
    if (s->writes_n < WRITES_MAX && !in_flight(s, path))
      write_status(s, route, status, path);
    else
      s->more = true;
  }
  json_decref(status);
}

static void on_look(struct ew_timer *t) {
  struct ew_kube_status *s = EW_CONTAINER(t, struct ew_kube_status, look);
  char now[EW_KUBE_TIME];

  s->more = false;
  if (!s->writing)
    return;
  ew_kube_time(now);
  for (int k = EW_KIND_HTTP_ROUTE; k <= EW_KIND_TLS_ROUTE; k++) {
    struct ew_list *it, *tmp;
    /* A write takes no object away. */
    const struct ew_list *all = &s->objects->kinds[k];
    for (it = all->next, tmp = it->next; it != all; it = tmp, tmp = it->next)
      look_at(s, EW_CONTAINER(it, struct ew_object, node), now);
  }
}

static void on_retry(struct ew_timer *t) {
  ew_kube_status_changed(EW_CONTAINER(t, struct ew_kube_status, retry));
}

struct ew_kube_status *ew_kube_status_new(struct ew_kube *k, struct ew_loop *l,
                                          const struct ew_objects *o) {
  struct ew_kube_status *s = ew_calloc(1, sizeof(*s));

  s->kube = k;
  s->objects = o;
  ew_list_init(&s->writes);
  ew_timer_init(l, &s->look, on_look);
  ew_timer_init(l, &s->retry, on_retry);
  return s;
}

void ew_kube_status_del(struct ew_kube_status *s) {
  if (!s)
    return;
  ew_timer_stop(&s->look);
  ew_timer_stop(&s->retry);
  while (!ew_list_empty(&s->writes)) {
    struct write *w = EW_CONTAINER(s->writes.next, struct write, node);
    ew_kube_cancel(w->request);
    ew_list_remove(&w->node);
    free(w);
  }
  free(s);
}

void ew_kube_status_changed(struct ew_kube_status *s) {
  if (!ew_timer_active(&s->look))
    ew_timer_start(&s->look, COALESCE_MS);
}

void ew_kube_status_set_writing(struct ew_kube_status *s, bool writing) {
  if (writing && !s->writing)
    ew_kube_status_changed(s);
  s->writing = writing;
}
