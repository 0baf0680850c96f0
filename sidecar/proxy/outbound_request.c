/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/outbound_request.h"

#include <stdlib.h>

#include "eastwest/base/chunk.h"
#include "eastwest/base/err.h"
#include "sidecar/policy/filter.h"
#include "sidecar/policy/pick.h"
#include "sidecar/proxy/access_log.h"
#include "sidecar/proxy/mirror.h"

#define TRIED_MAX 8

struct request {
  struct ew_exchange x;
  struct ew_env *env;
  struct ew_view *view;
  const struct ew_match *match;     /* NULL: no route */
  const struct ew_rule *rule;       /* NULL: no route */
  const struct ew_backend_ref *ref; /* NULL: no route, or none chosen */
  size_t backend;                   /* EW_NO_BACKEND: none chosen */
  const char *why;                  /* more about a refusal, or NULL */
  bool mesh;                        /* the try goes to another sidecar */
  struct ew_filter_run filters;
  struct ew_bal_endpoint *endpoint; /* of the try at hand; in flight */
  struct ew_bal_endpoint *last;     /* of the last try; referenced */
  struct ew_bal_endpoint *tried[TRIED_MAX];
  size_t tried_n;
  struct ew_mirror *mirrors[EW_MIRRORS_MAX];
  size_t mirrors_n;
  unsigned retries;
  bool grpc;
};

static struct request *request_of(struct ew_exchange *x) {
  return EW_CONTAINER(x, struct request, x);
}

static const struct ew_backend *backend_of(const struct request *r) {
  return r->backend == EW_NO_BACKEND ? NULL : &r->view->d->backends[r->backend];
}

/* ---- where a try goes ---- */

static enum ew_wire wire_for(const struct request *r) {
  const struct ew_backend *b = backend_of(r);

  if (r->x.req->upgrade.n > 0)
    return EW_WIRE_MESH_HTTP1;
  if (b->protocol == EW_PROTO_HTTP2)
    return EW_WIRE_HTTP2;
  if (b->protocol == EW_PROTO_HTTP1)
    return EW_WIRE_HTTP1;
  /* The app gets the version that the client spoke. */
  return r->x.req->version == 20 ? EW_WIRE_HTTP2 : EW_WIRE_HTTP1;
}

static void remember_tried(struct request *r, struct ew_bal_endpoint *e) {
  if (r->tried_n < TRIED_MAX)
    r->tried[r->tried_n++] = ew_bal_ref(e);
}

/* The sidecar on the other side needs to know the version; an app that is
 * reached directly must not see the field. */
static void tell_version(struct request *r, enum ew_wire wire, bool mesh) {
  const struct ew_slice name = EW_SLICE_LIT(EW_APP_HTTP_HEADER);

  if (mesh)
    (void)ew_message_set(r->x.req, name,
                         wire == EW_WIRE_HTTP2 ? EW_SLICE_LIT("2")
                                               : EW_SLICE_LIT("1"));
  else
    ew_message_remove(r->x.req, name);
}

static enum ew_refusal on_next(struct ew_exchange *x, struct ew_pool **pool) {
  struct request *r = request_of(x);
  struct ew_upstream *u = r->view->upstreams[r->backend];
  enum ew_wire wire = wire_for(r);
  struct ew_bal_endpoint *e;
  struct ew_addr to;

  r->mesh = false;
  e = ew_balancer_pick(u->balancer, x->try_started_us, ew_env_random(r->env),
                       r->tried, r->tried_n);
  if (!e)
    return EW_REFUSE_NO_ENDPOINTS;
  if (ew_upstream_address(u, e, &to, &r->mesh) != EW_OK)
    return EW_REFUSE_NO_ENDPOINTS;
  *pool = ew_upstream_pool(u, e, wire);
  tell_version(r, wire, r->mesh);
  ew_bal_start(e);
  r->endpoint = e;
  ew_bal_unref(r->last);
  r->last = ew_bal_ref(e);
  x->try_head = x->req;
  return EW_REFUSE_NONE;
}

static const struct ew_retry *policy_of(const struct request *r) {
  return r->rule && r->rule->has_retry ? &r->rule->retry : NULL;
}

static bool on_again(struct ew_exchange *x, struct ew_try *t,
                     uint64_t *backoff_ms) {
  struct request *r = request_of(x);
  const struct ew_retry *policy = policy_of(r);

  t->retries = r->retries;
  if (!ew_retry_wanted(policy, x->req, t)) {
    x->spent = policy && r->retries > 0 && r->retries >= policy->attempts;
    return false;
  }
  /* A connection that had gone stale says nothing about its endpoint. */
  if (!(t->reused && t->end == EW_TRY_RESET))
    remember_tried(r, r->endpoint);
  r->retries++;
  *backoff_ms =
      (ew_retry_backoff_us(policy, r->retries, ew_env_random(r->env)) + 999) /
      1000;
  return true;
}

static void on_try_over(struct ew_exchange *x, enum ew_try_end end,
                        int status) {
  struct request *r = request_of(x);
  uint64_t now = ew_clock_us();
  bool ok =
      end == EW_TRY_STATUS && status != 502 && status != 503 && status != 504;

  if (x->down == NULL && end != EW_TRY_STATUS)
    ew_bal_cancel(r->endpoint);
  else
    ew_bal_done(r->endpoint, now,
                ok && !x->up.reused ? 0 : now - x->try_started_us, ok);
  r->endpoint = NULL;
}

/* Only a sidecar, which has proved its identity, is believed. */
static enum ew_refusal on_told(struct ew_exchange *x,
                               const struct ew_message *m) {
  return request_of(x)->mesh ? ew_refusal_of(m) : EW_REFUSE_NONE;
}

static void on_response(struct ew_exchange *x, struct ew_message *m) {
  struct request *r = request_of(x);
  const struct ew_rule *rule = r->rule;

  if (!r->mesh)
    ew_message_remove(m, EW_SLICE_LIT(EW_REFUSAL_HEADER));
  if (r->ref)
    (void)ew_filter_response(&r->filters, r->ref->filters, r->ref->filters_n,
                             m);
  if (rule)
    (void)ew_filter_response(&r->filters, rule->filters, rule->filters_n, m);
}

static struct ew_message *on_refusal(struct ew_exchange *x, enum ew_refusal why,
                                     const char *detail,
                                     struct ew_slice *body) {
  struct request *r = request_of(x);
  const struct ew_refusal_site site = {
      .destination = r->view->d,
      .rule = r->rule,
      .backend = backend_of(r),
      .detail = r->why      ? r->why
                : detail[0] ? detail
                            : NULL,
  };
  struct ew_message *m = ew_refusal_response(why, r->grpc, &site, body);

  ew_env_count(r->env, "eastwest_requests_refused_total",
               "Requests that the proxy answered itself.", "reason",
               ew_refusal_name(why));
  /* CORS and the like apply to what a browser sees, whoever made it. */
  if (r->rule)
    (void)ew_filter_response(&r->filters, r->rule->filters, r->rule->filters_n,
                             m);
  return m;
}

static void on_body(struct ew_exchange *x, struct ew_slice bytes) {
  struct request *r = request_of(x);
  for (size_t i = 0; i < r->mirrors_n; i++)
    ew_mirror_data(r->mirrors[i], bytes);
}

static void on_body_end(struct ew_exchange *x) {
  struct request *r = request_of(x);
  for (size_t i = 0; i < r->mirrors_n; i++)
    ew_mirror_end(r->mirrors[i]);
}

static void on_done(struct ew_exchange *x) {
  struct request *r = request_of(x);
  const struct ew_access_where where = {
      .direction = "outbound",
      .destination = r->view->d,
      .rule = r->rule,
      .backend = backend_of(r),
      .endpoint = r->last ? r->last->address : NULL,
      .peer = r->last && r->last->identity ? r->last->identity : "",
  };

  ew_request_stats_count(ew_view_stats(r->view, r->rule, r->backend), x->status,
                         ew_clock_us() - x->started_us);
  ew_access_log_request(r->env->access_log, x, &where);
  for (size_t i = 0; i < r->mirrors_n; i++)
    ew_mirror_release(r->mirrors[i]);
  for (size_t i = 0; i < r->tried_n; i++)
    ew_bal_unref(r->tried[i]);
  ew_bal_unref(r->last);
  ew_filter_run_fini(&r->filters);
  ew_exchange_fini(x);
  ew_view_unref(r->view);
  ew_chunk_give(r, sizeof(*r));
}

static const struct ew_exchange_role role = {
    .next = on_next,
    .again = on_again,
    .told = on_told,
    .on_response = on_response,
    .on_try_over = on_try_over,
    .refusal = on_refusal,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_done = on_done,
};

/* ---- route and filters ---- */

static enum ew_refusal find_rule(struct request *r) {
  const struct ew_destination *d = r->view->d;

  if (d->rules_n == 0)
    return EW_REFUSE_NONE;
  r->match = ew_routes_find(r->view->routes, r->x.req);
  if (!r->match)
    return EW_REFUSE_NO_ROUTE;
  r->rule = &d->rules[r->match->rule];
  r->why = ew_routes_invalid(r->view->routes, r->match);
  return r->why ? EW_REFUSE_INVALID_MATCH : EW_REFUSE_NONE;
}

static enum ew_refusal find_backend(struct request *r) {
  const struct ew_destination *d = r->view->d;

  if (!r->rule) {
    r->backend = d->default_backend;
  } else {
    r->ref =
        ew_pick(r->rule->backends, r->rule->backends_n, ew_env_random(r->env));
    if (r->ref)
      r->backend = r->ref->backend;
  }
  if (r->backend == EW_NO_BACKEND)
    return EW_REFUSE_NO_BACKENDS;
  r->why = d->backends[r->backend].invalid;
  return r->why ? EW_REFUSE_INVALID_BACKEND : EW_REFUSE_NONE;
}

/* True: go on. False: the request has its answer. */
static bool run_filters(struct request *r, const struct ew_filter *list,
                        size_t n) {
  struct ew_message *reply;

  switch (ew_filter_request(&r->filters, list, n, r->x.req)) {
  case EW_FILTER_CONTINUE:
    return true;
  case EW_FILTER_REPLY:
    reply = r->filters.reply;
    r->filters.reply = NULL;
    on_response(&r->x, reply);
    ew_exchange_reply(&r->x, reply, (struct ew_slice){NULL, 0});
    return false;
  case EW_FILTER_FAIL:
    r->why = r->filters.why;
    ew_exchange_refuse(&r->x, EW_REFUSE_INVALID_FILTER, "");
    return false;
  }
  return false;
}

/* Begins the copies from number |i| on. */
static void start_mirrors(struct request *r, size_t i) {
  for (; i < r->filters.mirrors_n; i++) {
    struct ew_mirror *m = ew_mirror_new(r->env, r->view, r->filters.mirrors[i],
                                        r->x.req, r->x.req_ended);
    if (m)
      r->mirrors[r->mirrors_n++] = m;
  }
}

static void start(struct request *r) {
  enum ew_refusal why = find_rule(r);
  size_t mirrors;

  ew_filter_run_init(&r->filters, r->x.req, r->match, r->view->d->port,
                     ew_env_random(r->env));
  if (why != EW_REFUSE_NONE) {
    ew_exchange_refuse(&r->x, why, "");
    return;
  }
  if (r->rule && !run_filters(r, r->rule->filters, r->rule->filters_n))
    return;
  why = find_backend(r);
  if (why != EW_REFUSE_NONE) {
    ew_exchange_refuse(&r->x, why, "");
    return;
  }
  /* A backend's filters are for what is sent to that backend alone, so not for
   * copies that the rule makes. */
  start_mirrors(r, 0);
  mirrors = r->filters.mirrors_n;
  if (r->ref && !run_filters(r, r->ref->filters, r->ref->filters_n))
    return;
  start_mirrors(r, mirrors);
  if (r->rule) {
    r->x.try_timeout_ms = r->rule->backend_timeout_ms;
    ew_exchange_set_timeout(&r->x, r->rule->request_timeout_ms);
  }
  ew_exchange_try(&r->x);
}

void ew_outbound_request(struct ew_env *env, const struct ew_addr *dst,
                         struct ew_view *v, struct ew_http_conn *conn,
                         struct ew_hstream *st, struct ew_message *m,
                         bool end) {
  struct request *r = ew_chunk_take_clear(sizeof(*r));
  char addr[EW_ADDR_STR];

  r->env = env;
  r->view = ew_view_ref(v);
  r->backend = EW_NO_BACKEND;
  r->grpc = ew_is_grpc(m);
  ew_message_remove(m, EW_SLICE_LIT(EW_APP_HTTP_HEADER));
  /* HTTP/1.0 may come without Host; HTTP/1.1 must not go out without. */
  if (m->authority.n == 0)
    m->authority =
        ew_message_dup_slice(m, ew_slice_str(ew_addr_str(dst, addr)));
  ew_exchange_init(&r->x, &role, env->loop, conn, st, m, end);
  start(r);
}
