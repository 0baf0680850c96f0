/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/tcp_out.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

struct ew_tcp_out {
  struct ew_env *env;
  struct ew_upstream *upstream; /* NULL: a plain address */
  struct ew_bal_endpoint *endpoint;
  struct ew_bal_endpoint *tried[EW_TCP_TRIES_MAX];
  size_t tried_n;
  struct ew_dial *dial;
  struct ew_task fail; /* an answer that is due without a dial */
  uint64_t started_us;
  int err;
  const char *why;
  ew_tcp_out_fn on_done;
  void *arg;
};

static void destroy(struct ew_tcp_out *t) {
  ew_task_cancel(&t->fail);
  if (t->dial)
    ew_dial_cancel(t->dial);
  if (t->endpoint)
    ew_bal_cancel(t->endpoint);
  for (size_t i = 0; i < t->tried_n; i++)
    ew_bal_unref(t->tried[i]);
  if (t->upstream)
    ew_upstream_unref(t->upstream);
  free(t);
}

static void finish(struct ew_tcp_out *t, struct ew_stream *s) {
  ew_tcp_out_fn on_done = t->on_done;
  void *arg = t->arg;
  struct ew_bal_endpoint *e = t->endpoint;
  int err = t->err;
  const char *why = t->why;

  t->endpoint = NULL;
  destroy(t);
  on_done(arg, s, e, err, why);
}

static void on_fail(struct ew_task *task) {
  finish(EW_CONTAINER(task, struct ew_tcp_out, fail), NULL);
}

static void fail(struct ew_tcp_out *t, int err, const char *why) {
  t->err = err;
  t->why = why;
  ew_task_defer(t->env->loop, &t->fail);
}

static void dial_next(struct ew_tcp_out *t);

static void on_dialed(void *arg, struct ew_stream *s, int err,
                      const char *why) {
  struct ew_tcp_out *t = arg;
  uint64_t now = ew_clock_us();

  t->dial = NULL;
  t->err = err;
  t->why = why;
  if (err == EW_OK || !t->upstream) {
    finish(t, s);
    return;
  }
  t->tried[t->tried_n++] = ew_bal_ref(t->endpoint);
  ew_bal_done(t->endpoint, now, now - t->started_us, false);
  t->endpoint = NULL;
  if (t->tried_n < EW_TCP_TRIES_MAX)
    dial_next(t);
  else
    finish(t, NULL);
}

static bool was_tried(const struct ew_tcp_out *t,
                      const struct ew_bal_endpoint *e) {
  for (size_t i = 0; i < t->tried_n; i++)
    if (t->tried[i] == e)
      return true;
  return false;
}

static void dial_next(struct ew_tcp_out *t) {
  struct ew_env *env = t->env;
  struct ew_dial_spec spec = {.alpn = "eastwest/tcp", .env = env};
  struct ew_bal_endpoint *e;
  bool mesh = false;

  t->started_us = ew_clock_us();
  e = ew_balancer_pick(t->upstream->balancer, t->started_us, ew_env_random(env),
                       t->tried, t->tried_n);
  if (!e || was_tried(t, e)) {
    if (t->tried_n == 0) {
      t->err = EW_ENOENT;
      t->why = "no ready endpoint";
    }
    ew_task_defer(env->loop, &t->fail);
    return;
  }
  if (ew_upstream_address(t->upstream, e, &spec.to, &mesh) != EW_OK) {
    fail(t, EW_EINVAL, "endpoint address");
    return;
  }
  if (mesh) {
    spec.tls = ew_env_tls(env);
    spec.identity = e->identity;
    if (!spec.tls) {
      fail(t, EW_ETLS, "no certificate of our own yet");
      return;
    }
  }
  t->endpoint = e;
  ew_bal_start(e);
  t->dial = ew_dial_new(env->loop, &spec, on_dialed, t);
}

static struct ew_tcp_out *make(struct ew_env *env, ew_tcp_out_fn on_done,
                               void *arg) {
  struct ew_tcp_out *t = ew_calloc(1, sizeof(*t));

  t->env = env;
  t->on_done = on_done;
  t->arg = arg;
  t->why = "";
  ew_task_init(&t->fail, on_fail);
  return t;
}

struct ew_tcp_out *ew_tcp_out_backend(struct ew_env *env, struct ew_upstream *u,
                                      ew_tcp_out_fn on_done, void *arg) {
  struct ew_tcp_out *t = make(env, on_done, arg);

  t->upstream = ew_upstream_ref(u);
  dial_next(t);
  return t;
}

struct ew_tcp_out *ew_tcp_out_address(struct ew_env *env,
                                      const struct ew_addr *to,
                                      ew_tcp_out_fn on_done, void *arg) {
  struct ew_tcp_out *t = make(env, on_done, arg);
  struct ew_dial_spec spec = {.to = *to,
                              .timeout_ms = EW_PASSTHROUGH_TIMEOUT_MS};

  t->dial = ew_dial_new(env->loop, &spec, on_dialed, t);
  return t;
}

void ew_tcp_out_cancel(struct ew_tcp_out *t) { destroy(t); }
