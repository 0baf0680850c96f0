/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_test.h"

static struct ew_loop *loop;

static int setup(void **state) {
  loop = ew_loop_new();
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  ew_loop_del(loop);
  return 0;
}

enum who { NO_ONE_SIGNS, ROOT, OTHER_ROOT, LEAF, DEEP };

struct bad {
  const char *what;
  struct cert_opts o;
  enum who issuer;
  const char *failure;
  int err;
};

#define SELF(...) .o = {.name = "leaf", __VA_ARGS__}
#define GOOD_URI .uri = {ID_A}

static const struct bad table[] = {
    {"expired", SELF(GOOD_URI, .begin = -7200, .end = -60), ROOT, "expired",
     EW_ETLS},
    {"not yet valid", SELF(GOOD_URI, .begin = 600, .end = 7200), ROOT,
     "not-yet-valid", EW_ETLS},
    {"wrong CA of the same name", SELF(GOOD_URI), OTHER_ROOT, "unknown-ca",
     EW_ETLS},
    {"wrong CA of the same name, no key id", SELF(GOOD_URI, .no_aki = true),
     OTHER_ROOT, "bad-certificate", EW_ETLS},
    {"self-signed", SELF(GOOD_URI), NO_ONE_SIGNS, "unknown-ca", EW_ETLS},
    {"two URI SANs", SELF(.uri = {ID_A, ID_B}), ROOT, "san-count",
     EW_EIDENTITY},
    {"twice the same URI SAN", SELF(.uri = {ID_A, ID_A}), ROOT, "san-count",
     EW_EIDENTITY},
    {"no SAN", SELF(.dns = NULL), ROOT, "san-count", EW_EIDENTITY},
    {"DNS SAN only", SELF(.dns = "server.b.svc"), ROOT, "san-count",
     EW_EIDENTITY},
    {"not SPIFFE", SELF(.uri = {"https://cluster.local/ns/a"}), ROOT,
     "san-syntax", EW_EIDENTITY},
    {"upper case", SELF(.uri = {"spiffe://Cluster.local/ns/a"}), ROOT,
     "san-syntax", EW_EIDENTITY},
    {"embedded NUL", SELF(.uri = {ID_A "\0.evil"}, .uri_len = sizeof(ID_A) + 5),
     ROOT, "san-syntax", EW_EIDENTITY},
    {"trailing NUL", SELF(.uri = {ID_A}, .uri_len = sizeof(ID_A)), ROOT,
     "san-syntax", EW_EIDENTITY},
    {"wrong trust domain", SELF(.uri = {"spiffe://evil.local/ns/a/sa/client"}),
     ROOT, "wrong-trust-domain", EW_EIDENTITY},
    {"no EKU", SELF(GOOD_URI, .eku = ""), ROOT, "bad-usage", EW_ETLS},
    {"other EKU", SELF(GOOD_URI, .eku = "codeSigning"), ROOT, "bad-usage",
     EW_ETLS},
    {"no digitalSignature", SELF(GOOD_URI, .ku = "critical,keyEncipherment"),
     ROOT, NULL, EW_ETLS},
    {"CA as leaf", SELF(GOOD_URI, .ca = true), ROOT, "bad-usage", EW_ETLS},
    {"signs certificates",
     SELF(GOOD_URI, .ku = "critical,digitalSignature,cRLSign"), ROOT,
     "bad-usage", EW_ETLS},
    {"RSA 1024", SELF(GOOD_URI, .rsa_bits = 1024), ROOT, "weak-key", EW_ETLS},
    {"SHA-1", SELF(GOOD_URI, .sha1 = true), ROOT, "weak-key", EW_ETLS},
    {"issued by a leaf", SELF(GOOD_URI), LEAF, NULL, EW_ETLS},
    {"chain too deep", SELF(GOOD_URI), DEEP, "bad-certificate", EW_ETLS},
};

#define DEPTH 7

/* |c| and, below it, what stands between it and the root. */
static struct ew_tls_ctx *ctx_bad(const struct bad *b) {
  struct cert_opts leaf = {.name = "issuer", .uri = {ID_B}};
  struct cert_opts ca = {.name = "ca", .ca = true, .eku = ""};
  struct cert between[DEPTH];
  size_t n = 0;
  const struct cert *issuer = NULL;

  if (b->issuer == ROOT)
    issuer = &root;
  else if (b->issuer == OTHER_ROOT)
    issuer = &other_root;
  else if (b->issuer == LEAF)
    between[n++] = cert_make(&leaf, &root);
  for (; b->issuer == DEEP && n < DEPTH; n++)
    between[n] = cert_make(&ca, n > 0 ? &between[n - 1] : &root);
  if (n > 0)
    issuer = &between[n - 1];
  struct cert c = cert_make(&b->o, issuer);
  struct ew_tls_ctx *ctx = ctx_forced(&c);
  while (n > 0) {
    assert_int_equal(SSL_CTX_add1_chain_cert(ctx->ssl, between[n - 1].x), 1);
    cert_fini(&between[--n]);
  }
  cert_fini(&c);
  return ctx;
}

static void check(const struct bad *b, struct end *judge, struct end *bad) {
  RUN_UNTIL(loop, judge->err != 0);
  const char *why = ew_tls_stream_failure(judge->s);
  if (judge->err != b->err || (b->failure && strcmp(why, b->failure) != 0))
    print_error("%s: %d %s\n", b->what, judge->err, why);
  assert_int_equal(judge->err, b->err);
  if (b->failure)
    assert_string_equal(why, b->failure);
  assert_true(why[0] != '\0');
  assert_false(ew_tls_stream_done(judge->s));
  assert_string_equal(ew_tls_stream_peer_id(judge->s), "");
  assert_int_equal(judge->got, 0);
  ew_stream_close(judge->s);
  /* The other side learns why from an alert. */
  RUN_UNTIL(loop, bad->err != 0);
  assert_int_equal(bad->err, EW_ETLS);
  assert_memory_equal(ew_tls_stream_failure(bad->s), "peer-alert:", 11);
  ew_stream_close(bad->s);
}

static void server_refuses_bad_clients(void **state) {
  struct ew_tls_ctx *good = ctx_good(ID_B);
  for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
    const char *const expected[] = {ID_B};
    struct ew_tls_ctx *bad = ctx_bad(&table[i]);
    struct ew_stream *p[2];
    struct end client, server;
    make_tcp_pair(loop, p);
    end_init(&client, ew_tls_client_new(bad, p[0], expected, 1, "eastwest/x"));
    end_init(&server, ew_tls_server_new(good, p[1], SERVER_OPTS("eastwest/x")));
    check(&table[i], &server, &client);
    ew_tls_ctx_unref(bad);
  }
  ew_tls_ctx_unref(good);
}

static void client_refuses_bad_servers(void **state) {
  struct ew_tls_ctx *good = ctx_good(ID_B);
  for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
    const char *const expected[] = {ID_A};
    struct ew_tls_ctx *bad = ctx_bad(&table[i]);
    struct ew_stream *p[2];
    struct end client, server;
    make_tcp_pair(loop, p);
    end_init(&client, ew_tls_client_new(good, p[0], expected, 1, "eastwest/x"));
    end_init(&server, ew_tls_server_new(bad, p[1], SERVER_OPTS("eastwest/x")));
    check(&table[i], &client, &server);
    ew_tls_ctx_unref(bad);
  }
  ew_tls_ctx_unref(good);
}

static void eku_counts_by_direction(void **state) {
  static const struct bad only_server = {"serverAuth only",
                                         SELF(GOOD_URI, .eku = "serverAuth"),
                                         ROOT, "bad-usage", EW_ETLS};
  static const struct bad only_client = {"clientAuth only",
                                         SELF(GOOD_URI, .eku = "clientAuth"),
                                         ROOT, "bad-usage", EW_ETLS};
  const char *const expected[] = {ID_A};
  struct ew_tls_ctx *good = ctx_good(ID_A);
  struct ew_tls_ctx *s = ctx_bad(&only_server), *c = ctx_bad(&only_client);
  struct ew_stream *p[2];
  struct end client, server;

  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(s, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(good, p[1], SERVER_OPTS("x")));
  check(&only_server, &server, &client);

  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(good, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(c, p[1], SERVER_OPTS("x")));
  check(&only_client, &client, &server);

  /* The right way round both are good. */
  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(c, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(s, p[1], SERVER_OPTS("x")));
  RUN_UNTIL(loop, end_done(&client) && end_done(&server));
  ew_stream_close(client.s);
  ew_stream_close(server.s);
  ew_tls_ctx_unref(good);
  ew_tls_ctx_unref(s);
  ew_tls_ctx_unref(c);
}

static void client_accepts_only_what_it_expects(void **state) {
  const char *const wrong[] = {"spiffe://cluster.local/ns/b/sa/serve",
                               "spiffe://cluster.local/ns/b/sa/server2", ID_A};
  const char *const right[] = {ID_A, ID_B};
  struct bad b = {.what = "wrong identity",
                  .failure = "wrong-identity",
                  .err = EW_EIDENTITY};
  struct ew_tls_ctx *ca = ctx_good(ID_A), *cb = ctx_good(ID_B);
  struct ew_stream *p[2];
  struct end client, server;

  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(ca, p[0], wrong, 3, "x"));
  end_init(&server, ew_tls_server_new(cb, p[1], SERVER_OPTS("x")));
  check(&b, &client, &server);

  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(ca, p[0], right, 2, "x"));
  end_init(&server, ew_tls_server_new(cb, p[1], SERVER_OPTS("x")));
  RUN_UNTIL(loop, end_done(&client) && end_done(&server));
  assert_string_equal(ew_tls_stream_peer_id(client.s), ID_B);
  assert_string_equal(ew_tls_stream_peer_id(server.s), ID_A);
  ew_stream_close(client.s);
  ew_stream_close(server.s);
  ew_tls_ctx_unref(ca);
  ew_tls_ctx_unref(cb);
}

static void no_client_certificate(void **state) {
  const char *const expected[] = {ID_B};
  struct bad b = {.what = "none", .failure = "no-certificate", .err = EW_ETLS};
  struct ew_tls_ctx *none = ctx_from(NULL, &root), *good = ctx_good(ID_B);
  struct ew_stream *p[2];
  struct end client, server;
  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(none, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(good, p[1], SERVER_OPTS("x")));
  check(&b, &server, &client);

  struct ew_tls_server_opts o = *SERVER_OPTS("x");
  o.peer_optional = true;
  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(none, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(good, p[1], &o));
  RUN_UNTIL(loop, end_done(&client) && end_done(&server));
  assert_string_equal(ew_tls_stream_peer_id(server.s), "");
  assert_string_equal(ew_tls_stream_peer_id(client.s), ID_B);
  ew_stream_close(client.s);
  ew_stream_close(server.s);

  /* Optional does not mean unchecked. */
  struct ew_tls_ctx *bad = ctx_bad(&table[0]);
  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(bad, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(good, p[1], &o));
  check(&table[0], &server, &client);
  ew_tls_ctx_unref(bad);
  ew_tls_ctx_unref(none);
  ew_tls_ctx_unref(good);
}

static void intermediate_is_followed(void **state) {
  const char *const expected[] = {ID_B};
  struct cert_opts co = {.name = "mid", .ca = true, .eku = ""};
  struct cert_opts lo = {.name = "leaf", .uri = {ID_B}};
  struct cert mid = cert_make(&co, &root);
  struct cert leaf = cert_make(&lo, &mid);
  char why[128];
  char *pem = cert_pem(&leaf, &mid), *key = cert_key_pem(&leaf);
  char *roots = cert_pem(&other_root, &root); /* two during a rotation */
  struct ew_tls_ctx *s = ew_tls_ctx_new(pem, key, roots, TD, why, sizeof(why));
  struct ew_tls_ctx *c = ctx_good(ID_A);
  struct ew_stream *p[2];
  struct end client, server;
  assert_non_null(s);
  make_tcp_pair(loop, p);
  end_init(&client, ew_tls_client_new(c, p[0], expected, 1, "x"));
  end_init(&server, ew_tls_server_new(s, p[1], SERVER_OPTS("x")));
  RUN_UNTIL(loop, end_done(&client) && end_done(&server));
  ew_stream_close(client.s);
  ew_stream_close(server.s);
  ew_tls_ctx_unref(s);
  ew_tls_ctx_unref(c);
  cert_fini(&mid);
  cert_fini(&leaf);
  free(pem);
  free(key);
  free(roots);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(server_refuses_bad_clients), T(client_refuses_bad_servers),
      T(eku_counts_by_direction),    T(client_accepts_only_what_it_expects),
      T(no_client_certificate),      T(intermediate_is_followed),
  };
  return cmocka_run_group_tests(tests, make_roots, free_roots);
}
