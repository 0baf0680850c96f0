/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"

static char *render(const struct ew_metrics *m) {
  struct ew_buf b;
  ew_buf_init(&b, 1 << 20);
  assert_int_equal(ew_metrics_render(m, &b), EW_OK);
  struct ew_slice s = ew_buf_peek(&b);
  char *text = ew_strndup(s.p, s.n);
  ew_buf_fini(&b);
  return text;
}

static void assert_renders(const struct ew_metrics *m, const char *want) {
  char *text = render(m);
  assert_string_equal(text, want);
  free(text);
}

static struct ew_series *counter(struct ew_metrics *m, const char *route) {
  struct ew_label l[] = {{"route", route}};
  return ew_series_ref(m, EW_COUNTER, "requests_total", "Requests.", l, 1);
}

static void test_families_are_sorted(void **state) {
  struct ew_metrics *m = ew_metrics_new(10);
  struct ew_label l[] = {{"a", "1"}, {"b", "2"}};
  ew_series_set(ew_series_ref(m, EW_GAUGE, "m_g", "G.", NULL, 0), -3);
  ew_series_add(ew_series_ref(m, EW_COUNTER, "z_total", "Z.", l, 2), 5);
  ew_series_add(ew_series_ref(m, EW_COUNTER, "a_total", "A.", l, 2), 7);
  ew_series_ref(m, EW_COUNTER, "b_total", "B.", l, 2);
  assert_renders(m, "# HELP a_total A.\n# TYPE a_total counter\n"
                    "a_total{a=\"1\",b=\"2\"} 7\n"
                    "# HELP b_total B.\n# TYPE b_total counter\n"
                    "b_total{a=\"1\",b=\"2\"} 0\n"
                    "# HELP m_g G.\n# TYPE m_g gauge\nm_g -3\n"
                    "# HELP z_total Z.\n# TYPE z_total counter\n"
                    "z_total{a=\"1\",b=\"2\"} 5\n");
  ew_metrics_del(m);
}

static void test_label_values_are_escaped(void **state) {
  struct ew_metrics *m = ew_metrics_new(10);
  counter(m, "a\"b\\c\nd");
  assert_renders(m, "# HELP requests_total Requests.\n"
                    "# TYPE requests_total counter\n"
                    "requests_total{route=\"a\\\"b\\\\c\\nd\"} 0\n");
  ew_metrics_del(m);
}

static void test_same_labels_same_series(void **state) {
  struct ew_metrics *m = ew_metrics_new(10);
  struct ew_series *a = counter(m, "a");
  assert_ptr_equal(counter(m, "a"), a);
  assert_ptr_not_equal(counter(m, "b"), a);
  ew_series_add(a, 3);
  ew_series_unref(m, a);
  ew_series_unref(m, a);
  ew_series_unref(m, NULL);
  /* Nobody holds it and there is room: the value is still there. */
  assert_ptr_equal(counter(m, "a"), a);
  assert_int_equal(ew_series_get(a), 3);
  ew_metrics_del(m);
}

static void test_full_registry_shares_other(void **state) {
  struct ew_metrics *m = ew_metrics_new(2);
  ew_series_add(counter(m, "a"), 1);
  ew_series_add(counter(m, "b"), 2);
  struct ew_series *c = counter(m, "c"), *d = counter(m, "d");
  assert_ptr_equal(c, d);
  ew_series_add(c, 4);
  ew_series_unref(m, c);
  ew_series_unref(m, d);
  struct ew_label l[] = {{"x", "1"}, {"y", "2"}};
  ew_series_ref(m, EW_COUNTER, "other_family", "O.", l, 2);
  assert_renders(m, "# HELP other_family O.\n# TYPE other_family counter\n"
                    "other_family{x=\"other\",y=\"other\"} 0\n"
                    "# HELP requests_total Requests.\n"
                    "# TYPE requests_total counter\n"
                    "requests_total{route=\"a\"} 1\n"
                    "requests_total{route=\"b\"} 2\n"
                    "requests_total{route=\"other\"} 4\n");
  /* A configured name "other" is the same series, not a second of the name. */
  assert_ptr_equal(counter(m, "other"), c);
  ew_metrics_del(m);
}

static void test_longest_idle_is_dropped_into_other(void **state) {
  struct ew_metrics *m = ew_metrics_new(2);
  struct ew_series *a = counter(m, "a"), *b = counter(m, "b");
  ew_series_add(a, 10);
  ew_series_add(b, 20);
  ew_series_unref(m, b);
  ew_series_unref(m, a);
  ew_series_add(counter(m, "c"), 1);
  assert_renders(m, "# HELP requests_total Requests.\n"
                    "# TYPE requests_total counter\n"
                    "requests_total{route=\"a\"} 10\n"
                    "requests_total{route=\"other\"} 20\n"
                    "requests_total{route=\"c\"} 1\n");
  ew_metrics_del(m);
}

static void test_idle_histogram_is_dropped_into_other(void **state) {
  struct ew_metrics *m = ew_metrics_new(1);
  struct ew_label l[] = {{"r", "a"}}, k[] = {{"r", "b"}};
  struct ew_series *s = ew_series_ref(m, EW_HISTOGRAM, "h", "H.", l, 1);
  ew_series_observe_us(s, 2000000);
  ew_series_unref(m, s);
  ew_series_ref(m, EW_HISTOGRAM, "h", "H.", k, 1);
  char *text = render(m);
  assert_non_null(strstr(text, "h_bucket{r=\"other\",le=\"1\"} 0\n"));
  assert_non_null(strstr(text, "h_bucket{r=\"other\",le=\"2.5\"} 1\n"));
  assert_non_null(strstr(text, "h_sum{r=\"other\"} 2.000000\n"));
  assert_non_null(strstr(text, "h_count{r=\"b\"} 0\n"));
  free(text);
  ew_metrics_del(m);
}

static void test_counter_never_falls(void **state) {
  struct ew_metrics *m = ew_metrics_new(2);
  struct ew_series *c = counter(m, "a");
  ew_series_set(c, 10);
  ew_series_set(c, 4);
  assert_int_equal(ew_series_get(c), 10);
  struct ew_series *g = ew_series_ref(m, EW_GAUGE, "g", "G.", NULL, 0);
  ew_series_add(g, 5);
  ew_series_add(g, -7);
  assert_int_equal(ew_series_get(g), -2);
  ew_metrics_del(m);
}

static void test_histogram(void **state) {
  struct ew_metrics *m = ew_metrics_new(2);
  struct ew_series *h = ew_series_ref(m, EW_HISTOGRAM, "d", "D.", NULL, 0);
  ew_series_observe_us(h, 0);
  ew_series_observe_us(h, 1000); /* upper bounds belong to their bucket */
  ew_series_observe_us(h, 1001);
  ew_series_observe_us(h, 60000000);
  assert_int_equal(ew_series_get(h), 4);
  assert_renders(m, "# HELP d D.\n# TYPE d histogram\n"
                    "d_bucket{le=\"0.001\"} 2\nd_bucket{le=\"0.0025\"} 3\n"
                    "d_bucket{le=\"0.005\"} 3\nd_bucket{le=\"0.01\"} 3\n"
                    "d_bucket{le=\"0.025\"} 3\nd_bucket{le=\"0.05\"} 3\n"
                    "d_bucket{le=\"0.1\"} 3\nd_bucket{le=\"0.25\"} 3\n"
                    "d_bucket{le=\"0.5\"} 3\nd_bucket{le=\"1\"} 3\n"
                    "d_bucket{le=\"2.5\"} 3\nd_bucket{le=\"5\"} 3\n"
                    "d_bucket{le=\"10\"} 3\nd_bucket{le=\"+Inf\"} 4\n"
                    "d_sum 60.002001\nd_count 4\n");
  ew_metrics_del(m);
}

/* At every size of the buffer: all of the text, or none and EW_EAGAIN. */
static void test_render_is_all_or_nothing(void **state) {
  struct ew_metrics *m = ew_metrics_new(4);
  counter(m, "a");
  ew_series_ref(m, EW_HISTOGRAM, "d", "D.", NULL, 0);
  char *text = render(m);
  size_t n = strlen(text);
  for (size_t max = 2; max < n + 2; max++) {
    struct ew_buf b;
    ew_buf_init(&b, max);
    ew_buf_append_str(&b, "ab");
    assert_int_equal(ew_metrics_render(m, &b), EW_EAGAIN);
    assert_true(ew_slice_eq_str(ew_buf_peek(&b), "ab"));
    ew_buf_fini(&b);
  }
  free(text);
  ew_metrics_del(m);
}

static void test_many_series(void **state) {
  struct ew_metrics *m = ew_metrics_new(1000);
  char name[16];
  for (int i = 0; i < 1500; i++) {
    snprintf(name, sizeof(name), "r%d", i);
    ew_series_add(counter(m, name), 1);
  }
  assert_int_equal(ew_series_get(counter(m, "r999")), 1);
  assert_int_equal(ew_series_get(counter(m, "r1000")), 500);
  ew_metrics_del(m);
}

static void count_down(void) {
  ew_series_add(counter(ew_metrics_new(2), "a"), -1);
}

static void change_the_type(void) {
  struct ew_metrics *m = ew_metrics_new(2);
  counter(m, "a");
  ew_series_ref(m, EW_GAUGE, "requests_total", "R.", NULL, 0);
}

static void unref_twice(void) {
  struct ew_metrics *m = ew_metrics_new(2);
  struct ew_series *s = counter(m, "a");
  ew_series_unref(m, s);
  ew_series_unref(m, s);
}

static void observe_a_counter(void) {
  ew_series_observe_us(counter(ew_metrics_new(2), "a"), 1);
}

static void test_misuse_is_a_bug(void **state) {
  void (*misuse[])(void) = {count_down, change_the_type, unref_twice,
                            observe_a_counter};
  for (size_t i = 0; i < sizeof(misuse) / sizeof(*misuse); i++) {
    char err[8192];
    assert_true(WIFSIGNALED(child_run(misuse[i], err, sizeof(err))));
    assert_non_null(strstr(err, "eastwest: bug"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_families_are_sorted),
      cmocka_unit_test(test_label_values_are_escaped),
      cmocka_unit_test(test_same_labels_same_series),
      cmocka_unit_test(test_full_registry_shares_other),
      cmocka_unit_test(test_longest_idle_is_dropped_into_other),
      cmocka_unit_test(test_idle_histogram_is_dropped_into_other),
      cmocka_unit_test(test_counter_never_falls),
      cmocka_unit_test(test_histogram),
      cmocka_unit_test(test_render_is_all_or_nothing),
      cmocka_unit_test(test_many_series),
      cmocka_unit_test(test_misuse_is_a_bug),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
