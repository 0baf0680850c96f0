/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ca.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/rsa.h>

#include "net/cert.h"

#define ID "spiffe://cluster.local/ns/a/sa/b"
#define DAY 86400

struct fixture {
  char dir[64];
  char why[256];
};

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  snprintf(f->dir, sizeof f->dir, "/tmp/eastwest-ca-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  *state = f;
  return 0;
}

static const char *path_of(const struct fixture *f, const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", f->dir, name);
  return path;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  unlink(path_of(f, "ca.crt"));
  unlink(path_of(f, "ca.key"));
  rmdir(f->dir);
  free(f);
  return 0;
}

static struct ew_ca *open_ca(struct fixture *f) {
  f->why[0] = '\0';
  struct ew_ca *ca = ew_ca_open(f->dir, "cluster.local", f->why, sizeof f->why);
  assert_int_equal(ca == NULL, f->why[0] != '\0');
  return ca;
}

static struct ew_ca *good(struct fixture *f) {
  struct ew_ca *ca = open_ca(f);
  if (!ca)
    fail_msg("%s", f->why);
  return ca;
}

static void write_text(const struct fixture *f, const char *name,
                       const char *text) {
  FILE *out = fopen(path_of(f, name), "we");
  assert_non_null(out);
  assert_true(fputs(text, out) >= 0);
  assert_int_equal(fclose(out), 0);
}

static void write_pair(const struct fixture *f, const struct cert *crt,
                       const struct cert *key) {
  char *crt_text = cert_pem(crt, NULL), *key_text = cert_key_pem(key);
  write_text(f, "ca.crt", crt_text);
  write_text(f, "ca.key", key_text);
  free(crt_text);
  free(key_text);
}

static struct cert root(const char *name) {
  return cert_make(&(struct cert_opts){.name = name, .ca = true}, NULL);
}

static X509 *first(const char *pem) {
  X509 *c = ew_pem_read_certificate(pem);
  assert_non_null(c);
  return c;
}

/* To be freed. */
static char *csr_of(EVP_PKEY *key, EVP_PKEY *signer, const char *san) {
  X509_REQ *req = X509_REQ_new();
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
                             (const unsigned char *)"admin", -1, -1, 0);
  if (san) {
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(
        list, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san));
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL,
                                                     NID_basic_constraints,
                                                     "critical,CA:TRUE"));
    assert_int_equal(X509_REQ_add_extensions(req, list), 1);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
  assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
  assert_true(X509_REQ_sign(req, signer, EVP_sha256()) > 0);
  BIO *b = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_X509_REQ(b, req), 1);
  X509_REQ_free(req);
  return bio_text(b);
}

static char *read_text(const struct fixture *f, const char *name) {
  char why[256] = "";
  char *text = read_file(path_of(f, name), why, sizeof why);
  if (!text)
    fail_msg("%s", why);
  return text;
}

/* ---- the root ---- */

static void test_root_is_made(void **state) {
  struct fixture *f = *state;
  struct ew_ca *ca = good(f);
  struct stat s;
  assert_int_equal(stat(path_of(f, "ca.key"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0600);
  assert_int_equal(stat(path_of(f, "ca.crt"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0644);
  char *text = read_text(f, "ca.crt");
  assert_string_equal(text, ew_ca_roots(ca));
  X509 *c = first(text);
  assert_int_equal(X509_check_ca(c), 1);
  assert_int_equal(X509_get_pathlen(c), 1);
  assert_int_equal(X509_get_key_usage(c), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
  assert_int_equal(X509_check_issued(c, c), X509_V_OK);
  assert_true(X509_self_signed(c, 1));
  char name[128];
  X509_NAME_oneline(X509_get_subject_name(c), name, sizeof name);
  assert_string_equal(name, "/O=Eastwest/CN=cluster.local");
  /* Roots must not be told that they are somebody. */
  assert_int_equal(X509_get_ext_by_NID(c, NID_subject_alt_name, -1), -1);
  time_t at = time(NULL) + (time_t)ROOT_LIFETIME_S;
  time_t before = at - 60, after = at + 60;
  assert_true(X509_cmp_time(X509_get0_notAfter(c), &before) > 0);
  assert_true(X509_cmp_time(X509_get0_notAfter(c), &after) < 0);
  X509_free(c);
  free(text);
  ew_ca_del(ca);
}

static void test_root_is_kept(void **state) {
  struct fixture *f = *state;
  struct ew_ca *ca = good(f);
  char *before = ew_strdup(ew_ca_roots(ca));
  ew_ca_del(ca);
  ca = good(f);
  assert_string_equal(ew_ca_roots(ca), before);
  ew_ca_del(ca);
  free(before);
}

static void test_folder_is_made(void **state) {
  struct fixture *f = *state;
  struct stat s;
  assert_int_equal(rmdir(f->dir), 0);
  ew_ca_del(good(f));
  assert_int_equal(stat(f->dir, &s), 0);
  assert_int_equal(s.st_mode & 0777, 0700);
}

static void test_folder_that_cannot_be(void **state) {
  char why[128] = "";
  (void)state;
  assert_null(ew_ca_open("/dev/null/x", "cluster.local", why, sizeof why));
  assert_string_equal(why, "/dev/null/x: Not a directory");
}

static void test_long_trust_domain(void **state) {
  struct fixture *f = *state;
  char domain[256];
  memset(domain, 'a', 255);
  domain[255] = '\0';
  struct ew_ca *ca = ew_ca_open(f->dir, domain, f->why, sizeof f->why);
  assert_non_null(ca);
  ew_ca_del(ca);
}

static void assert_refused(struct fixture *f, const char *file,
                           const char *why) {
  assert_null(open_ca(f));
  assert_non_null(strstr(f->why, f->dir));
  assert_non_null(strstr(f->why, file));
  if (!strstr(f->why, why))
    fail_msg("%s", f->why);
}

/* Never made anew beside one of them: that would end trust in all that the
 * other has signed. */
static void test_half_a_pair(void **state) {
  struct fixture *f = *state;
  ew_ca_del(good(f));
  char *key = read_text(f, "ca.key");
  unlink(path_of(f, "ca.key"));
  assert_refused(f, "/ca.key", "No such file or directory");
  assert_int_not_equal(access(path_of(f, "ca.key"), F_OK), 0);
  write_text(f, "ca.key", key);
  unlink(path_of(f, "ca.crt"));
  assert_refused(f, "/ca.crt", "No such file or directory");
  assert_int_not_equal(access(path_of(f, "ca.crt"), F_OK), 0);
  free(key);
}

static void test_faulty_files(void **state) {
  struct fixture *f = *state;
  struct cert a = root("a"), b = root("b");
  struct cert leaf = cert_make(&(struct cert_opts){.name = "leaf"}, NULL);
  struct cert old = cert_make(
      &(struct cert_opts){
          .name = "old", .ca = true, .begin = -2 * DAY, .end = -DAY},
      NULL);
  write_pair(f, &a, &a);
  ew_ca_del(good(f));
  write_pair(f, &a, &b);
  assert_refused(f, "ca.crt",
                 "expected the private key of the certificate in PEM");
  write_pair(f, &leaf, &leaf);
  assert_refused(f, "ca.crt", "expected the certificate of a CA that is valid");
  write_pair(f, &old, &old);
  assert_refused(f, "ca.crt", "expected the certificate of a CA that is valid");
  write_pair(f, &a, &a);
  write_text(f, "ca.key", "frob\n");
  assert_refused(f, "ca.key", "expected");
  write_pair(f, &a, &a);
  write_text(f, "ca.crt", "frob\n");
  assert_refused(f, "ca.crt", "expected");
  write_text(f, "ca.crt", "");
  assert_refused(f, "ca.crt", "expected PEM");
  cert_fini(&a);
  cert_fini(&b);
  cert_fini(&leaf);
  cert_fini(&old);
}

/* ---- leaves ---- */

static char *sign_csr(struct ew_ca *ca, const char *csr, uint32_t lifetime) {
  char why[128] = "", *chain;
  if (ew_ca_sign(ca, ew_slice_str(csr), ID, lifetime, &chain, why,
                 sizeof why) != EW_OK)
    fail_msg("%s", why);
  return chain;
}

static void assert_only_name(X509 *c, const char *uri) {
  int critical = -1;
  GENERAL_NAMES *names =
      X509_get_ext_d2i(c, NID_subject_alt_name, &critical, NULL);
  assert_non_null(names);
  assert_int_equal(critical, 1);
  assert_int_equal(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, 0);
  assert_int_equal(n->type, GEN_URI);
  assert_int_equal(n->d.uniformResourceIdentifier->length, strlen(uri));
  assert_memory_equal(n->d.uniformResourceIdentifier->data, uri, strlen(uri));
  GENERAL_NAMES_free(names);
  assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(c)), 0);
}

static bool is_critical(const X509 *c, int nid) {
  int at = X509_get_ext_by_NID(c, nid, -1);
  assert_true(at >= 0);
  return X509_EXTENSION_get_critical(X509_get_ext(c, at));
}

/* X509-SVID sections 3 and 4, RFC 5280. What a CSR asks for is not given. */
static void test_leaf(void **state) {
  struct ew_ca *ca = good(*state);
  EVP_PKEY *key = EVP_EC_gen("P-256");
  char *csr = csr_of(key, key, "URI:spiffe://cluster.local/ns/a/sa/admin");
  char *chain = sign_csr(ca, csr, DAY);
  X509 *c = first(chain);
  assert_only_name(c, ID);
  assert_int_equal(X509_get_version(c), X509_VERSION_3);
  assert_int_equal(X509_check_ca(c), 0);
  assert_true(is_critical(c, NID_basic_constraints));
  assert_true(is_critical(c, NID_key_usage));
  assert_int_equal(X509_get_key_usage(c), KU_DIGITAL_SIGNATURE);
  assert_int_equal(X509_get_extended_key_usage(c),
                   XKU_SSL_SERVER | XKU_SSL_CLIENT);
  assert_non_null(X509_get0_subject_key_id(c));
  assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(c),
                                         X509_get0_subject_key_id(ca->root)),
                   0);
  assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(c), key), 1);
  assert_int_equal(X509_verify(c, X509_get0_pubkey(ca->root)), 1);
  assert_int_equal(X509_check_issued(ca->root, c), X509_V_OK);
  /* At least 64 random bits, positive, at most 20 octets. */
  const ASN1_INTEGER *serial = X509_get0_serialNumber(c);
  assert_int_equal(serial->type, V_ASN1_INTEGER);
  assert_in_range(serial->length, 8, 20);
  X509_free(c);
  free(chain);
  free(csr);
  EVP_PKEY_free(key);
  ew_ca_del(ca);
}

static void test_serials_differ(void **state) {
  struct ew_ca *ca = good(*state);
  char *chain, *key;
  X509 *c[2];
  for (int i = 0; i < 2; i++) {
    assert_int_equal(ew_ca_issue(ca, ID, DAY, &chain, &key), EW_OK);
    c[i] = first(chain);
    free(chain);
    free(key);
  }
  assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(c[0]),
                                        X509_get0_serialNumber(c[1])),
                       0);
  X509_free(c[0]);
  X509_free(c[1]);
  ew_ca_del(ca);
}

static void assert_end(X509 *c, time_t want) {
  time_t before = want - 30, after = want + 30;
  assert_true(X509_cmp_time(X509_get0_notAfter(c), &before) > 0);
  assert_true(X509_cmp_time(X509_get0_notAfter(c), &after) < 0);
}

static void test_validity(void **state) {
  struct ew_ca *ca = good(*state);
  char *chain, *key;
  time_t now = time(NULL);
  assert_int_equal(ew_ca_issue(ca, ID, 600, &chain, &key), EW_OK);
  X509 *c = first(chain);
  time_t early = now - EW_X509_BACKDATE_S - 30,
         late = now - EW_X509_BACKDATE_S + 30;
  assert_true(X509_cmp_time(X509_get0_notBefore(c), &early) > 0);
  assert_true(X509_cmp_time(X509_get0_notBefore(c), &late) < 0);
  assert_end(c, now + 600);
  X509_free(c);
  free(chain);
  free(key);
  ew_ca_del(ca);
}

static void test_no_leaf_outlives_its_root(void **state) {
  struct fixture *f = *state;
  struct cert r = root("short");
  write_pair(f, &r, &r);
  struct ew_ca *ca = good(f);
  char *chain, *key;
  assert_int_equal(ew_ca_issue(ca, ID, DAY, &chain, &key), EW_OK);
  X509 *c = first(chain);
  assert_int_equal(
      ASN1_TIME_compare(X509_get0_notAfter(c), X509_get0_notAfter(r.x)), 0);
  X509_free(c);
  free(chain);
  free(key);
  ew_ca_del(ca);
  cert_fini(&r);
}

static void test_issue(void **state) {
  struct ew_ca *ca = good(*state);
  char *chain, *key;
  assert_int_equal(ew_ca_issue(ca, ID, DAY, &chain, &key), EW_OK);
  X509 *c = first(chain);
  EVP_PKEY *k = ew_pem_read_key(key);
  assert_int_equal(X509_check_private_key(c, k), 1);
  assert_true(is_p256(k));
  assert_only_name(c, ID);
  EVP_PKEY_free(k);
  X509_free(c);
  free(chain);
  free(key);
  ew_ca_del(ca);
}

static void assert_csr_refused(struct ew_ca *ca, struct ew_slice csr,
                               const char *want) {
  char why[128] = "", *chain = NULL;
  assert_int_equal(ew_ca_sign(ca, csr, ID, DAY, &chain, why, sizeof why),
                   EW_EINVAL);
  assert_null(chain);
  assert_string_equal(why, want);
}

#define NO_CSR "csr: expected a certificate request in PEM"
#define NOT_P256 "csr: expected a key on the curve P-256"

static void test_no_csr(void **state) {
  struct ew_ca *ca = good(*state);
  struct cert c = root("x");
  char *pem = cert_pem(&c, NULL), *key = cert_key_pem(&c);
  assert_csr_refused(ca, ew_slice_str(""), NO_CSR);
  assert_csr_refused(ca, ew_slice_str("frob"), NO_CSR);
  assert_csr_refused(ca, ew_slice_str(pem), NO_CSR);
  assert_csr_refused(ca, ew_slice_str(key), NO_CSR);
  char *csr = csr_of(c.key, c.key, NULL);
  assert_csr_refused(ca, ew_slice(csr, strlen(csr) / 2), NO_CSR);
  free(csr);
  free(pem);
  free(key);
  cert_fini(&c);
  ew_ca_del(ca);
}

static void test_size_of_a_csr(void **state) {
  struct ew_ca *ca = good(*state);
  EVP_PKEY *key = EVP_EC_gen("P-256");
  char *csr = csr_of(key, key, NULL);
  char *text = ew_malloc(EW_CSR_MAX + 1);
  size_t n = strlen(csr);
  memset(text, '\n', EW_CSR_MAX + 1);
  memcpy(text + EW_CSR_MAX + 1 - n, csr, n);
  assert_csr_refused(ca, ew_slice(text, EW_CSR_MAX + 1), NO_CSR);
  char *chain, why[128];
  assert_int_equal(ew_ca_sign(ca, ew_slice(text + 1, EW_CSR_MAX), ID, DAY,
                              &chain, why, sizeof why),
                   EW_OK);
  free(chain);
  free(text);
  free(csr);
  EVP_PKEY_free(key);
  ew_ca_del(ca);
}

static void test_faulty_csrs(void **state) {
  struct ew_ca *ca = good(*state);
  EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
  char *csr = csr_of(key, other, NULL);
  assert_csr_refused(ca, ew_slice_str(csr),
                     "csr: its signature is not made by its key");
  free(csr);
  EVP_PKEY *wrong[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-384"),
                       EVP_EC_gen("secp256k1"), EVP_EC_gen("P-521")};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    csr = csr_of(wrong[i], wrong[i], NULL);
    assert_csr_refused(ca, ew_slice_str(csr), NOT_P256);
    free(csr);
    EVP_PKEY_free(wrong[i]);
  }
  EVP_PKEY_free(key);
  EVP_PKEY_free(other);
  ew_ca_del(ca);
}

/* ---- from texts, and another root ---- */

static struct ew_ca *from_certs(const struct cert *c, const struct cert *more) {
  char *crt = cert_pem(c, NULL), *key = cert_key_pem(c);
  char *roots = more ? cert_pem(more, c) : NULL, why[128] = "";
  struct ew_ca *ca = ew_ca_from_pem(crt, key, roots, why, sizeof why);
  if (!ca)
    fail_msg("%s", why);
  free(crt);
  free(key);
  free(roots);
  return ca;
}

static int certificates(const char *pem) {
  int n = 0;
  for (; (pem = strstr(pem, "-----BEGIN CERTIFICATE")); pem++)
    n++;
  return n;
}

static void test_more_roots(void **state) {
  (void)state;
  struct cert a = root("a"), b = root("b");
  struct ew_ca *ca = from_certs(&a, &b);
  char *pem = cert_pem(&a, &b);
  assert_string_equal(ew_ca_roots(ca), pem);
  free(pem);
  ew_ca_del(ca);
  cert_fini(&a);
  cert_fini(&b);
}

static void test_replacement(void **state) {
  (void)state;
  struct cert a = root("a"), b = root("b");
  struct ew_ca *ca = from_certs(&a, NULL);
  char *chain, *key;
  for (int i = 0; i < 3; i++) {
    ew_ca_replace(ca, from_certs(i % 2 ? &a : &b, NULL));
    assert_int_equal(certificates(ew_ca_roots(ca)), 2);
    assert_int_equal(ew_ca_issue(ca, ID, DAY, &chain, &key), EW_OK);
    X509 *c = first(chain), *r = first(ew_ca_roots(ca));
    assert_int_equal(X509_verify(c, X509_get0_pubkey(i % 2 ? a.x : b.x)), 1);
    assert_int_equal(X509_cmp(r, i % 2 ? a.x : b.x), 0);
    X509_free(c);
    X509_free(r);
    free(chain);
    free(key);
  }
  ew_ca_del(ca);
  cert_fini(&a);
  cert_fini(&b);
}

static void test_made_text_is_good(void **state) {
  (void)state;
  char *crt, *key, why[128] = "";
  assert_int_equal(ew_ca_make("example.org", &crt, &key), EW_OK);
  struct ew_ca *ca = ew_ca_from_pem(crt, key, NULL, why, sizeof why);
  assert_non_null(ca);
  assert_string_equal(ew_ca_roots(ca), crt);
  ew_ca_del(ca);
  ew_ca_del(NULL);
  free(crt);
  free(key);
}

int main(void) {
#define CA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      CA_TEST(test_root_is_made),
      CA_TEST(test_root_is_kept),
      CA_TEST(test_folder_is_made),
      CA_TEST(test_folder_that_cannot_be),
      CA_TEST(test_long_trust_domain),
      CA_TEST(test_half_a_pair),
      CA_TEST(test_faulty_files),
      CA_TEST(test_leaf),
      CA_TEST(test_serials_differ),
      CA_TEST(test_validity),
      CA_TEST(test_no_leaf_outlives_its_root),
      CA_TEST(test_issue),
      CA_TEST(test_no_csr),
      CA_TEST(test_size_of_a_csr),
      CA_TEST(test_faulty_csrs),
      CA_TEST(test_more_roots),
      CA_TEST(test_replacement),
      CA_TEST(test_made_text_is_good),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
