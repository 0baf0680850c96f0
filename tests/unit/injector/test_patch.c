/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/patch.c"
#include "injector/pod_options.c"
#include "injector/probes.c"
#include "injector/tcp_probes.c"
#include "injector/template.c"

#include "injector_test.h"

#define SMALL "'spec': {'containers': [{'name': 'app', 'image': 'x'}]}"

static struct ew_patch patch;

static void run(const char *pod) {
  json_t *v = json_of(pod);
  struct ew_jv root = ew_jv_root(v);
  ew_patch_pod(&config, &root, &patch);
  /* Nothing of the pod is needed any more. */
  json_decref(v);
  assert_int_equal(patch.verdict == EW_VERDICT_INJECTED, patch.ops != NULL);
}

static void injects(const char *pod) {
  run(pod);
  if (patch.verdict != EW_VERDICT_INJECTED)
    fail_msg("%s", patch.why);
  assert_string_equal(patch.why, "");
}

static void answers(const char *pod, enum ew_verdict verdict, const char *why) {
  run(pod);
  assert_int_equal(patch.verdict, verdict);
  if (!strstr(patch.why, why))
    fail_msg("%s, expected %s", patch.why, why);
  /* The author of a pod that is left as it is reads it as a warning. */
  assert_int_equal(json_array_size(patch.warnings),
                   verdict == EW_VERDICT_LEFT ? 1 : 0);
  if (verdict == EW_VERDICT_LEFT)
    assert_non_null(strstr(json_string_value(json_array_get(patch.warnings, 0)),
                           patch.why));
  ew_patch_fini(&patch);
}

static void test_smallest_pod(void **state) {
  injects("{'metadata': {}, " SMALL "}");
  assert_int_equal(json_array_size(patch.ops), 3);
  expect_at(patch.ops, "0.op", "'add'");
  expect_at(patch.ops, "0.path", "'/metadata/annotations'");
  expect_at(patch.ops, "0.value", "{'eastwest.dev/injected':'" EW_VERSION "'}");
  expect_at(patch.ops, "1.path", "'/spec/volumes'");
  expect_at(patch.ops, "1.value.0",
            "{'name':'eastwest-token','projected':{'sources':[{"
            "'serviceAccountToken':{'audience':'eastwest',"
            "'expirationSeconds':3600,'path':'token'}}]}}");
  expect_at(patch.ops, "1.value.1",
            "{'configMap':{'items':[{'key':'roots.pem','path':'roots.pem'}],"
            "'name':'eastwest-roots'},'name':'eastwest-roots'}");
  expect_at(patch.ops, "1.value.2",
            "{'emptyDir':{'medium':'Memory','sizeLimit':'1Mi'},"
            "'name':'eastwest-run'}");
  expect_at(patch.ops, "2.path", "'/spec/initContainers'");
  assert_int_equal(json_array_size(at(patch.ops, "2.value")), 2);
  assert_int_equal(json_array_size(patch.warnings), 0);
  ew_patch_fini(&patch);
}

static void test_init_container(void **state) {
  injects("{'metadata': {'annotations': {"
          "'eastwest.dev/skip-inbound-ports': '22',"
          "'eastwest.dev/skip-outbound-ports': '25, 26-27',"
          "'eastwest.dev/skip-inbound-cidrs': '10.0.0.0/8',"
          "'eastwest.dev/skip-outbound-cidrs': 'fd00::/8',"
          "'eastwest.dev/image': 'other:2'}}, " SMALL "}");
  expect_at(patch.ops, "0.path",
            "'/metadata/annotations/eastwest.dev~1injected'");
  expect_at(patch.ops, "0.value", "'" EW_VERSION "'");
  const json_t *c = at(patch.ops, "2.value.0");
  expect_at(c, "name", "'eastwest-init'");
  expect_at(c, "image", "'other:2'");
  expect_at(c, "command", "['eastwest-init']");
  expect_at(c, "args",
            "['--skip-inbound-ports','22','--skip-outbound-ports','25,26-27',"
            "'--skip-inbound-cidrs','10.0.0.0/8',"
            "'--skip-outbound-cidrs','fd00::/8']");
  expect_at(c, "securityContext",
            "{'allowPrivilegeEscalation':false,'capabilities':{'add':["
            "'NET_ADMIN','NET_RAW'],'drop':['ALL']},'privileged':false,"
            "'readOnlyRootFilesystem':true,'runAsGroup':0,"
            "'runAsNonRoot':false,'runAsUser':0,"
            "'seccompProfile':{'type':'RuntimeDefault'}}");
  expect_at(c, "restartPolicy", "nothing");
  expect_at(c, "volumeMounts", "[{'mountPath':'/run','name':'eastwest-run'}]");
  expect_at(c, "resources", "{'requests':{'cpu':'10m','memory':'16Mi'}}");
  ew_patch_fini(&patch);
}

static void test_sidecar(void **state) {
  injects("{'metadata': {}, " SMALL "}");
  const json_t *c = at(patch.ops, "2.value.1");
  expect_at(c, "name", "'eastwest-sidecar'");
  expect_at(c, "image", "'mesh/eastwest:1'");
  expect_at(c, "restartPolicy", "'Always'");
  expect_at(c, "command", "['eastwest-sidecar']");
  expect_at(c, "args",
            "['--controller','10.96.0.9:15010','--trust-domain','mesh.test',"
            "'--token-file','/var/run/secrets/eastwest/token',"
            "'--roots-file','/var/run/eastwest/roots/roots.pem',"
            "'--access-log','off','--log-level','info',"
            "'--drain-seconds','28',"
            "'--destination-idle-seconds','300']");
  expect_at(c, "env",
            "[{'name':'EASTWEST_NAMESPACE','valueFrom':{'fieldRef':{"
            "'fieldPath':'metadata.namespace'}}},"
            "{'name':'EASTWEST_POD','valueFrom':{'fieldRef':{"
            "'fieldPath':'metadata.name'}}},"
            "{'name':'EASTWEST_SERVICE_ACCOUNT','valueFrom':{'fieldRef':{"
            "'fieldPath':'spec.serviceAccountName'}}},"
            "{'name':'EASTWEST_POD_IPS','valueFrom':{'fieldRef':{"
            "'fieldPath':'status.podIPs'}}},"
            "{'name':'EASTWEST_ZONE','valueFrom':{'fieldRef':{'fieldPath':"
            "'metadata.labels[`topology.kubernetes.io/zone`]'}}}]");
  expect_at(c, "securityContext",
            "{'allowPrivilegeEscalation':false,'capabilities':{'drop':["
            "'ALL']},'privileged':false,'readOnlyRootFilesystem':true,"
            "'runAsGroup':2140,'runAsNonRoot':true,'runAsUser':2140,"
            "'seccompProfile':{'type':'RuntimeDefault'}}");
  expect_at(c, "startupProbe.httpGet", "{'path':'/ready','port':15020}");
  expect_at(c, "readinessProbe.httpGet", "{'path':'/ready','port':15020}");
  expect_at(c, "livenessProbe", "nothing");
  expect_at(c, "resources", "{'requests':{'cpu':'10m','memory':'16Mi'}}");
  expect_at(c, "volumeMounts",
            "[{'mountPath':'/var/run/secrets/eastwest',"
            "'name':'eastwest-token','readOnly':true},"
            "{'mountPath':'/var/run/eastwest/roots',"
            "'name':'eastwest-roots','readOnly':true}]");
  ew_patch_fini(&patch);
}

static void test_sidecar_options(void **state) {
  config.controller_id = "spiffe://mesh.test/ns/x/sa/y";
  injects("{'metadata': {'annotations': {"
          "'eastwest.dev/opaque-ports': '3306', 'eastwest.dev/strict': 'true',"
          "'eastwest.dev/access-log': 'all', 'eastwest.dev/log-level': 'warn',"
          "'eastwest.dev/drain-seconds': '5',"
          "'eastwest.dev/cpu-request': '0.2', 'eastwest.dev/cpu-limit': '1',"
          "'eastwest.dev/memory-request': '32Mi',"
          "'eastwest.dev/memory-limit': '64Mi'}}, " SMALL "}");
  config.controller_id = NULL;
  const json_t *c = at(patch.ops, "2.value.1");
  expect_at(c, "args",
            "['--controller','10.96.0.9:15010',"
            "'--controller-id','spiffe://mesh.test/ns/x/sa/y',"
            "'--trust-domain','mesh.test',"
            "'--token-file','/var/run/secrets/eastwest/token',"
            "'--roots-file','/var/run/eastwest/roots/roots.pem',"
            "'--opaque-ports','3306','--access-log','all',"
            "'--log-level','warn','--drain-seconds','5',"
            "'--destination-idle-seconds','300','--strict']");
  expect_at(c, "resources",
            "{'limits':{'cpu':'1','memory':'64Mi'},"
            "'requests':{'cpu':'0.2','memory':'32Mi'}}");
  /* The scheduler takes the largest of the init containers: the same. */
  expect_at(patch.ops, "2.value.0.resources",
            "{'limits':{'cpu':'1','memory':'64Mi'},"
            "'requests':{'cpu':'0.2','memory':'32Mi'}}");
  ew_patch_fini(&patch);
}

static void test_before_the_pods_own(void **state) {
  injects("{'metadata': {}, 'spec': {'initContainers': [{'name': 'a'}],"
          "'containers': [{'name': 'b'}], 'volumes': [{'name': 'c'}]}}");
  assert_int_equal(json_array_size(patch.ops), 6);
  expect_at(patch.ops, "1.path", "'/spec/volumes/-'");
  expect_at(patch.ops, "2.path", "'/spec/volumes/-'");
  expect_at(patch.ops, "3.path", "'/spec/volumes/-'");
  expect_at(patch.ops, "3.value.name", "'eastwest-run'");
  expect_at(patch.ops, "4.path", "'/spec/initContainers/0'");
  expect_at(patch.ops, "4.value.name", "'eastwest-init'");
  expect_at(patch.ops, "5.path", "'/spec/initContainers/1'");
  expect_at(patch.ops, "5.value.name", "'eastwest-sidecar'");
  ew_patch_fini(&patch);
  /* null and [] are as good as nothing. */
  injects("{'metadata': {'annotations': null, 'labels': null}, 'spec': {"
          "'initContainers': null, 'volumes': [], 'containers': []}}");
  expect_at(patch.ops, "0.path", "'/metadata/annotations'");
  expect_at(patch.ops, "1.path", "'/spec/volumes'");
  expect_at(patch.ops, "2.path", "'/spec/initContainers'");
  ew_patch_fini(&patch);
}

static void test_probes(void **state) {
  injects("{'metadata': {}, 'spec': {'containers': [{'name': 'b',"
          "'ports': [{'name': 'web', 'containerPort': 8080}],"
          "'readinessProbe': {'httpGet': {'port': 'web', 'path': '/$(A)'}}},"
          "{'name': 'c', 'livenessProbe': {'grpc': {'port': 9}}}],"
          "'initContainers': [{'name': 'd', 'restartPolicy': 'Always',"
          "'startupProbe': {'tcpSocket': {'port': 6379}}}]}}");
  /* The app's sidecar still stands first when its probe moves. */
  expect_at(patch.ops, "0.path",
            "'/spec/initContainers/0/startupProbe/tcpSocket'");
  expect_at(patch.ops, "1.path",
            "'/spec/initContainers/0/startupProbe/httpGet'");
  expect_at(patch.ops, "1.value.path", "'/probe/6379'");
  expect_at(patch.ops, "5.value.env.5",
            "{'name':'EASTWEST_PROBES','value':'6379,8080/$$(A)'}");
  /* Not strict, so it does pass. */
  assert_int_equal(json_array_size(patch.warnings), 0);
  ew_patch_fini(&patch);
  injects("{'metadata': {'annotations': {'eastwest.dev/strict': 'true'}},"
          "'spec': {'containers': [{'name': 'c', 'livenessProbe': {"
          "'grpc': {'port': 9}}}]}}");
  expect_at(patch.warnings, "",
            "['eastwest: container c: livenessProbe: gRPC does not pass in "
            "strict mode; add port 9 to eastwest.dev/skip-inbound-ports']");
  ew_patch_fini(&patch);
}

static void test_zone(void **state) {
  injects("{'metadata': {'labels': {'topology.kubernetes.io/zone': 'z1'}},"
          "'spec': {'nodeSelector': {'x': 'y'}}}");
  expect_at(patch.ops, "2.value.1.env.4",
            "{'name':'EASTWEST_ZONE','value':'z1'}");
  ew_patch_fini(&patch);
  injects("{'metadata': {}, 'spec': {'nodeSelector': {"
          "'topology.kubernetes.io/zone': 'z2$'}}}");
  expect_at(patch.ops, "2.value.1.env.4",
            "{'name':'EASTWEST_ZONE','value':'z2$$'}");
  ew_patch_fini(&patch);
}

static void test_left_as_they_are(void **state) {
  answers("{'metadata': {'labels': {'eastwest.dev/inject': 'disabled'}},"
          " 'spec': {'hostNetwork': true}}",
          EW_VERDICT_LEFT, "label eastwest.dev/inject is disabled");
  answers("{'metadata': {'labels': {'eastwest.dev/inject': 'enabled'}},"
          " 'spec': {'hostNetwork': true}}",
          EW_VERDICT_LEFT, "hostNetwork");
  answers(
      "{'metadata': {'annotations': {'kubernetes.io/config.mirror': ''}}," SMALL
      "}",
      EW_VERDICT_LEFT, "by a file of its node");
  answers("{'metadata': {}, 'spec': {'os': {'name': 'windows'}}}",
          EW_VERDICT_LEFT, "not for Linux");
  answers("{'metadata': {'annotations': {'eastwest.dev/injected': '0.0.9',"
          " 'eastwest.dev/strict': 'nonsense'}}, " SMALL "}",
          EW_VERDICT_LEFT, "annotation eastwest.dev/injected: 0.0.9");
  answers("{'metadata': {}, 'spec': {'initContainers': [{'name':"
          " 'eastwest-sidecar', 'restartPolicy': 'Always',"
          " 'securityContext': {'runAsUser': 2140}}]}}",
          EW_VERDICT_LEFT, "has the container eastwest-sidecar already");
  injects("{'metadata': {'labels': {'eastwest.dev/inject': 'enabled'}},"
          " 'spec': {'hostNetwork': false, 'os': {'name': 'linux'}}}");
  ew_patch_fini(&patch);
}

static void test_opt_in_by_pod(void **state) {
  config.by_pod_label = true;
  answers("{'metadata': {}, " SMALL "}", EW_VERDICT_LEFT,
          "no label eastwest.dev/inject: enabled");
  injects("{'metadata': {'labels': {'eastwest.dev/inject': 'enabled'}}, " SMALL
          "}");
  ew_patch_fini(&patch);
  config.by_pod_label = false;
}

static void test_denied(void **state) {
  answers("{'metadata': {'labels': {'eastwest.dev/inject': 'on'}}, " SMALL "}",
          EW_VERDICT_DENIED,
          "label eastwest.dev/inject: \"on\": expected enabled or disabled");
  answers("{'metadata': {}, 'spec': {'securityContext': {'runAsUser': 2140}}}",
          EW_VERDICT_DENIED, "spec.securityContext.runAsUser: 2140");
  answers("{'metadata': {}, 'spec': {'containers': [{'name': 'a'}, {'name':"
          " 'b', 'securityContext': {'runAsUser': 2140}}]}}",
          EW_VERDICT_DENIED,
          "container b: securityContext.runAsUser: 2140: expected another");
  answers("{'metadata': {}, 'spec': {'ephemeralContainers': [{'name': 'e',"
          " 'securityContext': {'runAsUser': 2140}}]}}",
          EW_VERDICT_DENIED, "container e: securityContext.runAsUser");
  /* Of our name, but not as ours are. */
  static const char *const foreign[] = {
      "'containers': [{'name': 'eastwest-sidecar', 'restartPolicy': 'Always',"
      " 'securityContext': {'runAsUser': 2140}}]",
      "'initContainers': [{'name': 'eastwest-sidecar', 'securityContext': {"
      "'runAsUser': 2140}}]",
      "'initContainers': [{'name': 'eastwest-sidecar', 'restartPolicy':"
      " 'Always'}]",
      "'ephemeralContainers': [{'name': 'eastwest-sidecar'}]",
  };
  for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
    char pod[400];
    snprintf(pod, sizeof(pod), "{'metadata': {}, 'spec': {%s}}", foreign[i]);
    answers(pod, EW_VERDICT_DENIED,
            "container eastwest-sidecar: the name is taken by the mesh");
  }
  answers("{'metadata': {}, 'spec': {'initContainers': [{'name':"
          " 'eastwest-init'}]}}",
          EW_VERDICT_DENIED, "container eastwest-init: the name is taken");
  static const char *const volumes[] = {"eastwest-token", "eastwest-roots",
                                        "eastwest-run"};
  for (size_t i = 0; i < 3; i++) {
    char pod[200], why[100];
    snprintf(pod, sizeof(pod),
             "{'metadata': {}, 'spec': {'volumes': [{'name': '%s'}]}}",
             volumes[i]);
    snprintf(why, sizeof(why), "volume %s: the name is taken", volumes[i]);
    answers(pod, EW_VERDICT_DENIED, why);
  }
}

static void test_taken_ports(void **state) {
  static const unsigned ports[] = {15000, 15001, 15006, 15020};
  char pod[300], why[100];
  for (size_t i = 0; i < 4; i++) {
    snprintf(pod, sizeof(pod),
             "{'metadata': {}, 'spec': {'containers': [{'name': 'a', 'ports': ["
             "{'containerPort': 80}, {'containerPort': %u}]}]}}",
             ports[i]);
    snprintf(why, sizeof(why), "container a: containerPort %u: the sidecar",
             ports[i]);
    answers(pod, EW_VERDICT_DENIED, why);
  }
  injects("{'metadata': {}, 'spec': {'containers': [{'name': 'a', 'ports': ["
          "{'containerPort': 15006, 'protocol': 'UDP'},"
          "{'containerPort': 15010}]}]}}");
  ew_patch_fini(&patch);
}

static void test_images_are_pulled_as_told(void **state) {
  injects("{'metadata': {'annotations': {"
          "'eastwest.dev/image-pull-policy': 'Always',"
          "'eastwest.dev/image-pull-secrets': 'a, b'}}, " SMALL "}");
  expect_at(patch.ops, "2.path", "'/spec/imagePullSecrets'");
  expect_at(patch.ops, "2.value", "[{'name':'a'}]");
  expect_at(patch.ops, "3.path", "'/spec/imagePullSecrets/-'");
  expect_at(patch.ops, "3.value", "{'name':'b'}");
  expect_at(patch.ops, "4.value.0.imagePullPolicy", "'Always'");
  expect_at(patch.ops, "4.value.1.imagePullPolicy", "'Always'");
  ew_patch_fini(&patch);
  injects("{'metadata': {'annotations': {"
          "'eastwest.dev/image-pull-secrets': 'a,b'}}, 'spec': {"
          "'imagePullSecrets': [{'name': 'b'}], 'containers': []}}");
  expect_at(patch.ops, "2.path", "'/spec/imagePullSecrets/-'");
  expect_at(patch.ops, "2.value", "{'name':'a'}");
  expect_at(patch.ops, "3.path", "'/spec/initContainers'");
  ew_patch_fini(&patch);
}

static bool is_quiet(const char *pod) {
  run(pod);
  assert_int_equal(patch.verdict, EW_VERDICT_LEFT);
  bool quiet = patch.quiet;
  ew_patch_fini(&patch);
  return quiet;
}

/* What somebody asked for is worth no Event. */
static void test_quiet(void **state) {
  assert_true(is_quiet("{'metadata': {'labels': {'eastwest.dev/inject':"
                       " 'disabled'}}, " SMALL "}"));
  assert_true(is_quiet("{'metadata': {'annotations': {'eastwest.dev/inject':"
                       " 'disabled'}}, " SMALL "}"));
  assert_true(is_quiet("{'metadata': {'labels': {'eastwest.dev/inject':"
                       " 'enabled'}, 'annotations': {'eastwest.dev/inject':"
                       " 'disabled'}}, " SMALL "}"));
  assert_true(is_quiet("{'metadata': {'annotations': {"
                       "'kubernetes.io/config.mirror': 'x'}}, " SMALL "}"));
  assert_false(is_quiet("{'metadata': {}, 'spec': {'hostNetwork': true}}"));
  assert_false(is_quiet("{'metadata': {}, 'spec': {'os': {'name':"
                        " 'windows'}}}"));
  assert_false(is_quiet("{'metadata': {}, 'spec': {'nodeSelector': {"
                        "'kubernetes.io/os': 'windows'}}}"));
  answers("{'metadata': {'annotations': {'eastwest.dev/inject': 'no'}}, " SMALL
          "}",
          EW_VERDICT_DENIED,
          "annotation eastwest.dev/inject: \"no\": expected enabled or");
  injects("{'metadata': {'annotations': {'eastwest.dev/inject': 'enabled'}},"
          "'spec': {'nodeSelector': {'kubernetes.io/os': 'linux'}}}");
  expect_at(patch.warnings, "", "[]");
  ew_patch_fini(&patch);
}

static void test_bad_annotations(void **state) {
  for (int i = 0; i < EW_POD_OPTIONS; i++) {
    char pod[200], why[200];
    snprintf(pod, sizeof(pod),
             "{'metadata': {'annotations': {'eastwest.dev/%s': '?'}}, " SMALL
             "}",
             rows[i].name);
    snprintf(why, sizeof(why), "annotation eastwest.dev/%s: \"?\": expected ",
             rows[i].name);
    answers(pod, EW_VERDICT_DENIED, why);
  }
}

static void test_unknown_annotations(void **state) {
  injects("{'metadata': {'annotations': {'eastwest.dev/opaque-port': '1',"
          " 'other/x': 'y'}}, " SMALL "}");
  expect_at(patch.warnings, "",
            "['eastwest: annotation eastwest.dev/opaque-port: no such "
            "option']");
  ew_patch_fini(&patch);
}

static void test_no_pod(void **state) {
  static const struct {
    const char *pod, *why;
  } t[] = {
      {"{}", "metadata: absent: must be an object"},
      {"{'metadata': {}}", "spec: absent: must be an object"},
      {"{'metadata': [], " SMALL "}", "metadata: a list of 0"},
      {"{'metadata': {'labels': 1}, " SMALL "}", "metadata.labels: 1"},
      {"{'metadata': {'labels': {'a': 1}}, " SMALL "}",
       "metadata.labels.a: 1: must be a string"},
      {"{'metadata': {'annotations': {'eastwest.dev/strict': true}}, " SMALL
       "}",
       "metadata.annotations.eastwest.dev/strict: true: must be a string"},
      {"{'metadata': {}, 'spec': {'containers': {}}}",
       "spec.containers: an object: must be a list"},
      {"{'metadata': {}, 'spec': {'containers': [1]}}",
       "spec.containers[0]: 1: must be an object"},
      {"{'metadata': {}, 'spec': {'containers': [null]}}",
       "spec.containers[0]: absent: must be an object"},
      {"{'metadata': {}, 'spec': {'initContainers': [{'name': 7}]}}",
       "spec.initContainers[0].name: 7"},
      {"{'metadata': {}, 'spec': {'containers': [{'securityContext': {"
       "'runAsUser': -1}}]}}",
       "spec.containers[0].securityContext.runAsUser: -1"},
      {"{'metadata': {}, 'spec': {'containers': [{'securityContext': {"
       "'runAsUser': '2140'}}]}}",
       "spec.containers[0].securityContext.runAsUser: \"2140\""},
      {"{'metadata': {}, 'spec': {'hostNetwork': 'true'}}",
       "spec.hostNetwork: \"true\""},
      {"{'metadata': {}, 'spec': {'volumes': 1}}", "spec.volumes: 1"},
      {"{'metadata': {}, 'spec': {'imagePullSecrets': {}}}",
       "spec.imagePullSecrets: an object"},
      {"{'metadata': {}, 'spec': {'containers': [{'ports': [{"
       "'containerPort': 0}]}]}}",
       "spec.containers[0].ports[0].containerPort: 0"},
      {"{'metadata': {}, 'spec': {'containers': [{'livenessProbe': []}]}}",
       "spec.containers[0].livenessProbe: a list of 0"},
      {"{'metadata': {}, 'spec': {'nodeSelector': {"
       "'topology.kubernetes.io/zone': 1}}}",
       "spec.nodeSelector.topology.kubernetes.io/zone: 1"},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
    answers(t[i].pod, EW_VERDICT_MALFORMED, t[i].why);
}

static void test_many_containers(void **state) {
  for (int n = EW_CONTAINERS_MAX; n <= (int)EW_CONTAINERS_MAX + 1; n++) {
    struct ew_buf b;
    ew_buf_init(&b, 1 << 20);
    ew_buf_append_str(&b, "{'metadata': {}, 'spec': {'containers': [");
    for (int i = 0; i < n; i++)
      ew_buf_printf(&b, "%s{'name': 'c%d'}", i ? "," : "", i);
    ew_buf_append(&b, ew_slice("]}}", 4));
    run(ew_buf_peek(&b).p);
    assert_int_equal(patch.verdict, n == EW_CONTAINERS_MAX
                                        ? EW_VERDICT_INJECTED
                                        : EW_VERDICT_MALFORMED);
    ew_patch_fini(&patch);
    ew_buf_fini(&b);
  }
}

/* What is told is UTF-8 without control bytes, wherever it was cut. */
static void test_texts_are_clean(void **state) {
  json_t *v = ew_text_value("a\xc3");
  assert_string_equal(json_string_value(v), "a?");
  json_decref(v);
  v = ew_text_value("\xc3\xa9");
  assert_string_equal(json_string_value(v), "\xc3\xa9");
  json_decref(v);
  answers(
      "{'metadata': {'labels': {'eastwest.dev/inject': '\\u001b[2J\\n'}}," SMALL
      "}",
      EW_VERDICT_DENIED, "\"?[2J?\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_smallest_pod),
      cmocka_unit_test(test_init_container),
      cmocka_unit_test(test_sidecar),
      cmocka_unit_test(test_sidecar_options),
      cmocka_unit_test(test_before_the_pods_own),
      cmocka_unit_test(test_probes),
      cmocka_unit_test(test_zone),
      cmocka_unit_test(test_left_as_they_are),
      cmocka_unit_test(test_opt_in_by_pod),
      cmocka_unit_test(test_denied),
      cmocka_unit_test(test_taken_ports),
      cmocka_unit_test(test_images_are_pulled_as_told),
      cmocka_unit_test(test_quiet),
      cmocka_unit_test(test_bad_annotations),
      cmocka_unit_test(test_unknown_annotations),
      cmocka_unit_test(test_no_pod),
      cmocka_unit_test(test_many_containers),
      cmocka_unit_test(test_texts_are_clean),
  };
  return cmocka_run_group_tests(tests, open_config, close_config);
}
