/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A document and a reader over it. */
struct doc {
  json_t *json;
  struct ew_jv root;
  struct ew_jr r;
  char why[256];
};

static void open_doc(struct doc *d, const char *text) {
  memset(d, 0, sizeof *d);
  d->json = ew_json_parse(ew_slice_str(text), d->why, sizeof d->why);
  if (!d->json)
    fail_msg("%s", d->why);
  d->root = ew_jv_root(d->json);
  d->r = (struct ew_jr){.why = d->why, .why_len = sizeof d->why};
}

/* Closes; the only fault must be |why|, none if NULL. */
static void close_doc(struct doc *d, const char *why) {
  assert_int_equal(d->r.failed, why != NULL);
  if (why)
    assert_string_equal(d->why, why);
  json_decref(d->json);
}

static void test_parse_refuses(void **state) {
  static const struct {
    const char *text, *why;
  } cases[] = {
      {"", "byte 0: "},
      {"{", "byte 1: "},
      {"{} {}", "end of file expected"},
      {"[]", "expected an object"},
      {"\"a\"", "byte "},
      {"{\"a\":1,\"a\":2}", "duplicate object key"},
      {"{\"a\":{\"b\":1,\"b\":2}}", "duplicate object key"},
      {"{\"a\":\"\\u0000\"}", "\\u0000 is not allowed"},
      {"{\"\\u0000\":1}", "NUL byte in object key"},
      {"{\"a\":\"\xff\"}", "unable to decode byte 0xff"},
      {"{\"a\":\"\\ud800\"}", "invalid Unicode"},
      {"{\"a\":9223372036854775808}", "too big integer"},
      {"{\"a\":1e999}", "real number overflow"},
      {"{\"a\":NaN}", "invalid token"},
      {"{\"a\":\"x\ny\"}", "unexpected newline"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char why[256];
    if (ew_json_parse(ew_slice_str(cases[i].text), why, sizeof why))
      fail_msg("accepted: %s", cases[i].text);
    if (!strstr(why, cases[i].why))
      fail_msg("%s: reason is \"%s\"", cases[i].text, why);
  }
  char why[256];
  assert_null(ew_json_parse(ew_slice(NULL, 0), why, sizeof why));
}

static void test_parse_depth(void **state) {
  for (size_t levels = EW_JSON_DEPTH_MAX; levels <= EW_JSON_DEPTH_MAX + 1;
       levels++) {
    char text[1024], why[256];
    size_t n = 0;
    for (size_t i = 0; i < levels; i++) {
      memcpy(text + n, "{\"[\":", 5);
      n += 5;
    }
    text[n++] = '1';
    memset(text + n, '}', levels);
    json_t *v = ew_json_parse(ew_slice(text, n + levels), why, sizeof why);
    if (levels == EW_JSON_DEPTH_MAX)
      assert_non_null(v);
    else
      assert_null(v);
    if (!v)
      assert_string_equal(why, "nested deeper than 64 levels");
    json_decref(v);
  }
}

/* Depth counts what is open, not all brackets of the text. */
static void test_parse_wide(void **state) {
  char text[2048] = "{\"\\\\\":\"\\\"{[\",\"a\":[[]", why[256];
  size_t n = strlen(text);
  for (int i = 0; i < 300; i++) {
    memcpy(text + n, ",{}", 3);
    n += 3;
  }
  memcpy(text + n, "]}", 2);
  json_t *v = ew_json_parse(ew_slice(text, n + 2), why, sizeof why);
  if (!v)
    fail_msg("%s", why);
  assert_int_equal(json_array_size(json_object_get(v, "a")), 301);
  json_decref(v);
}

static void test_strings(void **state) {
  struct doc d;
  open_doc(&d, "{\"s\":\"x\",\"e\":\"\",\"n\":null,\"i\":1}");
  assert_string_equal(ew_jr_str(&d.r, &d.root, "s"), "x");
  assert_string_equal(ew_jr_str(&d.r, &d.root, "e"), "");
  assert_null(ew_jr_str(&d.r, &d.root, "n"));
  assert_null(ew_jr_str(&d.r, &d.root, "absent"));
  assert_string_equal(ew_jr_need(&d.r, &d.root, "s"), "x");
  assert_false(d.r.failed);
  assert_null(ew_jr_str(&d.r, &d.root, "i"));
  close_doc(&d, "i: 1: must be a string");

  open_doc(&d, "{\"e\":\"\"}");
  assert_string_equal(ew_jr_need(&d.r, &d.root, "e"), "");
  close_doc(&d, "e: \"\": must be a string that is not empty");
  open_doc(&d, "{\"n\":null}");
  assert_string_equal(ew_jr_need(&d.r, &d.root, "n"), "");
  close_doc(&d, "n: absent: must be a string that is not empty");
  open_doc(&d, "{\"n\":false}");
  assert_string_equal(ew_jr_need(&d.r, &d.root, "n"), "");
  close_doc(&d, "n: false: must be a string");
}

static void test_numbers(void **state) {
  struct doc d;
  open_doc(&d, "{\"a\":5,\"b\":9,\"max\":9223372036854775807,\"n\":null}");
  assert_int_equal(ew_jr_u64(&d.r, &d.root, "a", 5, 9, 7), 5);
  assert_int_equal(ew_jr_u64(&d.r, &d.root, "b", 5, 9, 7), 9);
  assert_int_equal(ew_jr_u64(&d.r, &d.root, "n", 5, 9, 7), 7);
  assert_int_equal(ew_jr_u64(&d.r, &d.root, "absent", 5, 9, 77), 77);
  assert_true(ew_jr_u64(&d.r, &d.root, "max", 0, UINT64_MAX, 0) == INT64_MAX);
  close_doc(&d, NULL);

  static const struct {
    const char *text, *why;
  } cases[] = {
      {"{\"a\":4}", "a: 4: must be an integer from 5 to 9"},
      {"{\"a\":10}", "a: 10: must be an integer from 5 to 9"},
      {"{\"a\":-6}", "a: -6: must be an integer from 5 to 9"},
      {"{\"a\":6.0}", "a: 6: must be an integer from 5 to 9"},
      {"{\"a\":\"6\"}", "a: \"6\": must be an integer from 5 to 9"},
      {"{\"a\":true}", "a: true: must be an integer from 5 to 9"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    open_doc(&d, cases[i].text);
    assert_int_equal(ew_jr_u64(&d.r, &d.root, "a", 5, 9, 7), 7);
    close_doc(&d, cases[i].why);
  }
}

static void test_bools(void **state) {
  struct doc d;
  open_doc(&d, "{\"t\":true,\"f\":false,\"n\":null,\"w\":0}");
  assert_true(ew_jr_bool(&d.r, &d.root, "t", false));
  assert_false(ew_jr_bool(&d.r, &d.root, "f", true));
  assert_true(ew_jr_bool(&d.r, &d.root, "n", true));
  assert_false(ew_jr_bool(&d.r, &d.root, "absent", false));
  assert_false(d.r.failed);
  assert_true(ew_jr_bool(&d.r, &d.root, "w", true));
  close_doc(&d, "w: 0: must be true or false");
}

static void test_objects(void **state) {
  struct doc d;
  open_doc(&d, "{\"o\":{\"i\":{\"x\":3}},\"n\":null,\"l\":[]}");
  struct ew_jv o = ew_jr_obj(&d.r, &d.root, "o");
  struct ew_jv i = ew_jr_obj(&d.r, &o, "i");
  struct ew_jv n = ew_jr_obj(&d.r, &d.root, "n");
  struct ew_jv absent = ew_jr_obj(&d.r, &n, "absent");
  assert_null(n.v);
  assert_null(absent.v);
  assert_false(d.r.failed);
  assert_null(ew_jr_str(&d.r, &i, "x"));
  close_doc(&d, "o.i.x: 3: must be a string");

  open_doc(&d, "{\"l\":[]}");
  struct ew_jv l = ew_jr_obj(&d.r, &d.root, "l");
  assert_null(l.v);
  close_doc(&d, "l: a list of 0: must be an object");
}

static void test_lists(void **state) {
  struct doc d;
  size_t n = 99;
  open_doc(&d, "{\"l\":[{\"a\":\"x\"},[]],\"s\":[\"p\",2],\"n\":null}");
  struct ew_jv l = ew_jr_list(&d.r, &d.root, "n", 2, &n);
  assert_null(l.v);
  assert_int_equal(n, 0);
  l = ew_jr_list(&d.r, &d.root, "l", 2, &n);
  assert_int_equal(n, 2);
  struct ew_jv item = ew_jr_item(&d.r, &l, 0);
  assert_string_equal(ew_jr_str(&d.r, &item, "a"), "x");
  assert_false(d.r.failed);
  item = ew_jr_item(&d.r, &l, 1);
  assert_null(item.v);
  close_doc(&d, "l[1]: a list of 0: must be an object");

  open_doc(&d, "{\"s\":[\"p\",2]}");
  l = ew_jr_list(&d.r, &d.root, "s", 2, &n);
  assert_string_equal(ew_jr_item_str(&d.r, &l, 0), "p");
  assert_string_equal(ew_jr_item_str(&d.r, &l, 1), "");
  close_doc(&d, "s[1]: 2: must be a string");

  open_doc(&d, "{\"s\":[1,2,3]}");
  l = ew_jr_list(&d.r, &d.root, "s", 2, &n);
  assert_null(l.v);
  assert_int_equal(n, 0);
  close_doc(&d, "s: a list of 3: must have at most 2 elements");

  open_doc(&d, "{\"s\":{}}");
  ew_jr_list(&d.r, &d.root, "s", 2, &n);
  assert_int_equal(n, 0);
  close_doc(&d, "s: an object: must be a list");
}

static void test_enums(void **state) {
  static const char *const names[] = {"one", "two", NULL};
  struct doc d;
  open_doc(&d, "{\"a\":\"one\",\"b\":\"two\",\"c\":\"Two\"}");
  assert_int_equal(ew_jr_enum(&d.r, &d.root, "a", names, -1), 0);
  assert_int_equal(ew_jr_enum(&d.r, &d.root, "b", names, -1), 1);
  assert_int_equal(ew_jr_enum(&d.r, &d.root, "absent", names, -1), -1);
  assert_false(d.r.failed);
  assert_int_equal(ew_jr_enum(&d.r, &d.root, "c", names, -1), -1);
  close_doc(&d, "c: \"Two\": must be one of one, two");

  open_doc(&d, "{\"a\":1.25}");
  assert_int_equal(ew_jr_enum(&d.r, &d.root, "a", names, 1), 1);
  close_doc(&d, "a: 1.25: must be a string");
}

/* The first one is the cause; what comes after may follow from it. */
static void test_first_fault_stays(void **state) {
  struct doc d;
  open_doc(&d, "{\"a\":1,\"b\":2}");
  ew_jr_str(&d.r, &d.root, "a");
  ew_jr_str(&d.r, &d.root, "b");
  ew_jr_u64(&d.r, &d.root, "b", 0, 1, 0);
  close_doc(&d, "a: 1: must be a string");
}

static void test_fault_of_the_root(void **state) {
  struct doc d;
  open_doc(&d, "{}");
  assert_false(ew_jr_fail(&d.r, &d.root, "is %s", "wrong"));
  close_doc(&d, "an object: is wrong");
  open_doc(&d, "{}");
  d.root.name = "Service shop/echo";
  struct ew_jv spec = ew_jr_obj(&d.r, &d.root, "spec");
  ew_jr_need(&d.r, &spec, "type");
  close_doc(&d, "Service shop/echo.spec.type: absent: "
                "must be a string that is not empty");
}

/* Bytes of a peer: one line, no control bytes, not all of a long text. */
static void test_fault_shows_values_safely(void **state) {
  struct doc d;
  open_doc(&d, "{\"a\":\"x\\u001b[2J\\n\\u007f\"}");
  ew_jr_u64(&d.r, &d.root, "a", 0, 1, 0);
  close_doc(&d, "a: \"x?[2J??\": must be an integer from 0 to 1");

  char text[256] = "{\"a\":\"", want[256] = "a: \"";
  memset(text + 6, 'v', 100);
  memcpy(text + 106, "\"}", 3);
  memset(want + 4, 'v', 80);
  snprintf(want + 84, sizeof want - 84, "...\": must be true or false");
  open_doc(&d, text);
  ew_jr_bool(&d.r, &d.root, "a", false);
  close_doc(&d, want);
}

static void test_fault_fits(void **state) {
  static const char all[] = "lists[0].member: \"value\": must be an object";
  for (size_t n = 0; n <= sizeof all + 1; n++) {
    struct doc d;
    open_doc(&d, "{\"lists\":[{\"member\":\"value\"}]}");
    char *why = malloc(n ? n : 1);
    assert_non_null(why);
    d.r.why = n ? why : NULL;
    d.r.why_len = n;
    size_t count;
    struct ew_jv list = ew_jr_list(&d.r, &d.root, "lists", 1, &count);
    struct ew_jv item = ew_jr_item(&d.r, &list, 0);
    ew_jr_obj(&d.r, &item, "member");
    assert_true(d.r.failed);
    if (n) {
      assert_int_equal(strlen(why), n <= sizeof all ? n - 1 : sizeof all - 1);
      assert_memory_equal(why, all, strlen(why));
    }
    free(why);
    json_decref(d.json);
  }
}

static void test_tokens(void **state) {
  assert_true(ew_str_is_token("x-Forwarded-9"));
  assert_true(ew_str_is_token("!#$%&'*+-.^_`|~"));
  static const char *const none[] = {"",  "a b",      "a:",    "(a)",  "a\t",
                                     "{", "\xc3\xa4", "a\x7f", ":path"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    if (ew_str_is_token(none[i]))
      fail_msg("\"%s\" is no token", none[i]);
}

static void test_field_values(void **state) {
  assert_true(ew_str_is_field_value(""));
  assert_true(ew_str_is_field_value("a\tb \xc3\xa4~"));
  for (char c = 1; c > 0 && c < 0x20; c++) {
    const char s[] = {'a', c, '\0'};
    assert_int_equal(ew_str_is_field_value(s), c == '\t');
  }
  assert_false(ew_str_is_field_value("\x7f"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parse_refuses),
      cmocka_unit_test(test_parse_depth),
      cmocka_unit_test(test_parse_wide),
      cmocka_unit_test(test_strings),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_bools),
      cmocka_unit_test(test_objects),
      cmocka_unit_test(test_lists),
      cmocka_unit_test(test_enums),
      cmocka_unit_test(test_first_fault_stays),
      cmocka_unit_test(test_fault_of_the_root),
      cmocka_unit_test(test_fault_shows_values_safely),
      cmocka_unit_test(test_fault_fits),
      cmocka_unit_test(test_tokens),
      cmocka_unit_test(test_field_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
