/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void examples_of_the_rfc(void **state) {
  static const char *const pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"},
                                         {"\xff\xfe\xfb", "//77"}};
  (void)state;
  for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
    size_t n = 99;
    char *text = ew_base64_encode(ew_slice_str(pairs[i][0]));
    char *bytes = ew_base64_decode(ew_slice_str(pairs[i][1]), &n);
    assert_string_equal(text, pairs[i][1]);
    assert_non_null(bytes);
    assert_string_equal(bytes, pairs[i][0]);
    assert_int_equal(n, strlen(pairs[i][0]));
    free(text);
    free(bytes);
  }
}

static void all_bytes(void **state) {
  char in[256];
  size_t n;
  (void)state;
  for (int i = 0; i < 256; i++)
    in[i] = (char)i;
  char *text = ew_base64_encode(ew_slice(in, sizeof(in)));
  char *out = ew_base64_decode(ew_slice_str(text), &n);
  assert_int_equal(n, sizeof(in));
  assert_memory_equal(in, out, n);
  free(text);
  free(out);
}

static void what_is_none(void **state) {
  static const char *const bad[] = {"Z",    "Zg",      "Zg=",    "=",
                                    "====", "Z===",    "Zm9v\n", "Zm-v",
                                    "Zm=v", "Zg==Zg=="};
  (void)state;
  for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
    assert_null(ew_base64_decode(ew_slice_str(bad[i]), NULL));
  assert_null(ew_base64_decode(ew_slice("Zm\0v", 4), NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(examples_of_the_rfc),
      cmocka_unit_test(all_bytes),
      cmocka_unit_test(what_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
