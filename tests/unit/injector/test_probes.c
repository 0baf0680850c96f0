/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/pod_options.c"
#include "injector/probes.c"

#include "injector_test.h"

static char warned[2048];

static void on_warning(void *arg, const char *text) {
  size_t n = strlen(warned);
  (void)arg;
  snprintf(warned + n, sizeof(warned) - n, "%s|", text);
}

/* The list for containers, given as {'containers': [...]}. */
static char *list_of(const char *text, const char *skipped, const char *fault) {
  json_t *v = json_of(text);
  struct ew_jv root = ew_jv_root(v);
  char why[256] = "";
  struct ew_jr r = {.why = why, .why_len = sizeof(why)};
  struct ew_probes p;
  size_t n;
  struct ew_jv list = ew_jr_list(&r, &root, "containers", 100, &n);

  warned[0] = '\0';
  ew_probes_init(&p);
  for (size_t i = 0; i < n; i++) {
    struct ew_jv one = ew_jr_item(&r, &list, i);
    ew_probes_add(&p, &r, &one, skipped, on_warning, NULL);
  }
  assert_string_equal(why, fault);
  char *out = ew_strndup(ew_buf_len(&p.list) ? ew_buf_peek(&p.list).p : "",
                         ew_buf_len(&p.list));
  ew_probes_fini(&p);
  json_decref(v);
  return out;
}

static void expect(const char *text, const char *want) {
  char *got = list_of(text, "", "");
  assert_string_equal(got, want);
  free(got);
}

static void test_none(void **state) {
  expect("{'containers': []}", "");
  expect("{'containers': [{'name': 'a'}]}", "");
  expect("{'containers': [{'livenessProbe': {'exec': {'command': ['x']}}}]}",
         "");
  expect("{'containers': [{'livenessProbe': null, 'lifecycle': null}]}", "");
  assert_string_equal(warned, "");
}

static void test_kinds(void **state) {
  expect("{'containers': [{'startupProbe': {'httpGet': {'port': 1,"
         " 'path': '/a?b=c'}}, 'readinessProbe': {'httpGet': {'port': 2}},"
         " 'livenessProbe': {'tcpSocket': {'port': 3}},"
         " 'lifecycle': {'preStop': {'httpGet': {'port': 5, 'path': 'bye'}},"
         " 'postStart': {'tcpSocket': {'port': 4}}}}]}",
         "1/a?b=c,2/,3,4,5/bye");
  assert_string_equal(warned, "");
}

static void test_port_names(void **state) {
  expect("{'containers': [{'ports': [{'name': 'a', 'containerPort': 80},"
         " {'name': 'web', 'containerPort': 8080}],"
         " 'livenessProbe': {'httpGet': {'port': 'web', 'path': '/x'}}},"
         " {'ports': [{'name': 'web', 'containerPort': 9090}],"
         " 'livenessProbe': {'tcpSocket': {'port': 'web'}},"
         " 'readinessProbe': {'tcpSocket': {'port': '7070'}},"
         " 'startupProbe': {'tcpSocket': {'port': 'missing'}}}]}",
         "8080/x,7070,9090");
}

static void test_same_ones_once(void **state) {
  expect("{'containers': [{'livenessProbe': {'httpGet': {'port': 80}},"
         " 'readinessProbe': {'httpGet': {'port': 80, 'path': '/'}},"
         " 'startupProbe': {'httpGet': {'port': 80, 'path': '/b'}}}]}",
         "80/b,80/");
}

static void test_other_hosts(void **state) {
  expect("{'containers': [{'livenessProbe': {'httpGet': {'port': 80,"
         " 'host': 'example.test'}}, 'readinessProbe': {'tcpSocket':"
         " {'port': 80, 'host': '10.0.0.1'}}, 'startupProbe': {'httpGet':"
         " {'port': 80, 'host': '', 'path': '/ours'}}}]}",
         "80/ours");
}

static void test_what_cannot_pass(void **state) {
  static const char pod[] =
      "{'containers': [{'name': 'app', 'livenessProbe': {'httpGet': {"
      "'port': 8443, 'scheme': 'HTTPS'}}, 'readinessProbe': {'grpc': {"
      "'port': 9000}}, 'startupProbe': {'httpGet': {'port': 80,"
      " 'path': '/a,b'}}}]}";
  expect(pod, "");
  assert_string_equal(
      warned,
      "container app: startupProbe: such a path does not pass in strict mode; "
      "add port 80 to eastwest.dev/skip-inbound-ports|"
      "container app: readinessProbe: gRPC does not pass in strict mode; "
      "add port 9000 to eastwest.dev/skip-inbound-ports|"
      "container app: livenessProbe: HTTPS does not pass in strict mode; "
      "add port 8443 to eastwest.dev/skip-inbound-ports|");
  char *got = list_of(pod, "80,8000-9500", "");
  assert_string_equal(got, "");
  assert_string_equal(warned, "");
  free(got);
}

static void test_odd_paths(void **state) {
  static const char *const odd[] = {"/\xc3\xa9", "/a b",  "/a#b",
                                    "/<",        "/\\\\", "/\\t"};
  char text[2 * EW_PROBE_PATH_MAX], path[EW_PROBE_PATH_MAX + 1];

  for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
    snprintf(text, sizeof(text),
             "{'containers': [{'livenessProbe': {'httpGet': {'port': 80,"
             " 'path': '%s'}}}]}",
             odd[i]);
    expect(text, "");
    assert_non_null(strstr(warned, "such a path"));
  }
  /* The longest that is taken, and one more. */
  for (int more = 0; more < 2; more++) {
    memset(path, 'a', sizeof(path));
    path[EW_PROBE_PATH_MAX - 1 + (size_t)more] = '\0';
    snprintf(text, sizeof(text),
             "{'containers': [{'livenessProbe': {'httpGet': {'port': 65535,"
             " 'path': '%s'}}}]}",
             path);
    char *got = list_of(text, "", "");
    assert_int_equal(strlen(got), more ? 0 : EW_PROBE_PATH_MAX + 5);
    free(got);
  }
}

static void test_too_many(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 65536);
  ew_buf_append_str(&b, "{'containers': [");
  for (int i = 0; i < 40; i++)
    ew_buf_printf(&b, "%s{'livenessProbe': {'tcpSocket': {'port': %d}}}",
                  i ? "," : "", 100 + i);
  ew_buf_append(&b, ew_slice("]}", 3));
  char *got = list_of(ew_buf_peek(&b).p, "", "");
  assert_non_null(strstr(got, ",131"));
  assert_null(strstr(got, ",132"));
  assert_non_null(strstr(warned, "more than 32"));
  free(got);
  ew_buf_fini(&b);
}

static void test_faults(void **state) {
  static const struct {
    const char *text, *fault;
  } t[] = {
      {"{'containers': [{'livenessProbe': 1}]}",
       "containers[0].livenessProbe: 1: must be an object"},
      {"{'containers': [{'livenessProbe': {'httpGet': {'port': 0}}}]}",
       "containers[0].livenessProbe.httpGet.port: 0: must be an integer from "
       "1 to 65535"},
      {"{'containers': [{'livenessProbe': {'tcpSocket': {'port': []}}}]}",
       "containers[0].livenessProbe.tcpSocket.port: a list of 0: must be an "
       "integer from 1 to 65535"},
      {"{'containers': [{'ports': {}, 'livenessProbe': {'tcpSocket': {"
       "'port': 'a'}}}]}",
       "containers[0].ports: an object: must be a list"},
      {"{'containers': [{'lifecycle': {'preStop': {'httpGet': {'port': 1,"
       " 'path': 2}}}}]}",
       "containers[0].lifecycle.preStop.httpGet.path: 2: must be a string"},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
    free(list_of(t[i].text, "", t[i].fault));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_none),
      cmocka_unit_test(test_kinds),
      cmocka_unit_test(test_port_names),
      cmocka_unit_test(test_same_ones_once),
      cmocka_unit_test(test_other_hosts),
      cmocka_unit_test(test_what_cannot_pass),
      cmocka_unit_test(test_odd_paths),
      cmocka_unit_test(test_too_many),
      cmocka_unit_test(test_faults),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
