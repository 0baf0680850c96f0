/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/certificate_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/base64.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/kube/json.h"
#include "eastwest/kube/watch.h"

/* After a write of ours, whatever became of it: the watch needs a moment to
 * bring the news, and replicas that want different things must not take turns
 * as fast as they can. */
#define PAUSE_MS 5000
/* Clocks can be set: the time is looked at again at least so often. */
#define LOOK_MAX_S 3600

struct ew_certificate_secret {
  struct ew_kube *kube;
  struct ew_certificate_secret_opts opts;
  const struct ew_certificate_secret_events *ev;
  void *arg;
  char *path, *collection;
  struct ew_kube_watch *watch;
  struct ew_kube_request *request;
  struct ew_timer look, pause;
  bool synced;
  json_t *object;             /* NULL: there is no Secret */
  struct ew_server_cert cert; /* the last good one; of |object| if |good| */
  bool good;
};

/* ---- when ---- */

static long long life_of(const struct ew_server_cert *c) {
  return c->not_after - c->not_before;
}

static long long renewal_of(const struct ew_server_cert *c) {
  return c->not_before + life_of(c) * 2 / 3;
}

/* By then every replica serves with the new certificate, or its fault was seen
 * by somebody. Nothing but the old certificate can come from the old root. */
static long long retirement_of(const struct ew_server_cert *c) {
  long long made = c->not_before + EW_SERVER_CERT_BACKDATE_S;

  return made + (c->not_after - made) / 6;
}

/* ---- writing ---- */

static void on_written(void *arg, const struct ew_kube_answer *a) {
  struct ew_certificate_secret *s = arg;

  s->request = NULL;
  if (a->retry_after_s * 1000ull > PAUSE_MS)
    ew_timer_start(&s->pause, a->retry_after_s * 1000ull);
  /* 409: another replica was first. 404: it was deleted. The watch brings
   * it. */
  if (a->status == 200 || a->status == 201 || a->status == 409 ||
      (a->status == 404 && s->object))
    return;
  ew_log(EW_LOG_ERROR, "Secret of the certificate can't be written",
         "namespace=%s name=%s status=%d error=%s", s->opts.namespace_,
         s->opts.name, a->status, a->error);
  s->ev->on_write_failed(s->arg);
}

static void set_text(json_t *data, const char *key, const char *text) {
  char *encoded = ew_base64_encode(ew_slice_str(text));

  EW_BUG_ON(json_object_set_new(data, key, json_string(encoded)) != 0);
  explicit_bzero(encoded, strlen(encoded));
  free(encoded);
}

/* Of the old Secret all stays that is not ours. */
static json_t *body_of(struct ew_certificate_secret *s,
                       const struct ew_server_cert *c) {
  json_t *body =
      s->object
          ? json_deep_copy(s->object)
          : json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1",
                      "kind", "Secret", "type", "kubernetes.io/tls", "metadata",
                      "name", s->opts.name, "namespace", s->opts.namespace_);
  json_t *data;

  EW_BUG_ON(!body);
  if (!json_is_object(json_object_get(body, "data")))
    json_object_set_new(body, "data", json_object());
  data = json_object_get(body, "data");
  set_text(data, "tls.crt", c->crt);
  set_text(data, "tls.key", c->key);
  set_text(data, "ca.crt", c->roots);
  return body;
}

static void write_secret(struct ew_certificate_secret *s,
                         const struct ew_server_cert *c, const char *why) {
  static const struct ew_kube_events events = {.on_done = on_written};

  ew_log(EW_LOG_INFO, "Secret of the certificate is written",
         "namespace=%s name=%s reason=%s", s->opts.namespace_, s->opts.name,
         why);
  ew_timer_start(&s->pause, PAUSE_MS);
  s->request = ew_kube_send_json(s->kube, s->object ? "PUT" : "POST",
                                 s->object ? s->path : s->collection,
                                 body_of(s, c), NULL, &events, s);
}

/* What is served somewhere stays trusted: the roots of the last good one and
 * those that stand in the Secret. */
static void write_new(struct ew_certificate_secret *s, const char *why) {
  char *there = s->object ? ew_kube_secret_text(s->object, "ca.crt") : NULL;
  const char *known = s->cert.roots ? s->cert.roots : "";
  size_t len = strlen(known) + (there ? strlen(there) : 0) + 2;
  char *old = ew_malloc(len);
  struct ew_server_cert fresh;

  snprintf(old, len, "%s\n%s", known, there ? there : "");
  if (ew_server_cert_make(s->opts.dns, s->opts.dns_n, s->opts.lifetime_s, old,
                          &fresh) == EW_OK)
    write_secret(s, &fresh, why);
  else
    ew_timer_start(&s->pause, PAUSE_MS);
  ew_server_cert_fini(&fresh);
  free(old);
  free(there);
}

static void retire(struct ew_certificate_secret *s) {
  struct ew_server_cert one;
  char why[160];

  if (ew_server_cert_read(s->cert.crt, s->cert.key, s->cert.roots, s->opts.dns,
                          s->opts.dns_n, &one, why, sizeof(why)) != EW_OK)
    return;
  ew_server_cert_retire(&one);
  write_secret(s, &one, "the old root is no longer needed");
  ew_server_cert_fini(&one);
}

/* ---- deciding ---- */

static void look_at_time(struct ew_certificate_secret *s) {
  long long now = (long long)time(NULL);
  long long next = renewal_of(&s->cert);

  if (now >= next) {
    write_new(s, "two thirds of its life are over");
    return;
  }
  if (s->cert.roots_n > 1 && now >= retirement_of(&s->cert)) {
    retire(s);
    return;
  }
  if (s->cert.roots_n > 1 && retirement_of(&s->cert) < next)
    next = retirement_of(&s->cert);
  next = next - now < LOOK_MAX_S ? next - now : LOOK_MAX_S;
  ew_timer_start(&s->look, (uint64_t)next * 1000 + 1);
}

static void look(struct ew_certificate_secret *s) {
  if (!s->synced || s->request || ew_timer_active(&s->pause))
    return;
  if (!s->object)
    write_new(s, "there is none");
  else if (!s->good)
    write_new(s, "it can't be used");
  else
    look_at_time(s);
}

static void on_look(struct ew_timer *t) {
  look(EW_CONTAINER(t, struct ew_certificate_secret, look));
}

static void on_pause_over(struct ew_timer *t) {
  struct ew_certificate_secret *s =
      EW_CONTAINER(t, struct ew_certificate_secret, pause);

  /* Not as long as the fate of the last write is open. */
  if (s->request)
    ew_timer_start(&s->pause, PAUSE_MS);
  else
    look(s);
}

/* ---- following ---- */

static void read_object(struct ew_certificate_secret *s) {
  char *crt = ew_kube_secret_text(s->object, "tls.crt");
  char *key = ew_kube_secret_text(s->object, "tls.key");
  char *roots = ew_kube_secret_text(s->object, "ca.crt");
  struct ew_server_cert fresh;
  char why[400];

  s->good = ew_server_cert_read(crt, key, roots, s->opts.dns, s->opts.dns_n,
                                &fresh, why, sizeof(why)) == EW_OK;
  if (s->good) {
    ew_server_cert_fini(&s->cert);
    s->cert = fresh;
    s->ev->on_cert(s->arg, &s->cert);
  } else {
    s->ev->on_unusable(s->arg, why);
  }
  if (key)
    explicit_bzero(key, strlen(key));
  free(key);
  free(crt);
  free(roots);
}

static void on_object(void *arg, json_t *object) {
  struct ew_certificate_secret *s = arg;

  json_decref(s->object);
  s->object = json_incref(object);
  read_object(s);
  look(s);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  struct ew_certificate_secret *s = arg;

  ew_log(EW_LOG_WARN, "Secret of the certificate is gone",
         "namespace=%s name=%s", ns, name);
  json_decref(s->object);
  s->object = NULL;
  s->good = false;
  look(s);
}

static void on_synced(void *arg) {
  struct ew_certificate_secret *s = arg;

  s->synced = true;
  look(s);
}

/* ---- life ---- */

struct ew_certificate_secret *
ew_certificate_secret_new(struct ew_kube *k, struct ew_loop *l,
                          const struct ew_certificate_secret_opts *opts,
                          const struct ew_certificate_secret_events *ev,
                          void *arg) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  struct ew_certificate_secret *s = ew_calloc(1, sizeof(*s));
  char path[600];

  s->kube = k;
  s->opts = *opts;
  s->ev = ev;
  s->arg = arg;
  snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets",
           opts->namespace_);
  s->collection = ew_strdup(path);
  snprintf(path, sizeof(path), "%s/%s", s->collection, opts->name);
  s->path = ew_strdup(path);
  ew_timer_init(l, &s->look, on_look);
  ew_timer_init(l, &s->pause, on_pause_over);
  s->watch =
      ew_kube_watch_new(k, l,
                        &(struct ew_kube_watch_opts){.path = s->collection,
                                                     .api_version = "v1",
                                                     .kind = "Secret",
                                                     .name = opts->name},
                        &events, s);
  return s;
}

void ew_certificate_secret_del(struct ew_certificate_secret *s) {
  if (!s)
    return;
  ew_kube_watch_del(s->watch);
  if (s->request)
    ew_kube_cancel(s->request);
  ew_timer_stop(&s->look);
  ew_timer_stop(&s->pause);
  json_decref(s->object);
  ew_server_cert_fini(&s->cert);
  free(s->collection);
  free(s->path);
  free(s);
}

uint64_t ew_certificate_secret_faults(const struct ew_certificate_secret *s) {
  return ew_kube_watch_faults(s->watch);
}
