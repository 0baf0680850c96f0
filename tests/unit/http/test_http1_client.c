/* SPDX-License-Identifier: Apache-2.0 */
#include "http/codec_peer.h"

#define S(s) EW_SLICE_LIT(s)
#define feed codec_peer_feed
#define take_out codec_peer_take_out

static struct ew_hstream *ask(struct codec_peer *p, const char *method) {
  struct ew_message *m = codec_peer_request(method, "/x");
  struct ew_hstream *st = ew_codec_open(p->c, m, true, p);
  assert_non_null(st);
  assert_ptr_equal(st->user, p);
  ew_message_del(m);
  p->st = st;
  ew_buf_consume(&p->c->out, ew_buf_len(&p->c->out));
  return st;
}

static void test_requests(void **state) {
  static const struct {
    const char *method;
    bool end;
    enum ew_body body;
    const char *want;
  } rows[] = {
      {"GET", true, EW_BODY_NONE,
       "GET /x HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\n\r\n"},
      {"POST", true, EW_BODY_NONE,
       "POST /x HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\n"
       "content-length: 0\r\n\r\n"},
      {"POST", false, EW_BODY_LENGTH,
       "POST /x HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\n"
       "content-length: 2\r\n\r\nok"},
      {"POST", false, EW_BODY_STREAM,
       "POST /x HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\n"
       "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: 1\r\n\r\n"},
  };
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct ew_message *m = codec_peer_request(rows[i].method, "/x");
    m->body = rows[i].body;
    m->content_length = 2;
    ew_message_add(m, S("x-a"), S("1"));
    assert_int_equal(ew_codec_capacity(p.c), 1);
    struct ew_hstream *st = ew_codec_open(p.c, m, rows[i].end, NULL);
    assert_non_null(st);
    assert_int_equal(ew_codec_capacity(p.c), 0);
    assert_null(ew_codec_open(p.c, m, true, NULL));
    assert_int_equal(ew_hstream_send_head(st, m, true), EW_EINVAL);
    if (!rows[i].end) {
      assert_int_equal(ew_hstream_send(st, S("ok")), 2);
      assert_int_equal(ew_hstream_send_end(st, m), EW_OK);
    }
    ew_message_del(m);
    take_out(&p, rows[i].want);
    assert_true(feed(&p, S("HTTP/1.1 204 No Content\r\n\r\n")) > 0);
    assert_true(p.end);
    assert_int_equal(p.closeds, i + 1);
  }
  assert_int_equal(p.c->served, 4);
  codec_peer_fini(&p);
}

static void test_te_is_an_option(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  struct ew_message *m = codec_peer_request("GET", "/");
  ew_message_add(m, S("te"), S("trailers"));
  assert_non_null(ew_codec_open(p.c, m, true, NULL));
  ew_message_del(m);
  take_out(&p, "GET / HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\n"
               "connection: te\r\n\r\n");
  codec_peer_fini(&p);
}

static void test_open_refuses(void **state) {
  static const struct {
    const char *method, *authority, *path, *upgrade;
  } rows[] = {
      {"G T", "a", "/", ""},     {"GET", "a\r\nb", "/", ""},
      {"GET", "a", "", ""},      {"GET", "a", "x", ""},
      {"GET", "a", "/ ", ""},    {"GET", "a", "/\r\n", ""},
      {"GET", "a", "/", "a\nb"},
  };
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct ew_message *m = codec_peer_request(rows[i].method, rows[i].path);
    m->authority = ew_slice_str(rows[i].authority);
    m->upgrade = ew_slice_str(rows[i].upgrade);
    assert_null(ew_codec_open(p.c, m, true, NULL));
    ew_message_del(m);
  }
  struct ew_message *m = codec_peer_request("GET", "/");
  ew_message_add(m, S("a"), S("b"));
  m->headers.v[0].value = S("b\r\nc: d");
  assert_null(ew_codec_open(p.c, m, true, NULL));
  ew_message_del(m);
  take_out(&p, "");
  assert_int_equal(ew_codec_capacity(p.c), 1);
  codec_peer_fini(&p);
}

/* Each is a whole response: what the user sees, and whether the connection
 * can be used again. */
static void test_responses(void **state) {
  static const struct {
    const char *method, *in;
    int status;
    bool end, keep;
    enum ew_body body;
    const char *text;
  } rows[] = {
      {"GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, false,
       true, EW_BODY_LENGTH, "hi"},
      {"GET", "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", 200, false, true,
       EW_BODY_LENGTH, "hi"},
      {"GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, true, true,
       EW_BODY_LENGTH, ""},
      {"GET",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
       "2\r\nhi\r\n0\r\n\r\n",
       200, false, true, EW_BODY_STREAM, "hi"},
      {"GET",
       "HTTP/1.1 200 OK\r\nconnection: close\r\n"
       "content-length: 2\r\n\r\nhi",
       200, false, false, EW_BODY_LENGTH, "hi"},
      {"GET", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, false,
       false, EW_BODY_LENGTH, "hi"},
      {"GET",
       "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n"
       "content-length: 2\r\n\r\nhi",
       200, false, true, EW_BODY_LENGTH, "hi"},
      {"HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", 200, true, true,
       EW_BODY_LENGTH, ""},
      {"HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200,
       true, true, EW_BODY_STREAM, ""},
      {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, true, true, EW_BODY_NONE, ""},
      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, true, true, EW_BODY_NONE,
       ""},
      {"GET", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204, true,
       true, EW_BODY_NONE, ""},
      {"GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304,
       true, true, EW_BODY_LENGTH, ""},
      {"GET",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
       "link: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
       200, false, true, EW_BODY_LENGTH, "hi"},
      {"GET",
       "HTTP/1.1 104 X\r\ncontent-length: 2\r\n\r\n"
       "HTTP/1.1 204 X\r\n\r\n",
       204, true, true, EW_BODY_NONE, ""},
      {"GET",
       "HTTP/1.1 426 Upgrade Required\r\nupgrade: x\r\n"
       "connection: upgrade\r\ncontent-length: 0\r\n\r\n",
       426, true, true, EW_BODY_LENGTH, ""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct ew_slice in = ew_slice_str(rows[i].in);
    for (size_t split = 0; split < in.n; split++) {
      struct codec_peer p;
      codec_peer_init(&p, ew_http1_client_new);
      ask(&p, rows[i].method);
      assert_int_equal(feed(&p, ew_slice(in.p, split)), split);
      assert_int_equal(feed(&p, ew_slice(in.p + split, in.n - split)),
                       in.n - split);
      if (p.m->status != rows[i].status || p.end != rows[i].end ||
          p.m->body != rows[i].body || p.heads != 1 || p.closeds != 1 ||
          p.ends == rows[i].end || p.m->headers.n != 0 ||
          !ew_slice_eq_str(ew_buf_peek(&p.body), rows[i].text))
        fail_msg("row %zu, split %zu: %s", i, split, rows[i].in);
      assert_int_equal(ew_codec_capacity(p.c), rows[i].keep);
      assert_int_equal(ew_codec_done(p.c), !rows[i].keep);
      assert_int_equal(p.goaways, !rows[i].keep);
      assert_int_equal(p.c->error, 0);
      assert_int_equal(p.m->upgrade.n, 0);
      codec_peer_fini(&p);
    }
  }
}

static void test_until_close(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  assert_true(feed(&p, S("HTTP/1.1 200 OK\r\nx: y\r\n\r\nhel")) > 0);
  assert_int_equal(p.m->body, EW_BODY_STREAM);
  assert_int_equal(p.goaways, 1);
  assert_true(feed(&p, S("lo")) > 0);
  assert_int_equal(p.ends, 0);
  ew_codec_eof(p.c);
  assert_int_equal(p.ends, 1);
  assert_int_equal(p.resets, 0);
  assert_int_equal(p.closeds, 1);
  assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "hello"));
  assert_true(ew_codec_done(p.c));
  assert_int_equal(p.c->error, 0);
  codec_peer_fini(&p);
}

/* A transport that failed does not end a message. */
static void test_lost(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  assert_true(feed(&p, S("HTTP/1.1 200 OK\r\nx: y\r\n\r\nhel")) > 0);
  ew_codec_lost(p.c, EW_ECONN);
  assert_int_equal(p.ends, 0);
  assert_int_equal(p.resets, 1);
  assert_int_equal(p.reset_err, EW_ECONN);
  assert_int_equal(p.closeds, 1);
  assert_true(ew_codec_done(p.c));
  assert_int_equal(ew_codec_capacity(p.c), 0);
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_client_new);
  ew_codec_lost(p.c, EW_ETLS);
  assert_int_equal(p.goaways, 1);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

static void test_truncated(void **state) {
  static const char *const parts[] = {
      "",
      "HTTP/1.1 2",
      "HTTP/1.1 200 OK\r\ncontent",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n",
  };
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_client_new);
    ask(&p, "GET");
    assert_int_equal(feed(&p, ew_slice_str(parts[i])), strlen(parts[i]));
    ew_codec_eof(p.c);
    assert_int_equal(p.resets, 1);
    assert_int_equal(p.reset_err, EW_ECONN);
    assert_int_equal(p.closeds, 1);
    assert_int_equal(p.ends, 0);
    assert_true(ew_codec_done(p.c));
    assert_int_equal(ew_codec_capacity(p.c), 0);
    assert_int_equal(p.goaways, 1);
    codec_peer_fini(&p);
  }
}

static void test_hostile_responses(void **state) {
  static const char *const bad[] = {
      "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
      "GARBAGE\r\n",
      "HELLO\r\n",
      "RTSP/1.0 200 OK\r\n\r\n",
      "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 0\n\r\n",
      "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
      "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
      "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
      "HTTP/1.1 200 OK\r\na: b\001\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
      "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nhi",
      "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nhi",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
      "transfer-encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
      "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
      "upgrade: websocket\r\n\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhix",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
      "content-length: 2\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct ew_slice in = ew_slice_str(bad[i]);
    for (size_t split = 0; split < in.n; split++) {
      struct codec_peer p;
      codec_peer_init(&p, ew_http1_client_new);
      ask(&p, "GET");
      ptrdiff_t rc = feed(&p, ew_slice(in.p, split));
      if (rc >= 0)
        rc = feed(&p, ew_slice(in.p + split, in.n - split));
      if (rc != EW_EPROTO || p.resets != 1 || p.reset_err != EW_EMESSAGE ||
          p.closeds != 1 || p.ends != 0)
        fail_msg("case %zu, split %zu: %td, resets %u, ends %u: %s", i, split,
                 rc, p.resets, p.ends, bad[i]);
      assert_true(ew_codec_done(p.c));
      assert_int_equal(ew_codec_capacity(p.c), 0);
      assert_int_equal(ew_buf_len(&p.c->out), 0);
      codec_peer_fini(&p);
    }
  }
}

static void test_limits(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  assert_true(feed(&p, S("HTTP/1.1 200 OK\r\nx: ")) > 0);
  char part[1000];
  memset(part, 'a', sizeof(part));
  ptrdiff_t rc = 0;
  int n = 0;
  for (; n < 100 && rc >= 0; n++)
    rc = feed(&p, ew_slice(part, sizeof(part)));
  assert_int_equal(n, 66);
  assert_int_equal(p.reset_err, EW_EMESSAGE);
  codec_peer_fini(&p);

  /* A reason phrase is not kept, but has an end. */
  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  assert_true(feed(&p, S("HTTP/1.1 200 ")) > 0);
  for (n = 0, rc = 0; n < 1000 && rc >= 0; n++)
    rc = feed(&p, ew_slice(part, sizeof(part)));
  assert_int_equal(rc, EW_EPROTO);
  codec_peer_fini(&p);

  /* Informational responses without end. */
  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  for (n = 0, rc = 0; n < 1000 && rc >= 0; n++)
    rc = feed(&p, S("HTTP/1.1 103 Early Hints\r\n\r\n"));
  assert_int_equal(n, 33);
  assert_int_equal(p.interims, 32);
  codec_peer_fini(&p);
}

static void test_unsolicited_bytes(void **state) {
  struct codec_peer p;
  struct ew_slice ok = S("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  codec_peer_init(&p, ew_http1_client_new);
  assert_true(ew_codec_want_read(p.c));
  assert_int_equal(feed(&p, ok), EW_EPROTO);
  assert_int_equal(p.heads, 0);
  assert_int_equal(ew_codec_capacity(p.c), 0);
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  assert_int_equal(feed(&p, ok), ok.n);
  assert_int_equal(ew_codec_capacity(p.c), 1);
  assert_int_equal(feed(&p, S("H")), EW_EPROTO);
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

static void ask_again(struct codec_peer *p) {
  struct ew_message *m = codec_peer_request("GET", "/next");
  ew_codec_open(p->c, m, true, p);
  ew_message_del(m);
}

/* Bytes behind a response are not the next one's, even if the next request
 * is made from within the callback. */
static void test_surplus_bytes(void **state) {
  struct codec_peer p;
  static const char *const rows[] = {
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
      "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    codec_peer_init(&p, ew_http1_client_new);
    p.on_closed = ask_again;
    ask(&p, "GET");
    struct ew_buf in;
    ew_buf_init(&in, 4096);
    ew_buf_append_str(&in, rows[i]);
    ew_buf_append_str(&in, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    assert_int_equal(feed(&p, ew_buf_peek(&in)), EW_EPROTO);
    ew_buf_fini(&in);
    assert_int_equal(p.heads, 1);
    assert_int_equal(p.closeds, 1);
    assert_int_equal(p.resets, 0);
    assert_int_equal(p.goaways, 1);
    assert_int_equal(p.c->served, 1);
    codec_peer_fini(&p);
  }
  /* Without surplus the next request goes out. */
  codec_peer_init(&p, ew_http1_client_new);
  p.on_closed = ask_again;
  ask(&p, "GET");
  assert_true(feed(&p, ew_slice_str(rows[0])) > 0);
  assert_int_equal(p.c->served, 2);
  take_out(&p, "GET /next HTTP/1.1\r\nhost: a.test\r\n\r\n");
  codec_peer_fini(&p);
}

static void end_request(struct codec_peer *p) {
  if (p->st)
    assert_int_equal(ew_hstream_send_end(p->st, NULL), EW_OK);
}

static void test_early_response(void **state) {
  for (int finish = 0; finish < 2; finish++) {
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_client_new);
    struct ew_message *m = codec_peer_request("POST", "/");
    m->body = EW_BODY_STREAM;
    p.st = ew_codec_open(p.c, m, false, NULL);
    ew_message_del(m);
    assert_int_equal(ew_hstream_send(p.st, S("part")), 4);
    p.on_end = finish ? end_request : NULL;
    assert_true(feed(&p, S("HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno")) >
                0);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.resets, 0);
    assert_int_equal(p.closeds, 1);
    assert_int_equal(ew_codec_capacity(p.c), finish);
    assert_int_equal(ew_codec_done(p.c), !finish);
    codec_peer_fini(&p);
  }
}

static void test_eof_idle_and_drain(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  ew_codec_eof(p.c);
  assert_int_equal(p.goaways, 1);
  assert_true(ew_codec_done(p.c));
  assert_int_equal(ew_codec_capacity(p.c), 0);
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  ew_codec_drain(p.c);
  assert_false(ew_codec_done(p.c));
  assert_true(feed(&p, S("HTTP/1.1 204 No\r\n\r\n")) > 0);
  assert_int_equal(p.closeds, 1);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_client_new);
  ew_codec_drain(p.c);
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

static void test_reset(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  ask(&p, "GET");
  ew_hstream_reset(p.st, EW_ECANCELED);
  assert_true(ew_codec_done(p.c));
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_int_equal(p.c->error, 0);
  assert_true(feed(&p, S("HTTP/1.1 204 No\r\n\r\n")) >= 0);
  assert_int_equal(p.heads + p.closeds + p.resets, 0);
  codec_peer_fini(&p);

  codec_peer_init(&p, ew_http1_client_new);
  struct ew_message *m = codec_peer_request("POST", "/");
  m->body = EW_BODY_LENGTH;
  m->content_length = 10;
  struct ew_hstream *st = ew_codec_open(p.c, m, false, NULL);
  ew_message_del(m);
  ew_hstream_send(st, S("half"));
  ew_hstream_reset(st, EW_ECANCELED);
  assert_int_equal(p.c->error, EW_ERESET);
  assert_true(ew_codec_done(p.c));
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
  for (int where = 0; where < 3; where++) {
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_client_new);
    p.on_head = where == 0 ? reset_now : NULL;
    p.on_data = where == 1 ? reset_on_data : NULL;
    p.on_end = where == 2 ? reset_now : NULL;
    ask(&p, "GET");
    feed(&p, S("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
               "2\r\nhi\r\n0\r\nx: y\r\n\r\n"));
    assert_int_equal(p.closeds + p.resets, 0);
    assert_true(ew_codec_done(p.c));
    codec_peer_fini(&p);
  }
}

static void test_short_request_body(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_client_new);
  struct ew_message *m = codec_peer_request("POST", "/");
  m->body = EW_BODY_LENGTH;
  m->content_length = 10;
  p.st = ew_codec_open(p.c, m, false, NULL);
  ew_message_del(m);
  ew_hstream_send(p.st, S("half"));
  assert_int_equal(ew_hstream_send_end(p.st, NULL), EW_EINVAL);
  assert_int_equal(ew_codec_pull(p.c), EW_ERESET);
  assert_int_equal(p.resets, 1);
  assert_int_equal(p.closeds, 1);
  assert_true(ew_codec_done(p.c));
  codec_peer_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_requests),
      cmocka_unit_test(test_te_is_an_option),
      cmocka_unit_test(test_open_refuses),
      cmocka_unit_test(test_responses),
      cmocka_unit_test(test_until_close),
      cmocka_unit_test(test_lost),
      cmocka_unit_test(test_truncated),
      cmocka_unit_test(test_hostile_responses),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_unsolicited_bytes),
      cmocka_unit_test(test_surplus_bytes),
      cmocka_unit_test(test_early_response),
      cmocka_unit_test(test_eof_idle_and_drain),
      cmocka_unit_test(test_reset),
      cmocka_unit_test(test_reset_within_callbacks),
      cmocka_unit_test(test_short_request_body),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
