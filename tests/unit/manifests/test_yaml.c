/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/manifests/manifests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/base/buf.h"

static json_t *parse(const char *text) {
  char why[256] = "";
  json_t *docs = ew_manifest_parse(text, strlen(text), why, sizeof why);
  if (!docs)
    fail_msg("%s: %s", text, why);
  return docs;
}

/* |expected| is the JSON of the only document. */
static void check(const char *text, const char *expected) {
  json_t *docs = parse(text);
  json_t *want = json_loads(expected, JSON_DECODE_ANY, NULL);
  assert_non_null(want);
  assert_int_equal(json_array_size(docs), 1);
  json_t *got = json_object_get(json_array_get(docs, 0), "object");
  if (!json_equal(got, want)) {
    char *s = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
    fail_msg("%s: got %s, expected %s", text, s, expected);
  }
  json_decref(want);
  json_decref(docs);
}

static void refuse_bytes(const char *text, size_t n, const char *expected) {
  char why[256] = "";
  json_t *docs = ew_manifest_parse(text, n, why, sizeof why);
  if (docs)
    fail_msg("accepted: %s", text);
  assert_string_equal(why, expected);
}

static void refuse(const char *text, const char *expected) {
  refuse_bytes(text, strlen(text), expected);
}

struct pair {
  const char *text, *expected;
};

/* As sigs.k8s.io/yaml has them. */
static void test_plain_scalars(void **state) {
  static const struct pair t[] = {
      {"~", "null"},
      {"null", "null"},
      {"Null", "null"},
      {"NULL", "null"},
      {"", "null"},
      {"true", "true"},
      {"True", "true"},
      {"yes", "true"},
      {"y", "true"},
      {"on", "true"},
      {"FALSE", "false"},
      {"no", "false"},
      {"Off", "false"},
      {"nO", "\"nO\""},
      {"0", "0"},
      {"-7", "-7"},
      {"+7", "7"},
      {"1_000", "1000"},
      {"0x1F", "31"},
      {"-0x10", "-16"},
      {"0b101", "5"},
      {"0o17", "15"},
      {"017", "15"},
      {"08", "8"},
      {"0x", "\"0x\""},
      {"0xg", "\"0xg\""},
      {"0b2", "\"0b2\""},
      {"_1", "\"_1\""},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775807", "-9223372036854775807"},
      {"9223372036854775808", "9223372036854775808.0"},
      {"-0xFFFFFFFFFFFFFFFFFF", "-4.722366482869645e21"},
      {"0xaBcDeF0123456789aB", "3.1692323171525423e21"},
      {"1.5", "1.5"},
      {"-.5", "-0.5"},
      {".5", "0.5"},
      {".5_0", "\".5_0\""},
      {"3.", "3"},
      {"80.0", "80"},
      {"1e3", "1000"},
      {"1E-3", "0.001"},
      {"1e+2", "100"},
      {"1e15", "1e15"},
      {"1e", "\"1e\""},
      {"1e+", "\"1e+\""},
      {"1e999", "\"1e999\""},
      {".", "\".\""},
      {"-", "[null]"},
      {"+", "\"+\""},
      {"1.2.3", "\"1.2.3\""},
      {"10.0.0.1", "\"10.0.0.1\""},
      {"1:30", "\"1:30\""},
      {"10Gi", "\"10Gi\""},
      {"100m", "\"100m\""},
      {"30s", "\"30s\""},
      {"2001-12-14", "\"2001-12-14\""},
      {"a b", "\"a b\""},
      {"<<", "\"<<\""},
  };
  for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
    char text[64];
    snprintf(text, sizeof text, "v: %s\n", t[i].text);
    char expected[96];
    snprintf(expected, sizeof expected, "{\"v\":%s}", t[i].expected);
    if (strcmp(t[i].text, "-") != 0)
      check(text, expected);
  }
  check("-", "[null]");
}

static void test_quoted_scalars(void **state) {
  check("'1'", "\"1\"");
  check("\"true\"", "\"true\"");
  check("''", "\"\"");
  check("a: |\n  1\n", "{\"a\":\"1\\n\"}");
  check("a: >-\n  x\n  y\n", "{\"a\":\"x y\"}");
  check("\"\\u00e4\\x41\\/\"", "\"\u00e4A/\"");
}

static void test_tags(void **state) {
  check("!!str 1", "\"1\"");
  check("!!str", "\"\"");
  check("!!int '5'", "5");
  check("!!float 5", "5");
  check("!!float 5.5", "5.5");
  check("!!bool 'yes'", "true");
  check("a: !!null ''", "{\"a\":null}");
  check("!!timestamp 2001-12-14", "\"2001-12-14\"");
  check("!!map {a: !!seq [1]}", "{\"a\":[1]}");
  check("! a", "\"a\"");
  refuse("a: !!int x", "line 1: not of the kind !!int: x");
  refuse("!!bool 1", "line 1: not of the kind !!bool: 1");
  refuse("!!null x", "line 1: not of the kind !!null: x");
  refuse("!!float x", "line 1: not of the kind !!float: x");
  refuse("\n!!binary aGk=", "line 2: not of the kind !!binary: aGk=");
  refuse("!own x", "line 1: unknown tag !own");
  refuse("!own {}", "line 1: unknown tag !own for an object");
  refuse("!!set {}", "line 1: unknown tag tag:yaml.org,2002:set for an object");
  refuse("!!omap []", "line 1: unknown tag tag:yaml.org,2002:omap for a list");
}

static void test_not_json(void **state) {
  refuse("a: .inf", "line 1: no finite number: .inf");
  refuse("a:\n- -.Inf", "line 2: no finite number: -.Inf");
  refuse("- .NaN", "line 1: no finite number: .NaN");
  refuse("a: \"x\\0y\"", "line 1: a string holds a NUL");
}

static void test_structure(void **state) {
  check("a: 1\nb:\n- x\n- {c: [], d: {}}\n",
        "{\"a\":1,\"b\":[\"x\",{\"c\":[],\"d\":{}}]}");
  check("{\"a\": [1, 2.5, \"x\", null, true]}",
        "{\"a\":[1,2.5,\"x\",null,true]}");
  check("{\n\t\"a\":\n\t\t1\n}", "{\"a\":1}");
  check("%YAML 1.2\n---\na: 1\n...\n", "{\"a\":1}");
}

static void test_keys(void **state) {
  check("1: a", "{\"1\":\"a\"}");
  check("0x10: a", "{\"16\":\"a\"}");
  check("yes: a\nno: b", "{\"true\":\"a\",\"false\":\"b\"}");
  check("0.1: a\n1e30: b", "{\"0.1\":\"a\",\"1e+30\":\"b\"}");
  check("'': a", "{\"\":\"a\"}");
  check("&k x: *k", "{\"x\":\"x\"}");
  check("- &k x\n- *k : 1", "[\"x\",{\"x\":1}]");
  refuse("~: a", "line 1: a key is null");
  refuse("? [a]\n: 1", "line 1: a key is a list or an object");
  refuse("a: 1\nb: 2\na: 3", "line 3: key \"a\" stands here twice");
  refuse("x:\n  k: 1\n  'k': 2", "line 3: key \"k\" stands here twice");
  refuse("1: a\n'1': b", "line 2: key \"1\" stands here twice");
  refuse("a: 1\n? a\n", "line 2: key \"a\" stands here twice");
}

static void test_aliases(void **state) {
  check("a: &x {k: [1]}\nb: *x\nc: *x",
        "{\"a\":{\"k\":[1]},\"b\":{\"k\":[1]},\"c\":{\"k\":[1]}}");
  check("- &x 1\n- *x\n- &x 2\n- *x", "[1,1,2,2]");
  refuse("- *x", "line 1: no anchor &x stands before this alias");
  refuse("&x [*x]", "line 1: no anchor &x stands before this alias");
  /* The outer one is not complete, the older one is covered. */
  refuse("- &x 1\n- &x [*x]", "line 2: no anchor &x stands before this alias");
  refuse("- &x 1\n---\n- *x", "line 3: no anchor &x stands before this alias");
}

static void test_merge_keys(void **state) {
  check("- &x {a: 1, b: 2}\n- {<<: *x, b: 3}\n",
        "[{\"a\":1,\"b\":2},{\"a\":1,\"b\":3}]");
  check("- &x {a: 1, b: 2}\n- {b: 3, <<: *x}\n",
        "[{\"a\":1,\"b\":2},{\"b\":3,\"a\":1}]");
  check("<<: [{a: 1}, {a: 2, b: 2}]", "{\"a\":1,\"b\":2}");
  check("<<: {a: 1}\nc: 2", "{\"a\":1,\"c\":2}");
  check("'<<': 1", "{\"<<\":1}");
  /* What was merged into must not change what it came from. */
  check("- &x {a: {b: 1}}\n- {<<: *x, c: 1}\n- *x",
        "[{\"a\":{\"b\":1}},{\"a\":{\"b\":1},\"c\":1},{\"a\":{\"b\":1}}]");
  refuse("<<: 1", "line 1: the value of << is no object");
  refuse("a: 1\n<<: [{}, 1]", "line 2: the value of << is no object");
  refuse("<<: {a: 1}\n<<: {b: 1}", "line 2: key \"<<\" stands here twice");
}

static void test_several_documents(void **state) {
  json_t *docs = parse("# c\n---\na: 1\n---\n---\n# nothing\n---\n\nb: 2\n"
                       "---\n~\n");
  assert_int_equal(json_array_size(docs), 2);
  json_t *want = json_loads("[{\"line\":3,\"object\":{\"a\":1}},"
                            "{\"line\":9,\"object\":{\"b\":2}}]",
                            0, NULL);
  assert_true(json_equal(docs, want));
  json_decref(want);
  json_decref(docs);
  docs = parse("");
  assert_int_equal(json_array_size(docs), 0);
  json_decref(docs);
  char why[64];
  docs = ew_manifest_parse(NULL, 0, why, sizeof why);
  assert_int_equal(json_array_size(docs), 0);
  json_decref(docs);
}

/* Where items begin is for this library only. */
static void test_list_is_left_as_it_is(void **state) {
  json_t *docs = parse("kind: List\nitems:\n- a: 1\n- b: 2\n");
  const json_t *d = json_array_get(docs, 0);
  assert_int_equal(json_object_size(d), 2);
  assert_int_equal(
      json_array_size(json_object_get(json_object_get(d, "object"), "items")),
      2);
  json_decref(docs);
}

static void test_syntax_errors(void **state) {
  refuse("a: 1\n b: 2\n", "line 2: mapping values are not allowed in this "
                          "context");
  refuse("a: [1\n", "line 2: while parsing a flow sequence: did not find "
                    "expected ',' or ']'");
  refuse("ok: 1\n---\na: 'x\n", "line 4: while scanning a quoted scalar: found "
                                "unexpected end of stream");
  refuse("a: 1\nb: \xff\n", "line 2: invalid leading UTF-8 octet");
  refuse("a:\tb\n\tc: 1\n",
         "line 2: while scanning a plain scalar: found a tab character that "
         "violates indentation");
  refuse_bytes("a: b\0c", 6, "line 1: control characters are not allowed");
}

static void test_json_beyond_the_basic_plane(void **state) {
  check("\n {\"a\": \"\\ud83d\\ude00\"}", "{\"a\":\"\U0001f600\"}");
  json_t *docs = parse("\n {\"a\": {\"b\": [\"\\ud83d\\ude00\"]}}");
  assert_int_equal(
      json_integer_value(json_object_get(json_array_get(docs, 0), "line")), 2);
  json_decref(docs);
  static const char problem[] =
      "line 1: while parsing a quoted scalar: found invalid Unicode character "
      "escape code";
  refuse("{\"a\": \"\\ud83d\"}", problem);
  refuse("{\"a\": 1, \"a\": \"\\ud83d\\ude00\"}", problem);
  refuse("a: \"\\ud83d\\ude00\"", problem);
}

static void repeat(struct ew_buf *b, const char *s, size_t times) {
  while (times-- > 0)
    assert_int_equal(ew_buf_append_str(b, s), 0);
}

static void refuse_buf(struct ew_buf *b, const char *expected) {
  refuse_bytes(ew_buf_peek(b).p, ew_buf_len(b), expected);
  ew_buf_consume(b, ew_buf_len(b));
}

static void accept_buf(struct ew_buf *b) {
  char why[256] = "";
  json_t *docs =
      ew_manifest_parse(ew_buf_peek(b).p, ew_buf_len(b), why, sizeof why);
  if (!docs)
    fail_msg("%s", why);
  json_decref(docs);
  ew_buf_consume(b, ew_buf_len(b));
}

static void test_depth(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 1 << 20);
  repeat(&b, "[", EW_MANIFEST_DEPTH_MAX);
  repeat(&b, "]", EW_MANIFEST_DEPTH_MAX);
  accept_buf(&b);
  repeat(&b, "[", EW_MANIFEST_DEPTH_MAX + 1);
  refuse_buf(&b, "line 1: nested deeper than 64 levels");
  /* Through an alias: 40 levels, and 24 or 25 above it. */
  for (size_t above = 24; above <= 25; above++) {
    repeat(&b, "- &x ", 1);
    repeat(&b, "[", 40);
    repeat(&b, "]", 40);
    repeat(&b, "\n- ", 1);
    repeat(&b, "[", above - 1);
    repeat(&b, "*x", 1);
    repeat(&b, "]", above - 1);
    if (above == 24)
      accept_buf(&b);
    else
      refuse_buf(&b, "line 2: nested deeper than 64 levels");
  }
  ew_buf_fini(&b);
}

/* Each line is ten of the line before. */
static void test_billion_laughs(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 1 << 20);
  repeat(&b, "- &a0 [x,x,x,x,x,x,x,x,x,x]\n", 1);
  for (int i = 1; i < 9; i++) {
    ew_buf_printf(&b, "- &a%d [", i);
    for (int k = 0; k < 10; k++)
      ew_buf_printf(&b, "%s*a%d", k ? "," : "", i - 1);
    ew_buf_printf(&b, "]\n");
  }
  refuse_buf(&b, "line 7: more than 2000000 values in one document");
  ew_buf_fini(&b);
}

static void test_nodes(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 16 << 20);
  repeat(&b, "- [", 1);
  repeat(&b, "1,", EW_MANIFEST_NODES_MAX - 2);
  repeat(&b, "]\n- ", 1);
  repeat(&b, "[]", 1);
  refuse_buf(&b, "line 2: more than 2000000 values in one document");
  /* The same limit where JSON is read as JSON. */
  repeat(&b, "{\"a\": \"\\ud83d\\ude00\", \"b\": [1", 1);
  repeat(&b, ",1", EW_MANIFEST_NODES_MAX - 5);
  repeat(&b, "]}", 1);
  refuse_buf(&b, "line 1: while parsing a quoted scalar: found invalid Unicode "
                 "character escape code");
  ew_buf_fini(&b);
}

/* Whatever is open when a fault comes is freed; the sanitizer looks. */
static void test_fault_in_the_middle(void **state) {
  refuse("&a {<<: {x: 1}, b: &c [1, {d: !x 1}]}", "line 1: unknown tag !x");
  refuse("a: {b: {<<: *x}}", "line 1: no anchor &x stands before this alias");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain_scalars),
      cmocka_unit_test(test_quoted_scalars),
      cmocka_unit_test(test_tags),
      cmocka_unit_test(test_not_json),
      cmocka_unit_test(test_structure),
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_aliases),
      cmocka_unit_test(test_merge_keys),
      cmocka_unit_test(test_several_documents),
      cmocka_unit_test(test_list_is_left_as_it_is),
      cmocka_unit_test(test_syntax_errors),
      cmocka_unit_test(test_json_beyond_the_basic_plane),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_billion_laughs),
      cmocka_unit_test(test_nodes),
      cmocka_unit_test(test_fault_in_the_middle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
