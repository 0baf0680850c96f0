/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/admin.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/conn/httpd.h"
#include "sidecar/probe.h"
#include "sidecar/proxy/access_log.h"
#include "sidecar/proxy/service.h"

#define ANSWER_MAX (16u << 20)
#define TEXT "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct ew_admin {
  struct ew_worker *worker;
  struct ew_httpd *status, *admin;
};

static void reply(struct ew_httpd_request *r, int status, const char *text) {
  ew_httpd_reply(r, status, TEXT, ew_slice_str(text));
}

static void set_gauge(struct ew_metrics *m, const char *family,
                      const char *help, int64_t value) {
  struct ew_series *s = ew_series_ref(m, EW_GAUGE, family, help, NULL, 0);

  ew_series_set(s, value);
  ew_series_unref(m, s);
}

static void metrics(struct ew_admin *a, struct ew_httpd_request *r) {
  struct ew_worker *w = a->worker;
  struct ew_metrics *m = w->env.metrics;
  struct ew_buf out;

  set_gauge(m, "eastwest_outbound_connections",
            "Connections of the pod's apps that are open.",
            (int64_t)w->outbound.count);
  set_gauge(m, "eastwest_inbound_connections",
            "Connections to the pod that are open.", (int64_t)w->inbound.count);
  set_gauge(m, "eastwest_destinations", "Addresses that are followed.",
            (int64_t)ew_services_count(w->env.services));
  set_gauge(m, "eastwest_access_log_dropped",
            "Lines of the access log that could not be written.",
            (int64_t)ew_access_log_dropped(w->env.access_log));
  set_gauge(m, "eastwest_batch_scheduling",
            "1 if the proxy lets who woke it go on (SCHED_BATCH), 0 while "
            "processors are short.",
            w->sched.batch);
  ew_buf_init(&out, ANSWER_MAX);
  if (ew_metrics_render(m, &out) == EW_OK)
    ew_httpd_reply(r, 200, METRICS_TYPE, ew_buf_peek(&out));
  else
    reply(r, 500, "metrics do not fit\n");
  ew_buf_fini(&out);
}

static void on_status(void *arg, struct ew_httpd_request *r) {
  struct ew_admin *a = arg;
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice path = ew_message_path_only(m);
  const struct ew_slice probe = EW_SLICE_LIT("/probe/");
  const char *why;

  if (!ew_slice_eq_str(m->method, "GET")) {
    reply(r, 405, "only GET\n");
  } else if (ew_slice_eq_str(path, "/ready")) {
    if (ew_worker_ready(a->worker, &why))
      reply(r, 200, "ready\n");
    else
      reply(r, 503, why);
  } else if (ew_slice_eq_str(path, "/live")) {
    reply(r, 200, "live\n");
  } else if (ew_slice_eq_str(path, "/metrics")) {
    metrics(a, r);
  } else if (ew_slice_starts(path, probe)) {
    ew_probe_serve(a->worker->env.loop, a->worker->env.config, r,
                   ew_slice(path.p + probe.n, path.n - probe.n));
  } else {
    reply(r, 404, "/ready, /live, /metrics, /probe/PORT\n");
  }
}

static void on_gone(void *arg, struct ew_httpd_request *r) {
  (void)arg;
  ew_probe_gone(r);
}

/* ---- administration ---- */

static void dump_one(void *arg, const struct ew_service *sv) {
  struct ew_buf *out = arg;
  const struct ew_destination *d = sv->view ? sv->view->d : NULL;
  char addr[EW_ADDR_STR];
  size_t len;
  char *json;

  (void)ew_buf_printf(out, "{\"address\":\"%s\",\"serverFirst\":%s",
                      ew_addr_str(&sv->addr, addr),
                      sv->server_first ? "true" : "false");
  if (d) {
    json = ew_destination_to_json(d, &len);
    (void)ew_buf_append_str(out, ",\"destination\":");
    (void)ew_buf_append(out, ew_slice(json, len));
    free(json);
  }
  (void)ew_buf_append_str(out, "}\n");
}

static void destinations(struct ew_admin *a, struct ew_httpd_request *r) {
  struct ew_buf out;

  ew_buf_init(&out, ANSWER_MAX);
  ew_services_each(a->worker->env.services, dump_one, &out);
  ew_httpd_reply(r, 200, "application/x-ndjson", ew_buf_peek(&out));
  ew_buf_fini(&out);
}

static void log_level(struct ew_httpd_request *r) {
  struct ew_slice query = ew_message_query(ew_httpd_head(r));
  struct ew_slice key = ew_slice_cut(&query, '=');
  char *level = ew_strndup(query.p ? query.p : "", query.n);

  if (ew_slice_eq_str(key, "level") && ew_log_set_level(level) == EW_OK)
    reply(r, 200, "ok\n");
  else
    reply(r, 400, "level: expected error, warn, info or debug\n");
  free(level);
}

static bool is_loopback_host(struct ew_slice host) {
  struct ew_slice name = host;

  if (ew_slice_starts(host, EW_SLICE_LIT("[::1]")))
    return true;
  name = ew_slice_cut(&host, ':');
  return ew_slice_eq_str(name, "localhost") ||
         ew_slice_eq_str(name, "127.0.0.1");
}

static void on_admin(void *arg, struct ew_httpd_request *r) {
  struct ew_admin *a = arg;
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice path = ew_message_path_only(m);
  bool post = ew_slice_eq_str(m->method, "POST");
  bool get = ew_slice_eq_str(m->method, "GET");

  if (!is_loopback_host(m->authority)) {
    reply(r, 403, "the host must be localhost\n");
  } else if (ew_slice_eq_str(path, "/destinations")) {
    if (get)
      destinations(a, r);
    else
      reply(r, 405, "only GET\n");
  } else if (ew_slice_eq_str(path, "/log-level")) {
    if (post)
      log_level(r);
    else
      reply(r, 405, "only POST\n");
  } else if (ew_slice_eq_str(path, "/drain")) {
    if (post) {
      reply(r, 200, "draining\n");
      ew_worker_drain(a->worker);
    } else {
      reply(r, 405, "only POST\n");
    }
  } else {
    reply(r, 404, "GET /destinations, POST /log-level?level=, POST /drain\n");
  }
}

static struct ew_httpd *serve(struct ew_admin *a, const char *ip,
                              const char *fallback_ip, uint16_t port,
                              const struct ew_httpd_handler *h) {
  const struct ew_httpd_opts opts = {.body_max = 4096,
                                     .stream_max = 65536,
                                     .conn_max = 64,
                                     .evict_oldest = true};
  struct ew_addr at;
  struct ew_httpd *d;
  char text[EW_ADDR_STR];
  int err = 0;

  EW_BUG_ON(ew_addr_set(&at, ip, port) != EW_OK);
  d = ew_httpd_new(a->worker->env.loop, &at, &opts, h, a, &err);
  if (!d && fallback_ip) {
    EW_BUG_ON(ew_addr_set(&at, fallback_ip, port) != EW_OK);
    d = ew_httpd_new(a->worker->env.loop, &at, &opts, h, a, &err);
  }
  if (!d)
    ew_log(EW_LOG_ERROR, "can't listen", "address=%s error=%s",
           ew_addr_str(&at, text), strerror(err));
  return d;
}

struct ew_admin *ew_admin_new(struct ew_worker *w) {
  static const struct ew_httpd_handler on_status_request = {on_status, on_gone};
  static const struct ew_httpd_handler on_admin_request = {on_admin, NULL};
  struct ew_admin *a = ew_calloc(1, sizeof(*a));

  a->worker = w;
  a->status =
      serve(a, "::", "0.0.0.0", w->env.config->status_port, &on_status_request);
  a->admin =
      serve(a, "127.0.0.1", NULL, w->env.config->admin_port, &on_admin_request);
  if (!a->status || !a->admin) {
    ew_admin_del(a);
    return NULL;
  }
  return a;
}

void ew_admin_del(struct ew_admin *a) {
  if (a->status)
    ew_httpd_del(a->status);
  if (a->admin)
    ew_httpd_del(a->admin);
  free(a);
}
