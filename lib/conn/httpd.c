/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/conn/httpd.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/list.h"
#include "eastwest/conn/http_conn.h"
#include "eastwest/net/prefix.h"
#include "eastwest/net/tcp.h"

#define START_MS 10000
#define IDLE_MS 60000
/* A request must be complete this long after its head. */
#define BODY_MS 30000
#define PREFACE "PRI * HTTP/2.0"
#define PREFACE_N (sizeof(PREFACE) - 1)

struct ew_httpd {
  struct ew_loop *loop;
  struct ew_listener *listener;
  struct ew_httpd_opts opts;
  struct ew_httpd_handler handler;
  void *arg;
  struct ew_list conns;
  size_t conns_n;
};

/* Either |s| (TLS handshake, first bytes) or |http|. */
struct httpd_conn {
  struct ew_list node;
  struct ew_httpd *d;
  struct ew_addr peer;
  struct ew_stream *s;
  struct ew_buf seen;
  struct ew_timer start;
  struct ew_http_conn *http;
  struct ew_list requests;
  char *peer_id;
};

struct ew_httpd_request {
  struct ew_list node; /* in conn->requests */
  struct httpd_conn *conn;
  struct ew_hstream *st;
  struct ew_message *head;
  struct ew_buf body;
  struct ew_buf out; /* of the answer, not taken by the codec yet */
  struct ew_timer body_timer;
  void *user;
  bool shown;    /* the handler has it */
  bool answered; /* reply or stream_end was called */
  bool ended;    /* our end was passed on */
};

/* ---- requests ---- */

static void request_free(struct ew_httpd_request *r) {
  ew_timer_stop(&r->body_timer);
  ew_list_remove(&r->node);
  ew_message_del(r->head);
  ew_buf_fini(&r->body);
  ew_buf_fini(&r->out);
  free(r);
}

static void request_gone(struct ew_httpd_request *r) {
  struct ew_httpd *d = r->conn->d;

  if (r->shown && !r->answered && d->handler.on_gone)
    d->handler.on_gone(d->arg, r);
  request_free(r);
}

static void flush(struct ew_httpd_request *r) {
  struct ew_slice s = ew_buf_peek(&r->out);

  if (s.n > 0)
    ew_buf_consume(&r->out, ew_hstream_send(r->st, s));
  if (r->answered && !r->ended && ew_buf_len(&r->out) == 0) {
    r->ended = true;
    ew_hstream_send_end(r->st, NULL);
  }
  ew_http_conn_touch(r->conn->http);
}

static void send_head(struct ew_httpd_request *r, int status, const char *type,
                      enum ew_body body, size_t length) {
  struct ew_message *m = ew_message_new();

  m->status = status;
  m->body = body;
  m->content_length = length;
  (void)ew_message_add(m, EW_SLICE_LIT("content-type"), ew_slice_str(type));
  (void)ew_message_add(m, EW_SLICE_LIT("cache-control"),
                       EW_SLICE_LIT("no-store"));
  ew_hstream_send_head(r->st, m, false);
  ew_message_del(m);
}

/* HTTP/1's codec drops the body of such an answer by itself. */
static bool is_head(const struct ew_httpd_request *r) {
  return ew_slice_eq_str(r->head->method, "HEAD");
}

void ew_httpd_reply(struct ew_httpd_request *r, int status, const char *type,
                    struct ew_slice body) {
  size_t taken;

  EW_BUG_ON(r->answered);
  r->answered = true;
  send_head(r, status, type, EW_BODY_LENGTH, body.n);
  if (is_head(r))
    body.n = 0;
  taken = ew_hstream_send(r->st, body);
  if (taken < body.n) {
    ew_buf_fini(&r->out);
    ew_buf_init(&r->out, body.n - taken);
    (void)ew_buf_append(&r->out, ew_slice(body.p + taken, body.n - taken));
  }
  flush(r);
}

void ew_httpd_stream_begin(struct ew_httpd_request *r, int status,
                           const char *type) {
  send_head(r, status, type, EW_BODY_STREAM, 0);
  ew_http_conn_touch(r->conn->http);
}

int ew_httpd_stream_write(struct ew_httpd_request *r, struct ew_slice piece) {
  if (is_head(r))
    return EW_OK;
  if (ew_buf_append(&r->out, piece) != EW_OK)
    return EW_EAGAIN;
  flush(r);
  return EW_OK;
}

size_t ew_httpd_stream_waiting(const struct ew_httpd_request *r) {
  return ew_buf_len(&r->out);
}

void ew_httpd_stream_end(struct ew_httpd_request *r) {
  EW_BUG_ON(r->answered);
  r->answered = true;
  flush(r);
}

const struct ew_message *ew_httpd_head(const struct ew_httpd_request *r) {
  return r->head;
}
struct ew_slice ew_httpd_body(const struct ew_httpd_request *r) {
  return ew_buf_peek(&r->body);
}
const char *ew_httpd_peer_id(const struct ew_httpd_request *r) {
  return r->conn->peer_id ? r->conn->peer_id : "";
}
const struct ew_addr *ew_httpd_peer_addr(const struct ew_httpd_request *r) {
  return &r->conn->peer;
}
void ew_httpd_set_user(struct ew_httpd_request *r, void *user) {
  r->user = user;
}
void *ew_httpd_user(const struct ew_httpd_request *r) { return r->user; }

/* ---- codec events ---- */

static void show(struct ew_httpd_request *r) {
  struct ew_httpd *d = r->conn->d;

  ew_timer_stop(&r->body_timer);
  if (r->answered)
    return;
  r->shown = true;
  d->handler.on_request(d->arg, r);
}

static void too_large(struct ew_httpd_request *r) {
  ew_httpd_reply(r, 413, "text/plain", EW_SLICE_LIT("body too large\n"));
}

static void on_body_timer(struct ew_timer *t) {
  struct ew_httpd_request *r =
      EW_CONTAINER(t, struct ew_httpd_request, body_timer);

  if (!r->answered)
    ew_httpd_reply(r, 408, "text/plain", EW_SLICE_LIT("body too slow\n"));
  ew_hstream_reset(r->st, EW_ECANCELED);
  ew_http_conn_touch(r->conn->http);
  request_free(r);
}

static void send_continue(struct ew_httpd_request *r) {
  struct ew_message *m = ew_message_new();

  m->status = 100;
  ew_hstream_send_head(r->st, m, false);
  ew_message_del(m);
}

/* A body follows. */
static void expect_body(struct ew_httpd_request *r) {
  const struct ew_message *m = r->head;

  ew_timer_start(&r->body_timer, BODY_MS);
  if (m->body == EW_BODY_LENGTH && m->content_length > r->body.max)
    too_large(r);
  else if (ew_slice_caseeq(ew_message_get(m, "expect"),
                           EW_SLICE_LIT("100-continue")))
    send_continue(r);
}

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct httpd_conn *hc = arg;
  struct ew_httpd_request *r = ew_calloc(1, sizeof(*r));

  r->conn = hc;
  r->st = st;
  r->head = m;
  st->user = r;
  ew_buf_init(&r->body, hc->d->opts.body_max);
  ew_buf_init(&r->out, hc->d->opts.stream_max);
  ew_timer_init(hc->d->loop, &r->body_timer, on_body_timer);
  ew_list_push_back(&hc->requests, &r->node);
  if (end)
    show(r);
  else
    expect_body(r);
}

static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  struct httpd_conn *hc = arg;
  struct ew_httpd_request *r = st->user;

  ew_hstream_consume(st, bytes.n);
  ew_http_conn_touch(hc->http);
  if (!r->answered && ew_buf_append(&r->body, bytes) != EW_OK)
    too_large(r);
}

static void on_end(void *arg, struct ew_hstream *st,
                   struct ew_message *trailers) {
  (void)arg;
  ew_message_del(trailers);
  show(st->user);
}

static void on_reset(void *arg, struct ew_hstream *st, int err) {
  (void)arg;
  (void)st;
  (void)err;
}

static void on_writable(void *arg, struct ew_hstream *st) {
  (void)arg;
  flush(st->user);
}

static void on_closed(void *arg, struct ew_hstream *st) {
  (void)arg;
  request_gone(st->user);
}

static const struct ew_codec_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

/* ---- connections ---- */

static void conn_free(struct httpd_conn *hc) {
  struct ew_httpd *d = hc->d;

  while (!ew_list_empty(&hc->requests))
    request_gone(
        EW_CONTAINER(hc->requests.next, struct ew_httpd_request, node));
  ew_timer_stop(&hc->start);
  ew_list_remove(&hc->node);
  d->conns_n--;
  if (d->listener)
    ew_listener_pause(d->listener,
                      d->conns_n >= d->opts.conn_max && !d->opts.evict_oldest);
  if (hc->s)
    ew_stream_close(hc->s);
  if (hc->http)
    ew_http_conn_del(hc->http);
  ew_buf_fini(&hc->seen);
  free(hc->peer_id);
  free(hc);
}

static void on_http_closed(void *arg, int err) {
  struct httpd_conn *hc = arg;
  (void)err;
  hc->http = NULL;
  conn_free(hc);
}

static void start_http(struct httpd_conn *hc, bool http2) {
  unsigned idle_ms = hc->d->opts.idle_ms;
  const struct ew_http_conn_opts opts = {
      .head_timeout_ms = idle_ms ? idle_ms : START_MS,
      .idle_timeout_ms = idle_ms ? idle_ms : IDLE_MS,
      .ping_ms = 20000};
  struct ew_codec *codec = http2 ? ew_http2_server_new(&events, hc)
                                 : ew_http1_server_new(&events, hc);
  struct ew_stream *s = hc->s;

  ew_timer_stop(&hc->start);
  ew_stream_want(s, 0);
  if (ew_buf_len(&hc->seen) > 0)
    s = ew_prefix_stream_new(s, &hc->seen);
  hc->s = NULL;
  hc->http = ew_http_conn_new(s, codec, &opts, on_http_closed, hc);
}

/* Plain text: HTTP/2 shows itself by its preface. */
static void on_first_bytes(void *arg, unsigned events_) {
  struct httpd_conn *hc = arg;
  char *to = ew_buf_reserve(&hc->seen, 64);
  struct ew_slice in;
  ptrdiff_t n;

  (void)events_;
  n = ew_stream_read(hc->s, to, 64);
  if (n == EW_EAGAIN)
    return;
  if (n < 0) {
    conn_free(hc);
    return;
  }
  ew_buf_commit(&hc->seen, (size_t)n);
  in = ew_buf_peek(&hc->seen);
  n = (ptrdiff_t)(in.n < PREFACE_N ? in.n : PREFACE_N);
  if (memcmp(in.p, PREFACE, (size_t)n) != 0)
    start_http(hc, false);
  else if (in.n >= PREFACE_N)
    start_http(hc, true);
}

static void on_tls(void *arg, unsigned events_) {
  struct httpd_conn *hc = arg;
  const char *alpn;

  (void)events_;
  if (ew_tls_stream_failure(hc->s)[0]) {
    conn_free(hc);
    return;
  }
  if (!ew_tls_stream_done(hc->s))
    return;
  hc->peer_id = ew_strdup(ew_tls_stream_peer_id(hc->s));
  alpn = ew_tls_stream_alpn(hc->s);
  start_http(hc, strcmp(alpn, "h2") == 0 || strncmp(alpn, "eastwest/", 9) == 0);
}

static void on_start_timer(struct ew_timer *t) {
  conn_free(EW_CONTAINER(t, struct httpd_conn, start));
}

/* False: there is no certificate. */
static bool start_tls(struct httpd_conn *hc) {
  struct ew_httpd *d = hc->d;
  const struct ew_tls_server_opts opts = {
      .alpn = d->opts.alpn,
      .alpn_count = d->opts.alpn_count,
      .peer_optional = d->opts.tls_peer_optional,
  };
  struct ew_tls_ctx *tls = d->opts.tls(d->arg);
  struct ew_stream *below = hc->s;

  if (!tls)
    return false;
  hc->s = ew_tls_server_new(tls, below, &opts);
  if (!hc->s)
    return false;
  ew_stream_set_user(hc->s, on_tls, hc);
  return true;
}

static void on_accept(void *arg, int fd, const struct ew_addr *peer) {
  struct ew_httpd *d = arg;
  struct httpd_conn *hc = ew_calloc(1, sizeof(*hc));

  hc->d = d;
  hc->peer = *peer;
  ew_list_init(&hc->requests);
  ew_buf_init(&hc->seen, 1024);
  ew_timer_init(d->loop, &hc->start, on_start_timer);
  ew_timer_start(&hc->start, START_MS);
  ew_list_push_back(&d->conns, &hc->node);
  d->conns_n++;
  if (d->conns_n > d->opts.conn_max && d->opts.evict_oldest)
    conn_free(EW_CONTAINER(d->conns.next, struct httpd_conn, node));
  if (d->conns_n >= d->opts.conn_max && !d->opts.evict_oldest)
    ew_listener_pause(d->listener, true);
  hc->s = ew_tcp_stream_new(d->loop, fd);
  if (!d->opts.tls) {
    ew_stream_set_user(hc->s, on_first_bytes, hc);
  } else if (!start_tls(hc)) {
    conn_free(hc);
    return;
  }
  ew_stream_want(hc->s, EW_READ);
}

struct ew_httpd *ew_httpd_new(struct ew_loop *l, const struct ew_addr *at,
                              const struct ew_httpd_opts *o,
                              const struct ew_httpd_handler *h, void *arg,
                              int *err) {
  struct ew_httpd *d = ew_calloc(1, sizeof(*d));

  d->loop = l;
  d->opts = *o;
  d->handler = *h;
  d->arg = arg;
  ew_list_init(&d->conns);
  d->listener = ew_listener_new(l, at, on_accept, d, err);
  if (!d->listener) {
    free(d);
    return NULL;
  }
  return d;
}

void ew_httpd_addr(const struct ew_httpd *d, struct ew_addr *out) {
  ew_listener_addr(d->listener, out);
}

void ew_httpd_del(struct ew_httpd *d) {
  ew_listener_close(d->listener);
  d->listener = NULL;
  while (!ew_list_empty(&d->conns))
    conn_free(EW_CONTAINER(d->conns.next, struct httpd_conn, node));
  free(d);
}
