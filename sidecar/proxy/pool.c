/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/pool.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

struct pool_conn {
  struct ew_list node;  /* in pool->conns, most recently used first */
  struct ew_pool *pool; /* NULL: the pool is gone, or the conn takes no more */
  struct ew_http_conn *conn;
};

struct pool_dial {
  struct ew_list node;
  struct ew_pool *pool;
  struct ew_dial *dial;
};

struct ew_pool {
  struct ew_env *env;
  struct ew_addr to;
  enum ew_wire wire;
  char *identity;
  struct ew_list conns;
  struct ew_list dials;
  struct ew_list waiting; /* of ew_pool_ticket */
  size_t conns_n, dials_n, waiting_n;
  struct ew_task wake; /* hands free connections to those who wait */
};

static bool is_http2(const struct ew_pool *p) {
  return p->wire == EW_WIRE_HTTP2 || p->wire == EW_WIRE_MESH_HTTP2;
}

static const char *alpn_of(enum ew_wire wire) {
  return wire == EW_WIRE_MESH_HTTP2 ? "eastwest/http2" : "eastwest/http1";
}

/* ---- from the codec to the request ---- */

static struct ew_pool_stream *stream_of(struct ew_hstream *st) {
  return st->user;
}

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct ew_pool_stream *ps = stream_of(st);
  (void)arg;
  ps->ev->on_head(ps->user, m, end);
}

static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  struct ew_pool_stream *ps = stream_of(st);
  (void)arg;
  ps->ev->on_data(ps->user, bytes);
}

static void on_end(void *arg, struct ew_hstream *st,
                   struct ew_message *trailers) {
  struct ew_pool_stream *ps = stream_of(st);
  (void)arg;
  ps->ev->on_end(ps->user, trailers);
}

static void on_reset(void *arg, struct ew_hstream *st, int err) {
  struct ew_pool_stream *ps = stream_of(st);
  (void)arg;
  ps->ev->on_reset(ps->user, err);
}

static void on_writable(void *arg, struct ew_hstream *st) {
  struct ew_pool_stream *ps = stream_of(st);
  (void)arg;
  ps->ev->on_writable(ps->user);
}

static void on_closed(void *arg, struct ew_hstream *st) {
  struct pool_conn *pc = arg;
  struct ew_pool_stream *ps = stream_of(st);

  if (pc->pool && pc->pool->waiting_n > 0)
    ew_task_defer(pc->pool->env->loop, &pc->pool->wake);
  ps->st = NULL;
  ps->ev->on_closed(ps->user);
}

/* Takes the connection out of the pool; what is open on it goes on. */
static void retire(struct pool_conn *pc) {
  struct ew_pool *p = pc->pool;

  if (!p)
    return;
  ew_list_remove(&pc->node);
  p->conns_n--;
  pc->pool = NULL;
  if (p->waiting_n > 0)
    ew_task_defer(p->env->loop, &p->wake);
}

static void on_goaway(void *arg) { retire(arg); }

static const struct ew_codec_events codec_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_goaway = on_goaway,
};

static void on_conn_closed(void *arg, int err) {
  struct pool_conn *pc = arg;
  (void)err;
  retire(pc);
  free(pc);
}

/* ---- making connections ---- */

static void fail_waiters(struct ew_pool *p, int err, const char *why) {
  struct ew_list failed;

  /* A ticket's callback may queue a ticket again: only those of now fail. */
  ew_list_take(&failed, &p->waiting);
  while (!ew_list_empty(&failed)) {
    struct ew_pool_ticket *t =
        EW_CONTAINER(failed.next, struct ew_pool_ticket, node);
    ew_list_remove(&t->node);
    p->waiting_n--;
    t->on_ready(t, err, why);
  }
}

static void add_conn(struct ew_pool *p, struct ew_stream *s) {
  struct pool_conn *pc = ew_calloc(1, sizeof(*pc));
  const struct ew_http_conn_opts opts = {
      .idle_timeout_ms = EW_POOL_IDLE_MS,
      .ping_ms = is_http2(p) ? EW_POOL_PING_MS : 0,
  };
  struct ew_codec *codec = is_http2(p) ? ew_http2_client_new(&codec_events, pc)
                                       : ew_http1_client_new(&codec_events, pc);

  if (p->wire == EW_WIRE_MESH_HTTP2)
    ew_http2_set_patient(codec);
  pc->pool = p;
  pc->conn = ew_http_conn_new(s, codec, &opts, on_conn_closed, pc);
  ew_list_push_front(&p->conns, &pc->node);
  p->conns_n++;
}

static void on_dialed(void *arg, struct ew_stream *s, int err,
                      const char *why) {
  struct pool_dial *pd = arg;
  struct ew_pool *p = pd->pool;

  ew_list_remove(&pd->node);
  p->dials_n--;
  free(pd);
  if (err == EW_OK) {
    add_conn(p, s);
    if (p->waiting_n > 0)
      ew_task_defer(p->env->loop, &p->wake);
  } else if (p->dials_n == 0) {
    fail_waiters(p, err, why);
  }
}

static bool dial(struct ew_pool *p) {
  struct ew_dial_spec spec = {.to = p->to, .env = p->env};
  struct pool_dial *pd;

  if (p->conns_n + p->dials_n >= EW_POOL_CONNS_MAX)
    return false;
  if (p->identity) {
    spec.tls = ew_env_tls(p->env);
    spec.identity = p->identity;
    spec.alpn = alpn_of(p->wire);
    if (!spec.tls)
      return false;
  }
  pd = ew_calloc(1, sizeof(*pd));
  pd->pool = p;
  ew_list_push_back(&p->dials, &pd->node);
  p->dials_n++;
  pd->dial = ew_dial_new(p->env->loop, &spec, on_dialed, pd);
  return true;
}

/* As many connections as the waiting need: one each for HTTP/1, one for all
 * that wait with HTTP/2 (the next is made when it turns out to be full). */
static void dial_for_waiting(struct ew_pool *p) {
  size_t wanted = is_http2(p) ? 1 : p->waiting_n;

  while (p->waiting_n > 0 && p->dials_n < wanted)
    if (!dial(p))
      break;
}

/* ---- lending ---- */

static struct pool_conn *with_room(struct ew_pool *p, bool fresh) {
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &p->conns) {
    struct pool_conn *pc = EW_CONTAINER(it, struct pool_conn, node);
    struct ew_codec *codec = ew_http_conn_codec(pc->conn);
    if (fresh && codec->served > 0)
      continue;
    if (ew_codec_capacity(codec) > 0)
      return pc;
  }
  return NULL;
}

static void on_wake(struct ew_task *task) {
  struct ew_pool *p = EW_CONTAINER(task, struct ew_pool, wake);
  size_t turns = p->waiting_n;

  while (turns-- > 0 && p->waiting_n > 0) {
    struct ew_pool_ticket *t =
        EW_CONTAINER(p->waiting.next, struct ew_pool_ticket, node);
    if (!with_room(p, t->fresh))
      break;
    ew_list_remove(&t->node);
    p->waiting_n--;
    t->on_ready(t, EW_OK, "");
  }
  dial_for_waiting(p);
  if (p->waiting_n > 0 && p->dials_n == 0 && p->conns_n == 0)
    fail_waiters(p, EW_ENOENT, "no certificate of our own yet");
}

int ew_pool_open(struct ew_pool *p, struct ew_pool_ticket *t,
                 struct ew_pool_stream *ps, const struct ew_message *m,
                 bool end, bool fresh) {
  struct pool_conn *pc = with_room(p, fresh);

  if (!pc) {
    if (p->waiting_n >= EW_POOL_WAITERS_MAX)
      return EW_ELIMIT;
    ew_list_push_back(&p->waiting, &t->node);
    t->pool = p;
    t->fresh = fresh;
    p->waiting_n++;
    ew_task_defer(p->env->loop, &p->wake);
    return EW_EAGAIN;
  }
  ps->conn = pc->conn;
  ps->reused = ew_http_conn_codec(pc->conn)->served > 0;
  ps->st = ew_codec_open(ew_http_conn_codec(pc->conn), m, end, ps);
  EW_BUG_ON(!ps->st);
  ew_http_conn_touch(pc->conn);
  return EW_OK;
}

void ew_pool_ticket_init(struct ew_pool_ticket *t,
                         void (*on_ready)(struct ew_pool_ticket *, int,
                                          const char *)) {
  ew_list_init(&t->node);
  t->pool = NULL;
  t->on_ready = on_ready;
}

void ew_pool_cancel(struct ew_pool_ticket *t) {
  if (ew_list_empty(&t->node))
    return;
  ew_list_remove(&t->node);
  t->pool->waiting_n--;
}

void ew_pool_leave(struct ew_pool_ticket *t, struct ew_pool_stream *ps,
                   int err) {
  struct ew_hstream *st = ps->st;

  ew_pool_cancel(t);
  if (!st)
    return;
  ps->st = NULL;
  ew_hstream_reset(st, err);
  ew_pool_touch(ps);
}

size_t ew_pool_conns(const struct ew_pool *p) {
  return p->conns_n + p->dials_n;
}

struct ew_pool *ew_pool_new(struct ew_env *env, const struct ew_addr *to,
                            enum ew_wire wire, const char *identity) {
  struct ew_pool *p = ew_calloc(1, sizeof(*p));

  p->env = env;
  p->to = *to;
  p->wire = wire;
  p->identity = identity ? ew_strdup(identity) : NULL;
  ew_list_init(&p->conns);
  ew_list_init(&p->dials);
  ew_list_init(&p->waiting);
  ew_task_init(&p->wake, on_wake);
  return p;
}

void ew_pool_del(struct ew_pool *p) {
  EW_BUG_ON(p->waiting_n > 0);
  ew_task_cancel(&p->wake);
  while (!ew_list_empty(&p->dials)) {
    struct pool_dial *pd = EW_CONTAINER(p->dials.next, struct pool_dial, node);
    ew_list_remove(&pd->node);
    ew_dial_cancel(pd->dial);
    free(pd);
  }
  while (!ew_list_empty(&p->conns)) {
    struct pool_conn *pc = EW_CONTAINER(p->conns.next, struct pool_conn, node);
    ew_list_remove(&pc->node);
    pc->pool = NULL;
    ew_http_conn_drain(pc->conn);
  }
  free(p->identity);
  free(p);
}
