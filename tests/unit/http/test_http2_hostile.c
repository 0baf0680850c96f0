/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http2_peer.h"

#define S(s) EW_SLICE_LIT(s)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define G GET_LINES
#define RESETS_BURST 1000 /* EW_H2_RESETS_BURST */

/* ---- heads ---- */

/* A malformed request resets its stream, and the user never sees it. */
static void test_malformed_heads(void **state) {
  static const char *const heads[] = {
      "", ":scheme=http\n:authority=a\n:path=/\n",
      ":method=GET\n:authority=a\n:path=/\n",
      ":method=GET\n:scheme=http\n:authority=a\n",
      ":method=GET\n:scheme=http\n:path=/\n",
      /* twice */
      G ":method=GET\n", G ":scheme=http\n", G ":authority=a.test\n",
      G ":path=/\n",
      /* misplaced, unknown, of a response */
      ":method=GET\n:scheme=http\n:authority=a\nx=y\n:path=/\n",
      G "x=y\n:foo=bar\n", G ":foo=bar\n", G ":status=200\n", G ":Method=GET\n",
      G ":=x\n",
      /* values of pseudo header fields */
      ":method=\n:scheme=http\n:authority=a\n:path=/\n",
      ":method=G ET\n:scheme=http\n:authority=a\n:path=/\n",
      ":method=GET\n:scheme=\n:authority=a\n:path=/\n",
      ":method=GET\n:scheme=1http\n:authority=a\n:path=/\n",
      ":method=GET\n:scheme=ht tp\n:authority=a\n:path=/\n",
      ":method=GET\n:scheme=http\n:authority=a b\n:path=/\n",
      ":method=GET\n:scheme=http\n:authority=a\r\n:path=/\n",
      ":method=GET\n:scheme=http\n:authority=a\n:path=\n",
      ":method=GET\n:scheme=http\n:authority=a\n:path=x\n",
      ":method=GET\n:scheme=http\n:authority=a\n:path=http://a/\n",
      ":method=GET\n:scheme=http\n:authority=a\n:path=*\n",
      ":method=GET\n:scheme=http\n:authority=a\n:path=/ HTTP/1.1\n",
      ":method=GET\n:scheme=http\n:authority=a\n:path=/\x01\n",
      /* CONNECT with more than it has, extended CONNECT (not offered) */
      ":method=CONNECT\n:scheme=http\n:authority=a:1\n:path=/\n",
      ":method=CONNECT\n",
      ":method=CONNECT\n:protocol=websocket\n:scheme=http\n:authority=a\n"
      ":path=/\n",
      /* names */
      G "X-Upper=1\n", G "x y=1\n", G "x:y=1\n", G "x\x7f=1\n", G "=1\n",
      /* of a connection */
      G "connection=close\n", G "keep-alive=1\n", G "proxy-connection=close\n",
      G "transfer-encoding=chunked\n", G "upgrade=h2c\n", G "te=gzip\n",
      G "te=trailers, gzip\n",
      /* values */
      G "x=a\rb\n", G "x=a\x01\n", G "x=\x7f\n", G "x= a\n", G "x=a\t\n",
      /* hosts */
      G "host=a.test\nhost=a.test\n",
      ":method=GET\n:scheme=http\n:path=/\nhost=a\nhost=b\n", G "host=a b\n",
      /* lengths */
      G "content-length=1\ncontent-length=1\n", G "content-length=\n",
      G "content-length=+1\n", G "content-length=-1\n",
      G "content-length=1, 1\n", G "content-length=99999999999999999999\n",
      G "content-length=1\n", /* with END_STREAM */
  };
  struct h2_peer p;
  h2_init(&p, false);
  for (size_t i = 0; i < COUNT(heads); i++) {
    char want[64];
    h2_head(&p, (uint32_t)(1 + 2 * i), END, heads[i]);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "RST %zu PROTOCOL_ERROR\n", 1 + 2 * i);
    if (!ew_slice_eq_str(ew_buf_peek(&p.sent), want))
      print_error("head %zu:\n%s", i, heads[i]);
    expect_sent(&p, want);
    expect_told(&p, "");
    assert_int_equal(p.c->streams, 0);
  }
  h2_expect_alive(&p);
  h2_fini(&p);
}

static nghttp2_nv nv(struct ew_slice name, struct ew_slice value) {
  return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                      (uint8_t *)(uintptr_t)value.p, name.n, value.n, 0};
}

/* LF and NUL, which no text can hold here. */
static void test_malformed_bytes(void **state) {
  static const struct ew_slice bytes[] = {S("a\nb"), S("a\0b"), S("\0"),
                                          S("a\n")};
  struct h2_peer p;
  h2_init(&p, false);
  for (uint32_t i = 0; i < 2 * COUNT(bytes); i++) {
    struct ew_slice b = bytes[i / 2];
    struct ew_slice name = i % 2 ? b : S("x"), value = i % 2 ? S("x") : b;
    const nghttp2_nv fields[] = {
        nv(S(":method"), S("GET")),
        nv(S(":scheme"), S("http")),
        nv(S(":authority"), S("a")),
        nv(S(":path"), S("/")),
        nv(name, value),
    };
    h2_head_nv(&p, 1 + 2 * i, END, fields, COUNT(fields));
    assert_true(h2_feed(&p) > 0);
    h2_note(&p, "%u\n", i);
  }
  expect_told(&p, "");
  expect_sent(&p, "RST 1 PROTOCOL_ERROR\n0\nRST 3 PROTOCOL_ERROR\n1\n"
                  "RST 5 PROTOCOL_ERROR\n2\nRST 7 PROTOCOL_ERROR\n3\n"
                  "RST 9 PROTOCOL_ERROR\n4\nRST 11 PROTOCOL_ERROR\n5\n"
                  "RST 13 PROTOCOL_ERROR\n6\nRST 15 PROTOCOL_ERROR\n7\n");
  h2_fini(&p);
}

#define PATH(p) ":method=GET\n:scheme=http\n:authority=a\n:path=" p "\n"
#define AUTHORITY(a) ":method=GET\n:scheme=http\n:path=/\n:authority=" a "\n"

/* What HTTP/2 allows and the gate doesn't gets an answer. */
static void test_refused_heads(void **state) {
  static const struct {
    const char *head, *told;
  } cases[] = {
      {G "host=b.test\n", "refused 400 host differs from authority\n"},
      {G "host=a.test:80\n", "refused 400 host differs from authority\n"},
      {":method=CONNECT\n:authority=a:1\n", "refused 400 CONNECT is not "
                                            "served\n"},
      {AUTHORITY("u@a"), "refused 400 malformed host\n"},
      {AUTHORITY("a:x"), "refused 400 malformed host\n"},
      {AUTHORITY("a,b"), "refused 400 malformed host\n"},
      {PATH("/#"), "refused 400 forbidden byte in the request target\n"},
      {PATH("/\\"), "refused 400 forbidden byte in the request target\n"},
      {PATH("/\xc3\xa4"), "refused 400 forbidden byte in the request target\n"},
      {PATH("/../x"), "refused 400 dot segment in the path\n"},
      {PATH("/%2e%2E/x"), "refused 400 dot segment in the path\n"},
      {PATH("/%00"), "refused 400 encoded NUL in the path\n"},
      {":method=GET\n:scheme=ftp\n:authority=a\n:path=x\n",
       "refused 400 malformed request target\n"},
  };
  struct h2_peer p;
  h2_init(&p, false);
  for (size_t i = 0; i < COUNT(cases); i++) {
    h2_head(&p, (uint32_t)(1 + 2 * i), END, cases[i].head);
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, cases[i].told);
    assert_int_equal(p.c->streams, 0);
    assert_int_equal(p.c->served, 0);
  }
  h2_forget(&p);
  h2_head(&p, 101, END, G "host=b.test\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 101 :status=400 content-type=text/plain "
                  "content-length=27\nDATA 101 end host differs from "
                  "authority\n");
  /* The answer to HEAD has no body, even if the request has one. */
  h2_head(&p, 103, END,
          ":method=HEAD\n:scheme=http\n:authority=a.test\n:path=/\nhost=b\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 103 end :status=400 content-type=text/plain "
                  "content-length=27\n");
  h2_head(&p, 105, 0,
          ":method=HEAD\n:scheme=http\n:authority=a.test\n:path=/\nhost=b\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 105 end :status=400 content-type=text/plain "
                  "content-length=27\nRST 105 NO_ERROR\n");
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* The rest of a refused request is not wanted, and not shown. */
static void test_refused_with_body(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES "host=b\n");
  h2_data(&p, 1, 0, "x");
  h2_head(&p, 1, END, "x-t=1\n");
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  h2_head(&p, 3, 0, POST_LINES "host=b\n");
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 3 :status=400 content-type=text/plain "
                  "content-length=27\nDATA 3 end host differs from authority\n"
                  "RST 3 NO_ERROR\n");
  h2_zeros(&p, 3, 65535);
  h2_head(&p, 3, END, "x-t=1\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "refused 400 host differs from authority\n");
  assert_int_equal(ew_buf_len(&p.body), 0);
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* Odd, but good. */
static void test_good_heads(void **state) {
  static const struct {
    const char *head, *told;
  } cases[] = {
      {":method=GET\n:scheme=http\n:path=/\nhost=A\n", "GET http://a/ end"},
      {":authority=A\n:path=/\n:scheme=http\n:method=get\nhost=a\n",
       "get http://a/ end"},
      {":method=OPTIONS\n:scheme=http\n:authority=a\n:path=*\n",
       "OPTIONS http://a* end"},
      {G "te=Trailers\nte=trailers\n", "GET http://a.test/ te=trailers end"},
      {G "http2-settings=AAAA\nx=\xe4\n", "GET http://a.test/ x=\xe4 end"},
      {G "cookie=a=b\nx=1\ncookie=c=d\ncookie=\ncookie=e=f\n",
       "GET http://a.test/ cookie=a=b; c=d; ; e=f x=1 end"},
      {G "cookie=a=b\n", "GET http://a.test/ cookie=a=b end"},
      {G "content-length=0\n", "GET http://a.test/ end"},
      {G "expect=100-continue\n", "GET http://a.test/ expect=100-continue end"},
  };
  struct h2_peer p;
  h2_init(&p, false);
  for (size_t i = 0; i < COUNT(cases); i++) {
    char want[256];
    h2_head(&p, (uint32_t)(1 + 2 * i), END, cases[i].head);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "head %zu %s\n", i + 1, cases[i].told);
    expect_told(&p, want);
  }
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* Trailers can't bring what belongs to heads. */
static void test_trailers(void **state) {
  static const char *const bad[] = {
      ":path=/\n",          ":status=200\n", "X=1\n",
      "connection=close\n", "x=a\x01\n",     "transfer-encoding=chunked\n",
      "te=gzip\n",          "x y=1\n",       "upgrade=h2c\n",
  };
  struct h2_peer p;
  uint32_t id = 1;
  h2_init(&p, false);
  for (size_t i = 0; i < COUNT(bad); i++, id += 2) {
    char want[64];
    h2_head(&p, id, 0, POST_LINES);
    assert_true(h2_feed(&p) > 0);
    h2_forget(&p);
    h2_head(&p, id, END, bad[i]);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "RST %u PROTOCOL_ERROR\n", id);
    expect_sent(&p, want);
    snprintf(want, sizeof(want), "reset %zu malformed-message\nclosed %zu\n",
             p.n, p.n);
    expect_told(&p, want);
  }
  /* Without END_STREAM. */
  h2_head(&p, id, 0, POST_LINES);
  h2_head(&p, id, 0, "x=1\n");
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.resets, COUNT(bad) + 1);
  h2_forget(&p);
  id += 2;
  /* Dropped. */
  h2_head(&p, id, 0, POST_LINES);
  h2_head(&p, id, END,
          "host=evil\ncontent-length=0\nte=trailers\nhttp2-settings=A\nx=1\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 11 POST http://a.test/ stream\nend 11 x=1\n");
  assert_int_equal(p.trailers->authority.n, 0);
  assert_int_equal(p.trailers->body, EW_BODY_NONE);
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* ---- limits of a head ---- */

/* |fields| lines of |size| bytes each, counted as EW_HEAD_MAX counts. */
static void big_head(struct h2_peer *p, uint32_t id, int flags,
                     const char *first, size_t fields, size_t size) {
  struct ew_buf b;
  ew_buf_init(&b, 16 << 20);
  ew_buf_append_str(&b, first);
  for (size_t i = 0; i < fields; i++) {
    ew_buf_append_str(&b, "x=");
    for (size_t k = 0; k + 33 < size; k++)
      ew_buf_append_str(&b, "v");
    ew_buf_append_str(&b, "\n");
  }
  ew_buf_append(&b, ew_slice("", 1));
  h2_head(p, id, flags, ew_buf_peek(&b).p);
  ew_buf_fini(&b);
}

static void test_head_limits(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  /* Four pseudo header fields count 171 bytes together. */
  big_head(&p, 1, END, G, 1, EW_HEAD_MAX - 171);
  big_head(&p, 3, END, G, EW_FIELDS_MAX - 4, 40);
  p.quiet = true;
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.n, 2);
  p.quiet = false;
  big_head(&p, 5, END, G, 1, EW_HEAD_MAX - 170);
  big_head(&p, 7, END, G, EW_FIELDS_MAX - 3, 40);
  big_head(&p, 9, END, G, 12, 10000);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "refused 431 head too large\nrefused 431 head too large\n"
                  "refused 431 head too large\n");
  /* Of trailers. */
  h2_head(&p, 11, 0, POST_LINES);
  big_head(&p, 11, END, "", 2, EW_HEAD_MAX / 2);
  h2_head(&p, 13, 0, POST_LINES);
  big_head(&p, 13, END, "", EW_FIELDS_MAX + 1, 40);
  p.quiet = true;
  assert_true(h2_feed(&p) > 0);
  p.quiet = false;
  assert_int_equal(ew_slice_starts(ew_buf_peek(&p.sent), S("HEADERS 5")), 1);
  assert_int_equal(p.resets, 1);
  assert_int_equal(p.trailers->headers.n, 2);
  h2_expect_alive(&p);
  h2_fini(&p);
}

static void test_path_limit(void **state) {
  struct h2_peer p;
  char head[EW_TARGET_MAX + 100];
  h2_init(&p, false);
  p.quiet = true;
  for (uint32_t i = 0; i < 2; i++) {
    size_t n = (size_t)snprintf(
        head, sizeof(head), ":method=GET\n:scheme=http\n:authority=a\n:path=/");
    memset(head + n, 'p', EW_TARGET_MAX - 1 + i);
    head[n + EW_TARGET_MAX - 1 + i] = '\0';
    h2_head(&p, 1 + 2 * i, END, head);
    assert_true(h2_feed(&p) > 0);
    p.quiet = false;
  }
  expect_told(&p, "refused 414 request target too long\n");
  assert_int_equal(p.n, 1);
  h2_fini(&p);
}

static void literal(struct ew_buf *b, int first, size_t n) {
  char head[3] = {(char)first, (char)(128 + (n - 127) % 128),
                  (char)((n - 127) / 128)};
  ew_buf_append(b, ew_slice(head, 3));
}

/* An entry of 4,000 bytes, then one byte each for 130,000 copies of it. */
static void test_hpack_bomb(void **state) {
  struct h2_peer p;
  struct ew_buf b;
  h2_init(&p, false);
  ew_buf_init(&b, 1 << 20);
  ew_buf_append(&b, S("\x82\x86\x84\x01\x01"
                      "a"
                      "\x40\x01x"));
  literal(&b, 0x7f, 4000);
  for (int i = 0; i < 4000; i++)
    ew_buf_append(&b, S("v"));
  while (ew_buf_len(&b) < 16384 * 8)
    ew_buf_append(&b, S("\xbe"));
  for (int i = 0; i < 8; i++) {
    h2_frame(&p, i ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS,
             (i ? 0 : END) | (i == 7 ? EOH : 0), 1,
             ew_slice(ew_buf_peek(&b).p, 16384));
    ew_buf_consume(&b, 16384);
  }
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "refused 431 head too large\n");
  ew_buf_fini(&b);
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* ---- bodies ---- */

static void test_body_faults(void **state) {
  static const struct {
    const char *head, *data;
    int flags;
  } cases[] = {
      {"content-length=3\n", "abcd", 0}, {"content-length=3\n", "abcd", END},
      {"content-length=3\n", "ab", END}, {"content-length=3\n", "", END},
      {"content-length=0\n", "a", 0},
  };
  struct h2_peer p;
  h2_init(&p, false);
  for (uint32_t i = 0; i < COUNT(cases); i++) {
    char head[128], want[64];
    snprintf(head, sizeof(head), "%s%s", POST_LINES, cases[i].head);
    h2_head(&p, 1 + 2 * i, 0, head);
    assert_true(h2_feed(&p) > 0);
    h2_forget(&p);
    h2_data(&p, 1 + 2 * i, cases[i].flags, cases[i].data);
    assert_true(h2_feed(&p) > 0);
    snprintf(want, sizeof(want), "RST %u PROTOCOL_ERROR\n", 1 + 2 * i);
    expect_sent(&p, want);
    snprintf(want, sizeof(want), "reset %u malformed-message\nclosed %u\n",
             i + 1, i + 1);
    expect_told(&p, want);
  }
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* All at once, so that it comes before the reset that it forces. */
static void test_more_than_the_window(void **state) {
  for (int client = 0; client < 2; client++) {
    struct h2_peer p;
    h2_init(&p, client);
    p.hold = true;
    if (client)
      h2_ask(&p, "GET", true);
    h2_pull(&p);
    h2_forget(&p);
    h2_head(&p, 1, 0, client ? ":status=200\n" : POST_LINES);
    h2_zeros(&p, 1, 300000);
    assert_true(h2_feed(&p) > 0);
    assert_true(ew_buf_len(&p.body) <= 65535);
    expect_sent(&p, "RST 1 FLOW_CONTROL_ERROR\n");
    assert_int_equal(p.resets, 1);
    assert_int_equal(p.c->streams, 0);
    h2_expect_alive(&p);
    h2_fini(&p);
  }
}

/* Trailers where the length promised more. */
static void test_short_body_with_trailers(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES "content-length=3\n");
  h2_data(&p, 1, 0, "ab");
  h2_head(&p, 1, END, "x=1\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 POST http://a.test/ length 3\n"
                  "reset 1 malformed-message\nclosed 1\n");
  h2_fini(&p);
}

/* ---- frames ---- */

/* Ends the connection: the last word is a GOAWAY with |code|, what is open is
 * lost, and nothing is read any more. */
static void expect_goaway(struct h2_peer *p, const char *code) {
  struct ew_slice s;
  char want[64];
  int err = p->c->error;
  assert_true(err == EW_EPROTO || err == EW_EFLOOD);
  assert_true(ew_codec_done(p->c));
  assert_false(ew_codec_want_read(p->c));
  assert_int_equal(p->c->streams, 0);
  assert_int_equal(ew_codec_feed(p->c, S("x")), err);
  assert_int_equal(ew_codec_pull(p->c), EW_OK);
  snprintf(want, sizeof(want), " %s\n", code);
  s = ew_buf_peek(&p->sent);
  assert_true(s.n >= strlen(want));
  s = ew_slice(s.p + s.n - strlen(want), strlen(want));
  if (!ew_slice_eq_str(s, want))
    fail_msg("want %s, sent:\n%.*s", want, EW_SLICE_FMT(ew_buf_peek(&p->sent)));
}

struct raw {
  int type, flags;
  uint32_t id;
  struct ew_slice payload;
  const char *code;
};
#define PROTO "PROTOCOL_ERROR"
#define SIZE "FRAME_SIZE_ERROR"
#define FLOW "FLOW_CONTROL_ERROR"
#define COMP "COMPRESSION_ERROR"
#define CLOSED "STREAM_CLOSED"

static void test_connection_errors(void **state) {
  static const struct raw cases[] = {
      {NGHTTP2_DATA, 0, 0, S("x"), PROTO},
      {NGHTTP2_DATA, 0, 99, S("x"), PROTO}, /* idle */
      {NGHTTP2_DATA, PADDED, 1, S("\5abc"), PROTO},
      {NGHTTP2_DATA, PADDED, 1, S(""), PROTO},
      {NGHTTP2_DATA, 0, 3, S("x"), CLOSED}, /* behind END_STREAM */
      {NGHTTP2_HEADERS, EOH, 0, S("\x82"), PROTO},
      {NGHTTP2_HEADERS, EOH, 2, S("\x82"), PROTO},
      {NGHTTP2_HEADERS, EOH | END, 3, S("\x82"), CLOSED},
      {NGHTTP2_HEADERS, EOH | PADDED, 99, S("\5abc"), PROTO},
      {NGHTTP2_HEADERS, EOH | NGHTTP2_FLAG_PRIORITY, 99, S("abc"), SIZE},
      {NGHTTP2_HEADERS, EOH | NGHTTP2_FLAG_PRIORITY, 99, S("\0\0\0\x63\1\x82"),
       PROTO}, /* depends on itself */
      {NGHTTP2_HEADERS, EOH, 99, S("\x80"), COMP},
      {NGHTTP2_HEADERS, EOH, 99, S("\xff\xff\xff\xff\xff\xff\xff"), COMP},
      {NGHTTP2_HEADERS, EOH, 99, S("\x3f\xff\xff\x7f"), COMP},
      {NGHTTP2_HEADERS, EOH, 99, S("\x40\x7f\xff\xff\xff\x7f"), COMP},
      {NGHTTP2_HEADERS, EOH, 99, S("\xfe"), COMP},
      {NGHTTP2_HEADERS, EOH, 99, S("\x40\x01"), COMP},
      {NGHTTP2_CONTINUATION, EOH, 1, S("\x82"), PROTO},
      {NGHTTP2_RST_STREAM, 0, 0, S("\0\0\0\0"), PROTO},
      {NGHTTP2_RST_STREAM, 0, 99, S("\0\0\0\0"), PROTO},
      {NGHTTP2_RST_STREAM, 0, 1, S("\0\0\0"), SIZE},
      {NGHTTP2_SETTINGS, 0, 1, S(""), PROTO},
      {NGHTTP2_SETTINGS, 0, 0, S("\0\1\0\0\0"), SIZE},
      {NGHTTP2_SETTINGS, ACK, 0, S("\0\1\0\0\0\0"), SIZE},
      {NGHTTP2_SETTINGS, ACK, 0, S(""), PROTO}, /* of nothing */
      {NGHTTP2_SETTINGS, 0, 0, S("\0\4\x80\0\0\0"), FLOW},
      {NGHTTP2_SETTINGS, 0, 0, S("\0\5\0\0\0\0"), PROTO},
      {NGHTTP2_SETTINGS, 0, 0, S("\0\2\0\0\0\2"), PROTO},
      {NGHTTP2_PING, 0, 0, S("1234567"), SIZE},
      {NGHTTP2_PING, 0, 1, S("12345678"), PROTO},
      {NGHTTP2_GOAWAY, 0, 1, S("\0\0\0\0\0\0\0\0"), PROTO},
      {NGHTTP2_GOAWAY, 0, 0, S("\0\0\0\0"), SIZE},
      {NGHTTP2_WINDOW_UPDATE, 0, 0, S("\0\0\0\0"), PROTO},
      {NGHTTP2_WINDOW_UPDATE, 0, 0, S("\x7f\xff\xff\xff"), FLOW},
      {NGHTTP2_WINDOW_UPDATE, 0, 1, S("\0\0\0\0"), PROTO},
      {NGHTTP2_WINDOW_UPDATE, 0, 99, S("\0\0\0\1"), PROTO},
      {NGHTTP2_WINDOW_UPDATE, 0, 1, S("\0\0\1"), SIZE},
      {NGHTTP2_PUSH_PROMISE, EOH, 1, S("\0\0\0\2\x82"), PROTO},
      {NGHTTP2_PRIORITY, 0, 0, S("\0\0\0\1\1"), PROTO},
      {NGHTTP2_PRIORITY, 0, 1, S("\0\0\0\1"), SIZE},
      {NGHTTP2_PRIORITY, 0, 1, S("\0\0\0\1\1"), PROTO}, /* on itself */
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    const struct raw *r = &cases[i];
    struct h2_peer p;
    h2_init(&p, false);
    h2_head(&p, 1, 0, POST_LINES);
    h2_head(&p, 3, END, G);
    assert_true(h2_feed(&p) > 0);
    h2_forget(&p);
    h2_frame(&p, r->type, r->flags, r->id, r->payload);
    h2_head(&p, 5, END, G);
    if (h2_feed(&p) != EW_EPROTO)
      fail_msg("case %zu", i);
    if (!strstr(p.c->why, r->code))
      fail_msg("case %zu: %s", i, p.c->why);
    expect_goaway(&p, r->code);
    expect_told(&p, "reset 1 protocol-error\nclosed 1\n"
                    "reset 2 protocol-error\nclosed 2\n");
    h2_fini(&p);
  }
}

/* Faults of one stream leave the others alone. */
static void test_stream_errors(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES);
  h2_head(&p, 3, END, G);
  h2_head(&p, 5, END, G);
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  h2_window(&p, 1, 0x7fffffff);
  h2_data(&p, 1, 0, "x"); /* on its way */
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "RST 1 FLOW_CONTROL_ERROR\n");
  expect_told(&p, "reset 1 malformed-message\nclosed 1\n");
  /* The window of a stream becomes too large by SETTINGS. */
  h2_window(&p, 5, 0x7fff0000);
  h2_setting(&p, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff);
  h2_feed(&p);
  expect_sent(&p, "SETTINGS ack\nRST 5 FLOW_CONTROL_ERROR\n");
  h2_expect_alive(&p);
  h2_fini(&p);
}

static void test_not_http2(void **state) {
  static const struct ew_slice words[] = {
      S("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
      S("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
      S(NGHTTP2_CLIENT_MAGIC "\0\0\x08\6\0\0\0\0\0"
                             "12345678"),
  };
  for (size_t i = 0; i < COUNT(words); i++) {
    struct h2_peer p;
    h2_init_bare(&p, false);
    h2_raw(&p, words[i]);
    assert_int_equal(h2_feed(&p), EW_EPROTO);
    expect_goaway(&p, PROTO);
    h2_fini(&p);
  }
}

/* What stands between the parts of a head, or none of it ever ends. */
static void test_continuations(void **state) {
  for (int i = 0; i < 3; i++) {
    struct h2_peer p;
    h2_init(&p, false);
    h2_frame(&p, NGHTTP2_HEADERS, END, 1, S("\x82"));
    if (i == 0)
      h2_frame(&p, NGHTTP2_PING, 0, 0, S("12345678"));
    else if (i == 1)
      h2_frame(&p, NGHTTP2_CONTINUATION, EOH, 3, S("\x82"));
    for (int k = 0; k < 100; k++)
      h2_frame(&p, NGHTTP2_CONTINUATION, 0, 1, S(""));
    assert_true(h2_feed(&p) < 0);
    expect_goaway(&p, PROTO);
    expect_told(&p, "");
    h2_fini(&p);
  }
}

/* Unknown frames, settings and flags are nothing. */
static void test_unknown(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_frame(&p, 0xee, 0xff, 7, S("whatever"));
  h2_setting(&p, 0x99, 7);
  h2_frame(&p, NGHTTP2_PRIORITY, 0, 9, S("\0\0\0\3\1"));
  h2_frame(&p, NGHTTP2_HEADERS, EOH | END | NGHTTP2_FLAG_PRIORITY, 11,
           S("\0\0\0\x09\x10\x82\x86\x84\1\1a"));
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "SETTINGS ack\n");
  expect_told(&p, "head 1 GET http://a/ end\n");
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* ---- too much of something ---- */

/* Makes the |i|th one. */
typedef void (*make_one)(struct h2_peer *p, uint32_t i);

/* How many it takes until the codec has had enough. */
static uint32_t flood(make_one make, bool read, const char *code) {
  struct h2_peer p;
  uint32_t i = 0;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES);
  assert_true(h2_feed(&p) > 0);
  p.quiet = p.mute = true;
  while (i < 100000 && ew_codec_want_read(p.c)) {
    make(&p, i++);
    (void)(read ? h2_feed(&p) : h2_feed_only(&p));
  }
  if (read || p.c->error) {
    p.mute = false;
    h2_forget(&p);
    h2_pull(&p);
    h2_note(&p, "GOAWAY 0 %s\n", code); /* it may have left before */
    if (p.c->error != EW_EFLOOD)
      fail_msg("%u: %d", i, p.c->error);
    expect_goaway(&p, code);
  }
  h2_fini(&p);
  return i;
}

static void open_and_reset(struct h2_peer *p, uint32_t i) {
  h2_head(p, 3 + 2 * i, 0, POST_LINES);
  h2_rst(p, 3 + 2 * i, NGHTTP2_CANCEL);
}
/* Each one makes the codec send a reset (CVE-2025-8671). */
static void open_and_fail(struct h2_peer *p, uint32_t i) {
  h2_head(p, 3 + 2 * i, 0, POST_LINES);
  h2_window(p, 3 + 2 * i, 0x7fffffff);
}
static void open_malformed(struct h2_peer *p, uint32_t i) {
  h2_head(p, 3 + 2 * i, END, G "te=gzip\n");
}
static void large_trailers(struct h2_peer *p, uint32_t i) {
  static char fields[4 * (EW_FIELDS_MAX + 2) + 1];
  if (!fields[0])
    for (size_t k = 0; k + 4 < sizeof(fields); k += 4)
      memcpy(fields + k, "x=1\n", 4);
  h2_head(p, 3 + 2 * i, 0, POST_LINES);
  h2_head(p, 3 + 2 * i, END, fields);
}
static void one_ping(struct h2_peer *p, uint32_t i) {
  h2_frame(p, NGHTTP2_PING, 0, 0, S("12345678"));
}
static void one_ack(struct h2_peer *p, uint32_t i) {
  h2_frame(p, NGHTTP2_PING, ACK, 0, S("12345678"));
}
static void one_settings(struct h2_peer *p, uint32_t i) {
  h2_setting(p, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, i);
}
static void one_empty_data(struct h2_peer *p, uint32_t i) {
  h2_data(p, 1, 0, "");
}
static void one_padding(struct h2_peer *p, uint32_t i) {
  h2_frame(p, NGHTTP2_DATA, PADDED, 1, S("\1\0"));
}
static void one_window(struct h2_peer *p, uint32_t i) { h2_window(p, 1, 1); }
static void one_priority(struct h2_peer *p, uint32_t i) {
  h2_frame(p, NGHTTP2_PRIORITY, 0, 1, S("\0\0\0\0\1"));
}

static void test_floods(void **state) {
  static const make_one resets[] = {open_and_reset, open_and_fail,
                                    open_malformed, large_trailers};
  static const make_one frames[] = {one_ping,       one_ack,    one_settings,
                                    one_empty_data, one_window, one_priority,
                                    one_padding};
  uint32_t n;
  for (size_t i = 0; i < COUNT(resets); i++) {
    n = flood(resets[i], true, "ENHANCE_YOUR_CALM");
    if (n <= RESETS_BURST || n > 2 * RESETS_BURST)
      fail_msg("resets %zu: %u", i, n);
  }
  for (size_t i = 0; i < COUNT(frames); i++) {
    n = flood(frames[i], true, "ENHANCE_YOUR_CALM");
    /* The set-up took some of the 10,000 that are free. */
    if (n < 9990 || n >= 100000)
      fail_msg("frames %zu: %u", i, n);
  }
}

/* The same from a peer that reads nothing of the answers. */
static void test_floods_unread(void **state) {
  static const make_one makers[] = {open_and_reset, open_and_fail,
                                    open_malformed, large_trailers,
                                    one_ping,       one_settings};
  for (size_t i = 0; i < COUNT(makers); i++) {
    uint32_t n = flood(makers[i], false, "ENHANCE_YOUR_CALM");
    if (n > 5000)
      fail_msg("%zu: %u", i, n);
  }
}

/* A peer that has not agreed to our limit yet is refused what is above it. It
 * can't make the refusals pile up. */
static void test_too_many_streams(void **state) {
  struct h2_peer p;
  h2_init_bare(&p, false);
  h2_raw(&p, S(NGHTTP2_CLIENT_MAGIC));
  h2_frame(&p, NGHTTP2_SETTINGS, 0, 0, S(""));
  for (uint32_t i = 0; i <= EW_H2_MAX_STREAMS; i++)
    h2_head(&p, 1 + 2 * i, 0, POST_LINES);
  p.quiet = true;
  h2_pull(&p);
  h2_forget(&p);
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.c->streams, EW_H2_MAX_STREAMS);
  expect_sent(&p, "SETTINGS ack\nRST 513 REFUSED_STREAM\n");
  uint32_t n = 0;
  while (ew_codec_want_read(p.c) && n < 100000) {
    h2_head(&p, 515 + 2 * n++, 0, POST_LINES);
    (void)h2_feed_only(&p);
  }
  assert_in_range(n, 999, 5000);
  p.mute = true;
  h2_pull(&p);
  assert_int_equal(p.c->error, EW_EFLOOD);
  assert_int_equal(p.c->streams, 0);
  h2_fini(&p);
}

/* It reads nothing, so that no refusal goes out and counts: it isn't read from
 * any more, until it reads. */
static void test_refusals_unread(void **state) {
  static const char zeros[65535];
  struct h2_peer p;
  struct ew_message *m = ew_message_new();
  h2_init_bare(&p, false);
  h2_raw(&p, S(NGHTTP2_CLIENT_MAGIC));
  h2_frame(&p, NGHTTP2_SETTINGS, 0, 0, S(""));
  for (uint32_t i = 0; i < EW_H2_MAX_STREAMS; i++)
    h2_head(&p, 1 + 2 * i, 0, POST_LINES);
  p.quiet = p.mute = true;
  assert_true(h2_feed(&p) > 0);
  m->status = 200;
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(p.st[1], m, false);
  ew_hstream_send(p.st[1], ew_slice(zeros, sizeof(zeros)));
  ew_codec_pull(p.c);
  uint32_t n = 0;
  while (ew_codec_want_read(p.c) && n < 100000) {
    h2_head(&p, 515 + 2 * n++, 0, POST_LINES);
    assert_true(h2_feed_only(&p) > 0);
  }
  assert_in_range(n, 1000, 5000);
  assert_int_equal(p.c->streams, EW_H2_MAX_STREAMS);
  h2_pull(&p);
  assert_int_equal(p.c->error, EW_EFLOOD);
  ew_message_del(m);
  h2_fini(&p);
}

/* Once it has agreed it is its fault. */
static void test_more_streams_than_agreed(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  p.quiet = true;
  for (uint32_t i = 0; i < EW_H2_MAX_STREAMS; i++)
    h2_head(&p, 1 + 2 * i, 0, POST_LINES);
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.c->streams, EW_H2_MAX_STREAMS);
  h2_head(&p, 1 + 2 * EW_H2_MAX_STREAMS, 0, POST_LINES);
  assert_int_equal(h2_feed(&p), EW_EPROTO);
  expect_goaway(&p, PROTO);
  assert_int_equal(p.resets, EW_H2_MAX_STREAMS);
  h2_fini(&p);
}

/* A fast download: two WINDOW_UPDATEs for each 1,024 bytes are no flood. */
static void test_many_window_updates(void **state) {
  static const char zeros[32768];
  struct h2_peer p;
  struct ew_message *m = ew_message_new();
  h2_init(&p, false);
  p.quiet = p.mute = true;
  h2_head(&p, 1, END, G);
  assert_true(h2_feed(&p) > 0);
  m->status = 200;
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(p.st[1], m, false);
  for (int i = 0; i < 4000; i++) {
    assert_int_equal(ew_hstream_send(p.st[1], ew_slice(zeros, 32768)), 32768);
    h2_pull(&p);
    for (int k = 0; k < 16; k++) {
      h2_window(&p, 0, 2048);
      h2_window(&p, 1, 2048);
    }
    assert_true(h2_feed(&p) > 0);
  }
  assert_int_equal(p.data_bytes, 4000 * 32768);
  ew_message_del(m);
  h2_fini(&p);
}

/* Frames in pieces of almost every size, and cut off anywhere. (Each read of a
 * part of a CONTINUATION's nine bytes counts as one CONTINUATION in nghttp2.)
 */
static void test_pieces(void **state) {
  for (size_t cut = 2; cut < 200; cut++) {
    struct h2_peer p;
    h2_init(&p, false);
    p.piece = cut;
    big_head(&p, 1, 0, POST_LINES, 3, 9000);
    h2_data(&p, 1, 0, "hello");
    h2_head(&p, 1, END, "x=1\n");
    p.quiet = true;
    if (h2_feed(&p) < 0)
      fail_msg("cut %zu: %s", cut, p.c->why);
    assert_non_null(p.trailers);
    assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "hello"));
    h2_head(&p, 3, END, G);
    h2_data(&p, 1, 0, "a fault of its own");
    struct ew_slice s = ew_buf_peek(&p.in);
    (void)h2_feed_piece(&p, ew_slice(s.p, cut < s.n ? cut : s.n));
    ew_codec_eof(p.c);
    assert_int_equal(p.c->streams, 0);
    h2_fini(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_malformed_heads),
      cmocka_unit_test(test_malformed_bytes),
      cmocka_unit_test(test_refused_heads),
      cmocka_unit_test(test_refused_with_body),
      cmocka_unit_test(test_good_heads),
      cmocka_unit_test(test_trailers),
      cmocka_unit_test(test_head_limits),
      cmocka_unit_test(test_path_limit),
      cmocka_unit_test(test_hpack_bomb),
      cmocka_unit_test(test_body_faults),
      cmocka_unit_test(test_short_body_with_trailers),
      cmocka_unit_test(test_more_than_the_window),
      cmocka_unit_test(test_connection_errors),
      cmocka_unit_test(test_stream_errors),
      cmocka_unit_test(test_not_http2),
      cmocka_unit_test(test_continuations),
      cmocka_unit_test(test_unknown),
      cmocka_unit_test(test_floods),
      cmocka_unit_test(test_floods_unread),
      cmocka_unit_test(test_too_many_streams),
      cmocka_unit_test(test_refusals_unread),
      cmocka_unit_test(test_more_streams_than_agreed),
      cmocka_unit_test(test_many_window_updates),
      cmocka_unit_test(test_pieces),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
