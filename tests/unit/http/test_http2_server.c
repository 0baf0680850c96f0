/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http2_peer.h"

#define S(s) EW_SLICE_LIT(s)

static void respond_ok(struct h2_peer *p, size_t k, bool end) {
  h2_respond(p, k, 200, "ok");
}

static void test_first_words(void **state) {
  struct h2_peer p;
  h2_init_bare(&p, false);
  assert_string_equal(p.c->ops->name, "h2");
  assert_true(ew_codec_want_read(p.c));
  assert_false(ew_codec_done(p.c));
  h2_pull(&p);
  expect_sent(&p, "SETTINGS 3=256 4=65535 6=65536 5=65536\nWINDOW 0 16711681\n");
  h2_raw(&p, S(NGHTTP2_CLIENT_MAGIC));
  h2_frame(&p, NGHTTP2_SETTINGS, 0, 0, S(""));
  p.piece = 1;
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "SETTINGS ack\n");
  assert_int_equal(ew_codec_capacity(p.c), 0);
  h2_fini(&p);
}

static void test_get(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, END,
          ":method=GET\n:scheme=https\n:authority=A.test:80\n:path=/a?b\n"
          "x-one=two\nte=trailers\nx-empty=\nx-one=three\n");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 GET https://a.test:80/a?b x-one=two te=trailers "
                  "x-empty= x-one=three end\n");
  assert_int_equal(p.m->body, EW_BODY_NONE);
  assert_int_equal(p.c->streams, 1);
  h2_respond(&p, 1, 200, "hello");
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 :status=200 content-length=5\nDATA 1 end hello\n");
  expect_told(&p, "closed 1\n");
  assert_int_equal(p.c->streams, 0);
  assert_int_equal(p.c->served, 1);
  h2_expect_alive(&p);
  h2_fini(&p);
}

static void test_bodies(void **state) {
  for (size_t piece = 1; piece < 80; piece++) {
    struct h2_peer p;
    h2_init(&p, false);
    p.piece = piece;
    p.on_head = respond_ok;
    h2_head(&p, 1, 0, POST_LINES "content-length=5\n");
    h2_data(&p, 1, 0, "hel");
    h2_data(&p, 1, END, "lo");
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, "head 1 POST http://a.test/ length 5\nend 1\nclosed 1\n");
    h2_head(&p, 3, 0, POST_LINES);
    h2_data(&p, 3, 0, "wor");
    h2_data(&p, 3, 0, "");
    h2_frame(&p, NGHTTP2_DATA, PADDED, 3, S("\3ld...\0\0\0"));
    h2_head(&p, 3, END, "x-t=1\ngrpc-status=0\n");
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, "head 2 POST http://a.test/ stream\n"
                    "end 2 x-t=1 grpc-status=0\nclosed 2\n");
    h2_head(&p, 5, 0, POST_LINES "content-length=0\n");
    h2_data(&p, 5, END, "");
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, "head 3 POST http://a.test/ length 0\nend 3\nclosed 3\n");
    h2_head(&p, 7, END, POST_LINES "content-length=0\n");
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, "head 4 POST http://a.test/ end\nclosed 4\n");
    assert_true(ew_slice_eq_str(ew_buf_peek(&p.body), "helloworld..."));
    h2_fini(&p);
  }
}

static struct ew_message *response(int status) {
  struct ew_message *m = ew_message_new();
  m->status = status;
  return m;
}

/* Informational heads, a body of unknown length, trailers. */
static void test_response(void **state) {
  struct h2_peer p;
  struct ew_message *m = response(103), *t = ew_message_new();
  h2_init(&p, false);
  h2_head(&p, 1, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  ew_message_add(m, S("Link"), S("</a>"));
  assert_int_equal(ew_hstream_send_head(p.st[1], m, false), EW_OK);
  m->status = 100;
  ew_message_remove(m, S("link"));
  assert_int_equal(ew_hstream_send_head(p.st[1], m, false), EW_OK);
  m->status = 200;
  m->body = EW_BODY_STREAM;
  assert_int_equal(ew_hstream_send_head(p.st[1], m, false), EW_OK);
  assert_int_equal(ew_hstream_send_head(p.st[1], m, false), EW_EINVAL);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 :status=103 link=</a>\n"
                  "HEADERS 1 :status=100\nHEADERS 1 :status=200\n");
  assert_int_equal(ew_hstream_send(p.st[1], S("one")), 3);
  h2_pull(&p);
  expect_sent(&p, "DATA 1 one\n");
  assert_int_equal(ew_hstream_send(p.st[1], S("two")), 3);
  ew_message_add(t, S("grpc-status"), S("0"));
  assert_int_equal(ew_hstream_send_end(p.st[1], t), EW_OK);
  ew_message_del(t);
  /* What comes too late is taken and dropped. */
  assert_int_equal(ew_hstream_send_end(p.st[1], NULL), EW_OK);
  assert_int_equal(ew_hstream_send(p.st[1], S("three")), 5);
  h2_pull(&p);
  expect_sent(&p, "DATA 1 two\nHEADERS 1 end grpc-status=0\n");
  h2_fini(&p);
  ew_message_del(m);
}

/* Trailers behind an empty body, and trailers without a field. */
static void test_response_trailers(void **state) {
  struct h2_peer p;
  struct ew_message *m = response(200), *t = ew_message_new();
  h2_init(&p, false);
  h2_head(&p, 1, END, GET_LINES);
  h2_head(&p, 3, END, GET_LINES);
  h2_head(&p, 5, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(p.st[1], m, false);
  ew_hstream_send_end(p.st[1], t);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 :status=200\nDATA 1 end\n");
  ew_message_add(t, S("x"), S("1"));
  ew_hstream_send_head(p.st[2], m, false);
  ew_hstream_send_end(p.st[2], t);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 3 :status=200\nHEADERS 3 end x=1\n");
  m->body = EW_BODY_NONE;
  m->status = 204;
  ew_hstream_send_head(p.st[3], m, true);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 5 end :status=204\n");
  assert_int_equal(p.c->streams, 0);
  ew_message_del(m);
  ew_message_del(t);
  h2_fini(&p);
}

/* Lengths are sent where they mean something. */
static void test_response_length(void **state) {
  struct h2_peer p;
  struct ew_message *m = response(204);
  h2_init(&p, false);
  h2_head(&p, 1, END, GET_LINES);
  h2_head(&p, 3, END, ":method=HEAD\n:scheme=http\n:authority=a\n:path=/\n");
  assert_true(h2_feed(&p) > 0);
  m->body = EW_BODY_LENGTH;
  m->content_length = 7;
  ew_hstream_send_head(p.st[1], m, true);
  m->status = 200;
  ew_hstream_send_head(p.st[2], m, true);
  h2_pull(&p);
  expect_sent(&p, "HEADERS 1 end :status=204\n"
                  "HEADERS 3 end :status=200 content-length=7\n");
  ew_message_del(m);
  h2_fini(&p);
}

/* The response is over before the request is. */
static void test_early_response(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  p.on_head = respond_ok;
  h2_head(&p, 1, 0, POST_LINES);
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 1 :status=200 content-length=2\nDATA 1 end ok\n");
  h2_data(&p, 1, 0, "more");
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.c->streams, 1);
  h2_data(&p, 1, END, "more");
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "head 1 POST http://a.test/ stream\nend 1\nclosed 1\n");
  assert_int_equal(ew_buf_len(&p.body), 8);
  h2_fini(&p);
}

/* ---- flow control ---- */

/* A user that passes nothing on: the peer gets no new window, and one byte
 * more than it has ends the stream. Others go on. */
static void test_reader_that_stalls(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  p.hold = true;
  h2_head(&p, 1, 0, POST_LINES);
  h2_zeros(&p, 1, 65535);
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "");
  assert_int_equal(ew_buf_len(&p.body), 65535);
  ew_hstream_consume(p.st[1], 1000);
  h2_pull(&p);
  expect_sent(&p, "");
  ew_hstream_consume(p.st[1], 32000);
  h2_pull(&p);
  expect_sent(&p, "WINDOW 1 33000\n");
  h2_zeros(&p, 1, 33000);
  p.on_head = respond_ok;
  h2_head(&p, 3, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "HEADERS 3 :status=200 content-length=2\nDATA 3 end ok\n");
  h2_forget(&p);
  h2_zeros(&p, 1, 1);
  h2_feed(&p);
  expect_sent(&p, "RST 1 FLOW_CONTROL_ERROR\n");
  expect_told(&p, "reset 1 malformed-message\nclosed 1\n");
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* The connection's window never runs out: 256 streams at rest hold no more
 * than their own windows, and what is dropped or padding is given back. */
static void test_connection_window(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  p.mute = true;
  p.quiet = true;
  p.hold = true;
  p.conn_window = 0;
  for (uint32_t i = 0; i < EW_H2_MAX_STREAMS; i++) {
    h2_head(&p, 1 + 2 * i, 0, POST_LINES);
    h2_zeros(&p, 1 + 2 * i, 65535);
  }
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.c->streams, EW_H2_MAX_STREAMS);
  for (size_t k = 1; k <= p.n; k++)
    ew_hstream_reset(p.st[k], EW_ECANCELED);
  h2_pull(&p);
  assert_int_equal(p.c->streams, 0);
  p.hold = false;
  p.mute = false;
  h2_forget(&p);
  /* To streams that are gone: nothing of it is shown or lost. */
  ew_buf_consume(&p.body, ew_buf_len(&p.body));
  for (uint32_t i = 0; i < EW_H2_MAX_STREAMS; i++)
    h2_zeros(&p, 1 + 2 * i, 65535);
  assert_true(h2_feed(&p) > 0);
  /* All but what is less than half of it has been given back. */
  assert_true(p.conn_window + EW_H2_MAX_STREAMS * 65536 / 2 >=
              2 * EW_H2_MAX_STREAMS * 65535);
  assert_int_equal(ew_buf_len(&p.body), 0);
  h2_expect_alive(&p);
  h2_fini(&p);
}

static void test_padding(void **state) {
  struct h2_peer p;
  char padded[16384] = {(char)255};
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES);
  assert_true(h2_feed(&p) > 0);
  p.mute = true;
  /* 1 + 255 bytes of each 16,384 are padding: 40 MB of it in all. */
  for (int i = 0; i < 2000; i++) {
    h2_frame(&p, NGHTTP2_DATA, PADDED, 1, ew_slice(padded, 300));
    assert_true(h2_feed(&p) > 0);
  }
  assert_int_equal(ew_buf_len(&p.body), 2000 * (300 - 256));
  assert_int_equal(p.c->streams, 1);
  p.mute = false;
  h2_expect_alive(&p);
  h2_fini(&p);
}

static size_t send_zeros(struct h2_peer *p, size_t k, size_t n) {
  static const char zeros[100000];
  return ew_hstream_send(p->st[k], ew_slice(zeros, n));
}

static void send_more(struct h2_peer *p, size_t k) {
  assert_int_equal(send_zeros(p, k, 32767), 32767);
}

/* A peer that reads nothing: at most 65,535 bytes wait here, and the user is
 * woken when half of it has left. */
static void test_peer_that_stalls(void **state) {
  struct h2_peer p;
  struct ew_message *m = response(200);
  h2_init(&p, false);
  h2_head(&p, 1, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(p.st[1], m, false);
  assert_int_equal(send_zeros(&p, 1, 100000), 65535);
  assert_int_equal(send_zeros(&p, 1, 100000), 0);
  h2_pull(&p);
  assert_int_equal(p.data_bytes, 65535);
  expect_told(&p, "writable 1\n");
  assert_int_equal(send_zeros(&p, 1, 100000), 65535);
  h2_pull(&p);
  assert_int_equal(p.data_bytes, 65535);
  assert_int_equal(send_zeros(&p, 1, 100000), 0);
  expect_told(&p, "");
  h2_window(&p, 0, 32766);
  h2_window(&p, 1, 100000);
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.data_bytes, 65535 + 32766);
  expect_told(&p, "");
  p.on_writable = send_more;
  h2_window(&p, 0, 1);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "writable 1\n");
  p.on_writable = NULL;
  ew_hstream_send_end(p.st[1], NULL);
  h2_window(&p, 0, 100000);
  h2_window(&p, 1, 100000);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "closed 1\n");
  assert_int_equal(p.data_bytes, 2 * 65535 + 32767);
  ew_message_del(m);
  h2_fini(&p);
}

/* |out| is filled only as far as it is taken. */
static void test_out_is_bounded(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  p.on_head = respond_ok;
  p.quiet = true;
  for (uint32_t id = 1; id < 2 * 20000; id += 2) {
    if (!ew_codec_want_read(p.c))
      break;
    h2_head(&p, id, END, GET_LINES);
    (void)h2_feed_only(&p);
    ew_codec_pull(p.c);
    assert_true(ew_buf_len(&p.c->out) <= EW_CODEC_OUT_MAX);
    assert_true(p.c->streams <= EW_H2_MAX_STREAMS);
  }
  h2_fini(&p);
}

/* ---- ends ---- */

static void test_reset_by_peer(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES);
  h2_head(&p, 3, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  struct ew_message *m = response(200);
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(p.st[2], m, false);
  ew_hstream_send(p.st[2], S("x"));
  h2_forget(&p);
  h2_rst(&p, 1, NGHTTP2_CANCEL);
  h2_rst(&p, 3, NGHTTP2_NO_ERROR);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "reset 1 reset\nclosed 1\nreset 2 reset\nclosed 2\n");
  expect_sent(&p, "");
  assert_int_equal(p.c->streams, 0);
  ew_message_del(m);
  h2_expect_alive(&p);
  h2_fini(&p);
}

/* The peer gives up while the end of the response waits for its window. */
static void test_reset_before_the_end_left(void **state) {
  struct h2_peer p;
  struct ew_message *m = response(200);
  h2_init(&p, false);
  h2_setting(&p, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
  h2_head(&p, 1, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  m->body = EW_BODY_STREAM;
  ew_hstream_send_head(p.st[1], m, false);
  ew_hstream_send(p.st[1], S("x"));
  ew_hstream_send_end(p.st[1], NULL);
  h2_pull(&p);
  h2_forget(&p);
  h2_rst(&p, 1, NGHTTP2_NO_ERROR);
  assert_true(h2_feed(&p) > 0);
  expect_told(&p, "reset 1 reset\nclosed 1\n");
  ew_message_del(m);
  h2_fini(&p);
}

static void test_reset_by_user(void **state) {
  static const struct {
    int err;
    const char *sent;
  } cases[] = {
      {EW_ECANCELED, "RST 1 CANCEL\n"},
      {EW_EREFUSED, "RST 1 REFUSED_STREAM\n"},
      {EW_EMESSAGE, "RST 1 PROTOCOL_ERROR\n"},
      {EW_ETIMEDOUT, "RST 1 INTERNAL_ERROR\n"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct h2_peer p;
    h2_init(&p, false);
    h2_head(&p, 1, 0, POST_LINES);
    h2_data(&p, 1, 0, "x");
    assert_true(h2_feed(&p) > 0);
    h2_forget(&p);
    ew_hstream_reset(p.st[1], cases[i].err);
    ew_hstream_reset(p.st[1], cases[i].err);
    assert_int_equal(p.c->streams, 0);
    /* What the peer sent meanwhile is not shown. */
    h2_data(&p, 1, 0, "y");
    h2_head(&p, 1, END, "x-t=1\n");
    assert_true(h2_feed(&p) > 0);
    expect_sent(&p, cases[i].sent);
    h2_data(&p, 1, 0, "y");
    h2_rst(&p, 1, NGHTTP2_CANCEL);
    assert_true(h2_feed(&p) > 0);
    expect_told(&p, "");
    h2_expect_alive(&p);
    h2_fini(&p);
  }
}

static void give_up(struct h2_peer *p, size_t k) {
  ew_hstream_reset(p->st[k], EW_ECANCELED);
}
static void give_up_head(struct h2_peer *p, size_t k, bool end) {
  give_up(p, k);
}

/* From within each event. */
static void test_reset_within(void **state) {
  for (int i = 0; i < 5; i++) {
    struct h2_peer p;
    struct ew_message *m = response(200);
    h2_init(&p, false);
    p.on_head = i == 0 ? give_up_head : NULL;
    p.on_data = i == 1 ? give_up : NULL;
    p.on_end = i == 2 ? give_up : NULL;
    p.on_writable = i == 3 ? give_up : NULL;
    p.on_reset = i == 4 ? give_up : NULL;
    h2_head(&p, 1, 0, POST_LINES);
    if (i == 3) {
      assert_true(h2_feed(&p) > 0);
      ew_hstream_send_head(p.st[1], m, false);
      assert_int_equal(send_zeros(&p, 1, 65536), 65535);
    }
    h2_data(&p, 1, 0, "x");
    if (i == 4)
      h2_rst(&p, 1, NGHTTP2_CANCEL);
    else
      h2_data(&p, 1, END, "y");
    assert_true(h2_feed(&p) > 0);
    assert_int_equal(p.c->streams, 0);
    ew_message_del(m);
    static const char *const told[] = {
        "head 1 POST http://a.test/ stream\n",
        "head 1 POST http://a.test/ stream\n",
        "head 1 POST http://a.test/ stream\nend 1\n",
        "head 1 POST http://a.test/ stream\nend 1\nwritable 1\n",
        "head 1 POST http://a.test/ stream\nreset 1 reset\n",
    };
    expect_told(&p, told[i]);
    h2_expect_alive(&p);
    h2_fini(&p);
  }
}

/* Two GOAWAYs: what the peer has sent before it knew is still served, later
 * ones are not, and the last one to end ends the connection. */
static void test_drain(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES);
  assert_true(h2_feed(&p) > 0);
  ew_codec_drain(p.c);
  ew_codec_drain(p.c);
  h2_pull(&p);
  expect_sent(&p, "GOAWAY 2147483647 NO_ERROR\nPING ew-drain\n");
  h2_head(&p, 3, END, GET_LINES);
  h2_frame(&p, NGHTTP2_PING, ACK, 0, S("ew-drain"));
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "GOAWAY 3 NO_ERROR\n");
  h2_head(&p, 5, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(p.n, 2);
  assert_false(ew_codec_done(p.c));
  h2_respond(&p, 2, 200, "");
  h2_data(&p, 1, END, "x");
  assert_true(h2_feed(&p) > 0);
  assert_false(ew_codec_done(p.c));
  assert_true(ew_codec_want_read(p.c));
  h2_respond(&p, 1, 200, "ok");
  h2_pull(&p);
  assert_true(ew_codec_done(p.c));
  h2_fini(&p);
}

/* Nothing is open: done when the peer has heard it. */
static void test_drain_idle(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  ew_codec_drain(p.c);
  h2_pull(&p);
  assert_false(ew_codec_done(p.c));
  h2_frame(&p, NGHTTP2_PING, ACK, 0, S("whatever"));
  assert_true(h2_feed(&p) > 0);
  assert_false(ew_codec_done(p.c));
  h2_frame(&p, NGHTTP2_PING, ACK, 0, S("ew-drain"));
  assert_true(h2_feed(&p) > 0);
  expect_sent(&p, "GOAWAY 2147483647 NO_ERROR\nPING ew-drain\n"
                  "GOAWAY 0 NO_ERROR\n");
  assert_true(ew_codec_done(p.c));
  h2_fini(&p);
}

/* The client leaves: what it has asked is still answered. */
static void test_goaway_by_peer(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, END, GET_LINES);
  h2_goaway(&p, 0, NGHTTP2_NO_ERROR);
  assert_true(h2_feed(&p) > 0);
  assert_false(ew_codec_done(p.c));
  h2_respond(&p, 1, 200, "ok");
  h2_pull(&p);
  assert_true(ew_codec_done(p.c));
  expect_told(&p, "head 1 GET http://a.test/ end\nclosed 1\n");
  h2_fini(&p);
}

static void test_ping(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  assert_int_equal(ew_codec_ping(p.c), EW_OK);
  assert_int_equal(ew_codec_ping(p.c), EW_EAGAIN);
  h2_pull(&p);
  expect_sent(&p, "PING eastwest\n");
  h2_frame(&p, NGHTTP2_PING, ACK, 0, S("eastwest"));
  assert_true(h2_feed(&p) > 0);
  assert_int_equal(ew_codec_ping(p.c), EW_OK);
  h2_fini(&p);
}

static void test_lost(void **state) {
  for (int i = 0; i < 2; i++) {
    struct h2_peer p;
    h2_init(&p, false);
    h2_head(&p, 1, 0, POST_LINES);
    h2_head(&p, 3, END, GET_LINES);
    h2_head(&p, 5, END, GET_LINES);
    assert_true(h2_feed(&p) > 0);
    h2_forget(&p);
    ew_hstream_reset(p.st[2], EW_ECANCELED);
    if (i == 0)
      ew_codec_eof(p.c);
    else
      ew_codec_lost(p.c, EW_ECONN);
    expect_told(&p, "reset 1 connection-reset\nclosed 1\n"
                    "reset 3 connection-reset\nclosed 3\n");
    assert_int_equal(p.c->streams, 0);
    assert_true(ew_codec_done(p.c));
    assert_false(ew_codec_want_read(p.c));
    ew_codec_lost(p.c, EW_ECONN);
    expect_told(&p, "");
    h2_fini(&p);
  }
}

/* In the last words about one, the user gives up another one. */
static void lose_other(struct h2_peer *p, size_t k) {
  if (k == 1) {
    h2_respond(p, 3, 200, "ok");
    ew_hstream_reset(p->st[2], EW_ECANCELED);
  }
}

static void test_lost_within(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  p.on_closed = lose_other;
  h2_head(&p, 1, END, GET_LINES);
  h2_head(&p, 3, END, GET_LINES);
  h2_head(&p, 5, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  h2_forget(&p);
  ew_codec_lost(p.c, EW_ETIMEDOUT);
  expect_told(&p, "reset 1 timeout\nclosed 1\nreset 3 timeout\nclosed 3\n");
  h2_fini(&p);
}

/* With open streams, waiting bytes and a head in parts: nothing leaks. */
static void test_del(void **state) {
  struct h2_peer p;
  h2_init(&p, false);
  h2_head(&p, 1, 0, POST_LINES);
  h2_head(&p, 3, END, GET_LINES);
  assert_true(h2_feed(&p) > 0);
  h2_respond(&p, 1, 200, "ok");
  h2_head(&p, 5, END, GET_LINES "x=y\n");
  struct ew_slice s = ew_buf_peek(&p.in);
  h2_feed_piece(&p, ew_slice(s.p, s.n - 1));
  h2_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_words),
      cmocka_unit_test(test_get),
      cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_response),
      cmocka_unit_test(test_response_trailers),
      cmocka_unit_test(test_response_length),
      cmocka_unit_test(test_early_response),
      cmocka_unit_test(test_reader_that_stalls),
      cmocka_unit_test(test_connection_window),
      cmocka_unit_test(test_padding),
      cmocka_unit_test(test_peer_that_stalls),
      cmocka_unit_test(test_out_is_bounded),
      cmocka_unit_test(test_reset_by_peer),
      cmocka_unit_test(test_reset_before_the_end_left),
      cmocka_unit_test(test_reset_by_user),
      cmocka_unit_test(test_reset_within),
      cmocka_unit_test(test_drain),
      cmocka_unit_test(test_drain_idle),
      cmocka_unit_test(test_goaway_by_peer),
      cmocka_unit_test(test_ping),
      cmocka_unit_test(test_lost),
      cmocka_unit_test(test_lost_within),
      cmocka_unit_test(test_del),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
