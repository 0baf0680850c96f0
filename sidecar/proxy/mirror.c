/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/mirror.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "sidecar/proxy/outbound_request.h"

struct ew_mirror {
  struct ew_env *env;
  struct ew_view *view;
  struct ew_bal_endpoint *endpoint; /* in flight */
  struct ew_pool *pool;
  struct ew_pool_stream up;
  struct ew_pool_ticket ticket;
  struct ew_message *head;
  struct ew_buf body;
  struct ew_timer timer;
  bool held;  /* the request still feeds it */
  bool ended; /* the body is complete */
  bool sent_end;
  bool over; /* nothing goes on towards the backend any more */
};

static unsigned open_mirrors;

static void maybe_free(struct ew_mirror *m) {
  if (m->held || !m->over)
    return;
  ew_view_unref(m->view);
  ew_message_del(m->head);
  ew_buf_fini(&m->body);
  free(m);
}

static void stop(struct ew_mirror *m, const char *result) {
  if (m->over)
    return;
  m->over = true;
  open_mirrors--;
  ew_timer_stop(&m->timer);
  ew_pool_leave(&m->ticket, &m->up, EW_ECANCELED);
  if (m->endpoint)
    ew_bal_cancel(m->endpoint);
  m->endpoint = NULL;
  ew_env_count(m->env, "eastwest_mirrored_requests_total",
               "Copies of requests by how they ended.", "result", result);
}

static void flush(struct ew_mirror *m) {
  struct ew_slice s = ew_buf_peek(&m->body);

  if (!m->up.st)
    return;
  if (s.n > 0)
    ew_buf_consume(&m->body, ew_hstream_send(m->up.st, s));
  if (m->ended && !m->sent_end && ew_buf_len(&m->body) == 0) {
    m->sent_end = true;
    ew_hstream_send_end(m->up.st, NULL);
  }
  ew_pool_touch(&m->up);
}

static void on_head(void *user, struct ew_message *head, bool end) {
  (void)user;
  (void)end;
  ew_message_del(head);
}

static void on_data(void *user, struct ew_slice bytes) {
  struct ew_mirror *m = user;
  ew_hstream_consume(m->up.st, bytes.n);
  ew_pool_touch(&m->up);
}

static void on_end(void *user, struct ew_message *trailers) {
  (void)user;
  ew_message_del(trailers);
}

static void on_reset(void *user, int err) {
  (void)err;
  stop(user, "failed");
  maybe_free(user);
}

static void on_writable(void *user) { flush(user); }

static void on_closed(void *user) {
  stop(user, "done");
  maybe_free(user);
}

static const struct ew_pool_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static void open_stream(struct ew_mirror *m) {
  bool end = m->ended && ew_buf_len(&m->body) == 0;
  int err = ew_pool_open(m->pool, &m->ticket, &m->up, m->head, end, false);

  if (err == EW_EAGAIN)
    return;
  if (err != EW_OK) {
    stop(m, "failed");
    return;
  }
  m->sent_end = end;
  flush(m);
}

static void on_ticket(struct ew_pool_ticket *t, int err, const char *why) {
  struct ew_mirror *m = EW_CONTAINER(t, struct ew_mirror, ticket);

  (void)why;
  if (err == EW_OK)
    open_stream(m);
  else
    stop(m, "failed");
  maybe_free(m);
}

static void on_timer(struct ew_timer *t) {
  struct ew_mirror *m = EW_CONTAINER(t, struct ew_mirror, timer);
  stop(m, "timeout");
  maybe_free(m);
}

/* As for the request that is mirrored. */
static enum ew_wire wire_for(const struct ew_upstream *u,
                             const struct ew_message *head) {
  if (u->protocol == EW_PROTO_HTTP2)
    return EW_WIRE_HTTP2;
  if (u->protocol == EW_PROTO_HTTP1)
    return EW_WIRE_HTTP1;
  return head->version == 20 ? EW_WIRE_HTTP2 : EW_WIRE_HTTP1;
}

/* The receiving sidecar gives its app the version that is told here. */
static struct ew_message *head_for(const struct ew_upstream *u,
                                   struct ew_bal_endpoint *e, enum ew_wire wire,
                                   const struct ew_message *head) {
  struct ew_message *m = ew_message_dup(head);
  struct ew_addr to;
  bool mesh = false;

  if (ew_upstream_address(u, e, &to, &mesh) == EW_OK && mesh)
    (void)ew_message_set(m, EW_SLICE_LIT(EW_APP_HTTP_HEADER),
                         wire == EW_WIRE_HTTP2 ? EW_SLICE_LIT("2")
                                               : EW_SLICE_LIT("1"));
  return m;
}

struct ew_mirror *ew_mirror_new(struct ew_env *env, struct ew_view *v,
                                size_t backend, const struct ew_message *head,
                                bool end) {
  struct ew_upstream *u = v->upstreams[backend];
  struct ew_bal_endpoint *e;
  enum ew_wire wire = wire_for(u, head);
  struct ew_mirror *m;

  /* Of two answers to a wish for another protocol one alone can count. */
  if (v->d->backends[backend].invalid || head->upgrade.n > 0 ||
      open_mirrors >= EW_MIRRORS_OPEN_MAX)
    return NULL;
  e = ew_balancer_pick(u->balancer, ew_clock_us(), ew_env_random(env), NULL, 0);
  if (!e)
    return NULL;
  m = ew_calloc(1, sizeof(*m));
  m->env = env;
  m->view = ew_view_ref(v);
  m->endpoint = e;
  ew_bal_start(e);
  m->pool = ew_upstream_pool(u, e, wire);
  m->head = head_for(u, e, wire, head);
  m->ended = end;
  m->held = true;
  m->up.ev = &events;
  m->up.user = m;
  open_mirrors++;
  ew_pool_ticket_init(&m->ticket, on_ticket);
  ew_buf_init(&m->body, EW_MIRROR_BUFFER);
  ew_timer_init(env->loop, &m->timer, on_timer);
  ew_timer_start(&m->timer, EW_MIRROR_TIMEOUT_MS);
  open_stream(m);
  return m;
}

void ew_mirror_data(struct ew_mirror *m, struct ew_slice bytes) {
  if (m->over)
    return;
  if (ew_buf_append(&m->body, bytes) != EW_OK)
    stop(m, "too-slow");
  else
    flush(m);
}

void ew_mirror_end(struct ew_mirror *m) {
  m->ended = true;
  if (!m->over)
    flush(m);
}

void ew_mirror_release(struct ew_mirror *m) {
  m->held = false;
  if (!m->ended)
    stop(m, "cut-off");
  maybe_free(m);
}
