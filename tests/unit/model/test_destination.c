/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_new_is_empty(void **state) {
  struct ew_destination *d = ew_destination_new();
  assert_int_equal(d->kind, EW_DEST_UNKNOWN);
  assert_true(d->default_backend == EW_NO_BACKEND);
  assert_int_equal(d->rules_n, 0);
  ew_destination_unref(d);
  ew_destination_unref(NULL);
}

/* The sanitizer tells if the last unref does not free, or an earlier one
 * does. */
static void test_last_unref_frees(void **state) {
  struct ew_destination *d = ew_destination_new();
  assert_ptr_equal(ew_destination_ref(d), d);
  d->name = ew_arena_dup(&d->arena, "echo", 4);
  ew_destination_unref(d);
  assert_string_equal(d->name, "echo");
  ew_destination_unref(d);
}

static void test_protocol_names(void **state) {
  assert_string_equal(ew_protocol_name(EW_PROTO_DETECT), "detect");
  assert_string_equal(ew_protocol_name(EW_PROTO_HTTP1), "http1");
  assert_string_equal(ew_protocol_name(EW_PROTO_HTTP2), "http2");
  assert_string_equal(ew_protocol_name(EW_PROTO_HTTP), "http");
  assert_string_equal(ew_protocol_name(EW_PROTO_TLS), "tls");
  assert_string_equal(ew_protocol_name(EW_PROTO_OPAQUE), "opaque");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_new_is_empty),
      cmocka_unit_test(test_last_unref_frees),
      cmocka_unit_test(test_protocol_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
