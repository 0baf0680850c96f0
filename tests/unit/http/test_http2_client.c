/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http2_peer.h"

#define S(s) EW_SLICE_LIT(s)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_first_words(void **state) {
  struct h2_peer p;
  h2_init_bare(&p, true);
  assert_string_equal(p.c->ops->name, "h2");
  assert_true(p.c->client);
  h2_pull(&p);
  expect_sent(&p, "MAGIC\nSETTINGS 3=256 4=65535 6=65536 5=65536 2=0\n"
                  "WINDOW 0 16711681\n");
  assert_int_equal(ew_codec_capacity(p.c), 100);
  h2_frame(&p, NGHTTP2_SETTINGS, 0, 0, S(""));
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "SETTINGS ack\n");
  assert_int_equal(ew_codec_capacity(p.c), 100);
  assert_true(ew_codec_want_read(p.c));
  assert_false(ew_codec_done(p.c));
  h2_fini(&p);
}

/* Whoever answers, it isn't HTTP/2. */
static void test_not_http2(void **state) {
  static const struct ew_slice words[] = {
      S("HTTP/1.1 400 Bad Request\r\n\r\n"),
      S("\0\0\x08\6\0\0\0\0\0"
        "12345678"),
      S("\0\0\0\4\1\0\0\0\0"),
  };
  for (size_t i = 0; i < COUNT(words); i++) {
    struct h2_peer p;
    h2_init_bare(&p, true);
    h2_ask(&p, "GET", true);
    h2_pull(&p);
    h2_raw(&p, words[i]);
    assert_int_equal(h2_feed(&p), EW_EPROTO);
    assert_true(ew_codec_done(p.c));
    assert_int_equal(ew_codec_capacity(p.c), 0);
    expect_told(&p, "reset 1 protocol-error\nclosed 1\ngoaway\n");
    h2_fini(&p);
  }
}

static void test_get(void **state) {
  struct h2_peer p;
  struct ew_message *m = ew_message_new();
  h2_init(&p, true);
  m->method = S("GET");
  m->path = S("/x?y");
  m->version = 11;
  ew_message_add(m, S("X-One"), S("two"));
  ew_message_add(m, S("te"), S("trailers"));
  ew_message_add(m, S("cookie"), S("a=b; c=d"));
  p.st[1] = ew_codec_open(p.c, m, true, (void *)(uintptr_t)1);
  m->authority = S("a.test:80");
  m->scheme = S("https");
  p.st[2] = ew_codec_open(p.c, m, true, (void *)(uintptr_t)2);
  ew_message_del(m);
  assert_int_equal(p.c->streams, 2);
  assert_int_equal(p.c->served, 2);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 end :method=GET :scheme=http :path=/x?y "
                  "x-one=two te=trailers cookie=a=b; c=d\n"
                  "HEADERS 3 end :method=GET :scheme=https "
                  ":authority=a.test:80 :path=/x?y x-one=two te=trailers "
                  "cookie=a=b; c=d\n");
  p.piece = 3;
  h2_head(&p, 3, 0,
          ":status=200\ncontent-length=5\nx=y\nhost=evil\nte=trailers"
          "\n");
  h2_data(&p, 3, END, "hello");
  h2_head(&p, 1, END, ":status=204\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 2 200 x=y length 5\nend 2\nclosed 2\n"
                  "head 1 204 end\nclosed 1\n");
  assert_int_equal(p.m->authority.n, 0);
  assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "hello"));
  assert_int_equal(p.c->streams, 0);
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* A request with a body, informational heads, trailers both ways. */
static void test_post(void **state) {
  struct h2_peer p;
  struct ew_message *t = ew_message_new();
  h2_init(&p, true);
  h2_ask(&p, "POST", false);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 :method=POST :scheme=https :authority=a.test "
                  ":path=/\n");
  assert_int_equal(ew_hstream_send_head(p.st[1], t, false), EW_EINVAL);
  assert_int_equal(ew_hstream_send(p.st[1], S("one")), 3);
  h2_head(&p, 1, 0, ":status=100\n");
  h2_head(&p, 1, 0, ":status=103\nlink=</a>\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "DATA 1 one\n");
  expect_told(&p, "head 1 100\nhead 1 103 link=</a>\n");
  h2_head(&p, 1, 0, ":status=200\n");
  h2_data(&p, 1, 0, "x");
  h2_head(&p, 1, END, "grpc-status=0\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 200 stream\nend 1 grpc-status=0\n");
  assert_int_equal(p.c->streams, 1);
  ew_message_add(t, S("x-t"), S("1"));
  ew_hstream_send_end(p.st[1], t);
  ew_message_del(t);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 end x-t=1\n");
  expect_told(&p, "closed 1\n");
  h2_fini(&p);
}

static void test_request_length(void **state) {
  struct h2_peer p;
  struct ew_message *m = ew_message_new();
  h2_init(&p, true);
  m->method = S("PUT");
  m->path = S("/");
  m->authority = S("a");
  m->body = EW_BODY_LENGTH;
  m->content_length = 3;
  p.st[1] = ew_codec_open(p.c, m, false, (void *)(uintptr_t)1);
  ew_message_del(m);
  ew_hstream_send(p.st[1], S("abc"));
  ew_hstream_send_end(p.st[1], NULL);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 :method=PUT :scheme=http :authority=a :path=/ "
                  "content-length=3\nDATA 1 end abc\n");
  h2_fini(&p);
}

/* Responses without a body that name a length, and others that look odd. */
static void test_good_responses(void **state) {
  static const struct {
    const char *method, *head, *told;
  } cases[] = {
      {"HEAD", ":status=200\ncontent-length=7\n", "200 length 7 end"},
      {"GET", ":status=304\ncontent-length=7\n", "304 length 7 end"},
      {"GET", ":status=204\ncontent-length=0\n", "204 end"},
      {"GET", ":status=200\ncontent-length=0\n", "200 length 0 end"},
      {"GET", ":status=200\nset-cookie=a\nset-cookie=b\n",
       "200 set-cookie=a set-cookie=b end"},
      {"GET", ":status=599\n", "599 end"},
      {"CONNECT", ":status=404\n", "404 end"},
  };
  struct h2_peer p;
  h2_init(&p, true);
  for (uint32_t i = 0; i < COUNT(cases); i++) {
    char want[128];
    h2_ask(&p, cases[i].method, true);
    h2_pull(&p);
    h2_head(&p, 1 + 2 * i, END, cases[i].head);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "head %u %s\nclosed %u\n", i + 1,
             cases[i].told, i + 1);
    expect_told(&p, want);
  }
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* A malformed response is the end of its exchange, not of the connection. */
static void test_malformed_responses(void **state) {
  static const struct {
    const char *head;
    int flags;
  } cases[] = {
      {"", END},
      {"x=y\n", END},
      {":status=200\n:status=200\n", END},
      {"x=y\n:status=200\n", END},
      {":status=200\n:path=/\n", END},
      {":status=\n", END},
      {":status=20\n", END},
      {":status=+20\n", END},
      {":status=2000\n", END},
      {":status=000\n", END},
      {":status=600\n", END},
      {":status=099\n", END},
      {":status=101\n", 0},
      {":status=100\n", END},
      {":status=100\ncontent-length=1\n", 0},
      {":status=200\nX=y\n", END},
      {":status=200\nx=a\rb\n", END},
      {":status=200\nx y=a\n", END},
      {":status=200\nconnection=close\n", END},
      {":status=200\ntransfer-encoding=chunked\n", END},
      {":status=200\nupgrade=h2c\n", END},
      {":status=200\ncontent-length=1\n", END},
      {":status=200\ncontent-length=1\ncontent-length=1\n", END},
      {":status=200\ncontent-length=x\n", END},
      {":status=204\ncontent-length=1\n", END},
  };
  struct h2_peer p;
  h2_init(&p, true);
  for (uint32_t i = 0; i < COUNT(cases); i++) {
    char want[128];
    h2_ask(&p, "GET", true);
    h2_pull(&p);
    h2_forget(&p);
    h2_head(&p, 1 + 2 * i, cases[i].flags, cases[i].head);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "reset %u malformed-message\nclosed %u\n",
             i + 1, i + 1);
    if (!ew_slice_eq_str(ew_buf_peek(&p.told), want))
      print_error("head %u:\n%s", i, cases[i].head);
    expect_told(&p, want);
    snprintf(want, sizeof(want), "RST %u PROTOCOL_ERROR\n", 1 + 2 * i);
    expect_sent(&p, want);
  }
  assert_int_equal(p.c->streams, 0);
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* Bodies where none can be, too long or too short ones, two finals. */
static void test_malformed_bodies(void **state) {
  static const struct {
    const char *method, *head, *data, *trailers, *told;
  } cases[] = {
      {"HEAD", ":status=200\n", "x", NULL, "head 1 200 stream\n"},
      {"GET", ":status=204\n", "x", NULL, "head 1 204 stream\n"},
      {"GET", ":status=304\n", "x", NULL, "head 1 304 stream\n"},
      {"GET", ":status=200\ncontent-length=1\n", "xx", NULL,
       "head 1 200 length 1\n"},
      {"GET", ":status=200\ncontent-length=3\n", "xx", NULL,
       "head 1 200 length 3\n"},
      {"GET", ":status=100\n", "x", NULL, "head 1 100\n"},
      {"GET", ":status=200\n", NULL, ":status=200\n", "head 1 200 stream\n"},
      {"GET", ":status=200\n", NULL, "connection=x\n", "head 1 200 stream\n"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct h2_peer p;
    char want[128];
    h2_init(&p, true);
    h2_ask(&p, cases[i].method, true);
    h2_pull(&p);
    h2_head(&p, 1, 0, cases[i].head);
    if (cases[i].data)
      h2_data(&p, 1, END, cases[i].data);
    else
      h2_head(&p, 1, END, cases[i].trailers);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "%sreset 1 malformed-message\nclosed 1\n",
             cases[i].told);
    expect_told(&p, want);
    h2_expect_alive(&p);
    h2_fini(&p);
  }
}

static void test_large_head(void **state) {
  struct h2_peer p;
  struct ew_buf b;
  h2_init(&p, true);
  ew_buf_init(&b, 1 << 20);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  h2_forget(&p);
  ew_buf_append_str(&b, ":status=200\n");
  for (int i = 0; i <= EW_FIELDS_MAX; i++)
    ew_buf_append_str(&b, "x=y\n");
  ew_buf_append(&b, ew_slice("", 1));
  h2_head(&p, 1, END, ew_buf_peek(&b).p);
  h2_head(&p, 3, 0, ":status=200\n");
  h2_head(&p, 3, END, ew_buf_peek(&b).p + 12);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "reset 1 malformed-message\nclosed 1\nhead 2 200 stream\n"
                  "reset 2 malformed-message\nclosed 2\n");
  h2_fini(&p);
  ew_buf_fini(&b);
}

/* ---- limits ---- */

static void test_capacity(void **state) {
  struct h2_peer p;
  struct ew_message *m = ew_message_new();
  h2_init(&p, true);
  h2_setting(&p, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000000);
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(ew_codec_capacity(p.c), EW_H2_MAX_STREAMS);
  h2_setting(&p, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(ew_codec_capacity(p.c), 2);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "GET", true);
  assert_int_equal(ew_codec_capacity(p.c), 0);
  m->method = S("GET");
  m->path = S("/");
  assert_null(ew_codec_open(p.c, m, true, NULL));
  assert_int_equal(p.c->streams, 2);
  h2_pull(&p);
  h2_forget(&p);
  h2_setting(&p, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
  h2_head(&p, 1, END, ":status=200\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 200 end\nclosed 1\n");
  assert_int_equal(ew_codec_capacity(p.c), 0);
  ew_message_del(m);
  h2_fini(&p);
}

/* The limit shrinks while requests are on their way out: they wait. */
static void test_limit_shrinks(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "GET", true);
  h2_setting(&p, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
  struct ew_slice s = ew_buf_peek(&p.in);
  /* Before a pull has sent them. */
  assert_true(h2_feed_piece(&p, s) > 0);
  ew_buf_consume(&p.in, s.n);
  h2_pull(&p);
  expect_sent(&p, "SETTINGS ack\nHEADERS 1 end :method=GET :scheme=https "
                  ":authority=a.test :path=/\n");
  ew_hstream_reset(p.st[2], EW_ECANCELED);
  h2_head(&p, 1, END, ":status=200\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 5 end :method=GET :scheme=https :authority=a.test "
                  ":path=/\n");
  expect_told(&p, "head 1 200 end\nclosed 1\n");
  h2_fini(&p);
}

static size_t send_zeros(struct h2_peer *p, size_t k, size_t n) {
  static const char zeros[100000];
  return ew_hstream_send(p->st[k], ew_slice(zeros, n));
}

/* A server without windows: 65,535 bytes of each request wait, and the others
 * aren't held up. */
static void test_upload_that_stalls(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_setting(&p, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
  assert_true(h2_feed(&p) > 0);
  for (size_t k = 1; k <= 50; k++) {
    h2_ask(&p, "POST", false);
    assert_int_equal(send_zeros(&p, k, 100000), 65535);
    assert_int_equal(send_zeros(&p, k, 1), 0);
  }
  h2_pull(&p);
  assert_int_equal(p.data_bytes, 0);
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  h2_head(&p, 101, END, ":status=200\n");
  h2_window(&p, 3, 40000);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 51 200 end\nclosed 51\nwritable 2\n");
  assert_int_equal(p.data_bytes, 40000);
  ew_codec_lost(p.c, EW_ECONN);
  assert_int_equal(p.resets, 50);
  h2_fini(&p);
}

static void test_endless_hints(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  h2_forget(&p);
  for (int i = 0; i < 32; i++)
    h2_head(&p, 1, 0, ":status=103\n");
  p.quiet = true;
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "");
  h2_head(&p, 1, 0, ":status=103\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "RST 1 PROTOCOL_ERROR\n");
  assert_int_equal(p.resets, 1);
  h2_fini(&p);
}

/* The user passes nothing on: the server gets no more window. */
static void test_download_that_stalls(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  p.hold = true;
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  h2_forget(&p);
  h2_head(&p, 1, 0, ":status=200\n");
  h2_zeros(&p, 1, 65535);
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "");
  ew_hstream_consume(p.st[1], 65535);
  h2_pull(&p);
  expect_sent(&p, "WINDOW 1 65535\n");
  h2_zeros(&p, 1, 65535);
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  h2_zeros(&p, 1, 1);
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "RST 1 FLOW_CONTROL_ERROR\n");
  expect_told(&p, "reset 1 malformed-message\nclosed 1\n");
  h2_fini(&p);
}

/* ---- large heads of our own ---- */

static struct ew_message *large_request(size_t n) {
  struct ew_message *m = ew_message_new();
  char *v = malloc(n);
  memset(v, 'v', n);
  m->method = S("GET");
  m->authority = S("a");
  m->path = S("/");
  ew_message_add(m, S("x"), ew_slice(v, n));
  free(v);
  return m;
}

/* What HTTP/1 lets through goes out; more than that is lost, not stuck. */
static void test_large_request(void **state) {
  struct h2_peer p;
  struct ew_message *m = large_request(EW_HEAD_MAX - 33);
  h2_init(&p, true);
  p.mute = true;
  p.st[1] = ew_codec_open(p.c, m, true, (void *)(uintptr_t)1);
  h2_pull(&p);
  expect_told(&p, "");
  ew_message_del(m);
  m = large_request(300000);
  p.st[2] = ew_codec_open(p.c, m, true, (void *)(uintptr_t)2);
  ew_message_del(m);
  h2_pull(&p);
  expect_told(&p, "reset 2 limit\nclosed 2\n");
  assert_int_equal(p.c->streams, 1);
  p.mute = false;
  h2_expect_alive(&p);
  h2_fini(&p);
}

static void test_large_response(void **state) {
  struct h2_peer p;
  struct ew_message *m = large_request(EW_HEAD_MAX - 33);
  h2_init(&p, false);
  h2_head(&p, 1, END, GET_LINES);
  h2_head(&p, 3, END, GET_LINES);
  h2_head(&p, 5, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  p.mute = true;
  m->status = 200;
  ew_hstream_send_head(p.st[1], m, true);
  h2_pull(&p);
  expect_told(&p, "closed 1\n");
  ew_message_del(m);
  p.mute = false;
  m = large_request(300000);
  m->status = 200;
  ew_hstream_send_head(p.st[2], m, true);
  ew_hstream_send_head(p.st[3], m, false);
  ew_hstream_send(p.st[3], S("x"));
  ew_message_del(m);
  h2_pull(&p);
  expect_told(&p, "reset 2 limit\nclosed 2\nreset 3 limit\nclosed 3\n");
  expect_sent(&p, "RST 3 INTERNAL_ERROR\nRST 5 INTERNAL_ERROR\n");
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* ---- ends ---- */

static void test_reset_by_peer(void **state) {
  static const struct {
    uint32_t code;
    const char *head; /* before it */
    const char *told;
  } cases[] = {
      {NGHTTP2_CANCEL, NULL, "reset 1 reset\nclosed 1\n"},
      {NGHTTP2_INTERNAL_ERROR, NULL, "reset 1 reset\nclosed 1\n"},
      {NGHTTP2_REFUSED_STREAM, NULL, "reset 1 refused\nclosed 1\n"},
      {NGHTTP2_NO_ERROR, NULL, "reset 1 reset\nclosed 1\n"},
      {NGHTTP2_NO_ERROR, ":status=200\n",
       "head 1 200 stream\nreset 1 reset\nclosed 1\n"},
      /* It has been processed, whatever it says. */
      {NGHTTP2_REFUSED_STREAM, ":status=200\n",
       "head 1 200 stream\nreset 1 reset\nclosed 1\n"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct h2_peer p;
    h2_init(&p, true);
    h2_ask(&p, "POST", false);
    h2_pull(&p);
    if (cases[i].head)
      h2_head(&p, 1, 0, cases[i].head);
    h2_rst(&p, 1, cases[i].code);
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, cases[i].told);
    assert_int_equal(p.c->streams, 0);
    h2_expect_alive(&p);
    h2_fini(&p);
  }
}

/* RFC 9113 section 8.1: a complete response, then RST_STREAM(NO_ERROR): the
 * server needs no more of the request. The response stands. */
static void test_early_response(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "POST", false);
  ew_hstream_send(p.st[1], S("part"));
  h2_pull(&p);
  h2_head(&p, 1, 0, ":status=413\n");
  h2_data(&p, 1, END, "no");
  h2_rst(&p, 1, NGHTTP2_NO_ERROR);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 413 stream\nend 1\nclosed 1\n");
  /* By CANCEL it doesn't. */
  h2_ask(&p, "POST", false);
  h2_pull(&p);
  h2_head(&p, 3, END, ":status=413\n");
  h2_rst(&p, 3, NGHTTP2_CANCEL);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 2 413 end\nreset 2 reset\nclosed 2\n");
  h2_fini(&p);
}

/* Many resets by a server are its right: each was a request of ours. */
static void test_many_resets(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  p.quiet = p.mute = true;
  for (uint32_t i = 0; i < 1500; i++) {
    h2_ask(&p, "GET", true);
    h2_pull(&p);
    h2_rst(&p, 1 + 2 * i, NGHTTP2_REFUSED_STREAM);
    assert_true(h2_feed(&p) > 0);
  }
  assert_int_equal(p.resets, 1500);
  p.mute = false;
  h2_expect_alive(&p);
  h2_fini(&p);
}

static void test_reset_by_user(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  /* Before it was sent: nothing is. */
  h2_ask(&p, "GET", true);
  ew_hstream_reset(p.st[1], EW_ECANCELED);
  assert_int_equal(p.c->streams, 0);
  h2_pull(&p);
  expect_sent(&p, "");
  h2_ask(&p, "POST", false);
  h2_pull(&p);
  h2_forget(&p);
  send_zeros(&p, 2, 70000);
  ew_hstream_reset(p.st[2], EW_ECANCELED);
  h2_head(&p, 3, 0, ":status=100\n");
  h2_head(&p, 3, 0, ":status=200\n");
  h2_data(&p, 3, 0, "x");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "RST 3 CANCEL\n");
  h2_data(&p, 3, 0, "x");
  h2_head(&p, 3, END, "x=1\n");
  h2_rst(&p, 3, NGHTTP2_CANCEL);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "");
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* The server leaves in two steps: what it has taken is answered, what it has
 * not is refused and can be sent elsewhere. */
static void test_goaway_by_peer(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  h2_ask(&p, "POST", false); /* waits here yet */
  ew_hstream_send(p.st[4], S("x"));
  h2_forget(&p);
  h2_goaway(&p, 0x7fffffff, NGHTTP2_NO_ERROR);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "goaway\nreset 4 refused\nclosed 4\n");
  expect_sent(&p, "");
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_null(ew_codec_open(p.c, NULL, true, NULL));
  h2_goaway(&p, 3, NGHTTP2_NO_ERROR);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "reset 3 refused\nclosed 3\n");
  h2_head(&p, 1, END, ":status=200\n");
  assert_true(h2_feed(&p) > 0);
  assert_false(ew_codec_done(p.c));
  h2_head(&p, 3, 0, ":status=200\n");
  h2_data(&p, 3, END, "x");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 200 end\nclosed 1\n"
                  "head 2 200 stream\nend 2\nclosed 2\n");
  assert_true(ew_codec_done(p.c));
  h2_fini(&p);
}

/* "Not processed" is no longer true: the request must not be made again. */
static void test_goaway_after_the_head(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "POST", true);
  h2_pull(&p);
  h2_head(&p, 1, 0, ":status=200\n");
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  h2_goaway(&p, 0, NGHTTP2_INTERNAL_ERROR);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "goaway\nreset 1 reset\nclosed 1\n");
  h2_fini(&p);
}

static void test_goaway_while_idle(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_goaway(&p, 0, NGHTTP2_ENHANCE_YOUR_CALM);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "goaway\n");
  assert_true(ew_codec_done(p.c));
  h2_fini(&p);
}

/* GOAWAY with a growing or a strange last stream. */
static void test_bad_goaway(void **state) {
  for (int i = 0; i < 2; i++) {
    struct h2_peer p;
    h2_init(&p, true);
    h2_ask(&p, "GET", true);
    h2_pull(&p);
    h2_goaway(&p, i ? 2 : 1, NGHTTP2_NO_ERROR);
    h2_goaway(&p, 3, NGHTTP2_NO_ERROR);
    assert_int_equal(h2_feed(&p), EW_EPROTO);
    expect_told(&p, i ? "reset 1 protocol-error\nclosed 1\ngoaway\n"
                      : "goaway\nreset 1 protocol-error\nclosed 1\n");
    h2_fini(&p);
  }
}

static void test_drain(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  ew_codec_drain(p.c);
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_false(ew_codec_done(p.c));
  h2_head(&p, 1, END, ":status=200\n");
  assert_true(h2_feed(&p) > 0);
  assert_true(ew_codec_done(p.c));
  h2_fini(&p);
}

static void test_push_is_refused(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "GET", true);
  h2_pull(&p);
  h2_frame(&p, NGHTTP2_PUSH_PROMISE, EOH, 1, S("\0\0\0\2\x82\x86\x84\1\1a"));
  assert_int_equal(h2_feed(&p), EW_EPROTO);
  expect_told(&p, "reset 1 protocol-error\nclosed 1\ngoaway\n");
  h2_fini(&p);
}

/* Heads and data of streams that were never opened. */
static void test_unasked(void **state) {
  for (int i = 0; i < 3; i++) {
    struct h2_peer p;
    h2_init(&p, true);
    if (i == 2)
      h2_data(&p, 1, 0, "x");
    else
      h2_head(&p, i + 1, END, ":status=200\n");
    assert_int_equal(h2_feed(&p), EW_EPROTO);
    expect_told(&p, "goaway\n");
    h2_fini(&p);
  }
}

static void test_eof(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  h2_ask(&p, "GET", true);
  h2_ask(&p, "POST", false);
  h2_pull(&p);
  h2_head(&p, 1, 0, ":status=200\n");
  assert_true(h2_feed(&p) > 0);
  ew_codec_eof(p.c);
  expect_told(&p, "head 1 200 stream\nreset 1 connection-reset\nclosed 1\n"
                  "reset 2 connection-reset\nclosed 2\ngoaway\n");
  assert_true(ew_codec_done(p.c));
  assert_int_equal(ew_codec_capacity(p.c), 0);
  assert_int_equal(ew_codec_pull(p.c), EW_OK);
  h2_fini(&p);
}

static void test_ping(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  assert_int_equal(ew_codec_ping(p.c), EW_OK);
  assert_int_equal(ew_codec_ping(p.c), EW_EAGAIN);
  h2_pull(&p);
  expect_sent(&p, "PING eastwest\n");
  h2_frame(&p, NGHTTP2_PING, ACK, 0, S("eastwest"));
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(ew_codec_ping(p.c), EW_OK);
  h2_fini(&p);
}

/* All hstreams that nobody waited for are freed. */
static void test_del(void **state) {
  struct h2_peer p;
  h2_init(&p, true);
  for (int i = 0; i < 5; i++)
    h2_ask(&p, "POST", false);
  send_zeros(&p, 1, 100000);
  h2_pull(&p);
  send_zeros(&p, 1, 100000);
  struct ew_message *t = ew_message_new();
  ew_message_add(t, S("x"), S("y"));
  ew_hstream_send_end(p.st[1], t);
  ew_message_del(t);
  h2_ask(&p, "GET", true);
  h2_head(&p, 1, 0, ":status=200\nx=y\n");
  struct ew_slice s = ew_buf_peek(&p.in);
  assert_true(h2_feed_piece(&p, ew_slice(s.p, s.n - 1)) > 0);
  h2_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_words),
      cmocka_unit_test(test_not_http2),
      cmocka_unit_test(test_get),
      cmocka_unit_test(test_post),
      cmocka_unit_test(test_request_length),
      cmocka_unit_test(test_good_responses),
      cmocka_unit_test(test_malformed_responses),
      cmocka_unit_test(test_malformed_bodies),
      cmocka_unit_test(test_large_head),
      cmocka_unit_test(test_capacity),
      cmocka_unit_test(test_limit_shrinks),
      cmocka_unit_test(test_upload_that_stalls),
      cmocka_unit_test(test_endless_hints),
      cmocka_unit_test(test_download_that_stalls),
      cmocka_unit_test(test_large_request),
      cmocka_unit_test(test_large_response),
      cmocka_unit_test(test_reset_by_peer),
      cmocka_unit_test(test_early_response),
      cmocka_unit_test(test_many_resets),
      cmocka_unit_test(test_reset_by_user),
      cmocka_unit_test(test_goaway_by_peer),
      cmocka_unit_test(test_goaway_after_the_head),
      cmocka_unit_test(test_goaway_while_idle),
      cmocka_unit_test(test_bad_goaway),
      cmocka_unit_test(test_drain),
      cmocka_unit_test(test_push_is_refused),
      cmocka_unit_test(test_unasked),
      cmocka_unit_test(test_eof),
      cmocka_unit_test(test_ping),
      cmocka_unit_test(test_del),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
