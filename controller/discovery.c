/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/topics.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

#define COALESCE_MS 20
#define HEARTBEAT_MS 10000
#define RETRY_MS 250
/* A sidecar that does not read gets no further state until it has read. */
#define WAITING_MAX (256u << 10)
#define LATE_MAX_MS 30000
#define NDJSON "application/x-ndjson"

/* One open stream. */
struct watch {
  struct ew_list node; /* in topic->watchers */
  struct ew_topic *topic;
  struct ew_httpd_request *request;
  uint64_t sent;          /* version */
  uint64_t late_since_ms; /* 0: has the newest state */
};

struct ew_discovery {
  struct ew_loop *loop;
  struct ew_topics *topics;
  struct ew_timer update, heartbeat, retry;
  size_t watches;
  bool any_late;
  struct ew_series *watches_gauge, *topics_gauge, *states, *slow;
};

static void end_watch(struct ew_discovery *d, struct watch *w) {
  struct ew_topic *topic = w->topic;

  ew_list_remove(&w->node);
  d->watches--;
  if (ew_list_empty(&topic->watchers))
    ew_topics_drop(d->topics, topic);
  free(w);
}

/* Sends the newest state if the sidecar is ready for one. Returns whether the
 * watch is still there. */
static bool send_state(struct ew_discovery *d, struct watch *w) {
  uint64_t now = ew_loop_now_ms(d->loop);
  struct ew_topic *t = w->topic;

  if (w->sent == t->version)
    return true;
  if (ew_httpd_stream_waiting(w->request) <= WAITING_MAX &&
      ew_httpd_stream_write(w->request, ew_slice(t->line, t->line_len)) ==
          EW_OK) {
    w->sent = t->version;
    w->late_since_ms = 0;
    ew_series_add(d->states, 1);
    return true;
  }
  d->any_late = true;
  if (w->late_since_ms == 0)
    w->late_since_ms = now;
  if (now - w->late_since_ms < LATE_MAX_MS)
    return true;
  ew_series_add(d->slow, 1);
  ew_log(EW_LOG_WARN, "sidecar does not read", "peer=%s",
         ew_httpd_peer_id(w->request));
  ew_httpd_stream_end(w->request);
  end_watch(d, w);
  return false;
}

static void send_topic(void *arg, struct ew_topic *topic) {
  struct ew_discovery *d = arg;
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &topic->watchers) {
    bool last = tmp == &topic->watchers && topic->watchers.next == it;
    /* With its last watcher the topic itself goes. */
    if (!send_state(d, EW_CONTAINER(it, struct watch, node)) && last)
      return;
  }
}

static void rearm(struct ew_discovery *d) {
  if (d->any_late && !ew_timer_active(&d->retry))
    ew_timer_start(&d->retry, RETRY_MS);
}

static void on_update(struct ew_timer *t) {
  struct ew_discovery *d = EW_CONTAINER(t, struct ew_discovery, update);

  ew_topics_update(d->topics, send_topic, d);
  rearm(d);
}

static void on_retry(struct ew_timer *t) {
  struct ew_discovery *d = EW_CONTAINER(t, struct ew_discovery, retry);

  d->any_late = false;
  ew_topics_each(d->topics, send_topic, d);
  rearm(d);
}

static void beat_topic(void *arg, struct ew_topic *topic) {
  char line[64];
  int n = snprintf(line, sizeof(line), "{\"heartbeat\":%llu}\n",
                   (unsigned long long)topic->version);
  struct ew_list *it, *tmp;

  (void)arg;
  EW_LIST_EACH(it, tmp, &topic->watchers) {
    struct watch *w = EW_CONTAINER(it, struct watch, node);
    /* One that is full has lines to read anyway. */
    if (w->sent == topic->version)
      (void)ew_httpd_stream_write(w->request, ew_slice(line, (size_t)n));
  }
}

static void on_heartbeat(struct ew_timer *t) {
  struct ew_discovery *d = EW_CONTAINER(t, struct ew_discovery, heartbeat);

  ew_topics_each(d->topics, beat_topic, d);
  ew_timer_start(&d->heartbeat, HEARTBEAT_MS);
}

/* ---- requests ---- */

/* The namespace in spiffe://<trust domain>/ns/<namespace>/sa/<account>; NULL if
 * the id has another form. The caller frees. */
static char *namespace_of(const char *id) {
  const char *ns = strstr(id, "/ns/");
  const char *end = ns ? strstr(ns + 4, "/sa/") : NULL;

  return end && end > ns + 4 ? ew_strndup(ns + 4, (size_t)(end - ns - 4))
                             : NULL;
}

static void refuse(struct ew_httpd_request *r, int status, const char *error) {
  char body[256];
  int n = snprintf(body, sizeof(body), "{\"error\":\"%s\"}\n", error);

  ew_httpd_reply(r, status, "application/json", ew_slice(body, (size_t)n));
}

static void follow(struct ew_discovery *d, struct ew_httpd_request *r,
                   const char *ns, const struct ew_addr *addr) {
  struct watch *w = ew_calloc(1, sizeof(*w));

  ew_list_init(&w->node);
  w->request = r;
  w->topic = ew_topics_get(d->topics, ns, addr);
  ew_list_push_back(&w->topic->watchers, &w->node);
  d->watches++;
  ew_httpd_set_user(r, w);
  ew_httpd_stream_begin(r, 200, NDJSON);
  (void)send_state(d, w);
  rearm(d);
}

void ew_discovery_serve(struct ew_discovery *d, struct ew_httpd_request *r,
                        struct ew_slice address) {
  char *ns = namespace_of(ew_httpd_peer_id(r));
  char *text = ew_strndup(address.p, address.n);
  struct ew_addr addr;

  if (!ns)
    refuse(r, 403, "a client certificate with a namespace is needed");
  else if (ew_addr_parse(&addr, text) != EW_OK)
    refuse(r, 400, "expected IP:PORT or [IPv6]:PORT");
  else
    follow(d, r, ns, &addr);
  free(text);
  free(ns);
}

void ew_discovery_gone(struct ew_discovery *d, struct ew_httpd_request *r) {
  struct watch *w = ew_httpd_user(r);

  if (w)
    end_watch(d, w);
}

void ew_discovery_changed(struct ew_discovery *d) {
  if (!ew_timer_active(&d->update))
    ew_timer_start(&d->update, COALESCE_MS);
}

void ew_discovery_measure(struct ew_discovery *d) {
  ew_series_set(d->watches_gauge, (int64_t)d->watches);
  ew_series_set(d->topics_gauge, (int64_t)ew_topics_count(d->topics));
}

struct ew_discovery *ew_discovery_new(struct ew_loop *loop,
                                      const struct ew_objects *objects,
                                      const char *trust_domain,
                                      struct ew_metrics *metrics) {
  struct ew_discovery *d = ew_calloc(1, sizeof(*d));

  d->loop = loop;
  d->topics = ew_topics_new(objects, trust_domain);
  ew_timer_init(loop, &d->update, on_update);
  ew_timer_init(loop, &d->heartbeat, on_heartbeat);
  ew_timer_init(loop, &d->retry, on_retry);
  ew_timer_start(&d->heartbeat, HEARTBEAT_MS);
  d->watches_gauge =
      ew_series_ref(metrics, EW_GAUGE, "eastwest_controller_streams",
                    "Discovery streams that are open.", NULL, 0);
  d->topics_gauge =
      ew_series_ref(metrics, EW_GAUGE, "eastwest_controller_destinations",
                    "Addresses that sidecars follow, per namespace.", NULL, 0);
  d->states = ew_series_ref(metrics, EW_COUNTER,
                            "eastwest_controller_states_sent_total",
                            "States of destinations sent.", NULL, 0);
  d->slow = ew_series_ref(
      metrics, EW_COUNTER, "eastwest_controller_streams_slow_total",
      "Streams ended because the sidecar did not read.", NULL, 0);
  return d;
}

void ew_discovery_del(struct ew_discovery *d) {
  if (!d)
    return;
  ew_timer_stop(&d->update);
  ew_timer_stop(&d->heartbeat);
  ew_timer_stop(&d->retry);
  ew_topics_del(d->topics);
  free(d);
}
