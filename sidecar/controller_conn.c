/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/controller_conn.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "sidecar/proxy/dial.h"

struct ew_controller_conn {
  struct ew_loop *loop;
  struct ew_dial *dial;
  struct ew_http_conn *http;
  const struct ew_controller_conn_events *ev;
  const struct ew_codec_events *requests;
  void *arg;
  char authority[EW_ADDR_STR];
};

static void on_http_closed(void *arg, int err) {
  struct ew_controller_conn *c = arg;
  const struct ew_controller_conn_events *ev = c->ev;
  void *user = c->arg;

  free(c);
  ev->on_closed(user, err, "");
}

static void on_dialed(void *arg, struct ew_stream *s, int err,
                      const char *why) {
  static const struct ew_http_conn_opts opts = {.ping_ms = 10000};
  struct ew_controller_conn *c = arg;

  c->dial = NULL;
  if (err != EW_OK) {
    const struct ew_controller_conn_events *ev = c->ev;
    void *user = c->arg;
    free(c);
    ev->on_closed(user, err, why);
    return;
  }
  c->http = ew_http_conn_new(s, ew_http2_client_new(c->requests, c->arg), &opts,
                             on_http_closed, c);
  c->ev->on_open(c->arg);
}

struct ew_controller_conn *
ew_controller_conn_new(struct ew_loop *l, const struct ew_addr *controller,
                       const char *controller_id, struct ew_tls_ctx *tls,
                       const struct ew_controller_conn_events *ev,
                       const struct ew_codec_events *requests, void *arg) {
  struct ew_controller_conn *c = ew_calloc(1, sizeof(*c));
  const struct ew_dial_spec spec = {
      .to = *controller, .tls = tls, .identity = controller_id, .alpn = "h2"};

  c->loop = l;
  c->ev = ev;
  c->requests = requests;
  c->arg = arg;
  ew_addr_str(controller, c->authority);
  c->dial = ew_dial_new(l, &spec, on_dialed, c);
  return c;
}

void ew_controller_conn_del(struct ew_controller_conn *c) {
  if (c->dial)
    ew_dial_cancel(c->dial);
  if (c->http)
    ew_http_conn_del(c->http);
  free(c);
}

struct ew_hstream *ew_controller_conn_request(struct ew_controller_conn *c,
                                              struct ew_message *m, bool end,
                                              void *user) {
  struct ew_hstream *st;

  if (!c->http || ew_codec_capacity(ew_http_conn_codec(c->http)) == 0)
    return NULL;
  m->scheme = EW_SLICE_LIT("https");
  m->authority = ew_slice_str(c->authority);
  st = ew_codec_open(ew_http_conn_codec(c->http), m, end, user);
  ew_http_conn_touch(c->http);
  return st;
}

bool ew_controller_conn_is_open(const struct ew_controller_conn *c) {
  return c->http != NULL;
}

void ew_controller_conn_touch(struct ew_controller_conn *c) {
  if (c->http)
    ew_http_conn_touch(c->http);
}
