/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/ca_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/base64.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/kube/json.h"
#include "eastwest/kube/watch.h"
#include "eastwest/pki/server_cert.h"

#define COLLECTION \
  "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
/* Merges the list of webhooks by their names, so that it can't bring back one
 * that was removed, nor move any. */
#define PATCH_TYPE "application/strategic-merge-patch+json"
/* Between two writes, so that a quarrel with somebody stays a slow one. */
#define PAUSE_MS 1000
#define FAILED_PAUSE_MS 5000

struct ew_ca_bundle {
  struct ew_kube *kube;
  const char *name;
  char *path;
  const struct ew_ca_bundle_events *ev;
  void *arg;
  struct ew_kube_watch *watch;
  struct ew_kube_request *request;
  struct ew_timer pause;
  json_t *object; /* NULL: there is none */
  char *want;
  bool in_place;
};

static enum ew_roots state_of(const struct ew_ca_bundle *b,
                              const json_t *webhook) {
  const char *encoded =
      ew_kube_text(json_object_get(webhook, "clientConfig"), "caBundle");
  char *have = ew_base64_decode(ew_slice_str(encoded), NULL);
  enum ew_roots state =
      have ? ew_roots_compare(have, b->want) : EW_ROOTS_MISSING;

  free(have);
  return state;
}

static void look(struct ew_ca_bundle *b);

static void on_written(void *arg, const struct ew_kube_answer *a) {
  struct ew_ca_bundle *b = arg;
  uint64_t pause_ms = FAILED_PAUSE_MS;

  b->request = NULL;
  /* 409: somebody else changed it, 404: it is gone. The watch brings it. */
  if (a->status == 200 || a->status == 409 || a->status == 404) {
    pause_ms = PAUSE_MS;
  } else {
    ew_log(EW_LOG_ERROR, "caBundle can't be written",
           "name=%s status=%d error=%s", b->name, a->status, a->error);
    b->ev->on_write_failed(b->arg);
  }
  if (a->retry_after_s * 1000ull > pause_ms)
    pause_ms = a->retry_after_s * 1000ull;
  ew_timer_start(&b->pause, pause_ms);
}

/* Takes |webhooks|. With the version, so that what changed meanwhile is looked
 * at first. */
static void patch(struct ew_ca_bundle *b, json_t *webhooks) {
  static const struct ew_kube_events events = {.on_done = on_written};
  const json_t *meta = json_object_get(b->object, "metadata");

  ew_log(EW_LOG_INFO, "caBundle is written", "name=%s webhooks=%zu", b->name,
         json_array_size(webhooks));
  b->request = ew_kube_send_json(
      b->kube, "PATCH", b->path,
      json_pack("{s:{s:s}, s:o}", "metadata", "resourceVersion",
                ew_kube_text(meta, "resourceVersion"), "webhooks", webhooks),
      PATCH_TYPE, &events, b);
}

/* Those that need a patch; |*missing|: one of them lacks a root. */
static json_t *changes(const struct ew_ca_bundle *b, bool *missing) {
  const json_t *all = json_object_get(b->object, "webhooks");
  char *encoded = ew_base64_encode(ew_slice_str(b->want));
  json_t *out = json_array();

  EW_BUG_ON(!out);
  for (size_t i = 0; i < json_array_size(all); i++) {
    const json_t *one = json_array_get(all, i);
    enum ew_roots state = state_of(b, one);
    *missing |= state == EW_ROOTS_MISSING;
    if (state != EW_ROOTS_GOOD)
      EW_BUG_ON(json_array_append_new(out, json_pack("{s:s, s:{s:s}}", "name",
                                                     ew_kube_text(one, "name"),
                                                     "clientConfig", "caBundle",
                                                     encoded)) != 0);
  }
  free(encoded);
  return out;
}

static void look(struct ew_ca_bundle *b) {
  bool missing = false;
  json_t *todo;

  if (!b->want)
    return;
  todo = changes(b, &missing);
  b->in_place =
      json_array_size(json_object_get(b->object, "webhooks")) > 0 && !missing;
  if (json_array_size(todo) > 0 && !b->request && !ew_timer_active(&b->pause))
    patch(b, json_incref(todo));
  json_decref(todo);
  b->ev->on_change(b->arg);
}

static void on_pause_over(struct ew_timer *t) {
  look(EW_CONTAINER(t, struct ew_ca_bundle, pause));
}

static void on_object(void *arg, json_t *object) {
  struct ew_ca_bundle *b = arg;

  json_decref(b->object);
  b->object = json_incref(object);
  look(b);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  struct ew_ca_bundle *b = arg;

  (void)ns;
  ew_log(EW_LOG_WARN, "MutatingWebhookConfiguration is gone", "name=%s", name);
  json_decref(b->object);
  b->object = NULL;
  look(b);
}

static void on_synced(void *arg) {
  struct ew_ca_bundle *b = arg;

  if (!b->object)
    ew_log(EW_LOG_WARN, "no such MutatingWebhookConfiguration yet", "name=%s",
           b->name);
}

struct ew_ca_bundle *ew_ca_bundle_new(struct ew_kube *k, struct ew_loop *l,
                                      const char *name,
                                      const struct ew_ca_bundle_events *ev,
                                      void *arg) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  struct ew_ca_bundle *b = ew_calloc(1, sizeof(*b));
  char path[400];

  b->kube = k;
  b->name = name;
  b->ev = ev;
  b->arg = arg;
  snprintf(path, sizeof(path), COLLECTION "/%s", name);
  b->path = ew_strdup(path);
  ew_timer_init(l, &b->pause, on_pause_over);
  b->watch =
      ew_kube_watch_new(k, l,
                        &(struct ew_kube_watch_opts){
                            .path = COLLECTION,
                            .api_version = "admissionregistration.k8s.io/v1",
                            .kind = "MutatingWebhookConfiguration",
                            .name = name},
                        &events, b);
  return b;
}

void ew_ca_bundle_del(struct ew_ca_bundle *b) {
  if (!b)
    return;
  ew_kube_watch_del(b->watch);
  if (b->request)
    ew_kube_cancel(b->request);
  ew_timer_stop(&b->pause);
  json_decref(b->object);
  free(b->path);
  free(b->want);
  free(b);
}

void ew_ca_bundle_want(struct ew_ca_bundle *b, const char *roots) {
  free(b->want);
  b->want = ew_strdup(roots);
  look(b);
}

bool ew_ca_bundle_in_place(const struct ew_ca_bundle *b) { return b->in_place; }

uint64_t ew_ca_bundle_faults(const struct ew_ca_bundle *b) {
  return ew_kube_watch_faults(b->watch);
}
