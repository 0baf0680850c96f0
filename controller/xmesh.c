/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/xmesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eastwest/kube/json.h"
#include "controller/status.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/kube/watch.h"

#define API "gateway.networking.x-k8s.io/v1alpha1"
#define PATH "/apis/" API "/xmeshes"
#define RETRY_MS 10000

/* Sorted, as the API asks. */
static const char *const features[] = {
    "GRPCRoute",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteParentRefPort",
    "HTTPRouteResponseHeaderModification",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
};

struct ew_xmesh {
  struct ew_kube *kube;
  struct ew_kube_watch *watch;
  struct ew_kube_request *request;
  struct ew_timer retry;
  json_t *ours; /* name: object */
  bool writing, synced;
};

static json_t *feature_list(void) {
  json_t *list = json_array();

  for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
    json_array_append_new(list, json_pack("{s:s}", "name", features[i]));
  return list;
}

static json_t *condition(const json_t *object) {
  const json_t *meta = json_object_get(object, "metadata");
  bool parameters = json_is_object(
      json_object_get(json_object_get(object, "spec"), "parametersRef"));
  time_t now = time(NULL);
  struct tm tm;
  char when[32];

  gmtime_r(&now, &tm);
  strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
  return json_pack(
      "{s:s, s:s, s:s, s:s, s:I, s:s}", "type", "Accepted", "status",
      parameters ? "False" : "True", "reason",
      parameters ? "InvalidParameters" : "Accepted", "message",
      parameters
          ? "Eastwest has no parameters: spec.parametersRef must be left "
            "out"
          : "Handled by Eastwest " EW_VERSION " (" EW_CONTROLLER_NAME ")",
      "observedGeneration",
      json_integer_value(json_object_get(meta, "generation")),
      "lastTransitionTime", when);
}

static bool same_condition(const json_t *a, const json_t *b) {
  static const char *const members[] = {"status", "reason", "message"};

  for (size_t i = 0; i < 3; i++)
    if (strcmp(ew_kube_text(a, members[i]), ew_kube_text(b, members[i])) != 0)
      return false;
  return json_equal(json_object_get(a, "observedGeneration"),
                    json_object_get(b, "observedGeneration"));
}

static const json_t *accepted_of(const json_t *status) {
  const json_t *list = json_object_get(status, "conditions");

  for (size_t i = 0; i < json_array_size(list); i++)
    if (strcmp(ew_kube_text(json_array_get(list, i), "type"), "Accepted") == 0)
      return json_array_get(list, i);
  return NULL;
}

/* The status that |object| should have; NULL if it has it. */
static json_t *wanted_status(const json_t *object) {
  const json_t *status = json_object_get(object, "status");
  const json_t *was = accepted_of(status);
  json_t *c = condition(object), *list = feature_list();

  if (same_condition(was, c) &&
      json_equal(list, json_object_get(status, "supportedFeatures"))) {
    json_decref(c);
    json_decref(list);
    return NULL;
  }
  if (strcmp(ew_kube_text(was, "status"), ew_kube_text(c, "status")) == 0)
    json_object_set(c, "lastTransitionTime",
                    json_object_get(was, "lastTransitionTime"));
  return json_pack("{s:{s:[o], s:o}}", "status", "conditions", c,
                   "supportedFeatures", list);
}

static void go(struct ew_xmesh *x);

/* Before the watch brings it, so that nothing is written twice. */
static void take_answer(struct ew_xmesh *x, const struct ew_kube_answer *a) {
  json_t *root = ew_kube_answer_json(a);
  const char *name = ew_kube_text(json_object_get(root, "metadata"), "name");

  if (name[0])
    json_object_set(x->ours, name, root);
  json_decref(root);
}

static void on_written(void *arg, const struct ew_kube_answer *a) {
  struct ew_xmesh *x = arg;

  x->request = NULL;
  if (a->status == 200 || a->status == 201) {
    take_answer(x, a);
    go(x);
    return;
  }
  /* 404: the experimental channel is not installed. */
  if (a->status != 409 && a->status != 404)
    ew_log(EW_LOG_WARN, "XMesh not written", "status=%d error=%s", a->status,
           a->error);
  ew_timer_start(&x->retry, RETRY_MS);
}

/* One write at a time: what it changes comes back by the watch. */
static void go(struct ew_xmesh *x) {
  static const struct ew_kube_events events = {.on_done = on_written};
  const char *name;
  json_t *object;

  if (!x->writing || !x->synced || x->request)
    return;
  if (json_object_size(x->ours) == 0) {
    x->request = ew_kube_send_json(
        x->kube, "POST", PATH,
        json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "apiVersion", API, "kind",
                  "XMesh", "metadata", "name", EW_XMESH_NAME, "spec",
                  "controllerName", EW_CONTROLLER_NAME),
        NULL, &events, x);
    return;
  }
  json_object_foreach(x->ours, name, object) {
    json_t *status = wanted_status(object);
    char path[400];
    if (!status)
      continue;
    snprintf(path, sizeof(path), PATH "/%s/status", name);
    x->request = ew_kube_send_json(x->kube, "PATCH", path, status,
                                   EW_MERGE_PATCH, &events, x);
    return;
  }
}

static void on_object(void *arg, json_t *object) {
  struct ew_xmesh *x = arg;
  const char *name = ew_kube_text(json_object_get(object, "metadata"), "name");
  const char *controller =
      ew_kube_text(json_object_get(object, "spec"), "controllerName");

  if (strcmp(controller, EW_CONTROLLER_NAME) == 0) {
    json_object_set(x->ours, name, object);
  } else {
    json_object_del(x->ours, name);
    if (strcmp(name, EW_XMESH_NAME) == 0)
      ew_log(EW_LOG_WARN, "XMesh of our name belongs to another controller",
             "controller=%s", controller);
  }
  go(x);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  struct ew_xmesh *x = arg;

  (void)ns;
  json_object_del(x->ours, name);
  go(x);
}

static void on_synced(void *arg) {
  struct ew_xmesh *x = arg;

  x->synced = true;
  go(x);
}

static void on_retry(struct ew_timer *t) {
  go(EW_CONTAINER(t, struct ew_xmesh, retry));
}

struct ew_xmesh *ew_xmesh_new(struct ew_kube *k, struct ew_loop *l) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  static const struct ew_kube_watch_opts opts = {
      .path = PATH, .api_version = API, .kind = "XMesh"};
  struct ew_xmesh *x = ew_calloc(1, sizeof(*x));

  x->kube = k;
  x->ours = json_object();
  ew_timer_init(l, &x->retry, on_retry);
  x->watch = ew_kube_watch_new(k, l, &opts, &events, x);
  return x;
}

void ew_xmesh_del(struct ew_xmesh *x) {
  if (!x)
    return;
  ew_kube_watch_del(x->watch);
  if (x->request)
    ew_kube_cancel(x->request);
  ew_timer_stop(&x->retry);
  json_decref(x->ours);
  free(x);
}

void ew_xmesh_set_writing(struct ew_xmesh *x, bool writing) {
  if (x->writing == writing)
    return;
  x->writing = writing;
  go(x);
}
