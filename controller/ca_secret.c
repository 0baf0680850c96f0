/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ca_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/kube/json.h"
#include "eastwest/kube/watch.h"
#include "eastwest/pki/pem.h"

#define RETRY_MS 5000

struct ew_ca_secret {
  struct ew_kube *kube;
  char *namespace_, *name, *trust_domain;
  char *path;
  struct ew_kube_watch *watch;
  struct ew_kube_request *create;
  struct ew_timer retry;
  bool there;
  void (*on_ca)(void *arg, struct ew_ca *ca);
  void *arg;
};

static void on_object(void *arg, json_t *object) {
  struct ew_ca_secret *s = arg;
  char *crt = ew_kube_secret_text(object, "tls.crt");
  char *key = ew_kube_secret_text(object, "tls.key");
  char *roots = ew_kube_secret_text(object, "ca.crt");
  char why[128] = "expected tls.crt and tls.key";
  struct ew_ca *ca = NULL;

  s->there = true;
  if (crt && key)
    ca = ew_ca_from_pem(crt, key, roots, why, sizeof(why));
  if (ca)
    s->on_ca(s->arg, ca);
  else
    ew_log(EW_LOG_ERROR, "Secret of the CA refused",
           "namespace=%s name=%s error=%s", s->namespace_, s->name, why);
  ew_pem_wipe(key);
  free(crt);
  free(roots);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  struct ew_ca_secret *s = arg;

  /* What was read stays in force; made again it would be another root. */
  ew_log(EW_LOG_ERROR, "Secret of the CA is gone: put it back",
         "namespace=%s name=%s", ns, name);
  s->there = true;
}

static void on_created(void *arg, const struct ew_kube_answer *a) {
  struct ew_ca_secret *s = arg;

  s->create = NULL;
  if (a->status == 201 || a->status == 409)
    return; /* the watch brings it, ours or that of another replica */
  ew_log(EW_LOG_ERROR, "Secret of the CA can't be made",
         "namespace=%s name=%s status=%d error=%s", s->namespace_, s->name,
         a->status, a->error);
  ew_timer_start(&s->retry, RETRY_MS);
}

static void create(struct ew_ca_secret *s) {
  static const struct ew_kube_events events = {.on_done = on_created};
  char *crt, *key;

  if (s->there || s->create)
    return;
  if (ew_ca_make(s->trust_domain, &crt, &key) != EW_OK) {
    ew_timer_start(&s->retry, RETRY_MS);
    return;
  }
  s->create = ew_kube_send_json(
      s->kube, "POST", s->path,
      json_pack("{s:s, s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s}}", "apiVersion",
                "v1", "kind", "Secret", "type", "kubernetes.io/tls", "metadata",
                "name", s->name, "stringData", "tls.crt", crt, "tls.key", key,
                "ca.crt", crt),
      NULL, &events, s);
  ew_pem_wipe(key);
  free(crt);
}

static void on_synced(void *arg) { create(arg); }

static void on_retry(struct ew_timer *t) {
  create(EW_CONTAINER(t, struct ew_ca_secret, retry));
}

struct ew_ca_secret *
ew_ca_secret_new(struct ew_kube *k, struct ew_loop *l,
                 const struct ew_ca_secret_opts *opts,
                 void (*on_ca)(void *arg, struct ew_ca *ca), void *arg) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  struct ew_ca_secret *s = ew_calloc(1, sizeof(*s));
  char path[512];

  s->kube = k;
  s->namespace_ = ew_strdup(opts->namespace_);
  s->name = ew_strdup(opts->name);
  s->trust_domain = ew_strdup(opts->trust_domain);
  snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets",
           opts->namespace_);
  s->path = ew_strdup(path);
  s->on_ca = on_ca;
  s->arg = arg;
  ew_timer_init(l, &s->retry, on_retry);
  s->watch = ew_kube_watch_new(k, l,
                               &(struct ew_kube_watch_opts){.path = s->path,
                                                            .api_version = "v1",
                                                            .kind = "Secret",
                                                            .name = s->name},
                               &events, s);
  return s;
}

void ew_ca_secret_del(struct ew_ca_secret *s) {
  if (!s)
    return;
  ew_kube_watch_del(s->watch);
  if (s->create)
    ew_kube_cancel(s->create);
  ew_timer_stop(&s->retry);
  free(s->namespace_);
  free(s->name);
  free(s->trust_domain);
  free(s->path);
  free(s);
}
