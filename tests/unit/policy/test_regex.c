/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/regex/regex.h"

#include "policy_test.h"

static bool match(const char *pattern, struct ew_slice text) {
  char why[128] = "";
  struct ew_regex *re = ew_regex_new(pattern, why, sizeof why);
  if (!re)
    fail_msg("%s: %s", pattern, why);
  bool yes = ew_regex_match(re, text);
  ew_regex_del(re);
  return yes;
}

static void matches_the_whole_text(void **state) {
  static const struct {
    const char *pattern, *text;
    bool yes;
  } t[] = {
      {"/a", "/a", true},
      {"/a", "/ab", false},
      {"/a", "x/a", false},
      {"/v[0-9]+/.*", "/v12/x", true},
      {"", "", true},
      {"a|b", "ab", false},
      {"(?i)abc", "aBC", true},
      {"^x$", "x", true},
      {"caf\xc3\xa9", "caf\xc3\xa9", true},
  };
  for (size_t i = 0; i < COUNT(t); i++)
    if (match(t[i].pattern, ew_slice_str(t[i].text)) != t[i].yes)
      fail_msg("%s on %s", t[i].pattern, t[i].text);
  assert_true(match(".*", (struct ew_slice){NULL, 0}));
}

static void any_byte_is_a_character(void **state) {
  assert_true(match("a.c", ew_slice("a\xff"
                                    "c",
                                    3)));
  assert_true(match(".*", ew_slice("\xff\xfe", 2)));
}

static void refuses_what_it_cannot_run(void **state) {
  static const char *const bad[] = {"(",     "a**", "[z-a]",
                                    "(?=x)", "\\1", "((a{100}){100}){100}"};
  char why[128], big[EW_REGEX_PATTERN_MAX + 2];
  for (size_t i = 0; i < COUNT(bad); i++) {
    why[0] = '\0';
    assert_null(ew_regex_new(bad[i], why, sizeof why));
    assert_true(why[0] != '\0');
  }
  memset(big, 'a', sizeof big - 1);
  big[sizeof big - 1] = '\0';
  assert_null(ew_regex_new(big, why, sizeof why));
  assert_string_equal(why, "longer than 1024 bytes");
  big[EW_REGEX_PATTERN_MAX] = '\0';
  assert_true(match(big, ew_slice(big, EW_REGEX_PATTERN_MAX)));
}

/* A backtracking matcher would need 2^n steps for these. */
static void nested_repetition_takes_linear_time(void **state) {
  static char text[16384];
  memset(text, 'a', sizeof text);
  assert_false(match("(a*)*b", ew_slice(text, sizeof text)));
  assert_false(match("(a|a)*(a|aa)+x", ew_slice(text, sizeof text)));
}

static void deleting_nothing_is_allowed(void **state) { ew_regex_del(NULL); }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_the_whole_text),
      cmocka_unit_test(any_byte_is_a_character),
      cmocka_unit_test(refuses_what_it_cannot_run),
      cmocka_unit_test(nested_repetition_takes_linear_time),
      cmocka_unit_test(deleting_nothing_is_allowed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
