/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/dial.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"

struct ew_dial {
  struct ew_loop *loop;
  struct ew_env *env;
  struct ew_connect *connect; /* while connecting */
  struct ew_stream *s;        /* while in the TLS handshake */
  struct ew_tls_ctx *tls;     /* NULL: plain */
  char *identity;
  const char *alpn;
  struct ew_timer timer;
  ew_dial_fn on_done;
  void *arg;
};

static void destroy(struct ew_dial *d) {
  ew_timer_stop(&d->timer);
  if (d->connect)
    ew_connect_cancel(d->connect);
  if (d->s)
    ew_stream_close(d->s);
  if (d->tls)
    ew_tls_ctx_unref(d->tls);
  free(d->identity);
  free(d);
}

static void finish(struct ew_dial *d, int err, const char *why) {
  ew_dial_fn on_done = d->on_done;
  void *arg = d->arg;
  struct ew_stream *s = NULL;

  if (err == EW_OK) {
    s = d->s;
    d->s = NULL;
    ew_stream_want(s, 0);
  }
  /* |why| is a literal: it outlives the stream. */
  destroy(d);
  on_done(arg, s, err, why);
}

static void failed(struct ew_dial *d, int err, const char *why) {
  if (d->env)
    ew_env_count_tls_failure(d->env, "outbound", why);
  finish(d, err, why);
}

static void on_handshake(void *arg, unsigned events) {
  struct ew_dial *d = arg;
  const char *why = ew_tls_stream_failure(d->s);

  (void)events;
  if (ew_tls_stream_done(d->s))
    finish(d, EW_OK, "");
  else if (why[0])
    failed(d, strcmp(why, "wrong-identity") == 0 ? EW_EIDENTITY : EW_ETLS, why);
}

static void on_connect(void *arg, struct ew_stream *s, int err) {
  struct ew_dial *d = arg;
  const char *expected[1] = {d->identity};

  d->connect = NULL;
  if (err != EW_OK) {
    finish(d, err, "");
    return;
  }
  if (!d->tls) {
    d->s = s;
    finish(d, EW_OK, "");
    return;
  }
  d->s = ew_tls_client_new(d->tls, s, expected, 1, d->alpn);
  if (!d->s) {
    finish(d, EW_ETLS, "");
    return;
  }
  ew_stream_set_user(d->s, on_handshake, d);
  ew_stream_want(d->s, EW_READ);
  ew_timer_start(&d->timer, EW_HANDSHAKE_TIMEOUT_MS);
}

static void on_timer(struct ew_timer *t) {
  finish(EW_CONTAINER(t, struct ew_dial, timer), EW_ETIMEDOUT, "");
}

struct ew_dial *ew_dial_new(struct ew_loop *l, const struct ew_dial_spec *spec,
                            ew_dial_fn on_done, void *arg) {
  struct ew_dial *d = ew_calloc(1, sizeof(*d));

  d->loop = l;
  d->env = spec->env;
  d->tls = spec->tls ? ew_tls_ctx_ref(spec->tls) : NULL;
  d->identity = spec->identity ? ew_strdup(spec->identity) : NULL;
  d->alpn = spec->alpn;
  d->on_done = on_done;
  d->arg = arg;
  ew_timer_init(l, &d->timer, on_timer);
  d->connect = ew_connect(
      l, &spec->to, spec->timeout_ms ? spec->timeout_ms : EW_CONNECT_TIMEOUT_MS,
      on_connect, d);
  return d;
}

void ew_dial_cancel(struct ew_dial *d) { destroy(d); }
