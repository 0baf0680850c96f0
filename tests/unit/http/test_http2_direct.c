/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http2_peer.h"

/* Large bodies go past |out| to a transport that takes them at once; where the
 * peer is patient, none is cut into splinters. */

struct wire {
  struct h2_peer p;
  struct ew_buf got;
  size_t room; /* what it takes from now on */
};

static size_t take(struct wire *w, struct ew_slice s) {
  size_t n = s.n < w->room ? s.n : w->room;
  assert_int_equal(ew_buf_append(&w->got, ew_slice(s.p, n)), EW_OK);
  w->room -= n;
  return n;
}

static size_t write_through(void *arg, struct ew_slice big) {
  struct wire *w = arg;
  struct ew_buf *out = &w->p.c->out;
  ew_buf_consume(out, take(w, ew_buf_peek(out)));
  return ew_buf_len(out) == 0 ? take(w, big) : 0;
}

static void wire_init(struct wire *w, bool client) {
  h2_init(&w->p, client);
  ew_buf_init(&w->got, 1 << 20);
  w->room = 1 << 20;
  w->p.c->write_through = write_through;
  w->p.c->write_through_arg = w;
}

static void wire_fini(struct wire *w) {
  ew_buf_fini(&w->got);
  h2_fini(&w->p);
}

/* The frames that left, and those that wait in |out|. Returns how many bytes
 * left. */
static size_t wire_read(struct wire *w) {
  struct ew_buf *out = &w->p.c->out;
  struct ew_buf rest;
  size_t n = ew_buf_len(&w->got);

  ew_buf_init(&rest, out->max);
  assert_int_equal(ew_buf_append(&rest, ew_buf_peek(out)), EW_OK);
  ew_buf_consume(out, ew_buf_len(out));
  assert_int_equal(ew_buf_append(out, ew_buf_peek(&w->got)), EW_OK);
  assert_int_equal(ew_buf_append(out, ew_buf_peek(&rest)), EW_OK);
  ew_buf_consume(&w->got, n);
  ew_buf_fini(&rest);
  h2_take_out(&w->p);
  return n;
}

static void pull_all(struct wire *w) {
  do {
    assert_int_equal(ew_codec_pull(w->p.c), EW_OK);
  } while (wire_read(w) > 0);
}

static size_t send_zeros(struct wire *w, size_t k, size_t n) {
  static const char zeros[200000];
  return ew_hstream_send(w->p.st[k], ew_slice(zeros, n));
}

static void begin_response(struct wire *w, size_t k) {
  struct ew_message *m = ew_message_new();
  m->status = 200;
  m->body = EW_BODY_STREAM;
  assert_int_equal(ew_hstream_send_head(w->p.st[k], m, false), EW_OK);
  ew_message_del(m);
}

/* One request, with its response begun. */
static void wire_serve(struct wire *w) {
  wire_init(w, false);
  h2_head(&w->p, 1, END, GET_LINES);
  assert_true(h2_feed(&w->p) > 0);
  begin_response(w, 1);
  h2_forget(&w->p);
}

/* The same where the peer, whose windows begin with |window|, is patient. */
static void wire_serve_patient(struct wire *w, uint32_t window) {
  wire_init(w, false);
  ew_http2_set_patient(w->p.c);
  h2_setting(&w->p, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window);
  h2_head(&w->p, 1, END, GET_LINES);
  assert_true(h2_feed_only(&w->p) > 0);
  begin_response(w, 1);
}

static void test_leaves_at_once(void **state) {
  struct wire w;
  wire_serve(&w);
  assert_int_equal(send_zeros(&w, 1, 60000), 60000);
  assert_true(wire_read(&w) >= 3 * 16384);
  assert_int_equal(w.p.data_bytes, 60000);
  expect_sent(&w.p, "HEADERS 1 :status=200\nDATA 1 <16384>\n"
                    "DATA 1 <16384>\nDATA 1 <16384>\nDATA 1 <10848>\n");
  ew_hstream_send_end(w.p.st[1], NULL);
  pull_all(&w);
  expect_sent(&w.p, "DATA 1 end\n");
  expect_told(&w.p, "closed 1\n");
  wire_fini(&w);
}

static void test_short_bodies_wait(void **state) {
  struct wire w;
  wire_serve(&w);
  assert_int_equal(send_zeros(&w, 1, 1000), 1000);
  assert_int_equal(wire_read(&w), 0);
  ew_hstream_send_end(w.p.st[1], NULL);
  pull_all(&w);
  expect_sent(&w.p, "HEADERS 1 :status=200\nDATA 1 end <1000>\n");
  wire_fini(&w);
}

/* Wherever the transport stops, the frames stay whole and in order. */
static void test_transport_stops(void **state) {
  for (size_t room = 0; room < 70000; room += 1009) {
    struct wire w;
    wire_serve(&w);
    w.room = room;
    assert_int_equal(send_zeros(&w, 1, 60000), 60000);
    assert_true(ew_buf_len(&w.p.c->out) <= EW_CODEC_OUT_MAX);
    w.room = 1 << 20;
    wire_read(&w);
    pull_all(&w);
    assert_int_equal(w.p.data_bytes, 60000);
    wire_fini(&w);
  }
}

/* What the window does not let through waits, and no more than that is taken.
 */
static void test_window_ends(void **state) {
  struct wire w;
  wire_serve(&w);
  assert_int_equal(send_zeros(&w, 1, 100000), 100000);
  wire_read(&w);
  assert_int_equal(w.p.data_bytes, 65535);
  assert_int_equal(send_zeros(&w, 1, 100000), 2 * 65535 - 100000);
  h2_window(&w.p, 0, 1 << 20);
  h2_window(&w.p, 1, 1 << 20);
  assert_true(h2_feed_only(&w.p) > 0);
  pull_all(&w);
  assert_int_equal(w.p.data_bytes, 2 * 65535);
  expect_told(&w.p, "writable 1\n");
  wire_fini(&w);
}

/* Streams that end by a send are told behind it, not within. */
static void test_ends_within_a_send(void **state) {
  for (int i = 0; i < 5; i++) {
    struct wire w;
    struct ew_message *m = ew_message_new();
    wire_serve(&w);
    h2_head(&w.p, 3, END, GET_LINES);
    assert_true(h2_feed_only(&w.p) > 0);
    h2_forget(&w.p);
    m->status = 204;
    assert_int_equal(ew_hstream_send_head(w.p.st[2], m, true), EW_OK);
    ew_message_del(m);
    assert_int_equal(send_zeros(&w, 1, 40000), 40000);
    wire_read(&w);
    expect_sent(&w.p, "HEADERS 1 :status=200\nHEADERS 3 end :status=204\n"
                      "DATA 1 <16384>\nDATA 1 <16384>\nDATA 1 <7232>\n");
    expect_told(&w.p, "");
    if (i == 0) {
      pull_all(&w);
      expect_told(&w.p, "closed 2\n");
    } else if (i == 1) {
      h2_frame(&w.p, NGHTTP2_PING, 0, 0, EW_SLICE_LIT("stillup?"));
      assert_true(h2_feed_only(&w.p) > 0);
      expect_told(&w.p, "closed 2\n");
    } else if (i == 2) {
      /* Given up before it was told. */
      ew_hstream_reset(w.p.st[2], EW_ECANCELED);
      assert_int_equal(w.p.c->streams, 1);
      pull_all(&w);
      expect_told(&w.p, "");
      expect_sent(&w.p, "");
    } else if (i == 3) {
      ew_codec_lost(w.p.c, EW_ECONN);
      expect_told(&w.p, "closed 2\nreset 1 connection-reset\nclosed 1\n");
    } /* else it is deleted as it is */
    wire_fini(&w);
  }
}

/* ---- splinters ---- */

static void test_no_splinters(void **state) {
  for (int i = 0; i < 3; i++) {
    struct wire w;
    wire_serve_patient(&w, 65535);
    assert_int_equal(send_zeros(&w, 1, 60000), 60000);
    assert_int_equal(send_zeros(&w, 1, 30000), 30000);
    ew_hstream_send_end(w.p.st[1], NULL);
    pull_all(&w);
    assert_int_equal(w.p.data_bytes, 60000);
    /* Each of these may make room. */
    if (i == 2)
      h2_setting(&w.p, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535 + 60000);
    else
      h2_window(&w.p, 1, 60000);
    if (i == 1)
      h2_window(&w.p, 0, 60000);
    assert_true(h2_feed_only(&w.p) > 0);
    pull_all(&w);
    if (i != 1) {
      /* The connection's own window is the one that ends now. */
      assert_int_equal(w.p.data_bytes, 60000);
      h2_window(&w.p, 0, 60000);
      assert_true(h2_feed_only(&w.p) > 0);
      pull_all(&w);
    }
    assert_int_equal(w.p.data_bytes, 90000);
    wire_fini(&w);
  }
}

/* The last bytes, however few, and what fits the window, are no splinter. */
static void test_the_end_is_no_splinter(void **state) {
  struct wire w;
  wire_serve_patient(&w, 65535);
  assert_int_equal(send_zeros(&w, 1, 60000), 60000);
  assert_int_equal(send_zeros(&w, 1, 5000), 5000);
  pull_all(&w);
  assert_int_equal(w.p.data_bytes, 65000);
  ew_hstream_send_end(w.p.st[1], NULL);
  pull_all(&w);
  expect_told(&w.p, "head 1 GET http://a.test/ end\nclosed 1\n");
  wire_fini(&w);
}

/* Who sent a window's worth need not read more before it opens. */
static void test_closed_window(void **state) {
  struct wire w;
  wire_serve_patient(&w, 65535);
  assert_false(ew_hstream_await_window(w.p.st[1]));
  assert_int_equal(send_zeros(&w, 1, 49000), 49000);
  assert_false(ew_hstream_await_window(w.p.st[1])); /* by 150 bytes */
  assert_int_equal(send_zeros(&w, 1, 16500), 16500);
  pull_all(&w);
  h2_forget(&w.p);
  assert_true(ew_hstream_await_window(w.p.st[1]));
  assert_true(ew_hstream_await_window(w.p.st[1]));
  pull_all(&w);
  expect_told(&w.p, "");
  h2_window(&w.p, 1, 10000);
  assert_true(h2_feed_only(&w.p) > 0);
  pull_all(&w);
  expect_told(&w.p, "");
  h2_window(&w.p, 1, 20000);
  assert_true(h2_feed_only(&w.p) > 0);
  pull_all(&w);
  expect_told(&w.p, "writable 1\n");
  assert_false(ew_hstream_await_window(w.p.st[1]));
  wire_fini(&w);
}

/* Whatever else happens to a stream whose user waits for the window. */
static void test_closed_window_ends(void **state) {
  for (int i = 0; i < 3; i++) {
    struct wire w;
    wire_serve_patient(&w, 65535);
    assert_int_equal(send_zeros(&w, 1, 60000), 60000);
    pull_all(&w);
    h2_forget(&w.p);
    assert_true(ew_hstream_await_window(w.p.st[1]));
    if (i == 0) {
      /* Nothing is to come: told once more, so that all is consumed. */
      ew_hstream_send_end(w.p.st[1], NULL);
      assert_false(ew_hstream_await_window(w.p.st[1]));
      pull_all(&w);
      expect_told(&w.p, "closed 1\n");
    } else if (i == 1) {
      ew_hstream_reset(w.p.st[1], EW_ECANCELED);
      pull_all(&w);
      expect_told(&w.p, "");
    } else {
      /* A short piece is copied anyway. */
      assert_int_equal(send_zeros(&w, 1, 100), 100);
      assert_false(ew_hstream_await_window(w.p.st[1]));
      pull_all(&w);
      expect_told(&w.p, "writable 1\n");
    }
    wire_fini(&w);
  }
}

/* A peer with small windows would wait for ever; so may an app. */
static void test_impatient(void **state) {
  struct wire w;
  wire_serve_patient(&w, 20000);
  assert_int_equal(send_zeros(&w, 1, 19000), 19000);
  assert_int_equal(send_zeros(&w, 1, 19000), 19000);
  pull_all(&w);
  assert_int_equal(w.p.data_bytes, 20000);
  assert_false(ew_hstream_await_window(w.p.st[1]));
  wire_fini(&w);

  wire_serve(&w);
  assert_int_equal(send_zeros(&w, 1, 60000), 60000);
  assert_int_equal(send_zeros(&w, 1, 30000), 30000);
  pull_all(&w);
  assert_int_equal(w.p.data_bytes, 65535);
  assert_false(ew_hstream_await_window(w.p.st[1]));
  wire_fini(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_leaves_at_once),
      cmocka_unit_test(test_short_bodies_wait),
      cmocka_unit_test(test_transport_stops),
      cmocka_unit_test(test_window_ends),
      cmocka_unit_test(test_ends_within_a_send),
      cmocka_unit_test(test_no_splinters),
      cmocka_unit_test(test_the_end_is_no_splinter),
      cmocka_unit_test(test_closed_window),
      cmocka_unit_test(test_closed_window_ends),
      cmocka_unit_test(test_impatient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
