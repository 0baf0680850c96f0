/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/admin.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/conn/httpd.h"

#define METRICS_MAX (16u << 20)
#define TEXT "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct ew_controller_admin {
  struct ew_httpd *httpd;
  struct ew_metrics *metrics;
  void (*measure)(void *arg);
  void *arg;
  bool ready;
};

static void reply(struct ew_httpd_request *r, int status, const char *text) {
  ew_httpd_reply(r, status, TEXT, ew_slice_str(text));
}

static void metrics(struct ew_controller_admin *a, struct ew_httpd_request *r) {
  struct ew_buf out;

  a->measure(a->arg);
  ew_buf_init(&out, METRICS_MAX);
  if (ew_metrics_render(a->metrics, &out) == EW_OK)
    ew_httpd_reply(r, 200, METRICS_TYPE, ew_buf_peek(&out));
  else
    reply(r, 500, "metrics do not fit\n");
  ew_buf_fini(&out);
}

static void on_request(void *arg, struct ew_httpd_request *r) {
  struct ew_controller_admin *a = arg;
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice path = ew_message_path_only(m);

  if (!ew_slice_eq_str(m->method, "GET"))
    reply(r, 405, "only GET\n");
  else if (ew_slice_eq_str(path, "/metrics"))
    metrics(a, r);
  else if (ew_slice_eq_str(path, "/ready"))
    reply(r, a->ready ? 200 : 503, a->ready ? "ready\n" : "starting\n");
  else if (ew_slice_eq_str(path, "/live"))
    reply(r, 200, "live\n");
  else
    reply(r, 404, "/ready, /live, /metrics\n");
}

struct ew_controller_admin *ew_controller_admin_new(struct ew_loop *loop,
                                                    const struct ew_addr *at,
                                                    struct ew_metrics *metrics_,
                                                    void (*measure)(void *arg),
                                                    void *arg) {
  static const struct ew_httpd_handler handler = {on_request, NULL};
  const struct ew_httpd_opts opts = {
      .body_max = 4096, .stream_max = 65536, .conn_max = 64};
  struct ew_controller_admin *a = ew_calloc(1, sizeof(*a));
  char text[EW_ADDR_STR];
  int err = 0;

  a->metrics = metrics_;
  a->measure = measure;
  a->arg = arg;
  a->httpd = ew_httpd_new(loop, at, &opts, &handler, a, &err);
  if (a->httpd)
    return a;
  ew_log(EW_LOG_ERROR, "can't listen", "address=%s error=%s",
         ew_addr_str(at, text), strerror(err));
  free(a);
  return NULL;
}

void ew_controller_admin_del(struct ew_controller_admin *a) {
  if (!a)
    return;
  ew_httpd_del(a->httpd);
  free(a);
}

void ew_controller_admin_ready(struct ew_controller_admin *a) {
  a->ready = true;
}
