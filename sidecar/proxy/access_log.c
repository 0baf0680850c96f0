/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/access_log.h"

#include <stdlib.h>
#include <unistd.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

struct ew_access_log {
  struct ew_loop *loop;
  enum ew_access_mode mode;
  struct ew_buf lines;
  struct ew_task flush;
  unsigned long long dropped;
};

static void on_flush(struct ew_task *t) {
  struct ew_access_log *a = EW_CONTAINER(t, struct ew_access_log, flush);
  struct ew_slice s = ew_buf_peek(&a->lines);

  /* One attempt: a reader that stands still must not stop the proxy. */
  if (write(STDOUT_FILENO, s.p, s.n) < 0)
    a->dropped++;
  ew_buf_consume(&a->lines, s.n);
}

struct ew_access_log *ew_access_log_new(struct ew_loop *l,
                                        enum ew_access_mode mode) {
  struct ew_access_log *a = ew_calloc(1, sizeof(*a));

  a->loop = l;
  a->mode = mode;
  ew_buf_init(&a->lines, EW_ACCESS_LOG_MAX);
  ew_task_init(&a->flush, on_flush);
  return a;
}

void ew_access_log_del(struct ew_access_log *a) {
  ew_task_cancel(&a->flush);
  ew_buf_fini(&a->lines);
  free(a);
}

static bool wanted(const struct ew_access_log *a, const struct ew_exchange *x) {
  if (a->mode == EW_ACCESS_ALL)
    return true;
  return a->mode == EW_ACCESS_ERRORS &&
         (x->status >= 500 || x->refused != EW_REFUSE_NONE || x->lost != 0);
}

void ew_access_log_request(struct ew_access_log *a, const struct ew_exchange *x,
                           const struct ew_access_where *w) {
  const struct ew_message *m = x->req;
  const struct ew_destination *d = w->destination;
  struct ew_slice path;
  int err;

  if (!wanted(a, x))
    return;
  path = ew_message_path_only(m);
  err = ew_log_line(
      &a->lines,
      "direction=%s method=%.*s authority=%.*s path=%.*s protocol=%s "
      "status=%d reason=%s detail=%s duration_us=%llu request_bytes=%llu "
      "response_bytes=%llu tries=%u parent_namespace=%s parent_name=%s "
      "parent_port=%u route_kind=%s route_namespace=%s route_name=%s "
      "rule=%s rule_index=%d backend_namespace=%s backend_name=%s endpoint=%s "
      "peer=%s lost=%s",
      w->direction, EW_SLICE_FMT(m->method), EW_SLICE_FMT(m->authority),
      EW_SLICE_FMT(path), m->version == 20 ? "HTTP/2" : "HTTP/1", x->status,
      ew_refusal_name(x->refused), x->detail,
      (unsigned long long)(ew_clock_us() - x->started_us),
      (unsigned long long)x->request_bytes,
      (unsigned long long)x->response_bytes, x->tries, d ? d->namespace_ : NULL,
      d ? d->name : NULL, d ? d->port : 0u,
      w->rule ? w->rule->route_kind : NULL,
      w->rule ? w->rule->route_namespace : NULL,
      w->rule ? w->rule->route_name : NULL, w->rule ? w->rule->name : NULL,
      w->rule ? (int)w->rule->index : -1,
      w->backend ? w->backend->namespace_ : NULL,
      w->backend ? w->backend->name : NULL, w->endpoint, w->peer,
      x->lost ? ew_strerror(x->lost) : NULL);
  if (err != EW_OK)
    a->dropped++;
  ew_task_defer(a->loop, &a->flush);
}

unsigned long long ew_access_log_dropped(const struct ew_access_log *a) {
  return a->dropped;
}
