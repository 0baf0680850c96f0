/* SPDX-License-Identifier: Apache-2.0 */
#include "http/codec_peer.h"

#define S(s) EW_SLICE_LIT(s)
#define feed codec_peer_feed
#define take_out codec_peer_take_out
#define out_starts codec_peer_out_starts

static void respond(struct codec_peer *p, int status, const char *body) {
  struct ew_message *m = codec_peer_response(status);
  m->body = EW_BODY_LENGTH;
  m->content_length = strlen(body);
  bool end = body[0] == '\0';
  assert_int_equal(ew_hstream_send_head(p->st, m, end), EW_OK);
  if (!end) {
    assert_int_equal(ew_hstream_send(p->st, ew_slice_str(body)), strlen(body));
    assert_int_equal(ew_hstream_send_end(p->st, NULL), EW_OK);
  }
  ew_message_del(m);
}

static void respond_ok(struct codec_peer *p) { respond(p, 200, "ok"); }

static void test_get(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(ew_codec_want_read(p.c));
  struct ew_slice in = S("GET /a?b HTTP/1.1\r\nHost: A.test:80\r\n"
                         "X-One:  two \r\nx-empty:\r\n\r\n");
  assert_int_equal(feed(&p, in), in.n);
  assert_int_equal(p.heads, 1);
  assert_true(p.end);
  assert_true(ew_slice_eq_str(p.m->method, "GET"));
  assert_true(ew_slice_eq_str(p.m->scheme, "http"));
  assert_true(ew_slice_eq_str(p.m->authority, "a.test:80"));
  assert_true(ew_slice_eq_str(p.m->path, "/a?b"));
  assert_int_equal(p.m->version, 11);
  assert_int_equal(p.m->body, EW_BODY_NONE);
  assert_int_equal(p.m->headers.n, 2);
  assert_true(ew_slice_eq_str(ew_message_get(p.m, "x-one"), "two"));
  assert_false(ew_codec_want_read(p.c));
  assert_int_equal(p.c->streams, 1);
  respond_ok(&p);
  assert_int_equal(p.closeds, 0);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  assert_int_equal(p.closeds, 1);
  assert_int_equal(p.c->streams, 0);
  assert_int_equal(p.c->served, 1);
  assert_true(ew_codec_want_read(p.c));
  assert_false(ew_codec_done(p.c));
  assert_int_equal(ew_codec_ping(p.c), EW_OK);
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_null(ew_codec_open(p.c, p.m, true, NULL));
  ew_codec_eof(p.c);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

#define H "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

static void test_bodies(void **state) {
  static const char text[] =
      "POST /1 HTTP/1.1\r\n" H "content-length: 5\r\n\r\nhello"
      "POST /2 HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\n\r\n"
      "3\r\nwor\r\n2\r\nld\r\n0\r\nx-t: 1\r\nHost: evil\r\n"
      "authorization: no\r\ngrpc-status: 0\r\n\r\n"
      "PUT /3 HTTP/1.1\r\n" H "content-length: 0\r\n\r\n";
  for (size_t piece = 1; piece < sizeof(text); piece++) {
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_server_new);
    struct ew_slice in = ew_slice(text, sizeof(text) - 1);
    unsigned seen = 0;
    while (in.n > 0) {
      size_t n = in.n < piece ? in.n : piece;
      ptrdiff_t used = feed(&p, ew_slice(in.p, n));
      assert_true(used >= 0);
      in = ew_slice(in.p + used, in.n - (size_t)used);
      if (p.st && (p.ends == p.heads || p.end)) {
        seen++;
        if (seen == 1) {
          assert_int_equal(p.m->body, EW_BODY_LENGTH);
          assert_int_equal(p.m->content_length, 5);
          assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "hello"));
          assert_null(p.trailers);
        } else if (seen == 2) {
          assert_int_equal(p.m->body, EW_BODY_STREAM);
          assert_int_equal(p.m->headers.n, 0);
          assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "world"));
          assert_int_equal(p.trailers->headers.n, 2);
          assert_true(ew_slice_eq_str(ew_message_get(p.trailers, "x-t"), "1"));
          assert_true(
              ew_slice_eq_str(ew_message_get(p.trailers, "grpc-status"), "0"));
        } else {
          assert_true(p.end);
          assert_int_equal(p.m->body, EW_BODY_LENGTH);
        }
        respond(&p, 204, "");
        ew_codec_pull(p.c);
      }
    }
    assert_int_equal(seen, 3);
    take_out(&p, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No "
                 "Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    codec_peer_fini(&p);
  }
}

static void test_pipelining(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  struct ew_slice one = S("GET /1 HTTP/1.1\r\n" H "\r\n");
  struct ew_slice in = S("GET /1 HTTP/1.1\r\n" H "\r\n"
                         "GET /2 HTTP/1.1\r\n" H "\r\n"
                         "GET /3 HTTP/1.1\r\n" H "\r\n");
  assert_int_equal(feed(&p, in), one.n);
  assert_int_equal(feed(&p, ew_slice(in.p + one.n, in.n - one.n)), 0);
  assert_int_equal(p.heads, 1);
  respond_ok(&p);
  ew_codec_pull(p.c);
  assert_true(ew_codec_want_read(p.c));
  p.on_head = respond_ok;
  in = ew_slice(in.p + one.n, in.n - one.n);
  assert_int_equal(feed(&p, in), in.n);
  assert_int_equal(p.heads, 3);
  assert_int_equal(p.closeds, 3);
  /* One empty line is allowed before a request. */
  assert_true(feed(&p, S("\r\nGET /4 HTTP/1.1\r\n" H "\r\n\r\n")) > 0);
  assert_int_equal(p.heads, 4);
  codec_peer_fini(&p);
}

/* A client that sends requests and reads nothing is stopped. */
static void test_pipelining_without_reading(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  p.on_head = respond_ok;
  struct ew_slice one = S("GET /1 HTTP/1.1\r\n" H "\r\n");
  ptrdiff_t used = 1;
  while (used > 0 && p.heads < 10000)
    used = feed(&p, one);
  assert_int_equal(used, 0);
  assert_true(p.heads > 100 && p.heads < 5000);
  assert_false(ew_codec_want_read(p.c));
  ew_buf_consume(&p.c->out, ew_buf_len(&p.c->out));
  assert_true(ew_codec_want_read(p.c));
  assert_int_equal(feed(&p, one), one.n);
  codec_peer_fini(&p);
}

static void test_absolute_form(void **state) {
  static const struct {
    const char *target, *scheme, *authority, *path;
  } rows[] = {
      {"http://B.test/p?q", "http", "b.test", "/p?q"},
      {"HTTPS://b:8", "https", "b:8", "/"},
      {"http://b?x", "http", "b", "/?x"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct codec_peer p;
    char in[256];
    codec_peer_init(&p, ew_http1_server_new);
    snprintf(in, sizeof(in), "GET %s HTTP/1.1\r\n" H "\r\n", rows[i].target);
    assert_true(feed(&p, ew_slice_str(in)) > 0);
    assert_true(ew_slice_eq_str(p.m->scheme, rows[i].scheme));
    assert_true(ew_slice_eq_str(p.m->authority, rows[i].authority));
    assert_true(ew_slice_eq_str(p.m->path, rows[i].path));
    codec_peer_fini(&p);
  }
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("OPTIONS http://b HTTP/1.1\r\n" H "\r\n")) > 0);
  assert_true(ew_slice_eq_str(p.m->path, "*"));
  codec_peer_fini(&p);
}

static void test_hop_by_hop(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("FOO / HTTP/1.1\r\n" H
                         "Connection: X-Gone, keep-alive, TE, host\r\n"
                         "x-gone: 1\r\nX-Gone: 2\r\nx-stays: 3\r\n"
                         "Keep-Alive: 5\r\nProxy-Connection: x\r\n"
                         "HTTP2-Settings: AAA\r\nTE: gzip;q=1, Trailers\r\n"
                         "Upgrade: h2c\r\n, : \r\n\r\n")) < 0);
  codec_peer_fini(&p);
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("FOO / HTTP/1.1\r\n" H
                         "Connection: X-Gone, keep-alive,, TE, host\r\n"
                         "x-gone: 1\r\nX-Gone: 2\r\nx-stays: 3\r\n"
                         "Keep-Alive: 5\r\nProxy-Connection: x\r\n"
                         "HTTP2-Settings: AAA\r\nTE: gzip;q=1, Trailers\r\n"
                         "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n")) > 0);
  assert_true(ew_slice_eq_str(p.m->method, "FOO"));
  assert_int_equal(p.m->headers.n, 2);
  assert_true(ew_slice_eq_str(ew_message_get(p.m, "x-stays"), "3"));
  assert_true(ew_slice_eq_str(ew_message_get(p.m, "te"), "trailers"));
  assert_int_equal(p.m->upgrade.n, 0);
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  codec_peer_fini(&p);

  struct ew_buf in;
  ew_buf_init(&in, 65536);
  ew_buf_append_str(&in, "GET / HTTP/1.1\r\n" H "Connection: a");
  for (int i = 0; i < 200; i++)
    ew_buf_append_str(&in, ",b");
  ew_buf_append_str(&in, "\r\n\r\n");
  codec_peer_init(&p, ew_http1_server_new);
  assert_int_equal(feed(&p, ew_buf_peek(&in)), EW_EPROTO);
  ew_buf_fini(&in);
  codec_peer_fini(&p);
}

static void test_http10(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  /* Without Host, without keep-alive: length known. */
  assert_true(feed(&p, S("GET / HTTP/1.0\r\n\r\n")) > 0);
  assert_int_equal(p.m->version, 10);
  assert_int_equal(p.m->authority.n, 0);
  struct ew_message *m = codec_peer_response(100);
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  ew_message_del(m);
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
               "connection: close\r\n\r\nok");
  assert_true(ew_codec_done(p.c));
  assert_int_equal(p.c->error, 0);
  codec_peer_fini(&p);

  /* keep-alive: stays while the length is known. */
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("GET / HTTP/1.0\r\n" H "Connection: Keep-Alive\r\n"
                         "\r\n")) > 0);
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
               "connection: keep-alive\r\n\r\nok");
  assert_false(ew_codec_done(p.c));
  assert_true(feed(&p, S("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")) >
              0);
  m = codec_peer_response(200);
  m->body = EW_BODY_STREAM;
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  assert_int_equal(ew_hstream_send(p.st, S("abc")), 3);
  ew_message_add(m, S("x-t"), S("1"));
  assert_int_equal(ew_hstream_send_end(p.st, m), EW_OK);
  ew_message_del(m);
  take_out(&p, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
  assert_true(ew_codec_done(p.c));
  assert_int_equal(p.c->error, 0);
  codec_peer_fini(&p);
}

static void test_connection_close(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "Connection: Close\r\n\r\n"
                         "GET /2 HTTP/1.1\r\n" H "\r\n")) > 0);
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
               "connection: close\r\n\r\nok");
  assert_true(ew_codec_done(p.c));
  assert_true(feed(&p, S("GET /2 HTTP/1.1\r\n" H "\r\n")) >= 0);
  assert_int_equal(p.heads, 1);
  codec_peer_fini(&p);
}

static void test_bodyless_responses(void **state) {
  static const struct {
    const char *method;
    int status;
    bool end;
    enum ew_body body;
    const char *want;
  } rows[] = {
      {"HEAD", 200, true, EW_BODY_LENGTH,
       "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"},
      {"HEAD", 200, false, EW_BODY_LENGTH,
       "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"},
      {"HEAD", 200, true, EW_BODY_STREAM, "HTTP/1.1 200 OK\r\n\r\n"},
      {"GET", 304, true, EW_BODY_LENGTH,
       "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n"},
      {"GET", 204, false, EW_BODY_LENGTH, "HTTP/1.1 204 No Content\r\n\r\n"},
      {"GET", 299, true, EW_BODY_NONE,
       "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"},
      {"GET", 200, false, EW_BODY_STREAM,
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
       "2\r\nok\r\n0\r\n\r\n"},
      {"GET", 200, false, EW_BODY_NONE,
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
       "2\r\nok\r\n0\r\n\r\n"},
  };
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char in[128];
    snprintf(in, sizeof(in), "%s / HTTP/1.1\r\n" H "\r\n", rows[i].method);
    assert_true(feed(&p, ew_slice_str(in)) > 0);
    struct ew_message *m = codec_peer_response(rows[i].status);
    m->body = rows[i].body;
    m->content_length = 2;
    assert_int_equal(ew_hstream_send_head(p.st, m, rows[i].end), EW_OK);
    assert_int_equal(ew_hstream_send_head(p.st, m, rows[i].end), EW_EINVAL);
    if (!rows[i].end) {
      assert_int_equal(ew_hstream_send(p.st, S("ok")), 2);
      assert_int_equal(ew_hstream_send_end(p.st, NULL), EW_OK);
    }
    assert_int_equal(ew_hstream_send_end(p.st, NULL), EW_OK);
    ew_message_del(m);
    take_out(&p, rows[i].want);
  }
  codec_peer_fini(&p);
}

static void test_interim_and_expect(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  struct ew_slice head = S("POST / HTTP/1.1\r\n" H "content-length: 2\r\n"
                           "Expect: 100-continue\r\n\r\n");
  assert_true(feed(&p, head) > 0);
  assert_true(ew_slice_eq_str(ew_message_get(p.m, "expect"), "100-continue"));
  struct ew_message *m = codec_peer_response(100);
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  m->status = 103;
  ew_message_add(m, S("link"), S("</a>"));
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  m->status = 600;
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_EINVAL);
  ew_message_del(m);
  assert_true(feed(&p, S("hi")) > 0);
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 100 Continue\r\n\r\n"
               "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
               "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  assert_false(ew_codec_done(p.c));
  /* Answered without a 100: whether the body comes is not known. */
  assert_true(feed(&p, head) > 0);
  respond(&p, 417, "no");
  take_out(&p, "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n"
               "connection: close\r\n\r\nno");
  assert_true(ew_codec_done(p.c));
  assert_int_equal(p.closeds, 2);
  codec_peer_fini(&p);
}

static void test_early_response(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("POST / HTTP/1.1\r\n" H "content-length: 4\r\n\r\n"
                         "ab")) > 0);
  respond_ok(&p);
  ew_codec_pull(p.c);
  assert_int_equal(p.closeds, 0);
  assert_true(feed(&p, S("cdGET / HTTP/1.1\r\n" H "\r\n")) > 0);
  assert_int_equal(p.closeds, 1);
  assert_int_equal(p.ends, 1);
  assert_int_equal(p.heads, 2);
  codec_peer_fini(&p);
}

static void test_drain(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
  ew_codec_drain(p.c);
  ew_codec_drain(p.c);
  assert_false(ew_codec_done(p.c));
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
               "connection: close\r\n\r\nok");
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_server_new);
  ew_codec_drain(p.c);
  assert_true(ew_codec_done(p.c));
  /* A request that has begun is still answered. */
  assert_true(feed(&p, S("GET / HT")) > 0);
  assert_false(ew_codec_done(p.c));
  p.on_head = respond_ok;
  assert_true(feed(&p, S("TP/1.1\r\n" H "\r\n")) > 0);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

static void test_reset(void **state) {
  struct codec_peer p;
  struct ew_slice get = S("GET / HTTP/1.1\r\n" H "\r\n");
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, get) > 0);
  ew_hstream_reset(p.st, EW_ECANCELED);
  assert_true(ew_codec_done(p.c));
  assert_int_equal(p.c->error, 0);
  take_out(&p, "");
  assert_int_equal(p.closeds + p.resets, 0);
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, get) > 0);
  struct ew_message *m = codec_peer_response(200);
  m->body = EW_BODY_STREAM;
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  ew_message_del(m);
  ew_hstream_send(p.st, S("half"));
  ew_hstream_reset(p.st, EW_ECANCELED);
  assert_true(ew_codec_done(p.c));
  assert_int_equal(p.c->error, EW_ERESET);
  take_out(&p, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
               "4\r\nhalf\r\n");
  codec_peer_fini(&p);
}

static void reset_now(struct codec_peer *p) {
  ew_hstream_reset(p->st, EW_ECANCELED);
  p->st = NULL;
}

static void reset_on_data(struct codec_peer *p, struct ew_slice bytes) {
  reset_now(p);
}

static void test_reset_within_callbacks(void **state) {
  struct codec_peer p;
  for (int where = 0; where < 3; where++) {
    codec_peer_init(&p, ew_http1_server_new);
    p.on_head = where == 0 ? reset_now : NULL;
    p.on_data = where == 1 ? reset_on_data : NULL;
    p.on_end = where == 2 ? reset_now : NULL;
    assert_true(feed(&p, S(CHUNKED "2\r\nhi\r\n0\r\nx: y\r\n\r\n"
                                   "GET / HTTP/1.1\r\n" H "\r\n")) > 0);
    assert_int_equal(p.heads, 1);
    assert_int_equal(p.closeds + p.resets, 0);
    assert_true(ew_codec_done(p.c));
    assert_int_equal(p.c->streams, 0);
    codec_peer_fini(&p);
  }
}

static void test_eof(void **state) {
  struct codec_peer p;
  /* Within a request line, within a head. */
  static const char *const parts[] = {"GET /", "GET / HTTP/1.1\r\nhost: "};
  for (size_t i = 0; i < 2; i++) {
    codec_peer_init(&p, ew_http1_server_new);
    assert_true(feed(&p, ew_slice_str(parts[i])) > 0);
    ew_codec_eof(p.c);
    ew_codec_eof(p.c);
    assert_true(ew_codec_done(p.c));
    assert_int_equal(p.heads, 0);
    codec_peer_fini(&p);
  }
  /* Within a body. */
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S(CHUNKED "5\r\nhe")) > 0);
  ew_codec_eof(p.c);
  assert_int_equal(p.resets, 1);
  assert_int_equal(p.reset_err, EW_ECONN);
  assert_int_equal(p.closeds, 1);
  assert_true(ew_codec_done(p.c));
  assert_int_equal(ew_codec_pull(p.c), EW_ECONN);
  codec_peer_fini(&p);
  /* A client that only ended its direction gets its answer. */
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
  ew_codec_eof(p.c);
  assert_false(ew_codec_done(p.c));
  respond_ok(&p);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
               "connection: close\r\n\r\nok");
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

static void test_limits(void **state) {
  struct codec_peer p;
  static char big[200000];
  memset(big, 'a', sizeof(big));

  static const struct {
    const char *before;
    size_t n;
    const char *after;
    int status; /* 0: accepted */
  } rows[] = {
      {"GET /", EW_TARGET_MAX - 1, " HTTP/1.1\r\n" H "\r\n", 0},
      {"GET /", EW_TARGET_MAX, " HTTP/1.1\r\n" H "\r\n", 414},
      {"GET /", 100000, " HTTP/1.1\r\n" H "\r\n", 414},
      {"GET / HTTP/1.1\r\n" H "x: ", 65000, "\r\n\r\n", 0},
      {"GET / HTTP/1.1\r\n" H "x: ", 65536, "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\n" H "x", 65536, ": \r\n\r\n", 431},
      {CHUNKED "0\r\nx: ", 65536, "\r\n\r\n", 431},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    for (size_t piece = 1000; piece < 200000; piece += 66000) {
      codec_peer_init(&p, ew_http1_server_new);
      ptrdiff_t rc = feed(&p, ew_slice_str(rows[i].before));
      for (size_t at = 0; at < rows[i].n && rc >= 0; at += piece) {
        size_t n = rows[i].n - at < piece ? rows[i].n - at : piece;
        rc = feed(&p, ew_slice(big + at, n));
      }
      if (rc >= 0)
        rc = feed(&p, ew_slice_str(rows[i].after));
      char line[32];
      snprintf(line, sizeof(line), "HTTP/1.1 %d ", rows[i].status);
      if (rows[i].status == 0) {
        assert_true(rc > 0);
        assert_int_equal(p.heads, 1);
      } else {
        assert_int_equal(rc, EW_EPROTO);
        assert_true(out_starts(&p, line));
      }
      codec_peer_fini(&p);
    }
  }
  /* White space that no field keeps. */
  codec_peer_init(&p, ew_http1_server_new);
  memset(big, ' ', sizeof(big));
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "x:")) > 0);
  ptrdiff_t rc = 0;
  for (int i = 0; i < 400 && rc >= 0; i++)
    rc = feed(&p, ew_slice(big, 1000));
  assert_int_equal(rc, EW_EPROTO);
  assert_true(out_starts(&p, "HTTP/1.1 431 "));
  codec_peer_fini(&p);
  /* Count of fields; 128 are allowed. */
  for (int n = EW_FIELDS_MAX - 1; n <= EW_FIELDS_MAX; n++) {
    codec_peer_init(&p, ew_http1_server_new);
    assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H)) > 0);
    for (int i = 0; i < n; i++)
      assert_true(feed(&p, S("x: y\r\n")) > 0);
    rc = feed(&p, S("\r\n"));
    if (n == EW_FIELDS_MAX - 1) {
      assert_true(rc > 0);
      assert_int_equal(p.heads, 1);
    } else {
      assert_int_equal(rc, EW_EPROTO);
      assert_true(out_starts(&p, "HTTP/1.1 431 "));
    }
    codec_peer_fini(&p);
  }
}

static void test_unconsumed(void **state) {
  struct codec_peer p;
  static char big[200000];
  codec_peer_init(&p, ew_http1_server_new);
  p.hold = true;
  assert_true(feed(&p, S("POST / HTTP/1.1\r\n" H
                         "content-length: 200000\r\n\r\n")) > 0);
  assert_int_equal(feed(&p, ew_slice(big, 16383)), 16383);
  assert_true(ew_codec_want_read(p.c));
  assert_int_equal(feed(&p, ew_slice(big, 1)), 1);
  assert_false(ew_codec_want_read(p.c));
  assert_int_equal(feed(&p, ew_slice(big, 100000)), 65535 - 16384);
  assert_int_equal(feed(&p, ew_slice(big, 100000)), 0);
  ew_hstream_consume(p.st, 65535);
  assert_true(ew_codec_want_read(p.c));
  assert_int_equal(feed(&p, ew_slice(big, 200000)), 65535);
  codec_peer_fini(&p);
}

static void test_send_back_pressure(void **state) {
  struct codec_peer p;
  static char big[300000];
  for (int chunked = 0; chunked < 2; chunked++) {
    codec_peer_init(&p, ew_http1_server_new);
    assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
    assert_int_equal(ew_hstream_send(p.st, S("x")), 0);
    assert_int_equal(ew_hstream_send_end(p.st, NULL), EW_EINVAL);
    struct ew_message *m = codec_peer_response(200);
    m->body = chunked ? EW_BODY_STREAM : EW_BODY_LENGTH;
    m->content_length = sizeof(big);
    assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
    size_t sent = ew_hstream_send(p.st, ew_slice(big, sizeof(big)));
    assert_true(sent > 60000 && sent < 66000);
    assert_int_equal(ew_hstream_send(p.st, ew_slice(big, 1000)), 0);
    ew_codec_pull(p.c);
    assert_int_equal(p.writables, 0);
    while (sent < sizeof(big)) {
      ew_buf_consume(&p.c->out, ew_buf_len(&p.c->out));
      unsigned before = p.writables;
      ew_codec_pull(p.c);
      assert_int_equal(p.writables, before + 1);
      sent += ew_hstream_send(p.st, ew_slice(big, sizeof(big) - sent));
    }
    /* Trailers that find no room wait for it. */
    if (chunked) {
      for (int i = 0; i < 3; i++) {
        static char value[40000];
        memset(value, 'v', sizeof(value));
        assert_int_equal(ew_message_add(m, S("t"), ew_slice(value, 30000)),
                         EW_OK);
      }
      assert_int_equal(ew_hstream_send_end(p.st, m), EW_OK);
      ew_codec_pull(p.c);
    } else {
      assert_int_equal(ew_hstream_send_end(p.st, NULL), EW_OK);
    }
    for (int i = 0; i < 3; i++) {
      ew_codec_pull(p.c);
      ew_buf_consume(&p.c->out, ew_buf_len(&p.c->out));
    }
    assert_int_equal(p.closeds, 1);
    ew_message_del(m);
    codec_peer_fini(&p);
  }
}

static void test_broken_lengths(void **state) {
  for (int shorter = 0; shorter < 2; shorter++) {
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_server_new);
    assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
    struct ew_message *m = codec_peer_response(200);
    m->body = EW_BODY_LENGTH;
    m->content_length = 3;
    assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
    ew_message_del(m);
    if (shorter) {
      assert_int_equal(ew_hstream_send(p.st, S("ab")), 2);
      assert_int_equal(ew_hstream_send_end(p.st, NULL), EW_EINVAL);
    } else {
      assert_int_equal(ew_hstream_send(p.st, S("abcd")), 4);
      assert_int_equal(ew_hstream_send(p.st, S("more")), 4);
    }
    assert_int_equal(ew_codec_pull(p.c), EW_ERESET);
    assert_int_equal(p.resets, 1);
    assert_int_equal(p.closeds, 1);
    assert_true(ew_codec_done(p.c));
    take_out(&p, shorter ? "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"
                         : "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
    codec_peer_fini(&p);
  }
}

/* What came around ew_message_add does not become a line of its own, and a
 * filter does not change the framing. */
static void test_serialiser_checks(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
  struct ew_message *m = codec_peer_response(200);
  ew_message_add(m, S("a"), S("b"));
  m->headers.v[0].value = S("b\r\nevil: 1");
  assert_int_equal(ew_hstream_send_head(p.st, m, true), EW_EINVAL);
  m->headers.v[0].value = S("b");
  m->headers.v[0].name = S("a:\r\nevil");
  assert_int_equal(ew_hstream_send_head(p.st, m, true), EW_EINVAL);
  m->headers.v[0].name = S("a");
  ew_message_add(m, S("content-length"), S("9"));
  ew_message_add(m, S("Transfer-Encoding"), S("chunked"));
  ew_message_add(m, S("connection"), S("close"));
  ew_message_add(m, S("host"), S("evil"));
  assert_int_equal(ew_hstream_send_head(p.st, m, true), EW_OK);
  take_out(&p, "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 0\r\n\r\n");
  /* Trailers are checked as well. */
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
  m->headers.n = 1;
  m->body = EW_BODY_STREAM;
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  ew_message_add(m, S("authorization"), S("x"));
  ew_message_add(m, S("x-forwarded-for"), S("x"));
  m->headers.v[0].value = S("b\nevil");
  assert_int_equal(ew_hstream_send_end(p.st, m), EW_EINVAL);
  assert_int_equal(ew_codec_pull(p.c), EW_ERESET);
  ew_message_del(m);
  codec_peer_fini(&p);
}

static void test_oversized_head_is_refused(void **state) {
  struct codec_peer p;
  static char value[60000];
  memset(value, 'v', sizeof(value));
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")) > 0);
  struct ew_message *m = codec_peer_response(200);
  for (int i = 0; i < 5; i++)
    ew_message_add(m, S("a"), ew_slice(value, sizeof(value)));
  assert_int_equal(ew_hstream_send_head(p.st, m, true), EW_ELIMIT);
  m->headers.n = 0;
  assert_int_equal(ew_hstream_send_head(p.st, m, true), EW_OK);
  ew_message_del(m);
  take_out(&p, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  codec_peer_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_get),
      cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_pipelining),
      cmocka_unit_test(test_pipelining_without_reading),
      cmocka_unit_test(test_absolute_form),
      cmocka_unit_test(test_hop_by_hop),
      cmocka_unit_test(test_http10),
      cmocka_unit_test(test_connection_close),
      cmocka_unit_test(test_bodyless_responses),
      cmocka_unit_test(test_interim_and_expect),
      cmocka_unit_test(test_early_response),
      cmocka_unit_test(test_drain),
      cmocka_unit_test(test_reset),
      cmocka_unit_test(test_reset_within_callbacks),
      cmocka_unit_test(test_eof),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_unconsumed),
      cmocka_unit_test(test_send_back_pressure),
      cmocka_unit_test(test_broken_lengths),
      cmocka_unit_test(test_serialiser_checks),
      cmocka_unit_test(test_oversized_head_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
