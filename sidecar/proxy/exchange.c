/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/exchange_parts.h"

#include "eastwest/base/err.h"

static void on_request_timer(struct ew_timer *t) {
  struct ew_exchange *x = EW_CONTAINER(t, struct ew_exchange, request_timer);

  if (x->resp_started)
    ew_exchange_cut(x, EW_ETIMEDOUT);
  else
    ew_exchange_refuse(x, EW_REFUSE_REQUEST_TIMEOUT, "");
}

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
  /* What is unconsumed fits one window; a retry puts a replay before it. */
  ew_buf_init(&x->to_up, 65536 + EW_REPLAY_MAX);
  ew_buf_init(&x->replay, EW_REPLAY_MAX);
  ew_buf_init(&x->to_down, 65536);
  ew_timer_init(l, &x->request_timer, on_request_timer);
  ew_exchange_try_init(x);
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

void ew_exchange_finish(struct ew_exchange *x) {
  ew_exchange_try_over(x, EW_TRY_RESET, 0);
  ew_exchange_drop_up(x, EW_ECANCELED);
  ew_timer_stop(&x->request_timer);
  ew_timer_stop(&x->try_timer);
  ew_timer_stop(&x->backoff_timer);
  if (x->down)
    x->down->user = NULL;
  x->role->on_done(x);
}

void ew_exchange_cut(struct ew_exchange *x, int err) {
  struct ew_hstream *st = x->down;

  x->lost = err;
  x->down = NULL;
  if (st) {
    st->user = NULL;
    ew_hstream_reset(st, err);
    ew_http_conn_touch(x->down_conn);
  }
  ew_exchange_finish(x);
}
