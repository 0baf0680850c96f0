/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include <openssl/ssl.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/buf.h"
#include "eastwest/net/tls.h"

/* A ClientHello as OpenSSL writes it. To be freed. */
static struct ew_slice real_hello(const char *sni, const char *alpn,
                                  int max_version) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(ctx, max_version);
  SSL *ssl = SSL_new(ctx);
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  char *p;
  SSL_set_bio(ssl, in, out);
  if (sni)
    SSL_set_tlsext_host_name(ssl, sni);
  if (alpn)
    SSL_set_alpn_protos(ssl, (const unsigned char *)alpn,
                        (unsigned)strlen(alpn));
  SSL_set_connect_state(ssl);
  assert_true(SSL_do_handshake(ssl) < 0);
  long n = BIO_get_mem_data(out, &p);
  assert_true(n > 0);
  char *copy = ew_strndup(p, (size_t)n);
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  return ew_slice(copy, (size_t)n);
}

static void free_slice(struct ew_slice s) { free((void *)(uintptr_t)s.p); }

static void every_prefix_needs_more(void **state) {
  struct ew_slice h = real_hello("echo.ns.svc",
                                 "\x02h2\x0e"
                                 "eastwest/http2",
                                 0);
  struct ew_slice sni;
  bool mesh;
  for (size_t n = 0; n < h.n; n++) {
    /* Exactly sized, so that reading beyond it is seen. */
    char *part = ew_strndup(h.p, n);
    char *exact = ew_malloc(n > 0 ? n : 1);
    memcpy(exact, part, n);
    assert_int_equal(ew_tls_peek(ew_slice(exact, n), &mesh, &sni), EW_EAGAIN);
    assert_int_equal(sni.n, 0);
    assert_false(mesh);
    free(part);
    free(exact);
  }
  assert_int_equal(ew_tls_peek(h, &mesh, &sni), EW_OK);
  assert_true(mesh);
  assert_true(ew_slice_eq_str(sni, "echo.ns.svc"));
  assert_true(sni.p > h.p && sni.p + sni.n <= h.p + h.n);
  free_slice(h);
}

static void tells_mesh_from_other_tls(void **state) {
  static const struct {
    const char *sni, *alpn;
    int version;
    bool mesh;
  } t[] = {
      {"a.example", NULL, 0, false},
      {NULL, NULL, TLS1_2_VERSION, false},
      {"a.example", "\x02h2\x08http/1.1", TLS1_2_VERSION, false},
      {NULL,
       "\x08"
       "eastwest",
       0, false},
      {NULL,
       "\x09"
       "Eastwest/",
       0, false},
      {NULL,
       "\x0c"
       "eastwest/tcp",
       0, true},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
    struct ew_slice h = real_hello(t[i].sni, t[i].alpn, t[i].version);
    struct ew_slice sni;
    bool mesh;
    assert_int_equal(ew_tls_peek(h, &mesh, &sni), EW_OK);
    assert_int_equal(mesh, t[i].mesh);
    assert_true(ew_slice_eq_str(sni, t[i].sni ? t[i].sni : ""));
    free_slice(h);
  }
}

/* Puts handshake bytes into records of at most |size| bytes. */
static void fragment(struct ew_slice hello, size_t size, struct ew_buf *out) {
  size_t at = 5;
  while (at < hello.n) {
    size_t n = hello.n - at < size ? hello.n - at : size;
    char head[5] = {22, 3, 1, (char)(n >> 8), (char)n};
    assert_int_equal(ew_buf_append(out, ew_slice(head, 5)), EW_OK);
    assert_int_equal(ew_buf_append(out, ew_slice(hello.p + at, n)), EW_OK);
    at += n;
  }
}

static void across_records(void **state) {
  struct ew_slice h = real_hello("a.example",
                                 "\x0c"
                                 "eastwest/tcp",
                                 0);
  for (size_t size = 1; size < h.n; size++) {
    struct ew_buf b;
    struct ew_slice sni;
    bool mesh;
    ew_buf_init(&b, 65536);
    fragment(h, size, &b);
    struct ew_slice in = ew_buf_peek(&b);
    assert_int_equal(ew_tls_peek(in, &mesh, &sni), EW_OK);
    assert_true(mesh);
    /* A name that a record boundary divides counts as none. */
    if (sni.n > 0) {
      assert_true(ew_slice_eq_str(sni, "a.example"));
      assert_true(sni.p > in.p && sni.p + sni.n <= in.p + in.n);
    } else {
      assert_true(size < h.n - 5);
    }
    for (size_t n = 0; n < in.n; n += 7)
      assert_int_equal(ew_tls_peek(ew_slice(in.p, n), &mesh, &sni), EW_EAGAIN);
    ew_buf_fini(&b);
  }
  free_slice(h);
}

static int peek(const char *p, size_t n) {
  struct ew_slice sni;
  bool mesh;
  int rc = ew_tls_peek(ew_slice(p, n), &mesh, &sni);
  assert_true(rc == EW_OK || (!mesh && sni.n == 0));
  return rc;
}

#define PEEK(s) peek((s), sizeof(s) - 1)

static void refuses_what_is_no_hello(void **state) {
  assert_int_equal(PEEK(""), EW_EAGAIN);
  assert_int_equal(PEEK("GET / HTTP/1.1\r\n"), EW_EINVAL);
  assert_int_equal(PEEK("G"), EW_EINVAL);
  assert_int_equal(PEEK("\x16"), EW_EAGAIN);
  assert_int_equal(PEEK("\x16\x02"), EW_EINVAL);
  assert_int_equal(PEEK("\x16\x03\x01\x00\x00"), EW_EINVAL);     /* empty */
  assert_int_equal(PEEK("\x16\x03\x01\x40\x01"), EW_EINVAL);     /* long */
  assert_int_equal(PEEK("\x16\x03\x01\x00\x04\x02"), EW_EINVAL); /* type */
  assert_int_equal(PEEK("\x16\x03\x01\x00\x04\x01\x00\x40\x00"), EW_EINVAL);
  assert_int_equal(PEEK("\x16\x03\x01\x00\x04\x01\xff\xff\xff"), EW_EINVAL);
  assert_int_equal(PEEK("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), EW_EINVAL);
  assert_int_equal(PEEK("\x15\x03\x01\x00\x02\x01\x00"), EW_EINVAL);
  /* The second record is no handshake record. */
  assert_int_equal(PEEK("\x16\x03\x01\x00\x01\x01\x17\x03\x03"), EW_EINVAL);
}

/* A ClientHello with the extensions |ext|. */
static int peek_ext(const char *ext, size_t n, struct ew_slice *sni) {
  unsigned char h[1024];
  bool mesh;
  size_t body = 2 + 32 + 1 + 4 + 2 + 2 + n;
  memset(h, 0, sizeof(h));
  h[0] = 22;
  h[1] = h[2] = 3;
  h[3] = (unsigned char)((body + 4) >> 8);
  h[4] = (unsigned char)(body + 4);
  h[5] = 1;
  h[7] = (unsigned char)(body >> 8);
  h[8] = (unsigned char)body;
  unsigned char *p = h + 9 + 2 + 32 + 1;
  memcpy(p, "\x00\x02\x13\x01\x01\x00", 6);
  p[6] = (unsigned char)(n >> 8);
  p[7] = (unsigned char)n;
  memcpy(p + 8, ext, n);
  static char keep[1024];
  memcpy(keep, h, sizeof(keep));
  return ew_tls_peek(ew_slice(keep, 9 + body), &mesh, sni);
}

#define EXT(s) peek_ext((s), sizeof(s) - 1, &sni)

static void extensions(void **state) {
  struct ew_slice sni;
  assert_int_equal(EXT(""), EW_OK);
  assert_int_equal(EXT("\x00\x00\x00\x06\x00\x04\x00\x00\x01z"), EW_OK);
  assert_true(ew_slice_eq_str(sni, "z"));
  static const struct {
    const char *p;
    size_t n;
  } bad[] = {
#define B(s) {s, sizeof(s) - 1}
      B("\x00"),                                     /* cut */
      B("\x00\x00\x00\x09\x00"),                     /* cut */
      B("\x00\x00\x00\x06\x00\x04\x01\x00\x01z"),    /* other name type */
      B("\x00\x00\x00\x05\x00\x03\x00\x00\x00"),     /* empty name */
      B("\x00\x00\x00\x06\x00\x04\x00\x00\x01\x00"), /* NUL */
      B("\x00\x00\x00\x06\x00\x04\x00\x00\x01/"),    /* no name byte */
      B("\x00\x00\x00\x06\x00\x04\x00\x00\x02z"),    /* longer than it is */
      B("\x00\x00\x00\x07\x00\x04\x00\x00\x01zz"),   /* more behind */
      B("\x00\x00\x00\x0a\x00\x08\x00\x00\x01z\x00\x00\x01y"), /* two names */
      B("\x00\x00\x00\x06\x00\x04\x00\x00\x01z"
        "\x00\x00\x00\x06\x00\x04\x00\x00\x01y"), /* extension twice */
      B("\x00\x10\x00\x02\x00\x00"),              /* ALPN: no protocol */
      B("\x00\x10\x00\x03\x00\x01\x00"),          /* ALPN: empty protocol */
      B("\x00\x10\x00\x04\x00\x02\x03h"),         /* ALPN: cut */
      B("\x00\x10\x00\x05\x00\x02\x01hh"),        /* ALPN: more behind */
      B("\x00\x10\x00\x04\x00\x02\x01h"
        "\x00\x10\x00\x04\x00\x02\x01h"), /* ALPN twice */
#undef B
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
    assert_int_equal(peek_ext(bad[i].p, bad[i].n, &sni), EW_EINVAL);
}

static void bounded(void **state) {
  /* Records of one byte each: more than 16 KiB without an end. */
  static char in[40000];
  for (size_t i = 0; i + 6 <= sizeof(in); i += 6)
    memcpy(in + i, "\x16\x03\x01\x00\x01\x00", 6);
  memcpy(in + 5, "\x01", 1);
  memcpy(in + 17, "\x3f", 1); /* body of 0x3f00 bytes */
  assert_int_equal(peek(in, 16383), EW_EAGAIN);
  assert_int_equal(peek(in, 16384), EW_EINVAL);
  assert_int_equal(peek(in, sizeof(in)), EW_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_prefix_needs_more),
      cmocka_unit_test(tells_mesh_from_other_tls),
      cmocka_unit_test(across_records),
      cmocka_unit_test(refuses_what_is_no_hello),
      cmocka_unit_test(extensions),
      cmocka_unit_test(bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
