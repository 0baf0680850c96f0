/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/pod_options.c"
#include "injector/probes.c"
#include "injector/tcp_probes.c"

#include "injector_test.h"

static void no_warning(void *arg, const char *warning) {
  fail_msg("%s", warning);
}

/* The JSON Patch for one container at /spec/containers/1. */
static void expect(const char *container, const char *skipped,
                   const char *want) {
  char why[256] = "";
  struct ew_jr r = {.why = why, .why_len = sizeof(why)};
  json_t *tree = json_of(container), *ops = json_array();
  struct ew_jv root = ew_jv_root(tree);
  struct ew_probes probes;

  ew_probes_init(&probes);
  ew_probes_add(&probes, &r, &root, skipped, no_warning, NULL);
  ew_tcp_probes_move(ops, &r, &probes, "/spec/containers/1", &root, skipped);
  assert_string_equal(why, "");
  expect_at(ops, "", want);
  ew_probes_fini(&probes);
  json_decref(ops);
  json_decref(tree);
}

static void test_each_kind(void **state) {
  expect("{'ports': [{'name': 'db', 'containerPort': 5432}],"
         " 'readinessProbe': {'tcpSocket': {'port': 'db'}},"
         " 'livenessProbe': {'tcpSocket': {'port': 80}}}",
         "",
         "[{'op':'remove','path':"
         "'/spec/containers/1/readinessProbe/tcpSocket'},"
         "{'op':'add','path':'/spec/containers/1/readinessProbe/httpGet',"
         "'value':{'path':'/probe/5432','port':15020,'scheme':'HTTP'}},"
         "{'op':'remove','path':"
         "'/spec/containers/1/livenessProbe/tcpSocket'},"
         "{'op':'add','path':'/spec/containers/1/livenessProbe/httpGet',"
         "'value':{'path':'/probe/80','port':15020,'scheme':'HTTP'}}]");
}

/* What does not pass the sidecar, or is no tcpSocket, stays as it is. */
static void test_what_stays(void **state) {
  expect("{'readinessProbe': {'httpGet': {'port': 80}}}", "", "[]");
  expect("{'readinessProbe': {'tcpSocket': {'port': 80}}}", "22,70-90", "[]");
  expect("{'readinessProbe': {'tcpSocket': {'port': 80,"
         " 'host': '10.0.0.1'}}}",
         "", "[]");
  expect("{'readinessProbe': {'tcpSocket': {'port': 'missing'}}}", "", "[]");
  expect("{}", "", "[]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_kind),
      cmocka_unit_test(test_what_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
