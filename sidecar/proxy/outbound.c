/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/outbound.h"

#include <stdlib.h>
#include <unistd.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/net/tcp.h"
#include "sidecar/policy/pick.h"
#include "sidecar/proxy/malformed.h"
#include "sidecar/proxy/outbound_request.h"
#include "sidecar/proxy/peek.h"
#include "sidecar/proxy/service.h"
#include "sidecar/proxy/tcp_out.h"
#include "sidecar/proxy/tunnel.h"

/* What is not declared is looked at for this long. */
#define DETECT_MS 1000
/* Where HTTP is declared the client may take as long as for any head. */
#define HEAD_MS 10000
#define IDLE_MS 3600000

/* Exactly one of |s|, |peek|, |tunnel|, |http| holds the client's stream. */
struct outbound {
  struct ew_conn_node node;
  struct ew_env *env;
  struct ew_addr dst;
  struct ew_service *service;
  struct ew_service_waiter waiter;
  struct ew_stream *s;
  struct ew_peek *peek;
  struct ew_tcp_out *out;
  struct ew_tunnel *tunnel;
  struct ew_bal_endpoint *endpoint; /* of the tunnel; referenced */
  struct ew_http_conn *http;
  enum ew_peeked taken; /* what the tunnel's first bytes turned out to be */
};

static void destroy(struct outbound *o) {
  ew_service_cancel(&o->waiter);
  if (o->peek)
    ew_peek_del(o->peek);
  if (o->out)
    ew_tcp_out_cancel(o->out);
  if (o->tunnel)
    ew_tunnel_del(o->tunnel);
  if (o->endpoint)
    ew_bal_cancel(o->endpoint);
  if (o->s)
    ew_stream_close(o->s);
  if (o->service)
    ew_service_release(o->service);
  ew_conns_remove(&o->node);
  free(o);
}

/* The app sees a reset, as it would from a server that can't be reached. */
static void refuse(struct outbound *o, const char *reason) {
  char to[EW_ADDR_STR];

  ew_env_count(o->env, "eastwest_connections_refused_total",
               "Connections closed without reaching a server.", "reason",
               reason);
  ew_log(EW_LOG_INFO, "connection refused", "destination=%s reason=%s",
         ew_addr_str(&o->dst, to), reason);
  if (o->s)
    ew_tcp_stream_abort_on_close(o->s);
  destroy(o);
}

/* ---- step 5: a tunnel ---- */

/* The next ones need not wait for the client. */
static void on_server_first(void *arg) {
  struct outbound *o = arg;
  o->service->server_first = true;
}

static void on_tunnel_done(void *arg, int err) {
  struct outbound *o = arg;
  (void)err;
  o->tunnel = NULL;
  destroy(o);
}

static bool may_be_http(const struct outbound *o) {
  const struct ew_destination *d =
      o->service->view ? o->service->view->d : NULL;

  return d && d->kind != EW_DEST_UNKNOWN && d->l4_rules_n == 0 &&
         d->protocol == EW_PROTO_DETECT;
}

/* A client that connects long before it sends gets the same routing. */
static enum ew_tunnel_verdict on_client_first(void *arg, enum ew_peeked what,
                                              bool late) {
  struct outbound *o = arg;

  o->taken = what;
  return !late && may_be_http(o) &&
                 (what == EW_PEEK_HTTP1 || what == EW_PEEK_HTTP2)
             ? EW_TUNNEL_TAKE
             : EW_TUNNEL_PASS;
}

static void http(struct outbound *o, bool http2);

static void on_tunnel_taken(void *arg, struct ew_stream *client) {
  struct outbound *o = arg;

  o->tunnel = NULL;
  o->s = client;
  if (o->endpoint)
    ew_bal_cancel(o->endpoint);
  o->endpoint = NULL;
  http(o, o->taken == EW_PEEK_HTTP2);
}

static const struct ew_tunnel_events tunnel_events = {
    .on_b_first = on_server_first,
    .on_done = on_tunnel_done,
};

static const struct ew_tunnel_events detect_events = {
    .on_b_first = on_server_first,
    .on_a_first = on_client_first,
    .on_taken = on_tunnel_taken,
    .on_done = on_tunnel_done,
};

static void on_out(void *arg, struct ew_stream *s, struct ew_bal_endpoint *e,
                   int err, const char *why) {
  struct outbound *o = arg;
  struct ew_stream *client = o->s;

  o->out = NULL;
  o->endpoint = e;
  if (!s) {
    refuse(o, why[0] ? why : ew_strerror(err));
    return;
  }
  o->s = NULL;
  ew_env_count(o->env, "eastwest_tunnels_total",
               "Connections passed on as bytes.", "direction", "outbound");
  o->tunnel = ew_tunnel_new(
      client, s, may_be_http(o) ? &detect_events : &tunnel_events, o);
}

static void tunnel_to_address(struct outbound *o) {
  o->out = ew_tcp_out_address(o->env, &o->dst, on_out, o);
}

static void tunnel_to_backend(struct outbound *o, struct ew_view *v,
                              size_t backend) {
  if (v->d->backends[backend].invalid)
    refuse(o, "invalid backend");
  else
    o->out = ew_tcp_out_backend(o->env, v->upstreams[backend], on_out, o);
}

static void tunnel(struct outbound *o, struct ew_slice sni) {
  struct ew_view *v = o->service->view;
  const struct ew_backend_ref *ref;
  const struct ew_rule *rule;

  ew_stream_want(o->s, 0);
  if (!v || v->d->kind == EW_DEST_UNKNOWN) {
    tunnel_to_address(o);
    return;
  }
  if (v->d->l4_rules_n == 0) {
    if (v->d->default_backend == EW_NO_BACKEND)
      refuse(o, "routes of the destination are for HTTP");
    else
      tunnel_to_backend(o, v, v->d->default_backend);
    return;
  }
  rule = ew_routes_l4(v->routes, sni);
  ref = rule ? ew_pick(rule->backends, rule->backends_n, ew_env_random(o->env))
             : NULL;
  if (!rule)
    refuse(o, "no route for the server name");
  else if (!ref)
    refuse(o, "no backends");
  else
    tunnel_to_backend(o, v, ref->backend);
}

/* ---- step 4: HTTP ---- */

static void on_http_closed(void *arg, int err) {
  struct outbound *o = arg;
  (void)err;
  o->http = NULL;
  destroy(o);
}

static void on_request(void *arg, struct ew_hstream *st, struct ew_message *m,
                       bool end) {
  struct outbound *o = arg;

  /* Each request sees the newest version of its destination. */
  ew_outbound_request(o->env, &o->dst, o->service->view, o->http, st, m, end);
}

static void on_refused(void *arg, int status, const char *why) {
  struct outbound *o = arg;
  ew_malformed_refused(o->env, "outbound", &o->dst, status, why);
}

static const struct ew_codec_events http_events = {
    .on_head = on_request,
    .on_data = ew_exchange_down_data,
    .on_end = ew_exchange_down_end,
    .on_reset = ew_exchange_down_reset,
    .on_writable = ew_exchange_down_writable,
    .on_closed = ew_exchange_down_closed,
    .on_refused = on_refused,
    .on_answer = ew_malformed_answer,
};

static void http(struct outbound *o, bool http2) {
  const struct ew_http_conn_opts opts = {.head_timeout_ms = HEAD_MS,
                                         .idle_timeout_ms = IDLE_MS};
  struct ew_codec *codec = http2 ? ew_http2_server_new(&http_events, o)
                                 : ew_http1_server_new(&http_events, o);
  struct ew_stream *s = o->s;

  o->s = NULL;
  o->http = ew_http_conn_new(s, codec, &opts, on_http_closed, o);
  if (o->node.conns->draining)
    ew_http_conn_drain(o->http);
}

/* ---- step 3: protocol ---- */

static void on_peeked(void *arg, enum ew_peeked what, struct ew_stream *s,
                      struct ew_slice sni) {
  struct outbound *o = arg;
  struct ew_view *v = o->service->view;
  bool http_only = v && v->d->rules_n > 0;

  o->peek = NULL;
  o->s = s;
  switch (what) {
  case EW_PEEK_CLOSED:
    destroy(o);
    return;
  case EW_PEEK_HTTP1:
  case EW_PEEK_HTTP2:
    if (v && v->d->l4_rules_n == 0)
      http(o, what == EW_PEEK_HTTP2);
    else
      tunnel(o, sni);
    return;
  case EW_PEEK_SILENT:
    if (http_only)
      destroy(o);
    else
      tunnel(o, sni);
    return;
  case EW_PEEK_MESH:
  case EW_PEEK_TLS:
  case EW_PEEK_OPAQUE:
    /* Where a route needs HTTP, what is none gets HTTP's 400. */
    if (http_only)
      http(o, false);
    else
      tunnel(o, sni);
    return;
  }
}

static void peek(struct outbound *o, unsigned silent_ms) {
  struct ew_stream *s = o->s;

  o->s = NULL;
  o->peek = ew_peek_new(s, silent_ms, HEAD_MS, on_peeked, o);
}

static void choose_protocol(struct outbound *o) {
  const struct ew_slice no_name = {NULL, 0};
  struct ew_view *v = o->service->view;
  const struct ew_destination *d = v ? v->d : NULL;

  if (!d || d->kind == EW_DEST_UNKNOWN) {
    if (!d && o->env->config->strict)
      refuse(o, "destination unknown while the controller is away");
    else
      tunnel(o, no_name);
    return;
  }
  if (d->rules_n > 0) {
    peek(o, HEAD_MS);
    return;
  }
  if (d->l4_rules_n > 0) {
    if (strcmp(d->l4_rules[0].route_kind, "TLSRoute") == 0)
      peek(o, HEAD_MS);
    else
      tunnel(o, no_name);
    return;
  }
  if (o->service->server_first || d->protocol == EW_PROTO_OPAQUE ||
      d->protocol == EW_PROTO_TLS)
    tunnel(o, no_name);
  else
    peek(o, d->protocol == EW_PROTO_DETECT ? DETECT_MS : HEAD_MS);
}

/* ---- steps 1 and 2: original destination, discovery ---- */

static void on_service(struct ew_service_waiter *w) {
  choose_protocol(EW_CONTAINER(w, struct outbound, waiter));
}

static void on_ready(void *arg, unsigned events) {
  (void)arg;
  (void)events;
}

static void on_drain(struct ew_conn_node *n) {
  struct outbound *o = EW_CONTAINER(n, struct outbound, node);
  if (o->http)
    ew_http_conn_drain(o->http);
}

static bool is_own_listener(const struct ew_config *c,
                            const struct ew_addr *a) {
  uint16_t port = ew_addr_port(a);

  return (ew_addr_is_loopback(a) || ew_config_is_own(c, a)) &&
         (port == c->outbound_port || port == c->inbound_port ||
          port == c->admin_port);
}

void ew_outbound_accept(struct ew_env *env, struct ew_conns *conns, int fd,
                        const struct ew_addr *peer) {
  struct outbound *o = ew_calloc(1, sizeof(*o));

  (void)peer;
  o->env = env;
  ew_list_init(&o->waiter.node);
  o->waiter.on_ready = on_service;
  ew_conns_add(conns, &o->node, on_drain);
  int redirected = ew_orig_dst(fd, &o->dst);
  o->s = ew_tcp_stream_new(env->loop, fd);
  ew_stream_set_user(o->s, on_ready, o);
  /* Someone who dials the listener itself would make us call ourselves. */
  if (redirected != EW_OK || is_own_listener(env->config, &o->dst)) {
    refuse(o, "not redirected");
    return;
  }
  o->service = ew_services_use(env->services, &o->dst);
  if (!o->service) {
    refuse(o, "too many destinations");
    return;
  }
  if (ew_service_ready(o->service, &o->waiter))
    choose_protocol(o);
}
