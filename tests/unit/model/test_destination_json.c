/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

static struct ew_destination *read_text(const char *text, char *why) {
  return ew_destination_from_json(ew_slice_str(text), why, 256);
}

/* Every member, none at its default, in the order the encoder writes. */
static const char full[] =
    "{\"version\":7,\"kind\":\"service\",\"namespace\":\"shop\",\"name\":"
    "\"echo\",\"port\":80,\"portName\":\"web\",\"protocol\":\"http\","
    "\"rules\":[{\"route\":{\"kind\":\"HTTPRoute\",\"namespace\":\"shop\","
    "\"name\":\"r\"},\"name\":\"one\",\"index\":3,\"filters\":["
    "{\"type\":\"RequestHeaderModifier\",\"set\":[{\"name\":\"a\",\"value\":"
    "\"1\"}],\"add\":[{\"name\":\"b\",\"value\":\"2\"}],\"remove\":[\"c\"]},"
    "{\"type\":\"ResponseHeaderModifier\",\"set\":[{\"name\":\"d\",\"value\":"
    "\"\"}]},"
    "{\"type\":\"RequestRedirect\",\"hostname\":\"h\",\"scheme\":\"https\","
    "\"port\":8443,\"status\":308,\"prefixPath\":\"\"},"
    "{\"type\":\"URLRewrite\",\"hostname\":\"w\",\"fullPath\":\"/n\"},"
    "{\"type\":\"RequestMirror\",\"backend\":1,\"numerator\":5,"
    "\"denominator\":1000},"
    "{\"type\":\"CORS\",\"allowOrigins\":[\"*\"],\"allowMethods\":[\"GET\"],"
    "\"allowHeaders\":[\"x\"],\"exposeHeaders\":[\"y\"],\"maxAge\":60,"
    "\"allowCredentials\":true},"
    "{\"type\":\"Invalid\",\"reason\":\"no\"}],"
    "\"backends\":[{\"backend\":1,\"weight\":90,\"filters\":[{\"type\":"
    "\"RequestHeaderModifier\",\"remove\":[\"z\"]}]},{\"backend\":0}],"
    "\"requestTimeoutMs\":10,\"backendTimeoutMs\":5,\"retry\":{\"codes\":[500,"
    "503],\"attempts\":2,\"backoffMs\":25}}],"
    "\"matches\":[{\"rule\":0,\"path\":{\"type\":\"PathPrefix\",\"value\":"
    "\"/a\"},\"method\":\"GET\",\"headers\":[{\"name\":\"h\",\"value\":\"v\"},"
    "{\"type\":\"RegularExpression\",\"name\":\"i\",\"value\":\"w.*\"}],"
    "\"query\":[{\"name\":\"Q\",\"value\":\"1\"}]},"
    "{\"rule\":0,\"grpc\":{\"type\":\"RegularExpression\",\"service\":\"s\","
    "\"method\":\"m\"}}],"
    "\"l4Rules\":[{\"route\":{\"kind\":\"TLSRoute\",\"namespace\":\"shop\","
    "\"name\":\"t\"},\"snis\":[\"*.example.com\"]}],"
    "\"backends\":[{\"kind\":\"Widget\",\"namespace\":\"shop\",\"name\":"
    "\"w\",\"port\":80,\"invalid\":\"InvalidKind\"},"
    "{\"namespace\":\"shop\",\"name\":\"v1\",\"port\":80,\"protocol\":"
    "\"http2\",\"endpoints\":[{\"address\":\"10.0.0.1\",\"port\":8080,"
    "\"identity\":\"spiffe://cluster.local/ns/shop/sa/echo\",\"zone\":\"a\","
    "\"pod\":\"echo-1\"},{\"address\":\"fd00::1\",\"port\":8080}]}],"
    "\"defaultBackend\":1}";

static void test_round_trip(void **state) {
  char why[256];
  struct ew_destination *d = read_text(full, why);
  if (!d)
    fail_msg("%s", why);
  size_t n;
  char *text = ew_destination_to_json(d, &n);
  assert_string_equal(text, full);
  assert_int_equal(n, strlen(full));
  free(text);
  ew_destination_unref(d);
}

static void test_members(void **state) {
  char why[256];
  struct ew_destination *d = read_text(full, why);
  assert_non_null(d);
  assert_int_equal(d->kind, EW_DEST_SERVICE);
  const struct ew_filter *f = d->rules[0].filters;
  assert_int_equal(d->rules[0].filters_n, 7);
  assert_int_equal(f[2].u.location.path_modifier, EW_PATH_PREFIX);
  assert_string_equal(f[2].u.location.path, "");
  assert_int_equal(f[2].u.location.status, 308);
  assert_int_equal(f[3].u.location.path_modifier, EW_PATH_FULL);
  assert_int_equal(f[4].u.mirror.denominator, 1000);
  assert_true(f[5].u.cors.allow_credentials);
  assert_true(d->rules[0].has_retry);
  assert_int_equal(d->rules[0].retry.codes[1], 503);
  assert_null(d->matches[1].path);
  assert_string_equal(d->backends[1].endpoints[1].address, "fd00::1");
  assert_null(d->backends[1].endpoints[1].identity);
  ew_destination_unref(d);
}

static void test_defaults(void **state) {
  char why[256];
  struct ew_destination *d = read_text(
      "{\"kind\":\"service\",\"namespace\":\"n\",\"name\":\"s\",\"port\":1,"
      "\"more\":[1,{}],\"rules\":[{\"route\":{\"kind\":\"K\",\"namespace\":"
      "\"n\",\"name\":\"r\"},\"backends\":[{\"backend\":0}],\"retry\":{},"
      "\"filters\":[{\"type\":\"RequestRedirect\"},{\"type\":\"CORS\"},"
      "{\"type\":\"RequestMirror\",\"backend\":0},{\"type\":\"Invalid\"}]}],"
      "\"matches\":[{\"rule\":0,\"path\":{\"type\":\"PathPrefix\",\"value\":"
      "\"/\"},\"headers\":[{\"name\":\"X-Up\",\"value\":\"V\"}]}],"
      "\"backends\":[{}]}",
      why);
  if (!d)
    fail_msg("%s", why);
  const struct ew_rule *r = d->rules;
  assert_int_equal(r->backends[0].weight, 1);
  assert_int_equal(r->retry.attempts, 1);
  assert_int_equal(r->filters[0].u.location.status, 302);
  assert_int_equal(r->filters[0].u.location.path_modifier, EW_PATH_KEEP);
  assert_int_equal(r->filters[1].u.cors.max_age_s, 5);
  assert_int_equal(r->filters[2].u.mirror.numerator, 1);
  assert_int_equal(r->filters[2].u.mirror.denominator, 1);
  assert_non_null(r->filters[3].u.invalid);
  assert_string_equal(d->matches[0].path, "");
  assert_string_equal(d->matches[0].headers[0].name, "x-up");
  assert_string_equal(d->matches[0].headers[0].value, "V");
  assert_string_equal(d->backends[0].kind, "Service");
  assert_int_equal(d->protocol, EW_PROTO_DETECT);
  assert_true(d->default_backend == EW_NO_BACKEND);
  ew_destination_unref(d);
}

#define POD "\"kind\":\"pod\",\"namespace\":\"n\",\"name\":\"p\""
#define RULE "\"route\":{\"kind\":\"K\",\"namespace\":\"n\",\"name\":\"r\"}"
#define FILTER(f) \
  "{" POD ",\"backends\":[{}],\"rules\":[{" RULE ",\"filters\":[" f "]}]}"
#define MATCH(m) "{" POD ",\"rules\":[{" RULE "}],\"matches\":[" m "]}"
#define ENDPOINT(e) "{" POD ",\"backends\":[{\"endpoints\":[" e "]}]}"

static void test_faults(void **state) {
  static const struct {
    const char *text, *why; /* must be in the reason */
  } cases[] = {
      {"", "byte"},
      {"[]", "expected an object"},
      {"{\"kind\":\"pod\",\"kind\":\"pod\"}", "duplicate"},
      {"{}", "kind: absent"},
      {"{\"kind\":\"Pod\"}", "must be one of unknown, service, pod"},
      {"{\"kind\":\"pod\",\"namespace\":\"n\"}", "name: absent"},
      {"{\"kind\":\"service\",\"namespace\":1,\"name\":\"\"}",
       "namespace: 1: must be a string"},
      {"{" POD ",\"port\":65536}", "port: 65536: must be an integer"},
      {"{" POD ",\"port\":-1}", "port: -1"},
      {"{" POD ",\"port\":1.5}", "port: 1.5"},
      {"{" POD ",\"protocol\":\"quic\"}", "protocol: \"quic\""},
      {"{" POD ",\"rules\":{}}", "rules: an object: must be a list"},
      {"{" POD ",\"rules\":[1]}", "rules[0]: 1: must be an object"},
      {"{" POD ",\"rules\":[{}]}", "rules[0].route.kind: absent"},
      {"{" POD ",\"defaultBackend\":0}", "defaultBackend: 0"},
      {"{" POD ",\"backends\":[{}],\"defaultBackend\":1}", "defaultBackend"},
      {"{" POD ",\"rules\":[{" RULE ",\"backends\":[{\"backend\":0}]}]}",
       "rules[0].backends[0].backend: 0"},
      {"{" POD ",\"rules\":[{" RULE ",\"retry\":{\"codes\":[200]}}]}",
       "codes[0]: 200"},
      {FILTER("{}"), "filters[0].type: absent"},
      {FILTER("{\"type\":\"Lua\"}"), "filters[0].type: \"Lua\""},
      {FILTER("{\"type\":\"RequestRedirect\",\"status\":304}"), "status: 304"},
      {FILTER("{\"type\":\"RequestRedirect\",\"scheme\":\"ftp\"}"), "scheme"},
      {FILTER("{\"type\":\"URLRewrite\",\"fullPath\":\"/a\\r\\nb\"}"),
       "control bytes"},
      {FILTER("{\"type\":\"URLRewrite\",\"fullPath\":\"/\",\"prefixPath\":"
              "\"/\"}"),
       "must not stand beside"},
      {FILTER("{\"type\":\"RequestMirror\",\"backend\":0,\"numerator\":2}"),
       "numerator: 2"},
      {FILTER("{\"type\":\"RequestMirror\"}"), "backend: absent"},
      {FILTER("{\"type\":\"RequestHeaderModifier\",\"set\":[{\"name\":\"a b\","
              "\"value\":\"\"}]}"),
       "set[0].name: \"a b\": must be a field name"},
      {FILTER("{\"type\":\"RequestHeaderModifier\",\"set\":[{\"name\":\"a\","
              "\"value\":\"x\\ny\"}]}"),
       "set[0].value: \"x?y\": must not have control"},
      {FILTER("{\"type\":\"RequestHeaderModifier\",\"remove\":[\"\"]}"),
       "remove[0]"},
      {FILTER("{\"type\":\"CORS\",\"allowOrigins\":[\"a\\r\"]}"),
       "allowOrigins[0]"},
      {FILTER("{\"type\":\"CORS\",\"allowCredentials\":1}"),
       "allowCredentials: 1: must be true or false"},
      {MATCH("{}"), "rule: absent"},
      {MATCH("{\"rule\":1}"), "rule: 1"},
      {"{" POD ",\"matches\":[{\"rule\":0}]}", "rule: 0: must be an index"},
      {MATCH("{\"rule\":0,\"path\":{\"value\":\"a\"}}"), "must begin with"},
      {MATCH("{\"rule\":0,\"path\":{\"value\":\"\"}}"), "must begin with"},
      {MATCH("{\"rule\":0,\"path\":{\"type\":\"Glob\",\"value\":\"/\"}}"),
       "path.type"},
      {MATCH("{\"rule\":0,\"path\":{}}"), "path.value: absent"},
      {MATCH("{\"rule\":0,\"headers\":[{\"name\":\"a\",\"type\":"
             "\"PathPrefix\"}]}"),
       "headers[0].type"},
      {MATCH("{\"rule\":0,\"query\":[{\"value\":\"a\"}]}"), "query[0].name"},
      {ENDPOINT("{\"port\":1}"), "address: absent"},
      {ENDPOINT("{\"address\":\"localhost\",\"port\":1}"), "an IP address"},
      {ENDPOINT("{\"address\":\"[::1]\",\"port\":1}"), "an IP address"},
      {ENDPOINT("{\"address\":\"::1\",\"port\":0}"), "port: 0"},
      {ENDPOINT("{\"address\":\"::1\"}"), "port: absent"},
      {ENDPOINT("{\"address\":\"::1\",\"port\":1,\"identity\":\"\"}"),
       "identity: \"\": must begin with"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char why[256];
    struct ew_destination *d = read_text(cases[i].text, why);
    if (d)
      fail_msg("accepted: %s", cases[i].text);
    if (!strstr(why, cases[i].why))
      fail_msg("%s: reason is \"%s\", wanted \"%s\"", cases[i].text, why,
               cases[i].why);
  }
}

static void test_cut_anywhere(void **state) {
  char why[256];
  for (size_t n = 0; n < sizeof full - 1; n++)
    assert_null(ew_destination_from_json(ew_slice(full, n), why, sizeof why));
}

static void test_depth(void **state) {
  /* 64 levels pass, one more does not; brackets in strings do not count. */
  for (int levels = 64; levels <= 65; levels++) {
    char text[512] = "{\"kind\":\"unknown\",\"s\":\"\\\"[[[[\",\"x\":";
    size_t n = strlen(text);
    for (int i = 1; i < levels; i++)
      text[n++] = '[';
    for (int i = 1; i < levels; i++)
      text[n++] = ']';
    text[n++] = '}';
    char why[256];
    struct ew_destination *d =
        ew_destination_from_json(ew_slice(text, n), why, sizeof why);
    if (levels == 64) {
      assert_non_null(d);
    } else {
      assert_null(d);
      assert_non_null(strstr(why, "deeper than 64"));
    }
    ew_destination_unref(d);
  }
}

/* A reason must be told in whatever room there is. */
static void test_short_reason(void **state) {
  for (size_t n = 1; n < 64; n++) {
    char *why = malloc(n);
    assert_null(ew_destination_from_json(
        EW_SLICE_LIT("{\"kind\":\"pod\",\"namespace\":[]}"), why, n));
    assert_true(strlen(why) < n);
    free(why);
  }
}

/* ---- each value of |full| wrong, once ---- */

/* |v| replaced by a value of another type; the texts are the same but for
 * that. */
static json_t *wrong_value(const json_t *v) {
  if (json_is_string(v))
    return json_integer(1);
  return json_is_object(v) ? json_array() : json_string("wrong");
}

static void expect_refused(const json_t *root, const char *path) {
  char why[256], want[160];
  char *text = json_dumps(root, JSON_COMPACT);
  struct ew_destination *d = read_text(text, why);
  if (d)
    fail_msg("accepted with a wrong %s", path);
  snprintf(want, sizeof want, "%s: ", path);
  if (strncmp(why, want, strlen(want)) != 0)
    fail_msg("wrong %s: the reason is \"%s\"", path, why);
  free(text);
}

static unsigned break_each(const json_t *root, json_t *at, const char *path) {
  unsigned broken = 0;
  char here[128];
  if (json_is_object(at)) {
    for (void *it = json_object_iter(at); it;
         it = json_object_iter_next(at, it)) {
      json_t *was = json_incref(json_object_iter_value(it));
      snprintf(here, sizeof here, "%s%s%s", path, *path ? "." : "",
               json_object_iter_key(it));
      broken += break_each(root, was, here);
      json_object_iter_set_new(at, it, wrong_value(was));
      expect_refused(root, here);
      broken++;
      json_object_iter_set_new(at, it, was);
    }
    return broken;
  }
  for (size_t i = 0; i < json_array_size(at); i++) {
    json_t *was = json_incref(json_array_get(at, i));
    snprintf(here, sizeof here, "%s[%zu]", path, i);
    broken += break_each(root, was, here);
    json_array_set_new(at, i, wrong_value(was));
    expect_refused(root, here);
    broken++;
    json_array_set_new(at, i, was);
  }
  return broken;
}

static void test_each_value_wrong_once(void **state) {
  json_t *root = json_loads(full, 0, NULL);
  assert_true(break_each(root, root, "") > 100);
  json_decref(root);
}

/* ---- limits ---- */

struct text {
  char *p;
  size_t n, cap;
};

static void add(struct text *t, const char *s, size_t n) {
  if (t->n + n > t->cap) {
    t->cap = 2 * (t->n + n);
    t->p = realloc(t->p, t->cap);
    assert_non_null(t->p);
  }
  memcpy(t->p + t->n, s, n);
  t->n += n;
}

/* |pattern| with its '@' replaced by |count| times |item|. */
static struct text repeat(const char *pattern, const char *item, size_t count) {
  const char *at = strchr(pattern, '@');
  struct text t = {0};
  add(&t, pattern, (size_t)(at - pattern));
  for (size_t i = 0; i < count; i++) {
    if (i)
      add(&t, ",", 1);
    add(&t, item, strlen(item));
  }
  add(&t, at + 1, strlen(at + 1));
  return t;
}

static void test_list_limits(void **state) {
  static const struct {
    const char *pattern, *item;
    size_t max;
    const char *path;
  } lists[] = {
      {"{" POD ",\"rules\":[@]}", "{" RULE "}", EW_DEST_RULES_MAX, "rules"},
      {"{" POD ",\"l4Rules\":[@]}", "{" RULE "}", EW_DEST_RULES_MAX, "l4Rules"},
      {"{" POD ",\"rules\":[{" RULE "}],\"matches\":[@]}", "{\"rule\":0}",
       EW_DEST_MATCHES_MAX, "matches"},
      {"{" POD ",\"backends\":[@]}", "{}", EW_DEST_BACKENDS_MAX, "backends"},
      {ENDPOINT("@"), "{\"address\":\"::1\",\"port\":1}", EW_DEST_ENDPOINTS_MAX,
       "backends[0].endpoints"},
      {FILTER("@"), "{\"type\":\"CORS\"}", 1024, "rules[0].filters"},
      {FILTER("{\"type\":\"RequestHeaderModifier\",\"set\":[@]}"),
       "{\"name\":\"a\"}", 1024, "rules[0].filters[0].set"},
      {FILTER("{\"type\":\"RequestHeaderModifier\",\"remove\":[@]}"), "\"a\"",
       1024, "rules[0].filters[0].remove"},
      {"{" POD ",\"backends\":[{}],\"rules\":[{" RULE ",\"backends\":[@]}]}",
       "{\"backend\":0}", 1024, "rules[0].backends"},
      {"{" POD ",\"rules\":[{" RULE ",\"retry\":{\"codes\":[@]}}]}", "500",
       1024, "rules[0].retry.codes"},
      {"{" POD ",\"rules\":[{" RULE ",\"snis\":[@]}]}", "\"a\"", 1024,
       "rules[0].snis"},
      {MATCH("{\"rule\":0,\"headers\":[@]}"), "{\"name\":\"a\"}", 1024,
       "matches[0].headers"},
      {MATCH("{\"rule\":0,\"query\":[@]}"), "{\"name\":\"a\"}", 1024,
       "matches[0].query"},
  };
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (size_t more = 0; more < 2; more++) {
      char why[256] = "", want[128];
      struct text t =
          repeat(lists[i].pattern, lists[i].item, lists[i].max + more);
      struct ew_destination *d =
          ew_destination_from_json(ew_slice(t.p, t.n), why, sizeof why);
      snprintf(want, sizeof want, "%s: a list of %zu: must have at most %zu",
               lists[i].path, lists[i].max + 1, lists[i].max);
      if (!more && !d)
        fail_msg("%s: %s", lists[i].path, why);
      if (more && (d || strncmp(why, want, strlen(want)) != 0))
        fail_msg("wanted \"%s\", got \"%s\"", want, why);
      ew_destination_unref(d);
      free(t.p);
    }
  }
}

/* The maximum counts the endpoints of all backends together. */
static void test_endpoints_in_total(void **state) {
  static const char item[] = "{\"address\":\"::1\",\"port\":1}";
  static const char *const seconds[] = {"", item};
  for (size_t more = 0; more < 2; more++) {
    char why[256] = "", pattern[256];
    snprintf(pattern, sizeof pattern,
             "{%s,\"backends\":[{\"endpoints\":[@]},{\"endpoints\":[%s]}]}",
             POD, seconds[more]);
    struct text t = repeat(pattern, item, EW_DEST_ENDPOINTS_MAX);
    struct ew_destination *d =
        ew_destination_from_json(ew_slice(t.p, t.n), why, sizeof why);
    if (!more && !d)
      fail_msg("%s", why);
    if (more) {
      assert_null(d);
      assert_string_equal(why, "backends[1].endpoints: a list of 1: "
                               "must have at most 0 elements");
    }
    ew_destination_unref(d);
    free(t.p);
  }
}

/* '@' stands for the number. */
static void test_number_limits(void **state) {
  static const struct {
    const char *pattern, *path;
    long long min, max;
  } numbers[] = {
      {"{" POD ",\"version\":@}", "version", 0, INT64_MAX},
      {"{" POD ",\"port\":@}", "port", 0, 65535},
      {"{" POD ",\"rules\":[{" RULE ",\"index\":@}]}", "rules[0].index", 0,
       EW_DEST_RULES_MAX},
      {"{" POD ",\"rules\":[{" RULE ",\"requestTimeoutMs\":@}]}",
       "rules[0].requestTimeoutMs", 0, UINT32_MAX},
      {"{" POD ",\"rules\":[{" RULE ",\"backendTimeoutMs\":@}]}",
       "rules[0].backendTimeoutMs", 0, UINT32_MAX},
      {"{" POD ",\"rules\":[{" RULE ",\"retry\":{\"codes\":[@]}}]}",
       "rules[0].retry.codes[0]", 400, 599},
      {"{" POD ",\"rules\":[{" RULE ",\"retry\":{\"attempts\":@}}]}",
       "rules[0].retry.attempts", 0, INT32_MAX},
      {"{" POD ",\"rules\":[{" RULE ",\"retry\":{\"backoffMs\":@}}]}",
       "rules[0].retry.backoffMs", 0, UINT32_MAX},
      {"{" POD ",\"backends\":[{}],\"rules\":[{" RULE
       ",\"backends\":[{\"backend\":@}]}]}",
       "rules[0].backends[0].backend", 0, 0},
      {"{" POD ",\"backends\":[{}],\"rules\":[{" RULE
       ",\"backends\":[{\"backend\":0,\"weight\":@}]}]}",
       "rules[0].backends[0].weight", 0, 1000000},
      {"{" POD ",\"backends\":[{\"port\":@}]}", "backends[0].port", 0, 65535},
      {ENDPOINT("{\"address\":\"::1\",\"port\":@}"),
       "backends[0].endpoints[0].port", 1, 65535},
      {FILTER("{\"type\":\"RequestRedirect\",\"port\":@}"),
       "rules[0].filters[0].port", 1, 65535},
      {FILTER("{\"type\":\"RequestRedirect\",\"status\":@}"),
       "rules[0].filters[0].status", 301, 308},
      {FILTER("{\"type\":\"RequestMirror\",\"backend\":0,\"denominator\":100,"
              "\"numerator\":@}"),
       "rules[0].filters[0].numerator", 0, 100},
      {FILTER("{\"type\":\"RequestMirror\",\"backend\":0,\"denominator\":@}"),
       "rules[0].filters[0].denominator", 1, INT32_MAX},
      {FILTER("{\"type\":\"CORS\",\"maxAge\":@}"), "rules[0].filters[0].maxAge",
       0, INT32_MAX},
      {MATCH("{\"rule\":@}"), "matches[0].rule", 0, 0},
      {"{" POD ",\"backends\":[{},{}],\"defaultBackend\":@}", "defaultBackend",
       0, 1},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const long long values[] = {
        numbers[i].min, numbers[i].max, numbers[i].min - 1,
        numbers[i].max < INT64_MAX ? numbers[i].max + 1 : -1};
    for (size_t k = 0; k < 4; k++) {
      char why[256] = "", item[32], want[128];
      snprintf(item, sizeof item, "%lld", values[k]);
      snprintf(want, sizeof want, "%s: %s: ", numbers[i].path, item);
      struct text t = repeat(numbers[i].pattern, item, 1);
      struct ew_destination *d =
          ew_destination_from_json(ew_slice(t.p, t.n), why, sizeof why);
      if (k < 2 && !d)
        fail_msg("%s", why);
      if (k >= 2 && (d || strncmp(why, want, strlen(want)) != 0))
        fail_msg("wanted \"%s\", got \"%s\"", want, why);
      ew_destination_unref(d);
      free(t.p);
    }
  }
}

static void test_text_limit(void **state) {
  static const char head[] = "{\"kind\":\"unknown\"}";
  size_t n = (size_t)EW_DEST_JSON_MAX + 1;
  char *p = malloc(n), why[256];
  assert_non_null(p);
  memset(p, ' ', n);
  memcpy(p, head, sizeof head - 1);
  struct ew_destination *d =
      ew_destination_from_json(ew_slice(p, n - 1), why, sizeof why);
  assert_non_null(d);
  ew_destination_unref(d);
  assert_null(ew_destination_from_json(ew_slice(p, n), why, sizeof why));
  assert_string_equal(why, "longer than 67108864 bytes");
  free(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_members),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_faults),
      cmocka_unit_test(test_cut_anywhere),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_short_reason),
      cmocka_unit_test(test_each_value_wrong_once),
      cmocka_unit_test(test_list_limits),
      cmocka_unit_test(test_endpoints_in_total),
      cmocka_unit_test(test_number_limits),
      cmocka_unit_test(test_text_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
