/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_CONN_TEST_H
#define EASTWEST_TESTS_CONN_TEST_H

#include "net/net_test.h"

#include <errno.h>
#include <fcntl.h>

#include "eastwest/conn/http_conn.h"

/* ---- the far end as a plain socket ---- */

#define RAW_MAX (64u << 20)

struct raw {
  int fd;
  struct ew_buf got;
  bool eof;
  int err; /* errno of the first failure */
};

/* About how much the kernel keeps in a direction when a test asks for little.
 * Less than a segment of the loopback makes TCP wait for its timers. */
#define KERNEL_BYTES 262144

static inline void small_buffers(int fd) {
  int n = KERNEL_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

static inline void raw_open(struct raw *r, const struct ew_addr *to) {
  *r = (struct raw){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  assert_true(r->fd >= 0);
  small_buffers(r->fd);
  assert_int_equal(connect(r->fd, &to->u.sa, ew_addr_len(to)), 0);
  assert_int_equal(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
  ew_buf_init(&r->got, RAW_MAX);
}

static inline void raw_close(struct raw *r) {
  if (r->fd >= 0)
    close(r->fd);
  r->fd = -1;
  ew_buf_fini(&r->got);
}

/* RST instead of FIN. */
static inline void raw_abort(struct raw *r) {
  struct linger lg = {.l_onoff = 1, .l_linger = 0};
  setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
  raw_close(r);
}

/* What the kernel takes now. */
static inline size_t raw_send_some(struct raw *r, const char *p, size_t n) {
  ssize_t sent = send(r->fd, p, n, MSG_NOSIGNAL);
  return sent > 0 ? (size_t)sent : 0;
}

static inline void raw_send(struct raw *r, const char *s) {
  assert_int_equal(raw_send_some(r, s, strlen(s)), strlen(s));
}

static inline void raw_read(struct raw *r) {
  static char p[65536];
  ssize_t n;
  while ((n = recv(r->fd, p, sizeof(p), 0)) > 0)
    assert_int_equal(ew_buf_append(&r->got, ew_slice(p, (size_t)n)), EW_OK);
  if (n == 0)
    r->eof = true;
  else if (errno != EAGAIN && !r->err)
    r->err = errno;
}

static inline unsigned raw_count(struct raw *r, const char *text) {
  unsigned count = 0;
  raw_read(r);
  struct ew_slice s = ew_buf_peek(&r->got);
  const char *at;
  while (s.n > 0 && (at = memmem(s.p, s.n, text, strlen(text)))) {
    count++;
    at += strlen(text);
    s = ew_slice(at, s.n - (size_t)(at - s.p));
  }
  return count;
}

static inline bool raw_ended(struct raw *r) {
  raw_read(r);
  return r->eof || r->err;
}

/* What came is exactly |want|; it counts as seen. */
static inline void raw_expect(struct raw *r, const char *want) {
  struct ew_slice got = ew_buf_peek(&r->got);
  if (!ew_slice_eq_str(got, want))
    fail_msg("got:\n%.*s\nwant:\n%s", EW_SLICE_FMT(got), want);
  ew_buf_consume(&r->got, got.n);
}

/* ---- one end as a conn, which records what it is told ---- */

#define XCH_MAX 300

struct xch {
  struct side *side;
  struct ew_hstream *st; /* NULL once it is closed */
  struct ew_message *m;
  uint64_t got; /* body bytes */
  struct ew_buf body;
  uint64_t to_send, sent; /* of send_more */
  unsigned writables;
  bool head, end;
  int reset;
};

struct side {
  struct ew_loop *loop;
  struct ew_http_conn *conn;
  int err; /* of on_closed */
  unsigned closeds;
  struct xch x[XCH_MAX];
  size_t n;
  unsigned goaways, refused;
  bool hold; /* don't consume */
  bool keep; /* keep bodies */
  /* Server: a request is complete. */
  void (*on_request)(struct side *s, struct xch *x);
};

static inline struct xch *side_xch(struct side *s) {
  assert_true(s->n < XCH_MAX);
  struct xch *x = &s->x[s->n++];
  *x = (struct xch){.side = s};
  ew_buf_init(&x->body, 16 << 20);
  return x;
}

static inline void side_head_(void *arg, struct ew_hstream *st,
                              struct ew_message *m, bool end) {
  struct side *s = arg;
  if (!st->user) {
    st->user = side_xch(s);
    ((struct xch *)st->user)->st = st;
  }
  struct xch *x = st->user;
  ew_message_del(x->m);
  x->m = m;
  x->head = true;
  x->end = end;
  if (end && s->on_request)
    s->on_request(s, x);
}

static inline void side_data_(void *arg, struct ew_hstream *st,
                              struct ew_slice bytes) {
  struct side *s = arg;
  struct xch *x = st->user;
  x->got += bytes.n;
  if (s->keep)
    assert_int_equal(ew_buf_append(&x->body, bytes), EW_OK);
  if (!s->hold)
    ew_hstream_consume(st, bytes.n);
}

static inline void side_end_(void *arg, struct ew_hstream *st,
                             struct ew_message *trailers) {
  struct side *s = arg;
  struct xch *x = st->user;
  x->end = true;
  ew_message_del(trailers);
  if (s->on_request)
    s->on_request(s, x);
}

static inline void side_reset_(void *arg, struct ew_hstream *st, int err) {
  struct xch *x = st->user;
  x->reset = err;
}

/* Sends until |to_send| bytes are sent, as far as it is taken now. */
static inline void xch_send_more(struct xch *x) {
  static const char piece[16384] = "0123456789abcdef";
  while (x->sent < x->to_send) {
    uint64_t left = x->to_send - x->sent;
    size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);
    size_t taken = ew_hstream_send(x->st, ew_slice(piece, n));
    x->sent += taken;
    if (taken < n)
      return;
  }
  ew_hstream_send_end(x->st, NULL);
}

static inline void side_writable_(void *arg, struct ew_hstream *st) {
  struct xch *x = st->user;
  x->writables++;
  xch_send_more(x);
}

static inline void side_closed_(void *arg, struct ew_hstream *st) {
  struct xch *x = st->user;
  x->st = NULL;
}

static inline void side_goaway_(void *arg) { ((struct side *)arg)->goaways++; }

static inline void side_refused_(void *arg, int status, const char *why) {
  ((struct side *)arg)->refused++;
}

static const struct ew_codec_events side_events = {
    .on_head = side_head_,
    .on_data = side_data_,
    .on_end = side_end_,
    .on_reset = side_reset_,
    .on_writable = side_writable_,
    .on_closed = side_closed_,
    .on_goaway = side_goaway_,
    .on_refused = side_refused_,
};

static inline void side_conn_closed_(void *arg, int err) {
  struct side *s = arg;
  s->conn = NULL;
  s->err = err;
  s->closeds++;
}

typedef struct ew_codec *(*side_make)(const struct ew_codec_events *ev,
                                      void *arg);

static inline void side_init(struct side *s, struct ew_stream *stream,
                             side_make make,
                             const struct ew_http_conn_opts *o) {
  static const struct ew_http_conn_opts none;
  s->loop = stream->loop;
  s->conn = ew_http_conn_new(stream, make(&side_events, s), o ? o : &none,
                             side_conn_closed_, s);
  assert_ptr_equal(ew_http_conn_stream(s->conn), stream);
}

static inline void side_fini(struct side *s) {
  if (s->conn)
    ew_http_conn_del(s->conn);
  for (size_t i = 0; i < s->n; i++) {
    ew_message_del(s->x[i].m);
    ew_buf_fini(&s->x[i].body);
  }
}

/* A client's request with a body of |body| bytes. */
static inline struct xch *side_request(struct side *s, const char *method,
                                       const char *path, uint64_t body) {
  struct ew_message *m = ew_message_new();
  m->method = ew_slice_str(method);
  m->scheme = EW_SLICE_LIT("http");
  m->authority = EW_SLICE_LIT("a.test");
  m->path = ew_slice_str(path);
  m->body = body ? EW_BODY_STREAM : EW_BODY_NONE;
  struct xch *x = side_xch(s);
  x->to_send = body;
  x->st = ew_codec_open(ew_http_conn_codec(s->conn), m, !body, x);
  assert_non_null(x->st);
  ew_message_del(m);
  if (body)
    xch_send_more(x);
  ew_http_conn_touch(s->conn);
  return x;
}

/* A server's answer with |n| body bytes; |body| says how it is framed. */
static inline void xch_answer(struct xch *x, int status, enum ew_body body,
                              uint64_t n) {
  struct ew_message *m = ew_message_new();
  m->status = status;
  m->body = body;
  m->content_length = n;
  x->to_send = n;
  assert_int_equal(ew_hstream_send_head(x->st, m, false), EW_OK);
  ew_message_del(m);
  xch_send_more(x);
  ew_http_conn_touch(x->side->conn);
}

static inline void answer_now(struct side *s, struct xch *x) {
  xch_answer(x, 200, EW_BODY_LENGTH, 2);
}

/* ---- both ends ---- */

struct raw_pair {
  struct raw raw;
  struct ew_stream *s; /* the accepted side */
  int fd;
};

static inline void raw_pair_accepted(void *arg, int fd,
                                     const struct ew_addr *peer) {
  ((struct raw_pair *)arg)->fd = fd;
}

static inline void raw_pair_init(struct ew_loop *l, struct raw_pair *p) {
  struct ew_addr at;
  int err = 0;
  p->fd = -1;
  assert_int_equal(ew_addr_parse(&at, "127.0.0.1:0"), EW_OK);
  struct ew_listener *ls = ew_listener_new(l, &at, raw_pair_accepted, p, &err);
  assert_non_null(ls);
  ew_listener_addr(ls, &at);
  raw_open(&p->raw, &at);
  RUN_UNTIL(l, p->fd >= 0);
  ew_listener_close(ls);
  small_buffers(p->fd);
  p->s = ew_tcp_stream_new(l, p->fd);
}

#endif
