/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/bucket.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/kube/json.h"
#include "injector/patch.h"

#define COMPONENT "eastwest-injector"

enum result { WRITTEN, FAILED, REPEATED, LIMITED, RESULTS };

struct told {
  uint64_t hash, until_ms;
};

/* Of one Event that is under way. */
struct place {
  struct ew_events *e;
  struct ew_kube_request *request; /* NULL: free */
};

struct ew_events {
  struct ew_kube *kube;
  struct ew_loop *loop;
  struct ew_series *results[RESULTS];
  struct place places[EW_EVENTS_OPEN_MAX];
  struct told told[EW_EVENTS_REMEMBERED];
  struct ew_bucket credit; /* Events that may be sent */
};

/* FNV-1a. Who finds two with the same value hides one of his own Events. */
static uint64_t add_hash(uint64_t h, const char *s) {
  do {
    h = (h ^ (unsigned char)*s) * 0x100000001b3ull;
  } while (*s++);
  return h;
}

static uint64_t hash_of(const struct ew_subject *s, const char *reason,
                        const char *message) {
  const char *const parts[] = {s->namespace_, s->kind, s->name,
                               s->uid,        reason,  message};
  uint64_t h = 0xcbf29ce484222325ull;

  for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
    h = add_hash(h, parts[i]);
  return h;
}

static void on_done(void *arg, const struct ew_kube_answer *a) {
  struct place *p = arg;
  bool good = a->status == 201;

  ew_series_add(p->e->results[good ? WRITTEN : FAILED], 1);
  if (!good)
    ew_log(EW_LOG_WARN, "Event not written", "status=%d error=%s", a->status,
           a->error);
  p->request = NULL;
}

static json_t *body_of(const struct ew_subject *s, const char *reason,
                       const char *message) {
  json_t *about =
      json_pack("{s:s, s:s, s:s, s:s}", "apiVersion", s->api_version, "kind",
                s->kind, "name", s->name, "namespace", s->namespace_);
  char now[EW_KUBE_TIME];
  json_t *body;

  EW_BUG_ON(!about);
  if (s->uid[0])
    json_object_set_new(about, "uid", json_string(s->uid));
  ew_kube_time(now);
  body = json_pack(
      "{s:s, s:s, s:{s:s, s:s}, s:o, s:s, s:s, s:o, s:{s:s}, s:s, s:s, s:i,"
      " s:s}",
      "apiVersion", "v1", "kind", "Event", "metadata", "generateName",
      COMPONENT "-", "namespace", s->namespace_, "involvedObject", about,
      "type", "Warning", "reason", reason, "message", ew_text_value(message),
      "source", "component", COMPONENT, "firstTimestamp", now, "lastTimestamp",
      now, "count", 1, "reportingComponent", COMPONENT);
  EW_BUG_ON(!body);
  return body;
}

/* NULL: too many. */
static struct place *take_place(struct ew_events *e) {
  for (size_t i = 0; i < EW_EVENTS_OPEN_MAX; i++)
    if (!e->places[i].request)
      return ew_bucket_take(&e->credit, EW_EVENTS_BURST, 1,
                            ew_loop_now_ms(e->loop))
                 ? &e->places[i]
                 : NULL;
  return NULL;
}

static void send(struct place *p, const struct ew_subject *s,
                 const char *reason, const char *message) {
  static const struct ew_kube_events events = {.on_done = on_done};
  char path[128];

  snprintf(path, sizeof(path), "/api/v1/namespaces/%s/events", s->namespace_);
  p->request = ew_kube_send_json(p->e->kube, "POST", path,
                                 body_of(s, reason, message), NULL, &events, p);
}

void ew_events_tell(struct ew_events *e, const struct ew_subject *s,
                    const char *reason, const char *message) {
  uint64_t now = ew_loop_now_ms(e->loop), hash = hash_of(s, reason, message);
  struct told *told = &e->told[hash % EW_EVENTS_REMEMBERED];
  struct place *place;

  if (!s->namespace_[0])
    return;
  if (told->hash == hash && now < told->until_ms) {
    ew_series_add(e->results[REPEATED], 1);
    return;
  }
  place = take_place(e);
  if (!place) {
    ew_series_add(e->results[LIMITED], 1);
    return;
  }
  *told = (struct told){hash, now + EW_EVENTS_REPEAT_MS};
  send(place, s, reason, message);
}

struct ew_events *ew_events_new(struct ew_kube *k, struct ew_loop *l,
                                struct ew_metrics *m) {
  static const char *const names[] = {"written", "failed", "repeated",
                                      "limited"};
  struct ew_events *e = ew_calloc(1, sizeof(*e));

  e->kube = k;
  e->loop = l;
  for (size_t i = 0; i < EW_EVENTS_OPEN_MAX; i++)
    e->places[i].e = e;
  for (int i = 0; i < RESULTS; i++) {
    const struct ew_label label = {"result", names[i]};
    e->results[i] =
        ew_series_ref(m, EW_COUNTER, "eastwest_injector_events_total",
                      "Events about pods, and what became of them.", &label, 1);
  }
  return e;
}

void ew_events_del(struct ew_events *e) {
  if (!e)
    return;
  for (size_t i = 0; i < EW_EVENTS_OPEN_MAX; i++)
    if (e->places[i].request)
      ew_kube_cancel(e->places[i].request);
  free(e);
}
