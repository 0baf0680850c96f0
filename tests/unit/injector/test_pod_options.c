/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/pod_options.c"

#include "injector_test.h"

static void accepted(const char *name, const char *value, const char *kept) {
  struct ew_pod_options o;
  char why[400] = "";

  ew_pod_options_init(&o);
  if (ew_pod_options_set(&o, name, value, why, sizeof(why)) != EW_OK)
    fail_msg("%s: %s", name, why);
  for (int i = 0; i < EW_POD_OPTIONS; i++)
    if (strcmp(rows[i].name, name) == 0)
      assert_string_equal(o.v[i], kept);
  ew_pod_options_fini(&o);
}

static void refused(const char *name, const char *value, const char *reason) {
  struct ew_pod_options o;
  char why[400] = "";

  ew_pod_options_init(&o);
  if (ew_pod_options_set(&o, name, value, why, sizeof(why)) != EW_EINVAL)
    fail_msg("%s: accepted: %s", name, value);
  if (!strstr(why, reason))
    fail_msg("%s: %s", name, why);
  for (int i = 0; i < EW_POD_OPTIONS; i++)
    assert_string_equal(o.v[i], rows[i].or_else);
  ew_pod_options_fini(&o);
}

static char *repeated(const char *item, size_t n) {
  size_t k = strlen(item);
  char *out = ew_malloc(n * k + 1);
  for (size_t i = 0; i < n; i++)
    memcpy(out + i * k, item, k);
  out[n * k] = '\0';
  return out;
}

static void test_lists(void **state) {
  accepted("skip-inbound-ports", "", "");
  accepted("skip-inbound-ports", " , ,", "");
  accepted("skip-inbound-ports", "80", "80");
  accepted("skip-outbound-ports", " 25, 1-65535 ,,9,", "25,1-65535,9");
  accepted("opaque-ports", "3306,6000-6000", "3306,6000-6000");
  accepted("skip-inbound-cidrs", "10.0.0.0/8, fd00::/8 , ::1,1.2.3.4/32",
           "10.0.0.0/8,fd00::/8,::1,1.2.3.4/32");
  accepted("skip-outbound-cidrs", "0.0.0.0/0,::/128", "0.0.0.0/0,::/128");
  static const char *const bad_ports[] = {
      "0",  "65536", "-1",      "1-",   "-",      "80-79",
      "a",  "80,a",  "80;81",   "8 0",  "1-2-3",  "1 - 2",
      "+1", "0-1",   "1-65536", "0x50", "80\n81", "99999999999999999999"};
  for (size_t i = 0; i < sizeof(bad_ports) / sizeof(*bad_ports); i++) {
    refused("skip-inbound-ports", bad_ports[i],
            "expected ports from 1 to 65535 or ranges low-high, "
            "comma-separated, at most 128");
    refused("skip-outbound-ports", bad_ports[i], "expected ports");
    refused("opaque-ports", bad_ports[i], "at most 64");
  }
  static const char *const bad_cidrs[] = {
      "10.0.0.0/33", "10.0.0/8",  "fd00::/129",       "a",
      "/8",          "10.0.0.0/", "1.2.3.4/-1",       "01.2.3.4",
      "1.2.3.4/8/8", "::g",       "::ffff:1.2.3.4.5", "fe80::1%eth0"};
  for (size_t i = 0; i < sizeof(bad_cidrs) / sizeof(*bad_cidrs); i++)
    refused("skip-outbound-cidrs", bad_cidrs[i],
            "expected IPv4 or IPv6 addresses or CIDRs");
}

static void test_too_many_items(void **state) {
  char *most = repeated("1,", 64), *more = repeated("1,", 65);
  char *skip = repeated("1-65535,", 129), *cidrs = repeated("::1,", 129);
  char *kept = repeated("1,", 64);
  kept[strlen(kept) - 1] = '\0';
  accepted("opaque-ports", most, kept);
  refused("opaque-ports", more, "at most 64");
  refused("skip-inbound-ports", skip, "at most 128");
  refused("skip-inbound-cidrs", cidrs, "at most 128");
  free(most);
  free(more);
  free(skip);
  free(cidrs);
  free(kept);
}

static void test_words(void **state) {
  accepted("strict", "true", "true");
  accepted("strict", "false", "false");
  refused("strict", "", "\"\": expected true or false");
  refused("strict", "True", "expected true or false");
  refused("strict", "yes", "\"yes\": expected true or false");
  accepted("access-log", "errors", "errors");
  refused("access-log", "on", "expected off, errors or all");
  accepted("log-level", "debug", "debug");
  accepted("image-pull-policy", "IfNotPresent", "IfNotPresent");
  refused("image-pull-policy", "always", "Always, IfNotPresent or Never");
  accepted("image-pull-secrets", "a, b.c-d", "a,b.c-d");
  refused("image-pull-secrets", "A", "names of Secrets");
  refused("image-pull-secrets", "a/b", "names of Secrets");
  refused("log-level", "trace", "expected error, warn, info or debug");
}

static void test_numbers(void **state) {
  accepted("drain-seconds", "0", "0");
  accepted("drain-seconds", "86400", "86400");
  refused("drain-seconds", "86401", "expected a number from 0 to 86400");
  refused("drain-seconds", "28s", "expected a number");
  refused("drain-seconds", "-1", "expected a number");
  refused("drain-seconds", "", "expected a number");
  accepted("destination-idle-seconds", "1", "1");
  refused("destination-idle-seconds", "0", "expected a number from 1 to");
}

static void test_quantities(void **state) {
  static const char *const good_cpu[] = {"1m",   "10m",   "0.5", "1",
                                         "1000", "0.001", "1.5", "0.1k"};
  static const char *const bad_cpu[] = {"0",
                                        "0.0001",
                                        "1001",
                                        "",
                                        "m",
                                        "-1",
                                        "+1",
                                        "1.",
                                        ".5",
                                        "1 m",
                                        "1mm",
                                        "1e3",
                                        "NaN",
                                        "inf",
                                        "0x1p3",
                                        "1,5",
                                        "99999999999999999999",
                                        "1M"};
  static const char *const good_memory[] = {"4Mi", "16Mi",    "64M",  "1Gi",
                                            "1Ti", "4194304", "0.5Gi"};
  static const char *const bad_memory[] = {"3Mi",  "100m",  "2Ti", "64MB",
                                           "64mi", "64 Mi", "Mi",  "1e9"};
  for (size_t i = 0; i < sizeof(good_cpu) / sizeof(*good_cpu); i++) {
    accepted("cpu-request", good_cpu[i], good_cpu[i]);
    accepted("cpu-limit", good_cpu[i], good_cpu[i]);
  }
  for (size_t i = 0; i < sizeof(bad_cpu) / sizeof(*bad_cpu); i++) {
    refused("cpu-request", bad_cpu[i], "expected cores from 1m to 1000");
    refused("cpu-limit", bad_cpu[i], "expected none, or cores");
  }
  for (size_t i = 0; i < sizeof(good_memory) / sizeof(*good_memory); i++) {
    accepted("memory-request", good_memory[i], good_memory[i]);
    accepted("memory-limit", good_memory[i], good_memory[i]);
  }
  for (size_t i = 0; i < sizeof(bad_memory) / sizeof(*bad_memory); i++) {
    refused("memory-request", bad_memory[i], "expected bytes from 4Mi to 1Ti");
    refused("memory-limit", bad_memory[i], "expected none, or bytes");
  }
  accepted("cpu-limit", "none", "");
  accepted("memory-limit", "none", "");
  refused("cpu-request", "none", "expected cores");
}

static void test_images(void **state) {
  char *longest = repeated("a", 512), *longer = repeated("a", 513);
  accepted("image", "eastwest", "eastwest");
  accepted("image", "registry.test:5000/mesh/eastwest:v1.2-rc.1",
           "registry.test:5000/mesh/eastwest:v1.2-rc.1");
  accepted("image", "r.test/e@sha256:0123abcd", "r.test/e@sha256:0123abcd");
  accepted("image", longest, longest);
  refused("image", longer, "expected an image");
  refused("image", "", "expected an image");
  refused("image", "a b", "expected an image");
  refused("image", "a\nb", "\"a?b\": expected an image");
  refused("image", "$(HOME)", "expected an image");
  refused("image", "-a", "expected an image");
  refused("image", "a:", "expected an image");
  free(longest);
  free(longer);
}

/* Cut between two characters. */
static void test_shown_values(void **state) {
  char *many = repeated("\xc3\xa9", 60), *odd = ew_malloc(130);
  char why[400];
  struct ew_pod_options o;

  snprintf(odd, 130, "x%s", many);
  ew_pod_options_init(&o);
  assert_int_equal(ew_pod_options_set(&o, "strict", many, why, sizeof(why)),
                   EW_EINVAL);
  json_t *v = json_string(why);
  assert_non_null(v);
  assert_non_null(strstr(why, "...\": expected"));
  json_decref(v);
  assert_int_equal(ew_pod_options_set(&o, "strict", odd, why, sizeof(why)),
                   EW_EINVAL);
  v = json_string(why);
  assert_non_null(v);
  json_decref(v);
  ew_pod_options_fini(&o);
  free(many);
  free(odd);
}

static void test_no_such_option(void **state) {
  struct ew_pod_options o;
  char why[64] = "";
  ew_pod_options_init(&o);
  assert_int_equal(ew_pod_options_set(&o, "x", "1", why, sizeof(why)),
                   EW_ENOENT);
  assert_int_equal(ew_pod_options_set(&o, "", "1", why, sizeof(why)),
                   EW_ENOENT);
  ew_pod_options_fini(&o);
}

static int read_all(struct ew_pod_options *o, const char *annotations,
                    char *why, size_t why_len) {
  json_t *v = json_of(annotations);
  struct ew_jv jv = ew_jv_root(v);
  int rc = ew_pod_options_read(o, &jv, why, why_len);
  json_decref(v);
  return rc;
}

static void test_annotations(void **state) {
  struct ew_pod_options defaults, o;
  char why[400] = "";

  ew_pod_options_init(&defaults);
  assert_int_equal(
      ew_pod_options_set(&defaults, "strict", "true", why, sizeof(why)), EW_OK);
  assert_int_equal(
      ew_pod_options_set(&defaults, "opaque-ports", "1", why, sizeof(why)),
      EW_OK);
  ew_pod_options_init_from(&o, &defaults);
  assert_int_equal(read_all(&o,
                            "{'eastwest.dev/opaque-ports': '', 'other': 'x',"
                            " 'eastwest.dev/skip-inbound-ports': '22, 80'}",
                            why, sizeof(why)),
                   EW_OK);
  assert_true(ew_pod_options_strict(&o));
  assert_string_equal(o.v[EW_POD_OPAQUE_PORTS], "");
  assert_string_equal(o.v[EW_POD_SKIP_INBOUND_PORTS], "22,80");
  assert_string_equal(o.v[EW_POD_DRAIN_SECONDS], "28");
  ew_pod_options_fini(&o);

  ew_pod_options_init_from(&o, &defaults);
  assert_int_equal(
      read_all(&o, "{'eastwest.dev/strict': 'maybe'}", why, sizeof(why)),
      EW_EINVAL);
  assert_string_equal(
      why, "annotation eastwest.dev/strict: \"maybe\": expected true or false");
  ew_pod_options_fini(&o);
  ew_pod_options_fini(&defaults);
}

static void test_requests_and_limits(void **state) {
  static const struct {
    const char *annotations, *why;
  } t[] = {
      {"{'eastwest.dev/cpu-limit': '10m'}", NULL},
      {"{'eastwest.dev/cpu-limit': '0.01'}", NULL},
      {"{'eastwest.dev/memory-limit': '16Mi'}", NULL},
      {"{'eastwest.dev/memory-limit': 'none'}", NULL},
      {"{'eastwest.dev/cpu-limit': '9m'}",
       "eastwest.dev/cpu-limit: \"9m\": expected at least what is requested, "
       "10m (eastwest.dev/cpu-request)"},
      {"{'eastwest.dev/memory-limit': '16M'}",
       "eastwest.dev/memory-limit: \"16M\": expected at least what is "
       "requested, 16Mi (eastwest.dev/memory-request)"},
      {"{'eastwest.dev/memory-limit': '64Mi',"
       " 'eastwest.dev/memory-request': '65Mi'}",
       "at least what is requested, 65Mi"},
  };
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
    struct ew_pod_options o;
    char why[400] = "";
    ew_pod_options_init(&o);
    assert_int_equal(read_all(&o, t[i].annotations, why, sizeof(why)),
                     t[i].why ? EW_EINVAL : EW_OK);
    if (t[i].why && !strstr(why, t[i].why))
      fail_msg("%s", why);
    ew_pod_options_fini(&o);
  }
}

static void test_ports_include(void **state) {
  assert_false(ew_ports_include("", 80));
  assert_true(ew_ports_include("80", 80));
  assert_false(ew_ports_include("80", 8080));
  assert_true(ew_ports_include("1,100-200,9", 200));
  assert_true(ew_ports_include("1,100-200,9", 9));
  assert_false(ew_ports_include("1,100-200,9", 201));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lists),
      cmocka_unit_test(test_too_many_items),
      cmocka_unit_test(test_words),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_quantities),
      cmocka_unit_test(test_images),
      cmocka_unit_test(test_shown_values),
      cmocka_unit_test(test_no_such_option),
      cmocka_unit_test(test_annotations),
      cmocka_unit_test(test_requests_and_limits),
      cmocka_unit_test(test_ports_include),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
