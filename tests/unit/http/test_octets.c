/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "eastwest/http/message.h"
#include "lib/http/octets.h"

/* Every length up to several blocks, every place, every byte: against a loop
 * that looks at one byte after the other. The bytes are in memory of just that
 * size, so that a read beyond them is seen. */

#define LENGTH_MAX 70u

static bool naive_token(struct ew_slice s) {
  static const char others[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
          (c >= '0' && c <= '9') || (c && strchr(others, c))))
      return false;
  }
  return s.n > 0;
}

static bool naive_value(struct ew_slice s) {
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    bool blank = c == ' ' || c == '\t';
    if ((c < 0x20 && c != '\t') || c == 0x7f ||
        (blank && (i == 0 || i + 1 == s.n)))
      return false;
  }
  return true;
}

static void check(struct ew_slice s) {
  char *low = malloc(s.n);
  assert_int_equal(ew_is_token(s), naive_token(s));
  assert_int_equal(ew_is_field_value(s), naive_value(s));
  assert_int_equal(ew_octets_copy_token(low, s), naive_token(s));
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    assert_int_equal(low[i], c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  free(low);
}

static void test_each_byte_at_each_place(void **state) {
  for (size_t n = 1; n <= LENGTH_MAX; n++) {
    char *p = malloc(n);
    memset(p, 'x', n);
    for (size_t at = 0; at < n; at++) {
      for (int c = 0; c < 256; c++) {
        p[at] = (char)c;
        check(ew_slice(p, n));
      }
      p[at] = 'x';
    }
    free(p);
  }
}

static void test_all_bytes_alike(void **state) {
  for (size_t n = 1; n <= LENGTH_MAX; n++) {
    char *p = malloc(n);
    for (int c = 0; c < 256; c++) {
      memset(p, c, n);
      check(ew_slice(p, n));
    }
    free(p);
  }
}

static void test_nothing(void **state) {
  const struct ew_slice none = {NULL, 0};
  char c = 'x';
  assert_false(ew_is_token(none));
  assert_true(ew_is_field_value(none));
  assert_false(ew_octets_copy_token(&c, none));
  assert_int_equal(c, 'x');
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_byte_at_each_place),
      cmocka_unit_test(test_all_bytes_alike),
      cmocka_unit_test(test_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
