/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/inbound.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/net/tcp.h"
#include "eastwest/net/tls.h"
#include "sidecar/policy/authorize.h"
#include "sidecar/proxy/inbound_request.h"
#include "sidecar/proxy/malformed.h"
#include "sidecar/proxy/outbound_request.h"
#include "sidecar/proxy/peek.h"
#include "sidecar/proxy/tunnel.h"

#define DETECT_MS 1000
/* Where the server is known to speak first, a mesh client still gets this long
 * to show itself: it sends its ClientHello at once, but its pod may have to
 * wait for a CPU (CFS takes turns of 100 ms). */
#define DETECT_SERVER_FIRST_MS 250
#define HEAD_MS 10000
#define IDLE_MS 3600000

/* Exactly one of |s|, |peek|, |tunnel|, |http| holds the peer's stream. */
struct inbound {
  struct ew_conn_node node;
  struct ew_env *env;
  struct ew_addr dst;
  struct ew_addr src;
  struct ew_local *local;
  struct ew_stream *s;
  struct ew_peek *peek;
  struct ew_timer handshake;
  struct ew_dial *dial;
  struct ew_tunnel *tunnel;
  struct ew_http_conn *http;
  char *peer_id; /* verified SPIFFE id; NULL for plain text */
  bool probe_only;
  /* What the first bytes of the tunnel turned out to be: HTTP then, that no
   * sidecar has seen before. */
  enum ew_peeked taken;
  bool was_tunnel;
};

static void destroy(struct inbound *in) {
  ew_timer_stop(&in->handshake);
  if (in->peek)
    ew_peek_del(in->peek);
  if (in->dial)
    ew_dial_cancel(in->dial);
  if (in->tunnel)
    ew_tunnel_del(in->tunnel);
  if (in->s)
    ew_stream_close(in->s);
  if (in->local)
    ew_local_release(in->local);
  ew_conns_remove(&in->node);
  free(in->peer_id);
  free(in);
}

/* |reason| is of a fixed vocabulary. */
static void refuse(struct inbound *in, const char *reason) {
  char from[EW_ADDR_STR], to[EW_ADDR_STR];

  ew_env_count(in->env, "eastwest_inbound_refused_total",
               "Connections to this pod that were refused.", "reason", reason);
  ew_log(EW_LOG_WARN, "inbound connection refused",
         "source=%s destination=%s reason=%s", ew_addr_str(&in->src, from),
         ew_addr_str(&in->dst, to), reason);
  if (in->s)
    ew_tcp_stream_abort_on_close(in->s);
  destroy(in);
}

static struct ew_inbound_policy policy_of(const struct ew_config *c) {
  return (struct ew_inbound_policy){
      .mode = c->strict ? EW_INBOUND_STRICT : EW_INBOUND_PERMISSIVE,
      .probes = c->probes,
      .probes_n = c->probes_n,
  };
}

/* ---- a tunnel to the app ---- */

/* The next ones need not wait for the client. */
static void on_server_first(void *arg) {
  struct inbound *in = arg;
  in->local->server_first = true;
}

static void on_tunnel_done(void *arg, int err) {
  struct inbound *in = arg;
  (void)err;
  in->tunnel = NULL;
  destroy(in);
}

/* HTTP must not reach the app with header fields that only the mesh may set,
 * whatever the caller did before: was silent for long, or let its sidecar take
 * it for another protocol. */
static enum ew_tunnel_verdict on_client_first(void *arg, enum ew_peeked what,
                                              bool late) {
  struct inbound *in = arg;

  in->taken = what;
  if (what != EW_PEEK_HTTP1 && what != EW_PEEK_HTTP2 &&
      (what != EW_PEEK_MESH || in->peer_id))
    return EW_TUNNEL_PASS;
  if (!late)
    return EW_TUNNEL_TAKE;
  ew_env_count(in->env, "eastwest_inbound_refused_total",
               "Connections to this pod that were refused.", "reason",
               "late protocol");
  return EW_TUNNEL_REFUSE;
}

static void on_peeked(void *arg, enum ew_peeked what, struct ew_stream *s,
                      struct ew_slice sni);

static void on_tunnel_taken(void *arg, struct ew_stream *peer) {
  struct inbound *in = arg;

  in->tunnel = NULL;
  in->was_tunnel = true;
  on_peeked(in, in->taken, peer, (struct ew_slice){NULL, 0});
}

static const struct ew_tunnel_events tunnel_events = {
    .on_b_first = on_server_first,
    .on_a_first = on_client_first,
    .on_taken = on_tunnel_taken,
    .on_done = on_tunnel_done,
};

static const struct ew_tunnel_events opaque_events = {
    .on_b_first = on_server_first,
    .on_done = on_tunnel_done,
};

static void on_dialed(void *arg, struct ew_stream *app, int err,
                      const char *why) {
  struct inbound *in = arg;
  struct ew_stream *peer = in->s;

  (void)why;
  in->dial = NULL;
  if (!app) {
    refuse(in, ew_strerror(err));
    return;
  }
  in->s = NULL;
  ew_env_count(in->env, "eastwest_tunnels_total",
               "Connections passed on as bytes.", "direction", "inbound");
  in->tunnel =
      ew_tunnel_new(peer, app,
                    ew_config_is_opaque(in->env->config, ew_addr_port(&in->dst))
                        ? &opaque_events
                        : &tunnel_events,
                    in);
}

static void tunnel(struct inbound *in) {
  const struct ew_dial_spec spec = {.to = in->dst};

  ew_stream_want(in->s, 0);
  in->dial = ew_dial_new(in->env->loop, &spec, on_dialed, in);
}

/* ---- requests ---- */

static void on_http_closed(void *arg, int err) {
  struct inbound *in = arg;
  (void)err;
  in->http = NULL;
  destroy(in);
}

static void on_request(void *arg, struct ew_hstream *st, struct ew_message *m,
                       bool end) {
  struct inbound *in = arg;
  const struct ew_inbound_policy policy = policy_of(in->env->config);
  const char *why = "";
  bool denied = in->probe_only &&
                ew_authorize_request(&policy, ew_addr_port(&in->dst), m->method,
                                     m->path, &why) != EW_INBOUND_ALLOW;

  /* It is the app's own word. */
  if (in->was_tunnel)
    ew_message_remove(m, EW_SLICE_LIT(EW_APP_HTTP_HEADER));
  ew_inbound_request(in->env, in->local, in->peer_id, denied ? why : NULL,
                     in->http, st, m, end);
}

static void on_refused(void *arg, int status, const char *why) {
  struct inbound *in = arg;
  ew_malformed_refused(in->env, "inbound", &in->src, status, why);
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

static void http(struct inbound *in, bool http2) {
  /* The sidecar of a client keeps its connections; an app's may be slow. */
  const struct ew_http_conn_opts opts = {
      .head_timeout_ms = in->peer_id ? 0 : HEAD_MS, .idle_timeout_ms = IDLE_MS};
  struct ew_codec *codec = http2 ? ew_http2_server_new(&http_events, in)
                                 : ew_http1_server_new(&http_events, in);
  struct ew_stream *s = in->s;

  if (http2 && in->peer_id)
    ew_http2_set_patient(codec);
  in->s = NULL;
  in->http = ew_http_conn_new(s, codec, &opts, on_http_closed, in);
  if (in->node.conns->draining)
    ew_http_conn_drain(in->http);
}

/* ---- authenticate, authorize ---- */

/* False: |in| is gone. |http|: requests can be looked at one by one. */
static bool authorized(struct inbound *in, bool is_http) {
  const struct ew_inbound_policy policy = policy_of(in->env->config);
  const char *why = "";

  switch (ew_authorize_connection(&policy, in->peer_id,
                                  ew_config_is_own(in->env->config, &in->src),
                                  ew_addr_port(&in->dst), &why)) {
  case EW_INBOUND_ALLOW:
    return true;
  case EW_INBOUND_PROBE_ONLY:
    in->probe_only = true;
    if (is_http)
      return true;
    /* A tcpSocket probe wants a connection and nothing else. */
    destroy(in);
    return false;
  case EW_INBOUND_DENY:
    break;
  }
  refuse(in, why);
  return false;
}

static void on_mesh_ready(void *arg, unsigned events) {
  struct inbound *in = arg;
  const char *why = ew_tls_stream_failure(in->s);
  const char *alpn;

  (void)events;
  if (why[0]) {
    ew_env_count_tls_failure(in->env, "inbound", why);
    refuse(in, why);
    return;
  }
  if (!ew_tls_stream_done(in->s))
    return;
  ew_timer_stop(&in->handshake);
  ew_stream_want(in->s, 0);
  in->peer_id = ew_strdup(ew_tls_stream_peer_id(in->s));
  if (!authorized(in, true))
    return;
  alpn = ew_tls_stream_alpn(in->s);
  if (strcmp(alpn, "eastwest/http2") == 0)
    http(in, true);
  else if (strcmp(alpn, "eastwest/http1") == 0)
    http(in, false);
  else
    tunnel(in);
}

static void on_handshake_timer(struct ew_timer *t) {
  refuse(EW_CONTAINER(t, struct inbound, handshake), "handshake-timeout");
}

static void mesh(struct inbound *in) {
  static const char *const alpn[] = {"eastwest/http2", "eastwest/http1",
                                     "eastwest/tcp"};
  const struct ew_tls_server_opts opts = {.alpn = alpn, .alpn_count = 3};
  struct ew_tls_ctx *tls = ew_env_tls(in->env);
  struct ew_stream *below = in->s;

  if (!tls) {
    refuse(in, "no certificate of our own yet");
    return;
  }
  in->s = ew_tls_server_new(tls, below, &opts);
  if (!in->s) {
    refuse(in, "tls");
    return;
  }
  ew_stream_set_user(in->s, on_mesh_ready, in);
  ew_stream_want(in->s, EW_READ);
  ew_timer_start(&in->handshake, EW_HANDSHAKE_TIMEOUT_MS);
}

/* ---- what is it ---- */

static void on_peeked(void *arg, enum ew_peeked what, struct ew_stream *s,
                      struct ew_slice sni) {
  struct inbound *in = arg;

  (void)sni;
  in->peek = NULL;
  in->s = s;
  switch (what) {
  case EW_PEEK_CLOSED:
    destroy(in);
    return;
  case EW_PEEK_MESH:
    mesh(in);
    return;
  case EW_PEEK_HTTP1:
  case EW_PEEK_HTTP2:
    if (!authorized(in, true))
      return;
    if (!in->probe_only &&
        ew_config_is_opaque(in->env->config, ew_addr_port(&in->dst)))
      tunnel(in);
    else
      http(in, what == EW_PEEK_HTTP2);
    return;
  case EW_PEEK_TLS:
  case EW_PEEK_OPAQUE:
  case EW_PEEK_SILENT:
    if (authorized(in, false))
      tunnel(in);
    return;
  }
}

static void on_ready(void *arg, unsigned events) {
  (void)arg;
  (void)events;
}

static void on_drain(struct ew_conn_node *n) {
  struct inbound *in = EW_CONTAINER(n, struct inbound, node);
  if (in->http)
    ew_http_conn_drain(in->http);
}

static bool is_own_port(const struct ew_config *c, uint16_t port) {
  return port == c->inbound_port || port == c->outbound_port ||
         port == c->admin_port;
}

void ew_inbound_accept(struct ew_env *env, struct ew_conns *conns,
                       struct ew_locals *locals, int fd,
                       const struct ew_addr *peer) {
  struct inbound *in = ew_calloc(1, sizeof(*in));
  int redirected = ew_orig_dst(fd, &in->dst);
  bool quick;

  in->env = env;
  in->src = *peer;
  ew_timer_init(env->loop, &in->handshake, on_handshake_timer);
  ew_conns_add(conns, &in->node, on_drain);
  in->s = ew_tcp_stream_new(env->loop, fd);
  ew_stream_set_user(in->s, on_ready, in);
  if (redirected != EW_OK || is_own_port(env->config, ew_addr_port(&in->dst))) {
    refuse(in, "not redirected");
    return;
  }
  in->local = ew_locals_use(locals, &in->dst);
  if (!in->local) {
    refuse(in, "too many ports");
    return;
  }
  quick = in->local->server_first ||
          ew_config_is_opaque(env->config, ew_addr_port(&in->dst));
  in->peek = ew_peek_new(in->s, quick ? DETECT_SERVER_FIRST_MS : DETECT_MS,
                         HEAD_MS, on_peeked, in);
  in->s = NULL;
}
