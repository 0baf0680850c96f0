/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/base/err.h"

#define S(s) EW_SLICE_LIT(s)

static void test_equality(void **state) {
  assert_true(ew_slice_eq(S("abc"), S("abc")));
  assert_false(ew_slice_eq(S("abc"), S("abd")));
  assert_false(ew_slice_eq(S("abc"), S("ab")));
  assert_true(ew_slice_eq(ew_slice(NULL, 0), S("")));
  assert_true(ew_slice_eq_str(S("a"), "a"));
  assert_true(ew_slice_eq_str(S(""), NULL));
}

static void test_case_folds_ascii_letters_only(void **state) {
  assert_true(ew_slice_caseeq(S("Content-LENGTH"), S("content-length")));
  assert_false(ew_slice_caseeq(S("a"), S("ab")));
  assert_false(ew_slice_caseeq(S("@["), S("`{")));
  assert_false(ew_slice_caseeq(S("\xc4"), S("\xe4")));
}

static void test_starts(void **state) {
  assert_true(ew_slice_starts(S("/api/v1"), S("/api")));
  assert_true(ew_slice_starts(S("/api"), S("")));
  assert_true(ew_slice_starts(ew_slice(NULL, 0), ew_slice(NULL, 0)));
  assert_false(ew_slice_starts(S("/ap"), S("/api")));
  assert_false(ew_slice_starts(S("/API"), S("/api")));
}

static void test_trim_takes_only_ows(void **state) {
  assert_true(ew_slice_eq_str(ew_slice_trim(S(" \t a b\t ")), "a b"));
  assert_true(ew_slice_eq_str(ew_slice_trim(S(" \t ")), ""));
  assert_true(ew_slice_eq_str(ew_slice_trim(S("\r\na\v")), "\r\na\v"));
  assert_int_equal(ew_slice_trim(ew_slice(NULL, 0)).n, 0);
}

static void test_cut(void **state) {
  struct ew_slice rest = S("a,,b");
  assert_true(ew_slice_eq_str(ew_slice_cut(&rest, ','), "a"));
  assert_true(ew_slice_eq_str(rest, ",b"));
  assert_true(ew_slice_eq_str(ew_slice_cut(&rest, ','), ""));
  assert_true(ew_slice_eq_str(ew_slice_cut(&rest, ','), "b"));
  assert_null(rest.p);
  assert_int_equal(rest.n, 0);
  /* "x," and "x" are told apart by the rest's pointer. */
  rest = S("x,");
  ew_slice_cut(&rest, ',');
  assert_non_null(rest.p);
  assert_int_equal(ew_slice_cut(&rest, ',').n, 0);
  assert_null(rest.p);
}

static void test_chr(void **state) {
  assert_int_equal(ew_slice_chr(S("abc"), 'c'), 2);
  assert_int_equal(ew_slice_chr(S("abc"), 'd'), -1);
  assert_int_equal(ew_slice_chr(ew_slice(NULL, 0), 'a'), -1);
  assert_int_equal(ew_slice_chr(ew_slice("abc", 2), 'c'), -1);
}

static void test_u64(void **state) {
  static const struct {
    const char *s;
    uint64_t max, want;
    int rc;
  } cases[] = {
      {"0", 0, 0, EW_OK},
      {"007", 10, 7, EW_OK},
      {"65535", 65535, 65535, EW_OK},
      {"65536", 65535, 0, EW_EINVAL},
      {"9", 5, 0, EW_EINVAL},
      {"10", 9, 0, EW_EINVAL},
      {"18446744073709551615", UINT64_MAX, UINT64_MAX, EW_OK},
      {"18446744073709551616", UINT64_MAX, 0, EW_EINVAL},
      {"99999999999999999999999", UINT64_MAX, 0, EW_EINVAL},
      {"", 9, 0, EW_EINVAL},
      {"+1", 9, 0, EW_EINVAL},
      {"-1", 9, 0, EW_EINVAL},
      {" 1", 9, 0, EW_EINVAL},
      {"1a", 99, 0, EW_EINVAL},
      {"0x1", 99, 0, EW_EINVAL},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    uint64_t v = 0;
    int rc = ew_slice_u64(ew_slice_str(cases[i].s), cases[i].max, &v);
    assert_int_equal(rc, cases[i].rc);
    assert_true(v == cases[i].want);
  }
}

static void test_decimal(void **state) {
  char buf[EW_DECIMAL_MAX];
  assert_true(ew_slice_eq_str(ew_slice_decimal(buf, 0), "0"));
  assert_true(ew_slice_eq_str(ew_slice_decimal(buf, 503), "503"));
  assert_true(ew_slice_eq_str(ew_slice_decimal(buf, UINT64_MAX),
                              "18446744073709551615"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equality),
      cmocka_unit_test(test_case_folds_ascii_letters_only),
      cmocka_unit_test(test_starts),
      cmocka_unit_test(test_trim_takes_only_ows),
      cmocka_unit_test(test_cut),
      cmocka_unit_test(test_chr),
      cmocka_unit_test(test_u64),
      cmocka_unit_test(test_decimal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
