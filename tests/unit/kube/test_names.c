/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include <string.h>

#include "lib/kube/names.h"

struct gone {
  char text[256];
};

static void on_gone(void *arg, const char *ns, const char *name) {
  struct gone *g = arg;
  size_t n = strlen(g->text);
  snprintf(g->text + n, sizeof(g->text) - n, "%s/%s ", ns, name);
}

static const char *end(struct ew_kube_names *n, struct gone *g) {
  g->text[0] = '\0';
  ew_kube_names_end(n, on_gone, g);
  return g->text;
}

static void test_names_not_added_again_are_gone(void **state) {
  struct ew_kube_names n;
  struct gone g;
  (void)state;
  ew_kube_names_init(&n);
  ew_kube_names_begin(&n);
  ew_kube_names_add(&n, "a", "x");
  ew_kube_names_add(&n, "b", "x");
  ew_kube_names_add(&n, "", "cluster-wide");
  assert_string_equal(end(&n, &g), "");
  ew_kube_names_begin(&n);
  ew_kube_names_add(&n, "a", "x");
  ew_kube_names_add(&n, "", "cluster-wide");
  assert_string_equal(end(&n, &g), "b/x ");
  ew_kube_names_begin(&n);
  ew_kube_names_add(&n, "a", "x");
  assert_string_equal(end(&n, &g), "/cluster-wide ");
  ew_kube_names_fini(&n);
}

static void test_names_added_by_a_watch_count(void **state) {
  struct ew_kube_names n;
  struct gone g;
  (void)state;
  ew_kube_names_init(&n);
  ew_kube_names_begin(&n);
  assert_string_equal(end(&n, &g), "");
  ew_kube_names_add(&n, "a", "x");
  ew_kube_names_add(&n, "a", "y");
  ew_kube_names_remove(&n, "a", "y");
  ew_kube_names_remove(&n, "a", "never");
  ew_kube_names_begin(&n);
  assert_string_equal(end(&n, &g), "a/x ");
  ew_kube_names_begin(&n);
  assert_string_equal(end(&n, &g), "");
  ew_kube_names_fini(&n);
}

/* A LIST that began and broke off, and the next one from its beginning. */
static void test_a_list_that_broke_off_tells_nothing(void **state) {
  struct ew_kube_names n;
  struct gone g;
  (void)state;
  ew_kube_names_init(&n);
  ew_kube_names_begin(&n);
  ew_kube_names_add(&n, "a", "x");
  ew_kube_names_add(&n, "a", "y");
  assert_string_equal(end(&n, &g), "");
  ew_kube_names_begin(&n);
  ew_kube_names_add(&n, "a", "x");
  ew_kube_names_begin(&n);
  ew_kube_names_add(&n, "a", "y");
  assert_string_equal(end(&n, &g), "a/x ");
  ew_kube_names_fini(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_not_added_again_are_gone),
      cmocka_unit_test(test_names_added_by_a_watch_count),
      cmocka_unit_test(test_a_list_that_broke_off_tells_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
