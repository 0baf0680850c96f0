/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/server.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/conn/httpd.h"
#include "injector/certificate_files.h"
#include "injector/kubernetes.h"
#include "injector/review.h"

#define CONNECTIONS_MAX 128
#define SERIES_MAX 100
#define METRICS_MAX (1u << 20)
/* Answers are not streamed. */
#define STREAM_MAX 65536
#define TEXT "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct ew_injector {
  const struct ew_injector_config *config;
  struct ew_metrics *metrics;
  struct ew_certificate *certificate;
  struct ew_certificate_files *files; /* one of the two, or both: */
  struct ew_injector_kube *kube;      /* then for Events alone */
  struct ew_httpd *webhook, *status;
  struct ew_series *reviews[EW_VERDICT_MALFORMED + 1], *seconds;
};

static const char *const verdicts[] = {
    [EW_VERDICT_INJECTED] = "injected",
    [EW_VERDICT_LEFT] = "left",
    [EW_VERDICT_DENIED] = "denied",
    [EW_VERDICT_MALFORMED] = "malformed",
};

static void reply(struct ew_httpd_request *r, int status, const char *text) {
  ew_httpd_reply(r, status, TEXT, ew_slice_str(text));
}

static void review(struct ew_injector *i, struct ew_httpd_request *r) {
  uint64_t begin = ew_clock_us();
  struct ew_review answer;

  ew_review_answer(&i->config->inject, ew_httpd_body(r), &answer);
  ew_series_add(i->reviews[answer.verdict], 1);
  ew_series_observe_us(i->seconds, ew_clock_us() - begin);
  ew_log(answer.verdict == EW_VERDICT_INJECTED ||
                 answer.verdict == EW_VERDICT_LEFT
             ? EW_LOG_INFO
             : EW_LOG_WARN,
         "review", "pod=%s verdict=%s reason=%s", answer.pod,
         verdicts[answer.verdict], answer.why);
  ew_httpd_reply(r, answer.status,
                 answer.status == 200 ? "application/json" : TEXT,
                 ew_slice(answer.text, answer.n));
  if (i->kube)
    ew_injector_kube_tell(i->kube, &answer);
  ew_review_fini(&answer);
}

static void on_webhook(void *arg, struct ew_httpd_request *r) {
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice path = ew_message_path_only(m);

  /* The API server adds ?timeout=10s. */
  if (!ew_slice_eq_str(path, "/inject"))
    reply(r, 404, "/inject\n");
  else if (!ew_slice_eq_str(m->method, "POST"))
    reply(r, 405, "only POST\n");
  else
    review(arg, r);
}

static void metrics(struct ew_injector *i, struct ew_httpd_request *r) {
  struct ew_buf out;

  if (i->kube)
    ew_injector_kube_measure(i->kube);
  ew_buf_init(&out, METRICS_MAX);
  if (ew_metrics_render(i->metrics, &out) == EW_OK)
    ew_httpd_reply(r, 200, METRICS_TYPE, ew_buf_peek(&out));
  else
    reply(r, 500, "metrics do not fit\n");
  ew_buf_fini(&out);
}

/* NULL: ready. */
static const char *unready(struct ew_injector *i) {
  if (!ew_certificate_tls(i->certificate))
    return "no certificate yet\n";
  if (!ew_certificate_good(i->certificate))
    return "the certificate has expired\n";
  return i->kube ? ew_injector_kube_unready(i->kube) : NULL;
}

static void on_status(void *arg, struct ew_httpd_request *r) {
  struct ew_injector *i = arg;
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice path = ew_message_path_only(m);
  const char *why = unready(i);

  if (!ew_slice_eq_str(m->method, "GET"))
    reply(r, 405, "only GET\n");
  else if (ew_slice_eq_str(path, "/metrics"))
    metrics(i, r);
  else if (ew_slice_eq_str(path, "/ready"))
    reply(r, why ? 503 : 200, why ? why : "ready\n");
  else if (ew_slice_eq_str(path, "/live"))
    reply(r, 200, "live\n");
  else
    reply(r, 404, "/ready, /live, /metrics\n");
}

static struct ew_tls_ctx *current(void *arg) {
  return ew_certificate_tls(((struct ew_injector *)arg)->certificate);
}

static struct ew_httpd *serve(struct ew_injector *i, struct ew_loop *loop,
                              const struct ew_addr *at,
                              const struct ew_httpd_opts *opts,
                              const struct ew_httpd_handler *h) {
  char text[EW_ADDR_STR];
  int err = 0;
  struct ew_httpd *d = ew_httpd_new(loop, at, opts, h, i, &err);

  if (!d) {
    ew_log(EW_LOG_ERROR, "can't listen", "address=%s error=%s",
           ew_addr_str(at, text), strerror(err));
    return NULL;
  }
  /* The port, where 0 was asked for. */
  struct ew_addr bound;
  ew_httpd_addr(d, &bound);
  ew_log(EW_LOG_INFO, "listening", "address=%s tls=%s",
         ew_addr_str(&bound, text), opts->tls ? "true" : "false");
  return d;
}

static void make_series(struct ew_injector *i) {
  i->metrics = ew_metrics_new(SERIES_MAX);
  for (int v = 0; v <= EW_VERDICT_MALFORMED; v++) {
    const struct ew_label label = {"verdict", verdicts[v]};
    i->reviews[v] =
        ew_series_ref(i->metrics, EW_COUNTER, "eastwest_injector_reviews_total",
                      "Reviews that were answered.", &label, 1);
  }
  i->seconds = ew_series_ref(i->metrics, EW_HISTOGRAM,
                             "eastwest_injector_review_seconds",
                             "Time that a review took.", NULL, 0);
}

struct ew_injector *ew_injector_new(struct ew_loop *loop,
                                    const struct ew_injector_config *c) {
  static const char *const alpn[] = {"h2", "http/1.1"};
  static const struct ew_httpd_handler webhook = {on_webhook, NULL};
  static const struct ew_httpd_handler status = {on_status, NULL};
  const struct ew_httpd_opts secure = {.body_max = EW_REVIEW_MAX,
                                       .stream_max = STREAM_MAX,
                                       .conn_max = CONNECTIONS_MAX,
                                       .tls = current,
                                       .alpn = alpn,
                                       .alpn_count = 2};
  const struct ew_httpd_opts open = {
      .body_max = 4096, .stream_max = STREAM_MAX, .conn_max = 64};
  struct ew_injector *i = ew_calloc(1, sizeof(*i));

  i->config = c;
  make_series(i);
  i->certificate = ew_certificate_new(i->metrics);
  if (c->tls_cert)
    i->files =
        ew_certificate_files_new(loop, c->tls_cert, c->tls_key, i->certificate);
  if (c->kubernetes)
    i->kube = ew_injector_kube_new(loop, c, c->tls_cert ? NULL : i->certificate,
                                   i->metrics);
  i->webhook = serve(i, loop, &c->listen, &secure, &webhook);
  i->status = serve(i, loop, &c->metrics, &open, &status);
  if (i->webhook && i->status)
    return i;
  ew_injector_del(i);
  return NULL;
}

void ew_injector_del(struct ew_injector *i) {
  if (!i)
    return;
  if (i->webhook)
    ew_httpd_del(i->webhook);
  if (i->status)
    ew_httpd_del(i->status);
  ew_certificate_files_del(i->files);
  ew_injector_kube_del(i->kube);
  ew_certificate_del(i->certificate);
  ew_metrics_del(i->metrics);
  free(i);
}
