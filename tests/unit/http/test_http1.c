/* SPDX-License-Identifier: Apache-2.0 */
#include "http/codec_peer.h"

#define S(s) EW_SLICE_LIT(s)

/* A client codec and a server codec, back to back. */

struct pair {
  struct codec_peer client, server;
};

static void pair_init(struct pair *p) {
  codec_peer_init(&p->client, ew_http1_client_new);
  codec_peer_init(&p->server, ew_http1_server_new);
}

static void pair_fini(struct pair *p) {
  codec_peer_fini(&p->client);
  codec_peer_fini(&p->server);
}

static unsigned next_random(unsigned *seed) {
  *seed = *seed * 1103515245u + 12345u;
  return *seed >> 16;
}

static char pattern(size_t at) { return (char)(at * 7 + at / 251); }

static void check_pattern(struct ew_slice s, size_t n) {
  assert_int_equal(s.n, n);
  for (size_t i = 0; i < n; i++)
    assert_int_equal(s.p[i], pattern(i));
}

/* Sends |n| bytes of the pattern in random pieces as they find room. */
static void send_body(struct pair *p, struct ew_hstream *st, size_t n,
                      unsigned *seed) {
  char *all = ew_malloc(n);
  for (size_t i = 0; i < n; i++)
    all[i] = pattern(i);
  for (size_t at = 0; at < n;) {
    size_t some = next_random(seed) % 30000 + 1;
    if (some > n - at)
      some = n - at;
    size_t sent = ew_hstream_send(st, ew_slice(all + at, some));
    at += sent;
    if (sent < some)
      codec_peer_pump(&p->client, &p->server, next_random(seed) % 5000 + 1);
  }
  free(all);
}

static struct ew_message *with_body(struct ew_message *m, bool stream,
                                    size_t n) {
  m->body = stream ? EW_BODY_STREAM : EW_BODY_LENGTH;
  m->content_length = n;
  ew_message_add(m, S("x-a"), S("1"));
  ew_message_add(m, S("x-a"), S("2"));
  return m;
}

static struct ew_message *trailers_of(bool stream) {
  if (!stream)
    return NULL;
  struct ew_message *t = ew_message_new();
  ew_message_add(t, S("grpc-status"), S("0"));
  return t;
}

static void check_trailers(struct codec_peer *p, bool stream) {
  if (!stream) {
    assert_null(p->trailers);
    return;
  }
  assert_int_equal(p->trailers->headers.n, 1);
  assert_true(ew_slice_eq_str(ew_message_get(p->trailers, "grpc-status"), "0"));
}

static void round_trip(struct pair *p, bool stream, size_t n, unsigned *seed) {
  unsigned heads = p->server.heads;
  size_t piece = next_random(seed) % 4000 + 1;
  struct ew_message *t = trailers_of(stream);
  struct ew_message *m =
      with_body(codec_peer_request("POST", "/p?q"), stream, n);
  struct ew_hstream *st = ew_codec_open(p->client.c, m, false, NULL);
  assert_non_null(st);
  ew_message_del(m);
  p->client.st = st;
  send_body(p, st, n, seed);
  assert_int_equal(ew_hstream_send_end(st, t), EW_OK);
  codec_peer_pump(&p->client, &p->server, piece);
  assert_int_equal(p->server.heads, heads + 1);
  assert_int_equal(p->server.ends, p->server.heads);
  assert_true(ew_slice_eq_str(p->server.m->path, "/p?q"));
  assert_true(ew_slice_eq_str(ew_message_joined(p->server.m, S("x-a")), "1,2"));
  check_pattern(ew_buf_peek(&p->server.body), n);
  check_trailers(&p->server, stream);

  m = with_body(codec_peer_response(200), stream, n);
  assert_int_equal(ew_hstream_send_head(p->server.st, m, false), EW_OK);
  ew_message_del(m);
  send_body(p, p->server.st, n, seed);
  assert_int_equal(ew_hstream_send_end(p->server.st, t), EW_OK);
  codec_peer_pump(&p->client, &p->server, piece);
  check_pattern(ew_buf_peek(&p->client.body), n);
  check_trailers(&p->client, stream);
  assert_int_equal(p->client.closeds, p->client.heads);
  assert_int_equal(p->server.closeds, p->server.heads);
  ew_message_del(t);
}

/* Keep-alive: all on one connection. */
static void test_round_trips(void **state) {
  struct pair p;
  unsigned seed = 1;
  pair_init(&p);
  for (int i = 0; i < 40; i++)
    round_trip(&p, i % 2 == 0, next_random(&seed) % 200000 + 1, &seed);
  assert_int_equal(p.client.c->served, 40);
  assert_int_equal(p.server.c->served, 40);
  assert_int_equal(p.server.resets + p.client.resets, 0);
  assert_int_equal(ew_codec_capacity(p.client.c), 1);
  pair_fini(&p);
}

/* A body that nobody takes stops the sender. */
static void test_back_pressure(void **state) {
  struct pair p;
  static char big[1000000];
  pair_init(&p);
  p.server.hold = true;
  struct ew_message *m = with_body(codec_peer_request("POST", "/"), true, 0);
  struct ew_hstream *st = ew_codec_open(p.client.c, m, false, NULL);
  ew_message_del(m);
  size_t sent = 0, before = 1;
  while (sent != before) {
    before = sent;
    sent += ew_hstream_send(st, ew_slice(big, sizeof(big) - sent));
    codec_peer_pump(&p.client, &p.server, 65536);
  }
  assert_true(sent < 3 * 65536);
  assert_true(ew_buf_len(&p.server.body) <= 65535);
  assert_false(ew_codec_want_read(p.server.c));
  p.server.hold = false;
  ew_hstream_consume(p.server.st, ew_buf_len(&p.server.body));
  while (sent < sizeof(big)) {
    sent += ew_hstream_send(st, ew_slice(big, sizeof(big) - sent));
    codec_peer_pump(&p.client, &p.server, 65536);
  }
  assert_int_equal(ew_hstream_send_end(st, NULL), EW_OK);
  codec_peer_pump(&p.client, &p.server, 65536);
  assert_int_equal(p.server.ends, 1);
  assert_int_equal(ew_buf_len(&p.server.body), sizeof(big));
  pair_fini(&p);
}

static struct ew_hstream *ask_upgrade(struct pair *p, bool end) {
  struct ew_message *m = codec_peer_request("GET", "/chat");
  m->upgrade = S("WebSocket");
  ew_message_add(m, S("sec-websocket-key"), S("x"));
  struct ew_hstream *st = ew_codec_open(p->client.c, m, end, NULL);
  assert_non_null(st);
  ew_message_del(m);
  p->client.st = st;
  codec_peer_pump(&p->client, &p->server, 7);
  assert_true(p->server.end);
  assert_true(ew_slice_eq_str(p->server.m->upgrade, "WebSocket"));
  return st;
}

static void test_upgrade(void **state) {
  for (int end = 0; end < 2; end++) {
    struct pair p;
    pair_init(&p);
    struct ew_hstream *st = ask_upgrade(&p, end);
    /* Held until the answer is known, on both sides. */
    assert_int_equal(ew_hstream_send(st, S("early")), end ? 5 : 0);
    ew_codec_pull(p.client.c);
    assert_int_equal(ew_buf_len(&p.client.c->out), 0);
    assert_int_equal(ew_codec_feed(p.server.c, S("raw")), 0);
    assert_false(ew_codec_want_read(p.server.c));

    struct ew_message *m = codec_peer_response(101);
    m->upgrade = S("websocket");
    ew_message_add(m, S("sec-websocket-accept"), S("y"));
    assert_int_equal(ew_hstream_send_head(p.server.st, m, false), EW_OK);
    assert_int_equal(ew_hstream_send_head(p.server.st, m, false), EW_EINVAL);
    ew_message_del(m);
    assert_int_equal(ew_hstream_send(p.server.st, S("hello\r\n\r\n")), 9);
    codec_peer_pump(&p.client, &p.server, 5);
    assert_int_equal(p.client.m->status, 101);
    assert_false(p.client.end);
    assert_true(ew_slice_eq_str(p.client.m->upgrade, "websocket"));
    assert_true(ew_slice_eq_str(ew_buf_peek(&p.client.body), "hello\r\n\r\n"));
    assert_int_equal(p.client.goaways, 1);
    assert_int_equal(p.client.writables, end ? 0 : 1);

    assert_int_equal(ew_codec_feed(p.server.c, S("raw")), 3);
    assert_int_equal(ew_hstream_send(st, S("GET / HTTP/1.1\r\n\r\n")), 18);
    codec_peer_pump(&p.client, &p.server, 5);
    assert_true(ew_slice_eq_str(ew_buf_peek(&p.server.body),
                                "rawGET / HTTP/1.1\r\n\r\n"));
    assert_int_equal(p.server.heads, 1);

    /* The client closes; the server's side ends, then all is over. */
    ew_codec_eof(p.server.c);
    assert_int_equal(p.server.ends, 1);
    assert_int_equal(p.server.closeds, 0);
    assert_int_equal(ew_hstream_send_end(p.server.st, NULL), EW_OK);
    ew_codec_pull(p.server.c);
    assert_int_equal(p.server.closeds, 1);
    assert_true(ew_codec_done(p.server.c));
    ew_codec_eof(p.client.c);
    assert_int_equal(p.client.ends, 1);
    assert_int_equal(ew_hstream_send_end(st, NULL), EW_OK);
    ew_codec_pull(p.client.c);
    assert_int_equal(p.client.closeds, 1);
    assert_true(ew_codec_done(p.client.c));
    assert_int_equal(p.client.resets + p.server.resets, 0);
    pair_fini(&p);
  }
}

/* Bytes sent with the request are never shown when the switch is refused. */
static void test_upgrade_refused(void **state) {
  struct pair p;
  pair_init(&p);
  ask_upgrade(&p, true);
  struct ew_message *m = codec_peer_response(403);
  assert_int_equal(ew_hstream_send_head(p.server.st, m, true), EW_OK);
  ew_message_del(m);
  assert_true(ew_codec_feed(p.server.c, S("GET /evil HTTP/1.1\r\nhost: a\r\n"
                                          "\r\n")) >= 0);
  ew_codec_pull(p.server.c);
  assert_true(ew_codec_feed(p.server.c, S("GET /evil HTTP/1.1\r\nhost: a\r\n"
                                          "\r\n")) >= 0);
  assert_int_equal(p.server.heads, 1);
  assert_int_equal(ew_buf_len(&p.server.body), 0);
  assert_true(ew_codec_done(p.server.c));
  codec_peer_pump(&p.client, &p.server, 100);
  assert_int_equal(p.client.m->status, 403);
  assert_int_equal(p.client.goaways, 1);
  assert_true(ew_codec_done(p.client.c));
  pair_fini(&p);
}

static void test_upgrade_not_asked_for(void **state) {
  static const char *const rows[] = {
      "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n",
      "connection: upgrade\r\nupgrade: websocket, x\r\n",
      "connection: upgrade\r\nupgrade: a b\r\n",
      "connection: upgrade\r\nupgrade: a/\r\n",
      "connection: upgrade\r\nupgrade: \r\n",
      "upgrade: websocket\r\n",
      "connection: upgrade\r\n",
      "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 1\r\n",
      "connection: upgrade\r\nupgrade: websocket\r\n"
      "transfer-encoding: chunked\r\n",
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct codec_peer p;
    char in[512];
    codec_peer_init(&p, ew_http1_server_new);
    snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nhost: a\r\n%s\r\n", rows[i]);
    assert_int_equal(ew_codec_feed(p.c, ew_slice_str(in)), strlen(in));
    assert_int_equal(p.heads, 1);
    assert_int_equal(p.m->upgrade.n, 0);
    struct ew_message *m = codec_peer_response(101);
    assert_int_equal(ew_hstream_send_head(p.st, m, false), EW_EINVAL);
    ew_message_del(m);
    codec_peer_fini(&p);
  }
}

/* A 101 for another protocol than the one asked for. */
static void test_wrong_switch(void **state) {
  static const char *const rows[] = {
      "connection: upgrade\r\nupgrade: x\r\n",
      "connection: upgrade\r\n",
      "upgrade: websocket\r\n",
      "connection: upgrade\r\nupgrade: websocket, x\r\n",
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct pair p;
    char in[512];
    pair_init(&p);
    ask_upgrade(&p, true);
    snprintf(in, sizeof(in), "HTTP/1.1 101 X\r\n%s\r\nevil", rows[i]);
    assert_int_equal(ew_codec_feed(p.client.c, ew_slice_str(in)), EW_EPROTO);
    assert_int_equal(p.client.resets, 1);
    assert_int_equal(p.client.heads, 0);
    pair_fini(&p);
  }
}

static void test_raw_back_pressure(void **state) {
  struct pair p;
  static char big[100000];
  pair_init(&p);
  ask_upgrade(&p, true);
  struct ew_message *m = codec_peer_response(101);
  assert_int_equal(ew_hstream_send_head(p.server.st, m, false), EW_OK);
  ew_message_del(m);
  p.server.hold = true;
  assert_int_equal(ew_codec_feed(p.server.c, ew_slice(big, sizeof(big))),
                   65535);
  assert_int_equal(ew_codec_feed(p.server.c, ew_slice(big, sizeof(big))), 0);
  assert_false(ew_codec_want_read(p.server.c));
  ew_hstream_consume(p.server.st, 65535);
  assert_true(ew_codec_want_read(p.server.c));
  ew_hstream_reset(p.server.st, EW_ECANCELED);
  assert_int_equal(p.server.c->error, EW_ERESET);
  pair_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trips),
      cmocka_unit_test(test_back_pressure),
      cmocka_unit_test(test_upgrade),
      cmocka_unit_test(test_upgrade_refused),
      cmocka_unit_test(test_upgrade_not_asked_for),
      cmocka_unit_test(test_wrong_switch),
      cmocka_unit_test(test_raw_back_pressure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
