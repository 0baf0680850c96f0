/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/pki/server_cert.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/cert.h"

static const char *const names[] = {"a.test", "b.a.test"};

static struct ew_server_cert made(uint64_t lifetime_s, const char *old) {
  struct ew_server_cert c;
  assert_int_equal(ew_server_cert_make(names, 2, lifetime_s, old, &c), EW_OK);
  return c;
}

/* Of |roots| alone, as a client checks it. */
static bool is_trusted(const char *crt, const char *roots, const char *host) {
  X509_STORE *store = X509_STORE_new();
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  STACK_OF(X509) *all = read_all(roots);
  X509 *leaf = ew_pem_read_certificate(crt);
  for (int i = 0; i < sk_X509_num(all); i++)
    X509_STORE_add_cert(store, sk_X509_value(all, i));
  X509_STORE_CTX_init(ctx, store, leaf, NULL);
  X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(ctx), host, 0);
  bool good = X509_verify_cert(ctx) == 1;
  X509_STORE_CTX_free(ctx);
  X509_STORE_free(store);
  X509_free(leaf);
  free_all(all);
  return good;
}

static void makes_what_clients_accept(void **state) {
  struct ew_server_cert c = made(600, NULL);
  assert_int_equal(c.roots_n, 1);
  assert_int_equal(c.not_after - c.not_before, 600 + EW_X509_BACKDATE_S);
  assert_true(is_trusted(c.crt, c.roots, "a.test"));
  assert_true(is_trusted(c.crt, c.roots, "b.a.test"));
  assert_false(is_trusted(c.crt, c.roots, "c.a.test"));
  struct ew_server_cert other = made(600, NULL);
  assert_false(is_trusted(c.crt, other.roots, "a.test"));
  assert_string_not_equal(c.key, other.key);
  ew_server_cert_fini(&other);
  ew_server_cert_fini(&c);
}

static void keeps_old_roots_for_a_while(void **state) {
  struct ew_server_cert a = made(600, NULL);
  struct ew_server_cert b = made(600, a.roots);
  assert_int_equal(b.roots_n, 2);
  assert_true(is_trusted(a.crt, b.roots, "a.test"));
  assert_true(is_trusted(b.crt, b.roots, "a.test"));
  /* The same root twice is one. */
  size_t len = strlen(a.roots) + strlen(b.roots) + 1;
  char *twice = ew_malloc(len);
  snprintf(twice, len, "%s%s", b.roots, a.roots);
  struct ew_server_cert c = made(600, twice);
  assert_int_equal(c.roots_n, 3);
  ew_server_cert_retire(&c);
  assert_int_equal(c.roots_n, 1);
  assert_true(is_trusted(c.crt, c.roots, "a.test"));
  assert_false(is_trusted(a.crt, c.roots, "a.test"));
  free(twice);
  ew_server_cert_fini(&a);
  ew_server_cert_fini(&b);
  ew_server_cert_fini(&c);
}

static void old_roots_are_bounded(void **state) {
  char *old = NULL;
  for (int i = 0; i < 2 * EW_ROOTS_MAX; i++) {
    struct ew_server_cert c = made(600, old);
    assert_int_equal(c.roots_n, i < EW_ROOTS_MAX ? i + 1 : EW_ROOTS_MAX);
    free(old);
    old = ew_strdup(c.roots);
    ew_server_cert_fini(&c);
  }
  free(old);
}

static char *root_pem(long begin, long end) {
  struct cert_opts o = {.name = "root", .begin = begin, .end = end, .ca = true};
  struct cert c = cert_make(&o, NULL);
  char *pem = cert_pem(&c, NULL);
  cert_fini(&c);
  return pem;
}

static void expired_roots_are_dropped(void **state) {
  char *old = root_pem(-100, -50);
  struct ew_server_cert c = made(600, old);
  assert_int_equal(c.roots_n, 1);
  ew_server_cert_fini(&c);
  free(old);
}

static void reads_what_it_made(void **state) {
  struct ew_server_cert a = made(600, NULL), b = made(600, a.roots), c;
  char why[400] = "";
  assert_int_equal(ew_server_cert_read(b.crt, b.key, b.roots, names, 2, &c, why,
                                       sizeof(why)),
                   EW_OK);
  assert_string_equal(c.crt, b.crt);
  assert_string_equal(c.key, b.key);
  assert_string_equal(c.roots, b.roots);
  assert_int_equal(c.roots_n, 2);
  assert_int_equal(c.not_after, b.not_after);
  ew_server_cert_fini(&c);
  /* In whatever order they stand. */
  size_t len = strlen(a.roots) + strlen(b.roots) + 1;
  char *turned = ew_malloc(len);
  snprintf(turned, len, "%s%s", a.roots, b.roots);
  assert_int_equal(
      ew_server_cert_read(b.crt, b.key, turned, names, 2, &c, why, sizeof(why)),
      EW_OK);
  assert_string_equal(c.roots, b.roots);
  ew_server_cert_fini(&c);
  free(turned);
  ew_server_cert_fini(&a);
  ew_server_cert_fini(&b);
}

static void refuse(const char *crt, const char *key, const char *roots,
                   const char *const *who, const char *expected) {
  struct ew_server_cert c;
  char why[400] = "";
  assert_int_equal(
      ew_server_cert_read(crt, key, roots, who, 2, &c, why, sizeof(why)),
      EW_EINVAL);
  if (!strstr(why, expected))
    fail_msg("%s: expected %s", why, expected);
  assert_null(c.crt);
  assert_null(c.key);
  ew_server_cert_fini(&c);
}

static void says_what_is_wrong(void **state) {
  static const char *const more[] = {"a.test", "c.test"};
  struct ew_server_cert a = made(600, NULL), b = made(600, NULL);
  refuse(NULL, a.key, a.roots, names, "tls.crt: expected a certificate in");
  refuse("", "", "", names, "tls.crt: expected a certificate in");
  refuse(a.crt, b.key, a.roots, names, "tls.key: expected the private key");
  refuse(a.crt, NULL, a.roots, names, "tls.key: expected the private key");
  refuse(a.crt, a.key, b.roots, names, "ca.crt: expected the CA");
  refuse(a.crt, a.key, NULL, names, "ca.crt: expected the CA");
  refuse(a.crt, a.key, a.roots, more, "expected the name c.test");
  ew_server_cert_fini(&a);
  ew_server_cert_fini(&b);
}

static void compares_roots(void **state) {
  char *old = root_pem(-200, 500), *ours = root_pem(-100, 500),
       *young = root_pem(-50, 500);
  char two[8192];
  snprintf(two, sizeof(two), "%s%s", old, ours);
  assert_int_equal(ew_roots_compare("", ours), EW_ROOTS_MISSING);
  assert_int_equal(ew_roots_compare("nonsense", ours), EW_ROOTS_MISSING);
  assert_int_equal(ew_roots_compare(old, ours), EW_ROOTS_MISSING);
  assert_int_equal(ew_roots_compare(ours, ours), EW_ROOTS_GOOD);
  assert_int_equal(ew_roots_compare(ours, two), EW_ROOTS_MISSING);
  assert_int_equal(ew_roots_compare(two, two), EW_ROOTS_GOOD);
  assert_int_equal(ew_roots_compare(two, ours), EW_ROOTS_STALE);
  snprintf(two, sizeof(two), "%s%s", young, ours);
  assert_int_equal(ew_roots_compare(two, ours), EW_ROOTS_GOOD);
  assert_int_equal(ew_roots_compare(two, young), EW_ROOTS_STALE);
  free(old);
  free(ours);
  free(young);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(makes_what_clients_accept),
      cmocka_unit_test(keeps_old_roots_for_a_while),
      cmocka_unit_test(old_roots_are_bounded),
      cmocka_unit_test(expired_roots_are_dropped),
      cmocka_unit_test(reads_what_it_made),
      cmocka_unit_test(says_what_is_wrong),
      cmocka_unit_test(compares_roots),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
