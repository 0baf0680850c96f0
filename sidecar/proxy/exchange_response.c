/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "sidecar/proxy/exchange_parts.h"

/* The response: from the server, or from ourselves, to the client. */

static void end_response(struct ew_exchange *x) {
  if (!x->resp_ended || x->resp_sent_end || ew_buf_len(&x->to_down) > 0)
    return;
  x->resp_sent_end = true;
  ew_hstream_send_end(x->down, x->resp_trailers);
  ew_http_conn_touch(x->down_conn);
}

static void consume_up(struct ew_exchange *x) {
  if (x->up.st && x->up_held > 0) {
    ew_hstream_consume(x->up.st, x->up_held);
    ew_pool_touch(&x->up);
  }
  x->up_held = 0;
}

static size_t send_down(struct ew_exchange *x, struct ew_slice s) {
  size_t n = ew_hstream_send(x->down, s);

  ew_http_conn_touch_body(x->down_conn, n);
  x->up_held += n;
  if (!ew_hstream_await_window(x->down))
    consume_up(x);
  return n;
}

static void flush_down(struct ew_exchange *x) {
  struct ew_slice s = ew_buf_peek(&x->to_down);

  consume_up(x);
  if (s.n > 0) {
    ew_buf_consume(&x->to_down, send_down(x, s));
    if (ew_buf_len(&x->to_down) == 0)
      ew_buf_release(&x->to_down);
  }
  end_response(x);
}

void ew_exchange_down_writable(void *arg, struct ew_hstream *st) {
  struct ew_exchange *x = st->user;

  (void)arg;
  if (x)
    flush_down(x);
}

void ew_exchange_reply(struct ew_exchange *x, struct ew_message *m,
                       struct ew_slice body) {
  size_t n = 0;

  ew_timer_stop(&x->backoff_timer);
  ew_timer_stop(&x->request_timer);
  ew_exchange_try_over(x, EW_TRY_RESET, 0);
  ew_exchange_drop_up(x, EW_ECANCELED);
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
  ew_exchange_discard_request(x);
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
    ew_exchange_give_up_try(x, EW_TRY_RESET, true, told, "told by its sidecar");
    return;
  }
  if (ew_refusal_untouched(told))
    how = EW_TRY_REFUSED;
  if (ew_exchange_again(x, how, m->status, false, &backoff_ms)) {
    int status = m->status;
    ew_message_del(m);
    ew_exchange_drop_up(x, EW_ECANCELED);
    ew_timer_stop(&x->try_timer);
    ew_exchange_try_over(x, how, status);
    ew_exchange_restart_request(x);
    ew_timer_start(&x->backoff_timer, backoff_ms);
    return;
  }
  ew_exchange_try_over(x, how, m->status);
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
  if (ew_buf_len(&x->to_down) == 0)
    n = send_down(x, bytes);
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
    ew_exchange_cut(x, err);
    return;
  }
  if (err == EW_EREFUSED)
    ew_exchange_give_up_try(x, EW_TRY_REFUSED, false, EW_REFUSE_UPSTREAM_RESET,
                            "refused");
  else
    ew_exchange_give_up_try(
        x, EW_TRY_RESET, err == EW_ERESET || err == EW_EMESSAGE,
        err == EW_EMESSAGE || err == EW_EPROTO ? EW_REFUSE_UPSTREAM_PROTOCOL
                                               : EW_REFUSE_UPSTREAM_RESET,
        ew_strerror(err));
}

static void on_up_writable(void *user) { ew_exchange_flush_up(user); }

/* Both directions of the try have ended, or the server answered early and
 * stopped listening: nothing more can be sent there. After an upgrade the end
 * of one direction is the end of both. */
static void on_up_closed(void *user) {
  struct ew_exchange *x = user;
  if (x->down && !x->req_sent_end)
    ew_exchange_discard_request(x);
  if (x->down && x->upgraded && !x->resp_ended) {
    x->resp_ended = true;
    end_response(x);
  }
}

const struct ew_pool_events ew_exchange_up_events = {
    .on_head = on_up_head,
    .on_data = on_up_data,
    .on_end = on_up_end,
    .on_reset = on_up_reset,
    .on_writable = on_up_writable,
    .on_closed = on_up_closed,
};
