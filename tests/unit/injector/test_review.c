/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/patch.c"
#include "injector/pod_options.c"
#include "injector/probes.c"
#include "injector/review.c"
#include "injector/subject.c"
#include "injector/tcp_probes.c"
#include "injector/template.c"

#include "injector_test.h"
#include "json_patch.h"

#define HEAD "'apiVersion': 'admission.k8s.io/v1', 'kind': 'AdmissionReview'"
#define POD_KIND "'kind': {'group': '', 'version': 'v1', 'kind': 'Pod'}"
#define REQUEST(object)                                                   \
  "{" HEAD ", 'request': {'uid': 'u-1', " POD_KIND ", 'namespace': 'ns'," \
  " 'operation': 'CREATE', 'object': " object "}}"

static struct ew_review review;

/* The answer as JSON, NULL with 400. */
static json_t *ask_as_is(const char *text) {
  char why[200];
  json_t *v = NULL;

  ew_review_answer(&config, ew_slice_str(text), &review);
  assert_int_equal(review.n, strlen(review.text));
  if (review.status == 200) {
    v = ew_json_parse(ew_slice(review.text, review.n), why, sizeof(why));
    assert_non_null(v);
    expect_at(v, "apiVersion", "'admission.k8s.io/v1'");
    expect_at(v, "kind", "'AdmissionReview'");
    expect_at(v, "response.uid", "'u-1'");
  } else {
    assert_int_equal(review.status, 400);
    assert_int_equal(review.verdict, EW_VERDICT_MALFORMED);
    assert_true(strlen(review.why) > 0);
  }
  return v;
}

static json_t *ask(const char *text) {
  char *s = ew_strdup(text);

  for (char *p = s; *p; p++)
    if (*p == '\'')
      *p = '"';
  json_t *v = ask_as_is(s);
  free(s);
  return v;
}

static void refused(const char *text, const char *why) {
  assert_null(ask(text));
  if (!strstr(review.why, why))
    fail_msg("%s, expected %s", review.why, why);
  ew_review_fini(&review);
}

static void left(const char *text, const char *why) {
  json_t *v = ask(text);
  assert_non_null(v);
  assert_int_equal(review.verdict, EW_VERDICT_LEFT);
  expect_at(v, "response.allowed", "true");
  expect_at(v, "response.patch", "nothing");
  expect_at(v, "response.patchType", "nothing");
  expect_at(v, "response.status", "nothing");
  if (!strstr(json_string_value(at(v, "response.warnings.0")), why))
    fail_msg("%s", review.why);
  json_decref(v);
  ew_review_fini(&review);
}

static void test_injected_once(void **state) {
  static const char object[] =
      "{'metadata': {'generateName': 'web-'}, 'spec': {'containers': [{"
      "'name': 'app'}], 'volumes': [{'name': 'v'}]}}";
  json_t *v = ask(
      REQUEST("{'metadata': {'generateName': 'web-'}, 'spec': {'containers': [{"
              "'name': 'app'}], 'volumes': [{'name': 'v'}]}}"));
  assert_int_equal(review.verdict, EW_VERDICT_INJECTED);
  assert_string_equal(review.pod, "ns/web-");
  assert_string_equal(review.why, "");
  expect_at(v, "response.allowed", "true");
  expect_at(v, "response.patchType", "'JSONPatch'");
  expect_at(v, "response.warnings", "nothing");
  char *text = ew_base64_decode(
      ew_slice_str(json_string_value(at(v, "response.patch"))), NULL);
  json_t *ops = json_loads(text, 0, NULL);
  json_t *before = json_of(object);
  json_t *after = patch_apply(before, ops);
  expect_at(after, "spec.initContainers.0.name", "'eastwest-init'");
  expect_at(after, "spec.initContainers.1.name", "'eastwest-sidecar'");
  expect_at(after, "spec.volumes.0.name", "'v'");
  expect_at(after, "spec.volumes.3.name", "'eastwest-run'");
  expect_at(after, "spec.containers", "[{'name':'app'}]");
  ew_review_fini(&review);
  json_decref(v);

  /* Once more with the result. */
  json_t *again = json_of(REQUEST("{}"));
  json_object_set(json_object_get(again, "request"), "object", after);
  char *again_text = json_dumps(again, 0);
  v = ask_as_is(again_text);
  assert_int_equal(review.verdict, EW_VERDICT_LEFT);
  assert_non_null(strstr(review.why, "injected already"));
  expect_at(v, "response.warnings", "nothing");
  assert_false(review.tell);
  ew_review_fini(&review);
  json_decref(v);
  free(again_text);
  json_decref(again);
  json_decref(after);
  json_decref(before);
  json_decref(ops);
  free(text);
}

static void test_denied(void **state) {
  json_t *v = ask(REQUEST("{'metadata': {'name': 'a', 'annotations': {"
                          "'eastwest.dev/strict': 'x'}}, 'spec': {}}"));
  assert_int_equal(review.verdict, EW_VERDICT_DENIED);
  assert_string_equal(review.pod, "ns/a");
  expect_at(v, "response.allowed", "false");
  expect_at(v, "response.patch", "nothing");
  expect_at(v, "response.status.code", "403");
  expect_at(v, "response.status.reason", "'Forbidden'");
  assert_string_equal(
      json_string_value(at(v, "response.status.message")),
      "annotation eastwest.dev/strict: \"x\": expected true or false");
  json_decref(v);
  ew_review_fini(&review);
}

#define TOLD(more, ns, pod)                                           \
  "{" HEAD ", 'request': {'uid': 'u-1', 'operation': 'CREATE', " more \
  "'namespace': '" ns "', " POD_KIND ", 'object': " pod "}}"
#define ON_THE_NODE "{'metadata': {'name': 'a'}, 'spec': {'hostNetwork': true}}"

static void expect_told(const char *text, enum ew_verdict verdict, bool told) {
  json_decref(ask(text));
  assert_int_equal(review.verdict, verdict);
  assert_int_equal(review.tell, told);
  ew_review_fini(&review);
}

static void test_what_is_told(void **state) {
  expect_told(TOLD("", "shop", ON_THE_NODE), EW_VERDICT_LEFT, true);
  expect_told(TOLD("'dryRun': false,", "shop", ON_THE_NODE), EW_VERDICT_LEFT,
              true);
  expect_told(TOLD("'dryRun': true,", "shop", ON_THE_NODE), EW_VERDICT_LEFT,
              false);
  expect_told(TOLD("'dryRun': 'yes',", "shop", ON_THE_NODE),
              EW_VERDICT_MALFORMED, false);
  expect_told(TOLD("'subResource': 'status',", "shop", ON_THE_NODE),
              EW_VERDICT_LEFT, false);
  expect_told(TOLD("", "shop",
                   "{'metadata': {'labels': {'eastwest.dev/inject':"
                   " 'disabled'}}, 'spec': {}}"),
              EW_VERDICT_LEFT, false);
  expect_told(TOLD("", "shop",
                   "{'metadata': {'labels': {'eastwest.dev/inject':"
                   " 'x'}}, 'spec': {}}"),
              EW_VERDICT_DENIED, true);
  json_decref(ask(TOLD("", "shop", ON_THE_NODE)));
  assert_string_equal(review.subject.namespace_, "shop");
  assert_string_equal(review.subject.kind, "Pod");
  ew_review_fini(&review);
}

/* Whatever the webhook's selectors say. */
static void test_exempt_namespaces(void **state) {
  static const char pod[] = TOLD("", "%s", "{'metadata': {}, 'spec': {}}");
  static const char *const never[] = {"kube-system", "kube-public",
                                      "kube-node-lease", "mesh-system"};
  char text[400];
  config.own_namespace = "mesh-system";
  for (size_t i = 0; i < 4; i++) {
    size_t n = (size_t)(strstr(pod, "%s") - pod);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)n, pod, never[i],
             pod + n + 2);
    left(text, "never in the mesh");
  }
  config.own_namespace = NULL;
  expect_told(TOLD("", "mesh-system", "{'metadata': {}, 'spec': {}}"),
              EW_VERDICT_INJECTED, true);
}

static void test_not_for_us(void **state) {
  left("{" HEAD ", 'request': {'uid': 'u-1', 'operation': 'CREATE', 'kind': {"
       "'group': 'apps', 'kind': 'Deployment'}, 'object': {}}}",
       "no Pod");
  left("{" HEAD ", 'request': {'uid': 'u-1', 'operation': 'UPDATE', " POD_KIND
       ", 'object': {}}}",
       "only a pod that is made");
  left("{" HEAD ", 'request': {'uid': 'u-1', 'operation': 'DELETE', " POD_KIND
       ", 'object': null}}",
       "only a pod that is made");
  left("{" HEAD ", 'request': {'uid': 'u-1', 'operation': 'CREATE', " POD_KIND
       ", 'subResource': 'binding', 'object': {}}}",
       "only a pod that is made");
}

static void test_no_review(void **state) {
  static const struct {
    const char *text, *why;
  } t[] = {
      {"", "byte 0"},
      {"null", "byte"},
      {"[]", "expected an object"},
      {"{", "byte"},
      {"{}", "apiVersion: absent"},
      {"{'apiVersion': 1, 'kind': 'AdmissionReview'}", "apiVersion: 1"},
      {"{'apiVersion': 'admission.k8s.io/v1beta1', 'kind': 'AdmissionReview'}",
       "apiVersion: \"admission.k8s.io/v1beta1\": must be admission.k8s.io/v1"},
      {"{'apiVersion': 'admission.k8s.io/v1', 'kind': 'Pod'}",
       "kind: \"Pod\": must be AdmissionReview"},
      {"{" HEAD "}", "request: absent: must be an object"},
      {"{" HEAD ", 'request': []}", "request: a list of 0"},
      {"{" HEAD ", 'request': {}}", "request.uid: absent"},
      {"{" HEAD ", 'request': {'uid': ''}}", "request.uid: \"\""},
      {"{" HEAD ", 'request': {'uid': 'u'}}", "request.kind.kind: absent"},
      {"{" HEAD ", 'request': {'uid': 'u', 'kind': 'Pod'}}",
       "request.kind: \"Pod\": must be an object"},
      {"{" HEAD ", 'request': {'uid': 'u', " POD_KIND "}}",
       "request.operation: absent"},
      {"{" HEAD ", 'request': {'uid': 'u', 'operation': 'CREATE', " POD_KIND
       "}}",
       "request.object: absent: must be an object"},
      {"{" HEAD ", 'request': {'uid': 'u', 'operation': 'CREATE', " POD_KIND
       ", 'object': 'x'}}",
       "request.object: \"x\": must be an object"},
      {"{" HEAD ", 'request': {'uid': 'u', 'operation': 'CREATE', " POD_KIND
       ", 'namespace': 7, 'object': {}}}",
       "request.namespace: 7"},
      {REQUEST("{'metadata': {'name': []}, 'spec': {}}"),
       "request.object.metadata.name"},
      {REQUEST("{'metadata': {}}"), "request.object.spec: absent"},
      {REQUEST("{'metadata': {}, 'metadata': {}}"), "duplicate"},
      {REQUEST("{'metadata': {}, 'spec': {'containers': [3]}}"),
       "request.object.spec.containers[0]: 3"},
      {"{\x01\x02}", "byte"},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
    refused(t[i].text, t[i].why);
}

static void test_reasons_are_one_line(void **state) {
  refused("{'a': \n\x01\x1b}", "byte");
  for (const char *p = review.why; *p; p++)
    assert_true((unsigned char)*p >= 0x20);
}

static void test_too_much(void **state) {
  char *text = ew_malloc(EW_REVIEW_MAX + 2);
  char uid[300], deep[400];

  memset(text, ' ', EW_REVIEW_MAX + 1);
  text[EW_REVIEW_MAX + 1] = '\0';
  refused(text, "more than 4 MiB");
  text[EW_REVIEW_MAX] = '\0';
  refused(text, "byte");
  memset(text, '[', EW_REVIEW_MAX);
  refused(text, "nested deeper than 64");
  free(text);

  memset(uid, 'u', sizeof(uid));
  uid[257] = '\0';
  snprintf(deep, sizeof(deep), "{" HEAD ", 'request': {'uid': '%s'}}", uid);
  refused(deep, "at most 256 bytes");
}

static void test_every_prefix(void **state) {
  static const char whole[] =
      REQUEST("{'metadata': {'name': 'a', 'annotations': {'x': '\\u00e9'}},"
              " 'spec': {'containers': [{'name': 'b', 'livenessProbe': {"
              "'httpGet': {'port': 80}}}]}}");
  char *text = ew_strdup(whole);
  for (size_t n = strlen(text); n-- > 0;) {
    text[n] = '\0';
    refused(text, "");
  }
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_injected_once),
      cmocka_unit_test(test_denied),
      cmocka_unit_test(test_what_is_told),
      cmocka_unit_test(test_exempt_namespaces),
      cmocka_unit_test(test_not_for_us),
      cmocka_unit_test(test_no_review),
      cmocka_unit_test(test_reasons_are_one_line),
      cmocka_unit_test(test_too_much),
      cmocka_unit_test(test_every_prefix),
  };
  return cmocka_run_group_tests(tests, open_config, close_config);
}
