/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_test.h"

#include "eastwest/net/prefix.h"

#define BIG (8u << 20)

static struct ew_loop *loop;
static struct ew_tls_ctx *ctx_a, *ctx_b;
static const char *const expect_b[] = {ID_B};

static int setup(void **state) {
  loop = ew_loop_new();
  ctx_a = ctx_good(ID_A);
  ctx_b = ctx_good(ID_B);
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  ew_tls_ctx_unref(ctx_a);
  ew_tls_ctx_unref(ctx_b);
  ew_loop_del(loop);
  return 0;
}

static void make_tls(struct ew_stream *p[2], struct end *client,
                     struct end *server) {
  end_init(client, ew_tls_client_new(ctx_a, p[0], expect_b, 1, "eastwest/tcp"));
  end_init(server, ew_tls_server_new(ctx_b, p[1], SERVER_OPTS("eastwest/tcp")));
  RUN_UNTIL(loop, end_done(client) && end_done(server));
}

static void tls_pair(struct end *client, struct end *server) {
  struct ew_stream *p[2];
  make_tcp_pair(loop, p);
  make_tls(p, client, server);
}

static void close_both(struct end *a, struct end *b) {
  ew_stream_close(a->s);
  ew_stream_close(b->s);
}

static void talks_both_ways(void **state) {
  struct ew_slice v[] = {EW_SLICE_LIT("hello"),
                         {NULL, 0},
                         EW_SLICE_LIT(", "),
                         EW_SLICE_LIT("server")};
  struct end c, s;
  struct ew_addr x, y;
  tls_pair(&c, &s);
  assert_string_equal(c.s->ops->name, "tls");
  assert_string_equal(ew_tls_stream_peer_id(c.s), ID_B);
  assert_string_equal(ew_tls_stream_peer_id(s.s), ID_A);
  assert_string_equal(ew_tls_stream_alpn(c.s), "eastwest/tcp");
  assert_string_equal(ew_tls_stream_alpn(s.s), "eastwest/tcp");
  assert_string_equal(ew_tls_stream_failure(c.s), "");
  assert_true(c.calls > 0 && s.calls > 0); /* told that it is done */
  assert_int_equal(ew_stream_write(c.s, v, 4), 13);
  assert_int_equal(write_str(s.s, "hello, client"), 13);
  RUN_UNTIL(loop, s.got == 13 && c.got == 13);
  assert_memory_equal(s.buf, "hello, server", 13);
  assert_memory_equal(c.buf, "hello, client", 13);
  /* The socket below can still be asked. */
  assert_int_equal(ew_tcp_stream_peer(c.s, &x), EW_OK);
  assert_int_equal(ew_tcp_stream_local(s.s, &y), EW_OK);
  assert_true(ew_addr_eq(&x, &y));
  assert_int_equal(ew_stream_write(c.s, NULL, 0), 0);
  close_both(&c, &s);
}

static void before_the_handshake_nothing_moves(void **state) {
  struct ew_stream *p[2];
  char buf[8];
  make_tcp_pair(loop, p);
  struct ew_stream *c = ew_tls_client_new(ctx_a, p[0], expect_b, 1, "x");
  struct user u;
  user_init(&u, c);
  assert_int_equal(ew_stream_read(c, buf, sizeof(buf)), EW_EAGAIN);
  assert_int_equal(write_str(c, "x"), EW_EAGAIN);
  assert_int_equal(ew_stream_shutdown(c), EW_EAGAIN);
  assert_string_equal(ew_tls_stream_alpn(c), "");
  assert_string_equal(ew_tls_stream_peer_id(c), "");
  for (int i = 0; i < 3; i++)
    ew_loop_run_once(loop, 5);
  /* Not wanted: not even a ClientHello. */
  assert_int_equal(ew_stream_read(p[1], buf, sizeof(buf)), EW_EAGAIN);
  ew_stream_want(c, EW_WRITE);
  RUN_UNTIL(loop, ew_stream_read(p[1], buf, sizeof(buf)) > 0);
  assert_int_equal(u.calls, 0);
  ew_stream_close(c);
  ew_stream_close(p[1]);
}

static void half_close(void **state) {
  struct end c, s;
  tls_pair(&c, &s);
  assert_int_equal(write_str(c.s, "request"), 7);
  assert_int_equal(ew_stream_shutdown(c.s), EW_OK);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_EOF);
  assert_int_equal(s.got, 7);
  /* The other direction goes on. */
  assert_int_equal(write_str(s.s, "response"), 8);
  RUN_UNTIL(loop, c.got == 8);
  assert_int_equal(c.err, 0);
  assert_int_equal(ew_stream_shutdown(s.s), EW_OK);
  RUN_UNTIL(loop, c.err != 0);
  assert_int_equal(c.err, EW_EOF);
  char b[4];
  assert_int_equal(ew_stream_read(c.s, b, sizeof(b)), EW_EOF);
  close_both(&c, &s);
}

static void close_is_orderly(void **state) {
  struct end c, s;
  tls_pair(&c, &s);
  assert_int_equal(write_str(c.s, "bye"), 3);
  ew_stream_close(c.s);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_EOF);
  assert_int_equal(s.got, 3);
  ew_stream_close(s.s);
}

static void abort_is_not_orderly(void **state) {
  struct end c, s;
  tls_pair(&c, &s);
  ew_tcp_stream_abort_on_close(c.s);
  ew_stream_close(c.s);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_ECONN);
  assert_string_equal(ew_tls_stream_failure(s.s), "closed");
  assert_int_equal(write_str(s.s, "x"), EW_ECONN);
  assert_int_equal(ew_stream_shutdown(s.s), EW_ECONN);
  ew_stream_close(s.s);
}

/* FIN without close_notify: an attacker's truncation. */
static void truncation_is_an_error(void **state) {
  struct ew_stream *p[2];
  struct end c, s;
  int fd[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  p[0] = ew_tcp_stream_new(loop, fd[0]);
  p[1] = ew_tcp_stream_new(loop, fd[1]);
  make_tls(p, &c, &s);
  assert_int_equal(write_str(c.s, "half"), 4);
  assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_ECONN);
  assert_int_equal(s.got, 4);
  close_both(&c, &s);
}

static void garbage_record_is_an_error(void **state) {
  struct ew_stream *p[2];
  struct end c, s;
  int fd[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  p[0] = ew_tcp_stream_new(loop, fd[0]);
  p[1] = ew_tcp_stream_new(loop, fd[1]);
  make_tls(p, &c, &s);
  assert_int_equal(send(fd[0],
                        "\x17\x03\x03\x00\x20"
                        "0123456789abcdef0123456789abcdef",
                        37, 0),
                   37);
  RUN_UNTIL(loop, s.err != 0);
  assert_int_equal(s.err, EW_ETLS);
  assert_string_equal(ew_tls_stream_failure(s.s), "protocol");
  RUN_UNTIL(loop, c.err != 0);
  assert_string_equal(ew_tls_stream_failure(c.s), "peer-alert:bad-record-mac");
  close_both(&c, &s);
}

static void wrong_arguments_close_what_is_below(void **state) {
  static char long_name[300];
  struct ew_stream *p[2], *q[2];
  struct user u;
  char buf[1];
  memset(long_name, 'x', sizeof(long_name) - 1);
  make_tcp_pair(loop, p);
  assert_null(ew_tls_client_new(ctx_a, p[0], expect_b, 0, "x"));
  user_init(&u, p[1]);
  ew_stream_want(p[1], EW_READ);
  RUN_UNTIL(loop, u.calls > 0);
  assert_int_equal(ew_stream_read(p[1], buf, 1), EW_EOF);
  ew_stream_close(p[1]);

  make_pair(loop, q);
  assert_null(ew_tls_client_new(ctx_a, q[0], expect_b, 1, ""));
  assert_null(ew_tls_server_new(ctx_b, q[1], SERVER_OPTS(long_name)));
  struct ew_tls_ctx *none = ctx_from(NULL, &root);
  make_pair(loop, q);
  assert_null(ew_tls_server_new(none, q[0], SERVER_OPTS("x")));
  ew_stream_close(q[1]);
  ew_tls_ctx_unref(none);
}

static void small_reads_of_what_is_decrypted(void **state) {
  struct end c, s;
  struct user u;
  char buf[16];
  size_t got = 0;
  tls_pair(&c, &s);
  ew_stream_want(s.s, 0);
  user_init(&u, s.s);
  assert_int_equal(write_str(c.s, "0123456789"), 10);
  ew_stream_want(s.s, EW_READ);
  /* One byte a call; readiness comes again though the socket is empty. */
  while (got < 10) {
    unsigned calls = u.calls;
    RUN_UNTIL(loop, u.calls > calls);
    assert_int_equal(ew_stream_read(s.s, buf + got++, 1), 1);
  }
  assert_memory_equal(buf, "0123456789", 10);
  assert_int_equal(ew_stream_read(s.s, buf, 1), EW_EAGAIN);
  ew_loop_run_once(loop, 1);
  unsigned calls = u.calls;
  ew_loop_run_once(loop, 5);
  assert_int_equal(u.calls, calls);
  close_both(&c, &s);
}

/* 8 MiB of a pattern in random portions, through small socket buffers. */
struct transfer {
  struct ew_stream *from, *to;
  size_t sent, got;
  unsigned seed;
  bool was_full;
  bool done;
};

static char pattern(size_t i) { return (char)(i * 31 + (i >> 13)); }

static unsigned rnd(struct transfer *x) {
  x->seed = x->seed * 1103515245 + 12345;
  return x->seed >> 8;
}

static void fill(char *p, size_t at, size_t n) {
  for (size_t i = 0; i < n; i++)
    p[i] = pattern(at + i);
}

static void transfer_write(void *arg, unsigned events) {
  static char block[100000];
  struct transfer *x = arg;
  struct ew_slice v[5];
  for (int turn = 0; turn < 8; turn++) {
    size_t total = 0, count = rnd(x) % 5 + 1;
    for (size_t i = 0; i < count; i++) {
      size_t n = rnd(x) % (rnd(x) % 4 == 0 ? 20000 : 600);
      if (n > BIG - x->sent - total)
        n = BIG - x->sent - total;
      v[i] = ew_slice(block + total, n);
      total += n;
    }
    if (x->sent < BIG && total == 0)
      continue;
    fill(block, x->sent, total);
    ptrdiff_t n = total > 0 ? ew_stream_write(x->from, v, count) : 0;
    if (n > 0)
      x->sent += (size_t)n;
    if (x->sent == BIG && ew_stream_shutdown(x->from) == EW_OK) {
      ew_stream_want(x->from, 0);
      return;
    }
    if (n == EW_EAGAIN || x->sent == BIG) {
      x->was_full = true;
      ew_stream_want(x->from, EW_WRITE);
      return;
    }
    assert_true(n > 0);
  }
  ew_stream_want(x->from, EW_WRITE);
}

static void transfer_read(void *arg, unsigned events) {
  static char block[40000];
  struct transfer *x = arg;
  size_t max = rnd(x) % sizeof(block) + 1;
  ptrdiff_t n = ew_stream_read(x->to, block, max);
  if (n == EW_EOF) {
    x->done = true;
    ew_stream_want(x->to, 0);
    return;
  }
  if (n == EW_EAGAIN)
    return;
  assert_true(n > 0);
  for (ptrdiff_t i = 0; i < n; i++) {
    if (block[i] != pattern(x->got + (size_t)i))
      fail_msg("byte %zu differs", x->got + (size_t)i);
  }
  x->got += (size_t)n;
}

/* Whether the writer had to wait. */
static bool run_transfer(struct end *c, struct end *s, unsigned seed) {
  struct transfer x = {.from = c->s, .to = s->s, .seed = seed};
  ew_stream_set_user(c->s, transfer_write, &x);
  ew_stream_set_user(s->s, transfer_read, &x);
  ew_stream_want(s->s, EW_READ);
  ew_stream_want(c->s, EW_WRITE);
  uint64_t end = ew_clock_us() + 60000000;
  while (!x.done) {
    assert_true(ew_clock_us() < end);
    ew_loop_run_once(loop, 100);
  }
  assert_int_equal(x.got, BIG);
  return x.was_full;
}

static void large_transfer(void **state) {
  for (unsigned seed = 1; seed <= 3; seed++) {
    struct ew_stream *p[2];
    struct end c, s;
    int fd[2], size = (int)(seed * 5000);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd),
                     0);
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    p[0] = ew_tcp_stream_new(loop, fd[0]);
    p[1] = ew_tcp_stream_new(loop, fd[1]);
    make_tls(p, &c, &s);
    assert_true(run_transfer(&c, &s, seed));
    close_both(&c, &s);
  }
}

static void large_transfer_over_tcp_from_the_server(void **state) {
  struct end c, s;
  tls_pair(&c, &s);
  run_transfer(&s, &c, 9);
  close_both(&c, &s);
}

/* Bytes of a record that did not fit are brought again in smaller portions
 * than before: they must be on the wire once. */
static void fewer_bytes_after_a_part(void **state) {
  static char block[65536], back[65536];
  struct ew_stream *p[2];
  struct end c, s;
  size_t sent = 0, got = 0;
  int fd[2], size = 4096;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
  setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  p[0] = ew_tcp_stream_new(loop, fd[0]);
  p[1] = ew_tcp_stream_new(loop, fd[1]);
  make_tls(p, &c, &s);
  struct user u;
  user_init(&u, s.s);
  ew_stream_want(s.s, 0);
  user_init(&u, c.s);
  ew_stream_want(c.s, 0);
  fill(block, 0, sizeof(block));
  size_t portion = sizeof(block);
  while (got < sizeof(block)) {
    struct ew_slice v = {block + sent, sizeof(block) - sent < portion
                                           ? sizeof(block) - sent
                                           : portion};
    ptrdiff_t n = v.n > 0 ? ew_stream_write(c.s, &v, 1) : 0;
    if (n > 0)
      sent += (size_t)n;
    portion = 100; /* from now on less than what OpenSSL holds */
    n = ew_stream_read(s.s, back + got, 3000);
    if (n > 0)
      got += (size_t)n;
    else
      assert_int_equal(n, EW_EAGAIN);
  }
  assert_memory_equal(block, back, sizeof(block));
  close_both(&c, &s);
}

static void closes_within_its_callback(void **state) {
  struct end c, s;
  struct user u;
  tls_pair(&c, &s);
  user_init(&u, s.s);
  u.close = true;
  assert_int_equal(write_str(c.s, "x"), 1);
  RUN_UNTIL(loop, !u.s);
  RUN_UNTIL(loop, c.err == EW_EOF);
  ew_stream_close(c.s);
}

static bool peek_more(struct ew_stream *s, struct ew_buf *seen, bool *mesh) {
  struct ew_slice sni;
  ptrdiff_t n = ew_stream_read(s, ew_buf_reserve(seen, 100), 100);
  if (n > 0)
    ew_buf_commit(seen, (size_t)n);
  return ew_tls_peek(ew_buf_peek(seen), mesh, &sni) == EW_OK;
}

static void peeked_bytes_first(void **state) {
  struct ew_stream *p[2];
  struct end c, s;
  struct ew_buf seen;
  bool mesh;
  make_tcp_pair(loop, p);
  end_init(&c, ew_tls_client_new(ctx_a, p[0], expect_b, 1, "eastwest/tcp"));
  ew_buf_init(&seen, 16384);
  RUN_UNTIL(loop, peek_more(p[1], &seen, &mesh));
  assert_true(mesh);
  struct ew_stream *pre = ew_prefix_stream_new(p[1], &seen);
  end_init(&s, ew_tls_server_new(ctx_b, pre, SERVER_OPTS("eastwest/tcp")));
  RUN_UNTIL(loop, end_done(&c) && end_done(&s));
  assert_int_equal(write_str(c.s, "through"), 7);
  RUN_UNTIL(loop, s.got == 7);
  ew_tcp_stream_abort_on_close(s.s);
  ew_stream_close(s.s);
  RUN_UNTIL(loop, c.err != 0);
  assert_int_equal(c.err, EW_ECONN);
  ew_stream_close(c.s);
}

static void context_may_go_before_its_streams(void **state) {
  struct end c, s;
  tls_pair(&c, &s);
  ew_tls_ctx_unref(ctx_a);
  ctx_a = ctx_good(ID_A);
  assert_int_equal(write_str(c.s, "x"), 1);
  RUN_UNTIL(loop, s.got == 1);
  close_both(&c, &s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(talks_both_ways),
      T(before_the_handshake_nothing_moves),
      T(half_close),
      T(close_is_orderly),
      T(abort_is_not_orderly),
      T(truncation_is_an_error),
      T(garbage_record_is_an_error),
      T(wrong_arguments_close_what_is_below),
      T(small_reads_of_what_is_decrypted),
      T(large_transfer),
      T(large_transfer_over_tcp_from_the_server),
      T(fewer_bytes_after_a_part),
      T(closes_within_its_callback),
      T(peeked_bytes_first),
      T(context_may_go_before_its_streams),
  };
  return cmocka_run_group_tests(tests, make_roots, free_roots);
}
