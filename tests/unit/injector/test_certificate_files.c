/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/certificate.c"
#include "injector/certificate_files.c"

#include "net/tls_test.h"

#include <sys/stat.h>

static struct ew_loop *loop;
static struct ew_metrics *metrics;
static char dir[] = "/tmp/eastwest-certificate-XXXXXX";
static char cert_path[64], key_path[64];

static int setup(void **state) {
  assert_non_null(mkdtemp(dir));
  snprintf(cert_path, sizeof(cert_path), "%s/tls.crt", dir);
  snprintf(key_path, sizeof(key_path), "%s/tls.key", dir);
  make_roots(state);
  loop = ew_loop_new();
  metrics = ew_metrics_new(10);
  return 0;
}

static int teardown(void **state) {
  ew_metrics_del(metrics);
  ew_loop_del(loop);
  remove(cert_path);
  remove(key_path);
  remove(dir);
  return free_roots(state);
}

static void write_file(const char *path, const char *text) {
  char fresh[80];
  snprintf(fresh, sizeof(fresh), "%s.new", path);
  FILE *f = fopen(fresh, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(rename(fresh, path), 0);
}

static void write_pair(const char *name, bool cert, bool key) {
  struct cert_opts o = {.name = name, .dns = "webhook.test"};
  struct cert c = cert_make(&o, &root);
  char *pem = cert_pem(&c, NULL), *key_pem = cert_key_pem(&c);
  if (cert)
    write_file(cert_path, pem);
  if (key)
    write_file(key_path, key_pem);
  cert_fini(&c);
  free(pem);
  free(key_pem);
}

static int64_t faults(void) {
  struct ew_series *s = ew_series_ref(
      metrics, EW_COUNTER, "eastwest_injector_certificate_faults_total",
      "Certificates that could not be used.", NULL, 0);
  int64_t n = ew_series_get(s);
  ew_series_unref(metrics, s);
  return n;
}

static void follows_its_files(void **state) {
  struct ew_certificate *c = ew_certificate_new(metrics);
  struct ew_certificate_files *f =
      ew_certificate_files_new(loop, cert_path, key_path, c);
  assert_null(ew_certificate_tls(c));
  assert_false(ew_certificate_good(c));
  assert_int_equal(faults(), 1);
  /* Nothing changed: nothing is tried. */
  follow(f);
  assert_int_equal(faults(), 1);

  write_pair("a", true, false);
  follow(f);
  assert_null(ew_certificate_tls(c));
  write_pair("b", true, true);
  follow(f);
  struct ew_tls_ctx *first = ew_certificate_tls(c);
  assert_non_null(first);
  assert_true(ew_certificate_good(c));
  assert_int_equal(ew_series_get(c->not_after), ew_tls_ctx_not_after(first));

  /* A key of another pair, nonsense, nothing: the last good one stays. */
  int64_t before = faults();
  write_pair("c", false, true);
  follow(f);
  write_file(cert_path, "nonsense");
  follow(f);
  write_file(cert_path, "");
  follow(f);
  assert_int_equal(remove(cert_path), 0);
  follow(f);
  assert_ptr_equal(ew_certificate_tls(c), first);
  assert_int_equal(faults(), before + 4);

  /* By the timer, too. */
  write_pair("d", true, true);
  RUN_UNTIL(loop, ew_certificate_tls(c) != first);
  ew_certificate_files_del(f);
  ew_certificate_files_del(NULL);
  ew_certificate_del(c);
  ew_certificate_del(NULL);
}

static void too_large(void **state) {
  char *text = ew_malloc(PEM_FILE_MAX + 2), why[512] = "";
  memset(text, ' ', PEM_FILE_MAX + 1);
  text[PEM_FILE_MAX + 1] = '\0';
  write_file(cert_path, text);
  assert_null(read_file(cert_path, why, sizeof(why)));
  assert_non_null(strstr(why, "too large"));
  free(text);
  assert_null(read_file(dir, why, sizeof(why)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(follows_its_files),
      cmocka_unit_test(too_large),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
