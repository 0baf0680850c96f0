/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"

static const int codes[] = {
    EW_OK,       EW_EAGAIN,         EW_EOF,       EW_ECANCELED, EW_ENOENT,
    EW_EINVAL,   EW_ELIMIT,         EW_ETIMEDOUT, EW_EREFUSED,  EW_ERESET,
    EW_EMESSAGE, EW_ERR_CONNECTION, EW_EPROTO,    EW_ECONN,     EW_ECONNREFUSED,
    EW_ETLS,     EW_EIDENTITY,      EW_EIO,       EW_EFLOOD};
#define N (sizeof(codes) / sizeof(*codes))

static void test_names_are_distinct_labels(void **state) {
  for (size_t i = 0; i < N; i++) {
    const char *name = ew_strerror(codes[i]);
    assert_string_not_equal(name, "unknown");
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
    for (size_t k = 0; k < i; k++)
      assert_string_not_equal(name, ew_strerror(codes[k]));
  }
}

static void test_unknown_code_has_a_name(void **state) {
  assert_string_equal(ew_strerror(-9999), "unknown");
  assert_string_equal(ew_strerror(1), "unknown");
}

static void hit_a_bug(void) { EW_BUG_ON(codes[0] == EW_OK); }

static void test_bug_names_file_and_condition(void **state) {
  char err[8192];
  int status = child_run(hit_a_bug, err, sizeof(err));
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGABRT);
  assert_non_null(strstr(err, "test_err.c:"));
  assert_non_null(strstr(err, "codes[0] == EW_OK"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_are_distinct_labels),
      cmocka_unit_test(test_unknown_code_has_a_name),
      cmocka_unit_test(test_bug_names_file_and_condition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
