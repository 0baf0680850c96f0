/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "sidecar/proxy/exchange_parts.h"

/* The request: from the client, to the server of the try at hand. */

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

static void consume_down(struct ew_exchange *x) {
  if (x->down_held > 0) {
    ew_hstream_consume(x->down, x->down_held);
    ew_http_conn_touch(x->down_conn);
  }
  x->down_held = 0;
}

/* Bytes that are sent a second time were counted when they were sent first. */
static size_t send_up(struct ew_exchange *x, struct ew_slice s) {
  size_t n = ew_hstream_send(x->up.st, s);
  size_t again = n < x->replayed ? n : x->replayed;

  keep_for_replay(x, ew_slice(s.p, n));
  ew_http_conn_touch_body(x->up.conn, n);
  x->replayed -= again;
  x->down_held += n - again;
  if (!ew_hstream_await_window(x->up.st))
    consume_down(x);
  return n;
}

void ew_exchange_flush_up(struct ew_exchange *x) {
  struct ew_slice s = ew_buf_peek(&x->to_up);

  if (!x->up.st)
    return;
  consume_down(x);
  if (s.n > 0) {
    ew_buf_consume(&x->to_up, send_up(x, s));
    if (ew_buf_len(&x->to_up) == 0)
      ew_buf_release(&x->to_up);
  }
  end_request(x);
}

void ew_exchange_discard_request(struct ew_exchange *x) {
  size_t n = ew_buf_len(&x->to_up);

  x->discard = true;
  ew_buf_consume(&x->to_up, n);
  x->down_held += n - x->replayed;
  x->replayed = 0;
  consume_down(x);
}

void ew_exchange_restart_request(struct ew_exchange *x) {
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
  if (x->up.st && ew_buf_len(&x->to_up) == 0)
    n = send_up(x, bytes);
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
  ew_exchange_finish(x);
}
