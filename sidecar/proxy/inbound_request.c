/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/inbound_request.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/chunk.h"
#include "eastwest/base/err.h"
#include "sidecar/proxy/access_log.h"
#include "sidecar/proxy/outbound_request.h"

#define EW_PEER_URI "URI="
/* SPIFFE-ID section 2.3: an id has at most 2048 bytes. */
#define EW_PEER_ID_MAX 2048

struct request {
  struct ew_exchange x;
  struct ew_env *env;
  struct ew_local *local;
  const char *peer_id; /* in the arena of the request's head, or NULL */
  unsigned retries;
  bool http2; /* what the app gets */
  bool grpc;
};

static struct request *request_of(struct ew_exchange *x) {
  return EW_CONTAINER(x, struct request, x);
}

static enum ew_refusal on_next(struct ew_exchange *x, struct ew_pool **pool) {
  struct request *r = request_of(x);

  *pool = ew_local_pool(r->local, r->http2);
  x->try_head = x->req;
  return EW_REFUSE_NONE;
}

/* Only what the app can't have acted on: an idle connection that it closed. */
static bool on_again(struct ew_exchange *x, struct ew_try *t,
                     uint64_t *backoff_ms) {
  struct request *r = request_of(x);

  t->retries = r->retries;
  if (t->end == EW_TRY_CONNECT_FAILED || !ew_retry_wanted(NULL, x->req, t))
    return false;
  r->retries++;
  *backoff_ms = 0;
  return true;
}

static void on_try_over(struct ew_exchange *x, enum ew_try_end end,
                        int status) {
  (void)x;
  (void)end;
  (void)status;
}

/* An app can't speak for the mesh: the peer would take it at its word and make
 * the request again. */
static void on_response(struct ew_exchange *x, struct ew_message *m) {
  (void)x;
  ew_message_remove(m, EW_SLICE_LIT(EW_REFUSAL_HEADER));
}

static struct ew_message *on_refusal(struct ew_exchange *x, enum ew_refusal why,
                                     const char *detail,
                                     struct ew_slice *body) {
  struct request *r = request_of(x);
  const struct ew_refusal_site site = {.detail = detail[0] ? detail : NULL};

  ew_env_count(r->env, "eastwest_requests_refused_total",
               "Requests that the proxy answered itself.", "reason",
               ew_refusal_name(why));
  return ew_refusal_response(why, r->grpc, &site, body);
}

static void on_done(struct ew_exchange *x) {
  struct request *r = request_of(x);
  const struct ew_access_where where = {.direction = "inbound",
                                        .peer = r->peer_id ? r->peer_id : ""};

  ew_request_stats_count(r->local->stats, x->status,
                         ew_clock_us() - x->started_us);
  ew_access_log_request(r->env->access_log, x, &where);
  ew_exchange_fini(x);
  ew_local_release(r->local);
  ew_chunk_give(r, sizeof(*r));
}

static const struct ew_exchange_role role = {
    .next = on_next,
    .again = on_again,
    .on_response = on_response,
    .on_try_over = on_try_over,
    .refusal = on_refusal,
    .on_done = on_done,
};

/* CGI, WSGI and what follows them read '_' in a name as they read '-'. */
static bool is_peer_header(struct ew_slice name) {
  static const char own[] = EW_PEER_HEADER;
  size_t i = 0;

  while (i < name.n && i < sizeof(own) - 1 &&
         (name.p[i] == own[i] || (name.p[i] == '_' && own[i] == '-')))
    i++;
  return i == name.n && i == sizeof(own) - 1;
}

/* Removes what only the mesh may say, and says it. */
static void mark_peer(struct ew_message *m, const char *peer_id) {
  const struct ew_slice name = EW_SLICE_LIT(EW_PEER_HEADER);
  char value[sizeof(EW_PEER_URI) + EW_PEER_ID_MAX];
  size_t i = 0, n = peer_id ? strlen(peer_id) : 0;

  while (i < m->headers.n) {
    if (is_peer_header(m->headers.v[i].name))
      ew_message_remove(m, m->headers.v[i].name);
    else
      i++;
  }
  if (n == 0 || n > EW_PEER_ID_MAX)
    return;
  memcpy(value, EW_PEER_URI, sizeof(EW_PEER_URI) - 1);
  memcpy(value + sizeof(EW_PEER_URI) - 1, peer_id, n);
  (void)ew_message_set(m, name, ew_slice(value, sizeof(EW_PEER_URI) - 1 + n));
}

/* Only the sidecar of a mesh client is believed about the version. */
static bool wants_http2(struct ew_message *m, const char *peer_id) {
  struct ew_slice told = ew_message_get(m, EW_APP_HTTP_HEADER);
  bool http2 = m->version == 20;

  if (peer_id && told.n > 0)
    http2 = ew_slice_eq_str(told, "2");
  ew_message_remove(m, EW_SLICE_LIT(EW_APP_HTTP_HEADER));
  return http2 && m->upgrade.n == 0;
}

void ew_inbound_request(struct ew_env *env, struct ew_local *local,
                        const char *peer_id, const char *denied,
                        struct ew_http_conn *conn, struct ew_hstream *st,
                        struct ew_message *m, bool end) {
  char addr[EW_ADDR_STR];
  struct request *r = ew_chunk_take_clear(sizeof(*r));

  r->env = env;
  r->local = local;
  local->users++;
  r->peer_id = ew_message_dup_slice(m, ew_slice_str(peer_id)).p;
  r->grpc = ew_is_grpc(m);
  r->http2 = wants_http2(m, peer_id);
  mark_peer(m, peer_id);
  /* HTTP/1.0 may come without Host; HTTP/1.1 must not go out without. */
  if (m->authority.n == 0)
    m->authority =
        ew_message_dup_slice(m, ew_slice_str(ew_addr_str(&local->addr, addr)));
  ew_exchange_init(&r->x, &role, env->loop, conn, st, m, end);
  if (denied)
    ew_exchange_refuse(&r->x, EW_REFUSE_DENIED, denied);
  else
    ew_exchange_try(&r->x);
}
