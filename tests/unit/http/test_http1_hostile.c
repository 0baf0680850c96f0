/* SPDX-License-Identifier: Apache-2.0 */
#include "http/codec_peer.h"

/* Requests that must be refused, whole and split at every byte. */

#define S(s) EW_SLICE_LIT(s)
#define H "Host: a\r\n"
#define feed codec_peer_feed
#define take_out codec_peer_take_out
#define out_starts codec_peer_out_starts

static void respond_ok(struct codec_peer *p) {
  struct ew_message *m = codec_peer_response(200);
  m->body = EW_BODY_LENGTH;
  m->content_length = 2;
  assert_int_equal(ew_hstream_send_head(p->st, m, false), EW_OK);
  assert_int_equal(ew_hstream_send(p->st, S("ok")), 2);
  assert_int_equal(ew_hstream_send_end(p->st, NULL), EW_OK);
  ew_message_del(m);
}

/* Each is refused with the status; nothing is shown. */
static const struct hostile {
  int status;
  struct ew_slice in;
} hostile[] = {
#define BAD(status, text)              \
  {                                    \
    status, { text, sizeof(text) - 1 } \
  }
    /* request line */
    BAD(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /  HTTP/1.1\r\n" H "\r\n"),
    BAD(400, " GET / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
    BAD(400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /\r\n\r\n"),
    BAD(400, "GET\r\n\r\n"),
    BAD(400, "GET / \r\n\r\n"),
    BAD(400, "/ HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "G(T / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET / http/1.1\r\n" H "\r\n"),
    BAD(400, "GET / HTTP/1,1\r\n" H "\r\n"),
    BAD(400, "GET / HTTP/11\r\n" H "\r\n"),
    BAD(400, "GET / HTTP/1.10\r\n" H "\r\n"),
    BAD(505, "GET / HTTP/1.2\r\n" H "\r\n"),
    BAD(505, "GET / HTTP/0.9\r\n" H "\r\n"),
    BAD(505, "GET / HTTP/2.0\r\n" H "\r\n"),
    BAD(505, "GET / HTTP/3.0\r\n" H "\r\n"),
    BAD(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\n" H "\r\n"),
    BAD(400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    BAD(400, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "\nGET / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /\0 HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /\xff HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /#f HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /a\\b HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /../a HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /%2e%2E/a HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET /%00 HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET a HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET * HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "CONNECT / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET http:/a/ HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET http:///x HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "GET http://a/../b HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    /* host */
    BAD(400, "GET / HTTP/1.1\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n"),
    BAD(400, "GET http://a/ HTTP/1.1\r\n\r\n"),
    BAD(400, "GET http://a/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n"),
    BAD(400, "GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    /* fields */
    BAD(400, "GET / HTTP/1.1\r\n" H "a : b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a\t: b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a b: c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a(: c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "\xe4: c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a\0: c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\0c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\x01\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\x7f\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\rc\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\nc: d\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\r\n c\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\r\n\tc\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "a: b\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n a: b\r\n" H "\r\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "\r\rX"),
    BAD(400, "GET / HTTP/1.1\r\n" H "\rX\n"),
    BAD(400, "GET / HTTP/1.1\r\n" H "\n"),
    /* body framing */
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n"
             "Transfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
             "Content-Length: 5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n"
             "Content-Length: 5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n"
             "Content-Length: 6\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: a\r\n\r\n"),
    BAD(400,
        "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n"),
    BAD(400,
        "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\n"),
    BAD(400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
    BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"),
    BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n"
             "\r\n"),
    BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;x=1\r\n\r\n"),
    BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
    BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
             "Transfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
             "Transfer-Encoding: identity\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"),
    BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n"),
};

static void refuse_case(size_t i, size_t split) {
  const struct hostile *b = &hostile[i];
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  p.on_head = respond_ok;
  ptrdiff_t rc = feed(&p, ew_slice(b->in.p, split));
  if (rc >= 0)
    rc = feed(&p, ew_slice(b->in.p + split, b->in.n - split));
  char line[32];
  snprintf(line, sizeof(line), "HTTP/1.1 %d ", b->status);
  /* llhttp may notice a coding that it knows to be wrong on its own. */
  bool status_ok = out_starts(&p, line) ||
                   (b->status == 501 && out_starts(&p, "HTTP/1.1 400 "));
  if (rc != EW_EPROTO || !status_ok || p.heads || p.refusals != 1)
    fail_msg("split at %zu: %.*s\nanswer %td, heads %u, out:\n%.*s", split,
             EW_SLICE_FMT(b->in), rc, p.heads,
             EW_SLICE_FMT(ew_buf_peek(&p.c->out)));
  assert_non_null(p.refused_why);
  assert_ptr_equal(p.c->why, p.refused_why);
  struct ew_slice out = ew_buf_peek(&p.c->out);
  assert_non_null(memmem(out.p, out.n, "connection: close\r\n", 19));
  assert_non_null(memmem(out.p, out.n, p.refused_why, strlen(p.refused_why)));
  assert_true(ew_codec_done(p.c));
  assert_false(ew_codec_want_read(p.c));
  assert_int_equal(feed(&p, S("GET / HTTP/1.1\r\n" H "\r\n")), EW_EPROTO);
  assert_int_equal(p.heads, 0);
  codec_peer_fini(&p);
}

static void test_hostile_heads(void **state) {
  for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
    for (size_t split = 0; split <= hostile[i].in.n; split++)
      refuse_case(i, split);
}

/* Bytes behind a good request don't change what it is. */
static void test_hostile_after_good(void **state) {
  for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
    if (hostile[i].in.p[0] == '\r')
      continue;
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_server_new);
    p.on_head = respond_ok;
    struct ew_buf in;
    ew_buf_init(&in, 65536);
    ew_buf_append(&in, S("GET /1 HTTP/1.1\r\n" H "\r\n"));
    ew_buf_append(&in, hostile[i].in);
    assert_int_equal(feed(&p, ew_buf_peek(&in)), EW_EPROTO);
    assert_int_equal(p.heads, 1);
    assert_true(out_starts(
        &p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 "));
    ew_buf_fini(&in);
    codec_peer_fini(&p);
  }
}

#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

/* The head is good, the body is not: the exchange is reset, 400 is sent. */
static void test_hostile_chunks(void **state) {
  static const char *const bodies[] = {
      "x\r\n",
      "0x5\r\nhello\r\n",
      "+5\r\nhello\r\n",
      "-5\r\nhello",
      " 5\r\nhello\r\n",
      "5 \r\nhello\r\n",
      "5\nhello\r\n",
      "5\r\nhello0\r\n",
      "5\r\nhelloX\r\n",
      "\r\n",
      "5;a\nb\r\nhello\r\n",
      "5;a\rb\r\nhello\r\n",
      "fffffffffffffffff\r\n",
      "5\r\nhello\n0\r\n\r\n",
      "0\r\nContent-Length: 5\r\n\r\n",
      "0\r\n: a\r\n\r\n",
      "0\r\na : b\r\n\r\n",
      "0\r\na: b\r\n c\r\n\r\n",
      "0\r\n\rX",
      "0\r\na: b\nX: y\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
    struct codec_peer p;
    codec_peer_init(&p, ew_http1_server_new);
    assert_true(feed(&p, S(CHUNKED)) > 0);
    ptrdiff_t rc = 0;
    for (const char *c = bodies[i]; *c && rc >= 0; c++)
      rc = feed(&p, ew_slice(c, 1));
    if (rc != EW_EPROTO || p.ends || !out_starts(&p, "HTTP/1.1 400 "))
      fail_msg("case %zu: %s: %td, ends %u", i, bodies[i], rc, p.ends);
    assert_int_equal(p.resets, 1);
    assert_int_equal(p.reset_err, EW_EMESSAGE);
    assert_int_equal(p.closeds, 1);
    assert_int_equal(p.refusals, 0);
    codec_peer_fini(&p);
  }
}

/* A response that has begun is cut, not followed by another one. */
static void test_hostile_chunk_after_response_began(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S(CHUNKED)) > 0);
  struct ew_message *m = codec_peer_response(200);
  m->body = EW_BODY_STREAM;
  assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_OK);
  ew_message_del(m);
  assert_int_equal(feed(&p, S("zz\r\n")), EW_EPROTO);
  take_out(&p, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  assert_int_equal(p.resets, 1);
  codec_peer_fini(&p);
}

static void test_chunk_extensions(void **state) {
  struct codec_peer p;
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S(CHUNKED "5;name=value;q=\"x\"\r\nhello\r\n")) > 0);
  assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "hello"));
  char ext[400];
  memset(ext, 'e', sizeof(ext));
  memcpy(ext, "5;", 2);
  assert_int_equal(feed(&p, ew_slice(ext, sizeof(ext))), EW_EPROTO);
  assert_int_equal(p.resets, 1);
  codec_peer_fini(&p);

  /* Small ones add up over the chunks of a message. */
  codec_peer_init(&p, ew_http1_server_new);
  assert_true(feed(&p, S(CHUNKED)) > 0);
  ptrdiff_t rc = 0;
  int chunks = 0;
  for (; chunks < 200 && rc >= 0; chunks++)
    rc = feed(&p, S("1;a=b\r\nx\r\n"));
  assert_int_equal(rc, EW_EPROTO);
  assert_true(chunks > 50 && chunks < 100);
  codec_peer_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hostile_heads),
      cmocka_unit_test(test_hostile_after_good),
      cmocka_unit_test(test_hostile_chunks),
      cmocka_unit_test(test_hostile_chunk_after_response_began),
      cmocka_unit_test(test_chunk_extensions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
