/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "sidecar/proxy/exchange_parts.h"

/* Tries: where the request goes, how often, and how each of them ends. */

/* The time of a try is up to the end of the response, so it goes on when its
 * head came. */
void ew_exchange_try_over(struct ew_exchange *x, enum ew_try_end end,
                          int status) {
  if (end != EW_TRY_STATUS)
    ew_timer_stop(&x->try_timer);
  if (x->trying) {
    x->trying = false;
    x->role->on_try_over(x, end, status);
  }
}

void ew_exchange_drop_up(struct ew_exchange *x, int err) {
  ew_pool_leave(&x->ticket, &x->up, err);
}

bool ew_exchange_again(struct ew_exchange *x, enum ew_try_end end, int status,
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

void ew_exchange_give_up_try(struct ew_exchange *x, enum ew_try_end end,
                             bool told, enum ew_refusal otherwise,
                             const char *why) {
  uint64_t backoff_ms = 0;
  bool retry;

  ew_exchange_drop_up(x, EW_ECANCELED);
  x->fresh = !told && (end == EW_TRY_RESET || end == EW_TRY_REFUSED);
  retry = ew_exchange_again(x, end, 0, told, &backoff_ms);
  if (x->spent && end == EW_TRY_RESET)
    otherwise = EW_REFUSE_RETRIES_SPENT;
  ew_exchange_try_over(x, end, 0);
  if (!retry) {
    ew_exchange_refuse(x, otherwise, why);
    return;
  }
  ew_exchange_restart_request(x);
  ew_timer_start(&x->backoff_timer, backoff_ms);
}

static void try_failed(struct ew_exchange *x, enum ew_try_end end,
                       enum ew_refusal otherwise, const char *why) {
  ew_exchange_give_up_try(x, end, false, otherwise, why);
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
  ew_exchange_flush_up(x);
}

void ew_exchange_try(struct ew_exchange *x) {
  enum ew_refusal why;

  /* The first one begins with the exchange: reading the clock has a price. */
  x->try_started_us = x->tries == 0 ? x->started_us : ew_clock_us();
  why = x->role->next(x, &x->pool);
  if (why != EW_REFUSE_NONE) {
    ew_exchange_refuse(x, why, "");
    return;
  }
  x->tries++;
  x->trying = true;
  if (x->try_timeout_ms > 0)
    ew_timer_start(&x->try_timer, x->try_timeout_ms);
  open_try(x);
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
    ew_exchange_cut(x, EW_ETIMEDOUT);
  else
    try_failed(x, EW_TRY_TIMEOUT, EW_REFUSE_BACKEND_TIMEOUT, "");
}

static void on_backoff(struct ew_timer *t) {
  ew_exchange_try(EW_CONTAINER(t, struct ew_exchange, backoff_timer));
}

void ew_exchange_try_init(struct ew_exchange *x) {
  ew_pool_ticket_init(&x->ticket, on_ticket);
  ew_timer_init(x->loop, &x->try_timer, on_try_timer);
  ew_timer_init(x->loop, &x->backoff_timer, on_backoff);
  x->up.ev = &ew_exchange_up_events;
  x->up.user = x;
}
