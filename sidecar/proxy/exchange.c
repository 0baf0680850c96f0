/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/exchange.h"

#include "eastwest/base/err.h"

static const struct ew_pool_events up_events;

static void finish(struct ew_exchange *x);
static void open_try(struct ew_exchange *x);
static void on_ticket(struct ew_pool_ticket *t, int err, const char *why);
static void on_request_timer(struct ew_timer *t);
static void on_try_timer(struct ew_timer *t);
static void on_backoff(struct ew_timer *t);

void ew_exchange_init(struct ew_exchange *x,
                      const struct ew_exchange_role *role, struct ew_loop *l,
                      struct ew_http_conn *conn, struct ew_hstream *down,
                      struct ew_message *req, bool end) {
  x->role = role;
  x->loop = l;
  x->down = down;
  x->down_conn = conn;
  x->req = req;
  x->req_ended = end;
  x->detail = "";
  x->started_us = ew_clock_us();
  down->user = x;
  ew_pool_ticket_init(&x->ticket, on_ticket);
  /* What is unconsumed fits one window; a retry puts a replay before it. */
  ew_buf_init(&x->to_up, 65536 + EW_REPLAY_MAX);
  ew_buf_init(&x->replay, EW_REPLAY_MAX);
  ew_buf_init(&x->to_down, 65536);
  ew_timer_init(l, &x->request_timer, on_request_timer);
  ew_timer_init(l, &x->try_timer, on_try_timer);
  ew_timer_init(l, &x->backoff_timer, on_backoff);
  x->up.ev = &up_events;
  x->up.user = x;
}

void ew_exchange_set_timeout(struct ew_exchange *x, uint32_t ms) {
  if (ms > 0)
    ew_timer_start(&x->request_timer, ms);
}

void ew_exchange_fini(struct ew_exchange *x) {
  ew_message_del(x->req);
  ew_message_del(x->req_trailers);
  ew_message_del(x->resp_trailers);
  ew_buf_fini(&x->to_up);
  ew_buf_fini(&x->replay);
  ew_buf_fini(&x->to_down);
}

/* ---- the end of things ---- */

/* The time of a try is up to the end of the response, so it goes on when its
 * head came. */
static void try_over(struct ew_exchange *x, enum ew_try_end end, int status) {
  if (end != EW_TRY_STATUS)
    ew_timer_stop(&x->try_timer);
  if (x->trying) {
    x->trying = false;
    x->role->on_try_over(x, end, status);
  }
}

static void drop_up(struct ew_exchange *x, int err) {
  ew_pool_cancel(&x->ticket);
  if (x->up.st) {
    struct ew_hstream *st = x->up.st;
    x->up.st = NULL;
    ew_hstream_reset(st, err);
    ew_pool_touch(&x->up);
  }
}

static void finish(struct ew_exchange *x) {
  try_over(x, EW_TRY_RESET, 0);
  drop_up(x, EW_ECANCELED);
  ew_timer_stop(&x->request_timer);
  ew_timer_stop(&x->try_timer);
  ew_timer_stop(&x->backoff_timer);
  if (x->down)
    x->down->user = NULL;
  x->role->on_done(x);
}

/* The client must see that the response is not complete. */
static void cut(struct ew_exchange *x, int err) {
  struct ew_hstream *st = x->down;

  x->lost = err;
  x->down = NULL;
  if (st) {
    st->user = NULL;
    ew_hstream_reset(st, err);
    ew_http_conn_touch(x->down_conn);
  }
  finish(x);
}

/* ---- towards the client ---- */

static void end_response(struct ew_exchange *x) {
  if (!x->resp_ended || x->resp_sent_end || ew_buf_len(&x->to_down) > 0)
    return;
  x->resp_sent_end = true;
  ew_hstream_send_end(x->down, x->resp_trailers);
  ew_http_conn_touch(x->down_conn);
}

static void flush_down(struct ew_exchange *x) {
  struct ew_slice s = ew_buf_peek(&x->to_down);
  size_t n;

  if (s.n > 0) {
    n = ew_hstream_send(x->down, s);
    ew_buf_consume(&x->to_down, n);
    ew_http_conn_touch_body(x->down_conn, n);
    if (x->up.st && n > 0) {
      ew_hstream_consume(x->up.st, n);
      ew_pool_touch(&x->up);
    }
    if (ew_buf_len(&x->to_down) == 0)
      ew_buf_release(&x->to_down);
  }
  end_response(x);
}

/* Reads on and drops what the client still sends. */
static void discard_request(struct ew_exchange *x) {
  size_t n = ew_buf_len(&x->to_up);

  x->discard = true;
  if (n > 0) {
    ew_buf_consume(&x->to_up, n);
    ew_hstream_consume(x->down, n);
  }
}

void ew_exchange_reply(struct ew_exchange *x, struct ew_message *m,
                       struct ew_slice body) {
  size_t n = 0;

  ew_timer_stop(&x->backoff_timer);
  ew_timer_stop(&x->request_timer);
  try_over(x, EW_TRY_RESET, 0);
  drop_up(x, EW_ECANCELED);
  x->status = m->status;
  x->resp_started = true;
  x->resp_ended = true;
  if (body.n > 0) {
    m->body = EW_BODY_LENGTH;
    m->content_length = body.n;
  }
  ew_hstream_send_head(x->down, m, body.n == 0);
  if (body.n == 0) {
    x->resp_sent_end = true;
  } else {
    n = ew_hstream_send(x->down, body);
    if (n < body.n)
      (void)ew_buf_append_some(&x->to_down, ew_slice(body.p + n, body.n - n));
    x->response_bytes += body.n;
    end_response(x);
  }
  ew_message_del(m);
  discard_request(x);
  ew_http_conn_touch(x->down_conn);
}

void ew_exchange_refuse(struct ew_exchange *x, enum ew_refusal why,
                        const char *detail) {
  struct ew_slice body = {NULL, 0};
  struct ew_message *m;

  x->refused = why;
  x->detail = detail;
  m = x->role->refusal(x, why, detail, &body);
  if (ew_slice_eq_str(x->req->method, "HEAD"))
    body.n = 0;
  ew_exchange_reply(x, m, body);
}

/* ---- towards the server ---- */

static void keep_for_replay(struct ew_exchange *x, struct ew_slice sent) {
  if (x->no_replay || x->resp_started || sent.n == 0)
    return;
  if (ew_buf_append(&x->replay, sent) != EW_OK) {
    x->no_replay = true;
    ew_buf_fini(&x->replay);
    ew_buf_init(&x->replay, EW_REPLAY_MAX);
  }
}

static void end_request(struct ew_exchange *x) {
  if (!x->req_ended || x->req_sent_end || ew_buf_len(&x->to_up) > 0)
    return;
  x->req_sent_end = true;
  ew_hstream_send_end(x->up.st, x->req_trailers);
  ew_pool_touch(&x->up);
}

static size_t send_up(struct ew_exchange *x, struct ew_slice s) {
  size_t n = ew_hstream_send(x->up.st, s);

  keep_for_replay(x, ew_slice(s.p, n));
  ew_http_conn_touch_body(x->up.conn, n);
  return n;
}

/* Bytes that are sent a second time were consumed on the client's side when
 * they were sent first. */
static void flush_up(struct ew_exchange *x) {
  struct ew_slice s = ew_buf_peek(&x->to_up);
  size_t n;

  if (!x->up.st)
    return;
  if (s.n > 0) {
    n = send_up(x, s);
    ew_buf_consume(&x->to_up, n);
    if (n > x->replayed) {
      ew_hstream_consume(x->down, n - x->replayed);
      ew_http_conn_touch(x->down_conn);
      x->replayed = 0;
    } else {
      x->replayed -= n;
    }
    if (ew_buf_len(&x->to_up) == 0)
      ew_buf_release(&x->to_up);
  }
  end_request(x);
}

void ew_exchange_down_data(void *arg, struct ew_hstream *st,
                           struct ew_slice bytes) {
  struct ew_exchange *x = st->user;
  size_t n = 0;

  (void)arg;
  if (!x || x->discard) {
    ew_hstream_consume(st, bytes.n);
    if (x)
      ew_http_conn_touch(x->down_conn);
    return;
  }
  x->request_bytes += bytes.n;
  if (x->role->on_body)
    x->role->on_body(x, bytes);
  if (x->up.st && ew_buf_len(&x->to_up) == 0) {
    n = send_up(x, bytes);
    if (n > 0)
      ew_hstream_consume(st, n);
  }
  if (n < bytes.n)
    EW_BUG_ON(ew_buf_append(&x->to_up, ew_slice(bytes.p + n, bytes.n - n)) !=
              EW_OK);
}

void ew_exchange_down_end(void *arg, struct ew_hstream *st,
                          struct ew_message *trailers) {
  struct ew_exchange *x = st->user;

  (void)arg;
  if (!x) {
    ew_message_del(trailers);
    return;
  }
  x->req_ended = true;
  x->req_trailers = trailers;
  if (x->role->on_body_end)
    x->role->on_body_end(x);
  if (x->up.st && !x->discard)
    end_request(x);
}

void ew_exchange_down_writable(void *arg, struct ew_hstream *st) {
  struct ew_exchange *x = st->user;

  (void)arg;
  if (x)
    flush_down(x);
}

void ew_exchange_down_reset(void *arg, struct ew_hstream *st, int err) {
  struct ew_exchange *x = st->user;

  (void)arg;
  if (x)
    x->lost = err;
}

void ew_exchange_down_closed(void *arg, struct ew_hstream *st) {
  struct ew_exchange *x = st->user;

  (void)arg;
  if (!x)
    return;
  if (!x->resp_sent_end && x->lost == 0)
    x->lost = EW_ERESET;
  x->down = NULL;
  finish(x);
}

/* ---- tries ---- */

static void restart_request(struct ew_exchange *x) {
  struct ew_slice sent = ew_buf_peek(&x->replay);
  struct ew_slice rest = ew_buf_peek(&x->to_up);
  struct ew_buf all;

  x->req_sent_end = false;
  if (sent.n == 0)
    return;
  ew_buf_init(&all, x->to_up.max);
  (void)ew_buf_append(&all, sent);
  (void)ew_buf_append(&all, rest);
  x->replayed += sent.n;
  ew_buf_fini(&x->to_up);
  x->to_up = all;
  ew_buf_fini(&x->replay);
  ew_buf_init(&x->replay, EW_REPLAY_MAX);
}

static bool again(struct ew_exchange *x, enum ew_try_end end, int status,
                  bool told, uint64_t *backoff_ms) {
  struct ew_try t = {
      .end = end,
      .status = status,
      .sent = end != EW_TRY_CONNECT_FAILED,
      .reused = x->up.reused && !told,
      .replayable = !x->no_replay,
  };
  x->spent = false;
  return x->role->again(x, &t, backoff_ms);
}

/* A try failed before anything went to the client: again, or answer. |told|:
 * the other side says so, over a connection that is sound. */
static void give_up_try(struct ew_exchange *x, enum ew_try_end end, bool told,
                        enum ew_refusal otherwise, const char *why) {
  uint64_t backoff_ms = 0;
  bool retry;

  drop_up(x, EW_ECANCELED);
  x->fresh = !told && (end == EW_TRY_RESET || end == EW_TRY_REFUSED);
  retry = again(x, end, 0, told, &backoff_ms);
  if (x->spent && end == EW_TRY_RESET)
    otherwise = EW_REFUSE_RETRIES_SPENT;
  try_over(x, end, 0);
  if (!retry) {
    ew_exchange_refuse(x, otherwise, why);
    return;
  }
  restart_request(x);
  ew_timer_start(&x->backoff_timer, backoff_ms);
}

static void try_failed(struct ew_exchange *x, enum ew_try_end end,
                       enum ew_refusal otherwise, const char *why) {
  give_up_try(x, end, false, otherwise, why);
}

static void on_backoff(struct ew_timer *t) {
  ew_exchange_try(EW_CONTAINER(t, struct ew_exchange, backoff_timer));
}

void ew_exchange_try(struct ew_exchange *x) {
  enum ew_refusal why = x->role->next(x, &x->pool);

  if (why != EW_REFUSE_NONE) {
    ew_exchange_refuse(x, why, "");
    return;
  }
  x->tries++;
  x->trying = true;
  x->try_started_us = ew_clock_us();
  if (x->try_timeout_ms > 0)
    ew_timer_start(&x->try_timer, x->try_timeout_ms);
  open_try(x);
}

static void open_try(struct ew_exchange *x) {
  bool end = x->req_ended && ew_buf_len(&x->to_up) == 0 && !x->req_trailers;
  int err =
      ew_pool_open(x->pool, &x->ticket, &x->up, x->try_head, end, x->fresh);

  if (err == EW_EAGAIN)
    return;
  if (err != EW_OK) {
    try_failed(x, EW_TRY_CONNECT_FAILED, EW_REFUSE_OVERLOAD, "");
    return;
  }
  x->req_sent_end = end;
  flush_up(x);
}

static enum ew_refusal connect_refusal(int err) {
  switch (err) {
  case EW_ETIMEDOUT:
    return EW_REFUSE_CONNECT_TIMEOUT;
  case EW_EIDENTITY:
  case EW_ETLS:
    return EW_REFUSE_IDENTITY;
  case EW_ENOENT:
    return EW_REFUSE_NO_IDENTITY;
  default:
    return EW_REFUSE_CONNECT_FAILED;
  }
}

static void on_ticket(struct ew_pool_ticket *t, int err, const char *why) {
  struct ew_exchange *x = EW_CONTAINER(t, struct ew_exchange, ticket);

  if (err == EW_OK) {
    /* Connecting is no part of the latency: it would make an endpoint that was
     * just connected to look slower than the others. */
    x->try_started_us = ew_clock_us();
    open_try(x);
    return;
  }
  try_failed(x, EW_TRY_CONNECT_FAILED, connect_refusal(err), why);
}

static void on_try_timer(struct ew_timer *t) {
  struct ew_exchange *x = EW_CONTAINER(t, struct ew_exchange, try_timer);

  if (x->resp_started)
    cut(x, EW_ETIMEDOUT);
  else
    try_failed(x, EW_TRY_TIMEOUT, EW_REFUSE_BACKEND_TIMEOUT, "");
}

static void on_request_timer(struct ew_timer *t) {
  struct ew_exchange *x = EW_CONTAINER(t, struct ew_exchange, request_timer);

  if (x->resp_started)
    cut(x, EW_ETIMEDOUT);
  else
    ew_exchange_refuse(x, EW_REFUSE_REQUEST_TIMEOUT, "");
}

/* ---- from the server ---- */

static void on_up_head(void *user, struct ew_message *m, bool end) {
  struct ew_exchange *x = user;
  uint64_t backoff_ms = 0;
  enum ew_try_end how = EW_TRY_STATUS;
  enum ew_refusal told;

  if (m->status < 200 && m->status != 101) {
    ew_hstream_send_head(x->down, m, false);
    ew_http_conn_touch(x->down_conn);
    ew_message_del(m);
    return;
  }
  told = x->role->told ? x->role->told(x, m) : EW_REFUSE_NONE;
  if (told == EW_REFUSE_UPSTREAM_RESET || told == EW_REFUSE_UPSTREAM_PROTOCOL) {
    ew_message_del(m);
    give_up_try(x, EW_TRY_RESET, true, told, "told by its sidecar");
    return;
  }
  if (ew_refusal_untouched(told))
    how = EW_TRY_REFUSED;
  if (again(x, how, m->status, false, &backoff_ms)) {
    int status = m->status;
    ew_message_del(m);
    drop_up(x, EW_ECANCELED);
    ew_timer_stop(&x->try_timer);
    try_over(x, how, status);
    restart_request(x);
    ew_timer_start(&x->backoff_timer, backoff_ms);
    return;
  }
  try_over(x, how, m->status);
  x->role->on_response(x, m);
  x->status = m->status;
  x->resp_started = true;
  x->resp_ended = end;
  x->resp_sent_end = end;
  x->upgraded = m->status == 101;
  if (x->upgraded) {
    /* Both directions are open again, as raw bytes. */
    x->req_ended = false;
    x->req_sent_end = false;
    ew_timer_stop(&x->request_timer);
  }
  if (end || x->upgraded)
    ew_timer_stop(&x->try_timer);
  x->no_replay = true;
  ew_buf_fini(&x->replay);
  ew_buf_init(&x->replay, EW_REPLAY_MAX);
  ew_hstream_send_head(x->down, m, end);
  ew_http_conn_touch(x->down_conn);
  ew_message_del(m);
}

static void on_up_data(void *user, struct ew_slice bytes) {
  struct ew_exchange *x = user;
  size_t n = 0;

  x->response_bytes += bytes.n;
  if (ew_buf_len(&x->to_down) == 0) {
    n = ew_hstream_send(x->down, bytes);
    ew_http_conn_touch_body(x->down_conn, n);
    if (n > 0) {
      ew_hstream_consume(x->up.st, n);
      ew_pool_touch(&x->up);
    }
  }
  if (n < bytes.n)
    EW_BUG_ON(ew_buf_append(&x->to_down, ew_slice(bytes.p + n, bytes.n - n)) !=
              EW_OK);
}

static void on_up_end(void *user, struct ew_message *trailers) {
  struct ew_exchange *x = user;

  x->resp_ended = true;
  ew_timer_stop(&x->try_timer);
  x->resp_trailers = trailers;
  end_response(x);
}

static void on_up_reset(void *user, int err) {
  struct ew_exchange *x = user;

  if (x->resp_started) {
    cut(x, err);
    return;
  }
  if (err == EW_EREFUSED)
    try_failed(x, EW_TRY_REFUSED, EW_REFUSE_UPSTREAM_RESET, "refused");
  else
    give_up_try(x, EW_TRY_RESET, err == EW_ERESET || err == EW_EMESSAGE,
                err == EW_EMESSAGE || err == EW_EPROTO
                    ? EW_REFUSE_UPSTREAM_PROTOCOL
                    : EW_REFUSE_UPSTREAM_RESET,
                ew_strerror(err));
}

static void on_up_writable(void *user) { flush_up(user); }

/* Both directions of the try have ended, or the server answered early and
 * stopped listening: nothing more can be sent there. After an upgrade the end
 * of one direction is the end of both. */
static void on_up_closed(void *user) {
  struct ew_exchange *x = user;
  if (x->down && !x->req_sent_end)
    discard_request(x);
  if (x->down && x->upgraded && !x->resp_ended) {
    x->resp_ended = true;
    end_response(x);
  }
}

static const struct ew_pool_events up_events = {
    .on_head = on_up_head,
    .on_data = on_up_data,
    .on_end = on_up_end,
    .on_reset = on_up_reset,
    .on_writable = on_up_writable,
    .on_closed = on_up_closed,
};
