/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/subject.c"

#include "injector_test.h"

/* "apiVersion kind namespace/name uid" */
static void about(const char *ns, const char *meta, const char *expected) {
  struct ew_subject s;
  char text[600];
  json_t *v = json_of(meta);
  ew_subject_read(&s, ns, v);
  snprintf(text, sizeof(text), "%s %s %s/%s %s", s.api_version, s.kind,
           s.namespace_, s.name, s.uid);
  assert_string_equal(text, expected);
  json_decref(v);
}

#define OWNER(kind, name, uid, controller)                             \
  "{'apiVersion': 'apps/v1', 'kind': '" kind "', 'name': '" name "', " \
  "'uid': '" uid "', 'controller': " controller "}"

static void the_owner(void **state) {
  about("shop",
        "{'generateName': 'web-', 'ownerReferences': [" OWNER(
            "Job", "x", "1", "false") "," OWNER("ReplicaSet", "web-5d", "u-1",
                                                "true") "]}",
        "apps/v1 ReplicaSet shop/web-5d u-1");
}

static void the_pod_by_its_name(void **state) {
  about("shop", "{'name': 'web'}", "v1 Pod shop/web ");
  about("shop",
        "{'name': 'web', 'ownerReferences': [" OWNER("Job", "x", "1",
                                                     "false") "]}",
        "v1 Pod shop/web ");
  about("shop",
        "{'name': 'web', 'ownerReferences': [" OWNER("Node", "n", "1",
                                                     "true") "]}",
        "v1 Pod shop/web ");
}

static void the_namespace(void **state) {
  about("shop", "{'generateName': 'web-'}", "v1 Namespace shop/shop ");
  about("shop", "{}", "v1 Namespace shop/shop ");
  about("shop", "{'name': 7, 'ownerReferences': 'x'}",
        "v1 Namespace shop/shop ");
}

/* It comes from whoever asked. */
static void what_is_no_name(void **state) {
  char dots[400] = "";
  about("../kube-system", "{'name': 'web'}", "  / ");
  about("", "{'name': 'web'}", "  / ");
  about("a/b", "{}", "  / ");
  about("A", "{}", "  / ");
  about("shop", "{'name': '../x'}", "v1 Namespace shop/shop ");
  about("shop", "{'name': 'x\\n'}", "v1 Namespace shop/shop ");
  about("shop",
        "{'name': 'web', 'ownerReferences': [" OWNER("Job", "x y", "1",
                                                     "true") "]}",
        "v1 Pod shop/web ");
  about("shop",
        "{'name': 'web', 'ownerReferences': [" OWNER("Job", "x", "?",
                                                     "true") "]}",
        "v1 Pod shop/web ");
  memset(dots, 'x', 300);
  about(dots, "{}", "  / ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_owner),
      cmocka_unit_test(the_pod_by_its_name),
      cmocka_unit_test(the_namespace),
      cmocka_unit_test(what_is_no_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
