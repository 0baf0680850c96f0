/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_test.h"

#include <time.h>

static char *good_pem, *good_key, *roots_pem;

static int setup(void **state) {
  struct cert_opts o = {.name = "leaf", .uri = {ID_A}};
  make_roots(state);
  struct cert c = cert_make(&o, &root);
  good_pem = cert_pem(&c, NULL);
  good_key = cert_key_pem(&c);
  roots_pem = cert_pem(&root, &other_root);
  cert_fini(&c);
  return 0;
}

static int teardown(void **state) {
  free(good_pem);
  free(good_key);
  free(roots_pem);
  return free_roots(state);
}

static void good_identity(void **state) {
  char why[128] = "";
  struct ew_tls_ctx *c =
      ew_tls_ctx_new(good_pem, good_key, roots_pem, TD, why, sizeof(why));
  assert_non_null(c);
  assert_string_equal(ew_tls_ctx_id(c), ID_A);
  long long now = (long long)time(NULL);
  assert_true(ew_tls_ctx_not_after(c) - now > 3500);
  assert_true(ew_tls_ctx_not_after(c) - now < 3700);
  assert_true(now - ew_tls_ctx_not_before(c) > 3500);
  assert_ptr_equal(ew_tls_ctx_ref(c), c);
  ew_tls_ctx_unref(c);
  assert_string_equal(ew_tls_ctx_id(c), ID_A);
  ew_tls_ctx_unref(c);
  ew_tls_ctx_unref(NULL);
}

static void without_certificate(void **state) {
  char why[128] = "";
  struct ew_tls_ctx *c =
      ew_tls_ctx_new(NULL, NULL, roots_pem, TD, why, sizeof(why));
  assert_non_null(c);
  assert_string_equal(ew_tls_ctx_id(c), "");
  assert_int_equal(ew_tls_ctx_not_after(c), 0);
  assert_int_equal(ew_tls_ctx_not_before(c), 0);
  ew_tls_ctx_unref(c);
}

static void refused(const char *pem, const char *key, const char *roots,
                    const char *td, const char *expect) {
  char why[128] = "";
  assert_null(ew_tls_ctx_new(pem, key, roots, td, why, sizeof(why)));
  if (!strstr(why, expect))
    print_error("%s, expected %s\n", why, expect);
  assert_non_null(strstr(why, expect));
}

static void bad_texts(void **state) {
  struct cert_opts o = {.name = "other", .uri = {ID_A}};
  struct cert other = cert_make(&o, &root);
  char *other_key = cert_key_pem(&other);
  size_t n = strlen(good_pem);
  char *cut = ew_strndup(good_pem, n / 2);
  char *trailing = ew_malloc(2 * n + 2);
  snprintf(trailing, 2 * n + 2, "%s%s", good_pem, cut);

  refused("", good_key, roots_pem, TD, "chain");
  refused("rubbish", good_key, roots_pem, TD, "chain");
  refused(cut, good_key, roots_pem, TD, "chain");
  refused(trailing, good_key, roots_pem, TD, "chain");
  refused(good_key, good_key, roots_pem, TD, "chain");
  refused(good_pem, "", roots_pem, TD, "key");
  refused(good_pem, good_pem, roots_pem, TD, "key");
  refused(good_pem, other_key, roots_pem, TD, "fit");
  refused(good_pem, NULL, roots_pem, TD, "without");
  refused(NULL, good_key, roots_pem, TD, "without");
  refused(good_pem, good_key, NULL, TD, "root");
  refused(good_pem, good_key, "", TD, "root");
  refused(good_pem, good_key, good_key, TD, "root");
  refused(good_pem, good_key, roots_pem, "", "trust domain");
  refused(good_pem, good_key, roots_pem, "Cluster.local", "trust domain");
  refused(good_pem, good_key, roots_pem, "other.local", "wrong-trust-domain");
  cert_fini(&other);
  free(other_key);
  free(cut);
  free(trailing);
}

static void too_much_is_refused(void **state) {
  size_t n = strlen(good_pem), max = 300 * 1024;
  char *many = ew_malloc(max + 1), *five = ew_malloc(5 * n + 1);
  memset(many, ' ', max);
  many[max] = '\0';
  refused(many, good_key, roots_pem, TD, "chain");
  refused(good_pem, good_key, many, TD, "root");
  refused(good_pem, many, roots_pem, TD, "key");
  for (size_t i = 0; i < 5; i++)
    memcpy(five + i * n, good_pem, n + 1);
  refused(five, good_key, roots_pem, TD, "chain");
  free(many);
  free(five);
}

static void encrypted_key_does_not_ask(void **state) {
  struct cert_opts o = {.name = "leaf", .uri = {ID_A}};
  struct cert c = cert_make(&o, &root);
  char *pem = cert_pem(&c, NULL);
  BIO *b = BIO_new(BIO_s_mem());
  char pass[] = "secret";
  assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, c.key, EVP_aes_128_cbc(),
                                                 pass, 6, NULL, NULL),
                   1);
  char *key = bio_text(b);
  refused(pem, key, roots_pem, TD, "key");
  free(pem);
  free(key);
  cert_fini(&c);
}

static void unusable_certificates(void **state) {
  static const struct {
    struct cert_opts o;
    const char *why;
  } t[] = {
      {{.name = "none"}, "san-count"},
      {{.name = "two", .uri = {ID_A, ID_B}}, "san-count"},
      {{.name = "syntax", .uri = {"spiffe://cluster.local"}}, "san-syntax"},
      {{.name = "weak", .uri = {ID_A}, .rsa_bits = 1024}, "fit"},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
    struct cert c = cert_make(&t[i].o, &root);
    char *pem = cert_pem(&c, NULL), *key = cert_key_pem(&c);
    refused(pem, key, roots_pem, TD, t[i].why);
    free(pem);
    free(key);
    cert_fini(&c);
  }
}

static void settings_are_as_promised(void **state) {
  struct ew_tls_ctx *c = ctx_good(ID_A);
  assert_int_equal(SSL_CTX_get_min_proto_version(c->ssl), TLS1_3_VERSION);
  assert_int_equal(SSL_CTX_get_max_proto_version(c->ssl), TLS1_3_VERSION);
  assert_int_equal(SSL_CTX_get_num_tickets(c->ssl), 0);
  assert_int_equal(SSL_CTX_get_session_cache_mode(c->ssl), SSL_SESS_CACHE_OFF);
  assert_int_equal(SSL_CTX_get_max_early_data(c->ssl), 0);
  assert_int_equal(SSL_CTX_get_security_level(c->ssl), 2);
  unsigned long want =
      SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;
  assert_true((SSL_CTX_get_options(c->ssl) & want) == want);
  /* Only the roots given, whatever SSL_CERT_FILE or the system says. */
  STACK_OF(X509_OBJECT) *o =
      X509_STORE_get0_objects(SSL_CTX_get_cert_store(c->ssl));
  assert_int_equal(sk_X509_OBJECT_num(o), 1);
  ew_tls_ctx_unref(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_identity),
      cmocka_unit_test(without_certificate),
      cmocka_unit_test(bad_texts),
      cmocka_unit_test(too_much_is_refused),
      cmocka_unit_test(encrypted_key_does_not_ask),
      cmocka_unit_test(unusable_certificates),
      cmocka_unit_test(settings_are_as_promised),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
