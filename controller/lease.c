/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eastwest/kube/json.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

#define API "coordination.k8s.io/v1"
/* We stop a while before another one may begin. */
#define HELD_MS ((EW_LEASE_S - 3) * 1000ull)

struct ew_lease {
  struct ew_kube *kube;
  struct ew_loop *loop;
  char *namespace_, *name, *identity, *collection, *path;
  struct ew_timer timer, expiry;
  struct ew_kube_request *request;
  void (*on_change)(void *arg, bool held);
  void *arg;
  bool held;
  uint64_t renewed_ms; /* when our last successful renewal was sent */
  uint64_t sent_ms;
  /* Clocks of machines differ: a Lease is old when its text has not changed for
   * long enough by our own clock. */
  char seen[64];
  uint64_t seen_ms;
};

static void again(struct ew_lease *s) {
  ew_timer_start(&s->timer, EW_LEASE_RENEW_S * 1000ull);
}

static void set_held(struct ew_lease *s, bool held) {
  if (s->held == held)
    return;
  s->held = held;
  ew_log(EW_LOG_INFO, held ? "lease taken" : "lease lost", "name=%s", s->name);
  s->on_change(s->arg, held);
}

bool ew_lease_held(const struct ew_lease *s) {
  return s->held && ew_loop_now_ms(s->loop) - s->renewed_ms < HELD_MS;
}

static void now_text(char *out, size_t len) {
  struct timespec ts;
  struct tm tm;
  char seconds[32];

  clock_gettime(CLOCK_REALTIME, &ts);
  gmtime_r(&ts.tv_sec, &tm);
  strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(out, len, "%s.%06ldZ", seconds, ts.tv_nsec / 1000);
}

static void on_written(void *arg, const struct ew_kube_answer *a) {
  struct ew_lease *s = arg;

  s->request = NULL;
  if (a->status == 200 || a->status == 201) {
    s->renewed_ms = s->sent_ms;
    ew_timer_start(&s->expiry,
                   HELD_MS - (ew_loop_now_ms(s->loop) - s->sent_ms));
    set_held(s, true);
  } else if (a->status == 409) {
    set_held(s, false);
  }
  again(s);
}

/* |old| is the Lease there is, or NULL. */
static void take(struct ew_lease *s, const json_t *old) {
  static const struct ew_kube_events events = {.on_done = on_written};
  const json_t *spec = json_object_get(old, "spec");
  bool ours = strcmp(ew_kube_text(spec, "holderIdentity"), s->identity) == 0;
  json_int_t transitions =
      json_integer_value(json_object_get(spec, "leaseTransitions"));
  const char *acquired = ew_kube_text(spec, "acquireTime");
  json_t *meta = json_object_get(old, "metadata");
  char now[64];
  json_t *body;

  now_text(now, sizeof(now));
  meta = meta ? json_deep_copy(meta)
              : json_pack("{s:s, s:s}", "name", s->name, "namespace",
                          s->namespace_);
  body = json_pack(
      "{s:s, s:s, s:o, s:{s:s, s:i, s:s, s:s, s:I}}", "apiVersion", API, "kind",
      "Lease", "metadata", meta, "spec", "holderIdentity", s->identity,
      "leaseDurationSeconds", EW_LEASE_S, "acquireTime",
      ours && acquired[0] ? acquired : now, "renewTime", now,
      "leaseTransitions", ours || !old ? transitions : transitions + 1);
  s->sent_ms = ew_loop_now_ms(s->loop);
  s->request =
      ew_kube_send_json(s->kube, old ? "PUT" : "POST",
                        old ? s->path : s->collection, body, NULL, &events, s);
}

/* Whether nobody renewed it for as long as it lasts. */
static bool is_old(struct ew_lease *s, const json_t *spec) {
  const char *renewed = ew_kube_text(spec, "renewTime");
  json_int_t lasts =
      json_integer_value(json_object_get(spec, "leaseDurationSeconds"));
  uint64_t now = ew_loop_now_ms(s->loop);

  if (strcmp(renewed, s->seen) != 0) {
    snprintf(s->seen, sizeof(s->seen), "%s", renewed);
    s->seen_ms = now;
  }
  return now - s->seen_ms >
         1000ull * (uint64_t)(lasts > 0 ? lasts : EW_LEASE_S);
}

static void on_read(void *arg, const struct ew_kube_answer *a) {
  struct ew_lease *s = arg;
  json_t *root = a->status == 200 ? ew_kube_answer_json(a) : NULL;
  const json_t *spec = json_object_get(root, "spec");
  const char *holder = ew_kube_text(spec, "holderIdentity");
  bool ours = strcmp(holder, s->identity) == 0;

  s->request = NULL;
  if (a->status == 404) {
    take(s, NULL);
  } else if (root && (ours || !holder[0] || is_old(s, spec))) {
    take(s, root);
  } else {
    if (root)
      set_held(s, false);
    again(s);
  }
  json_decref(root);
}

static void on_timer(struct ew_timer *t) {
  static const struct ew_kube_events events = {.on_done = on_read};
  struct ew_lease *s = EW_CONTAINER(t, struct ew_lease, timer);

  /* A call without an answer so far is given up. */
  if (s->request)
    ew_kube_cancel(s->request);
  s->request =
      ew_kube_send_json(s->kube, "GET", s->path, NULL, NULL, &events, s);
  again(s);
}

static void on_expiry(struct ew_timer *t) {
  set_held(EW_CONTAINER(t, struct ew_lease, expiry), false);
}

struct ew_lease *ew_lease_new(struct ew_kube *k, struct ew_loop *l,
                              const struct ew_lease_opts *opts,
                              void (*on_change)(void *arg, bool held),
                              void *arg) {
  struct ew_lease *s = ew_calloc(1, sizeof(*s));
  char path[640];

  s->kube = k;
  s->loop = l;
  s->namespace_ = ew_strdup(opts->namespace_);
  s->name = ew_strdup(opts->name);
  s->identity = ew_strdup(opts->identity);
  snprintf(path, sizeof(path), "/apis/" API "/namespaces/%s/leases",
           opts->namespace_);
  s->collection = ew_strdup(path);
  snprintf(path, sizeof(path), "/apis/" API "/namespaces/%s/leases/%s",
           opts->namespace_, opts->name);
  s->path = ew_strdup(path);
  s->on_change = on_change;
  s->arg = arg;
  ew_timer_init(l, &s->timer, on_timer);
  ew_timer_init(l, &s->expiry, on_expiry);
  ew_timer_start(&s->timer, 1);
  return s;
}

void ew_lease_del(struct ew_lease *s) {
  if (!s)
    return;
  if (s->request)
    ew_kube_cancel(s->request);
  ew_timer_stop(&s->timer);
  ew_timer_stop(&s->expiry);
  free(s->namespace_);
  free(s->name);
  free(s->identity);
  free(s->collection);
  free(s->path);
  free(s);
}
