/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/discovery_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/base/err.h"

#define POD \
  "\"destination\":{\"kind\":\"pod\",\"namespace\":\"n\",\"name\":\"p\"}"

static int read_line(const char *line, struct ew_destination **out, char *why) {
  return ew_discovery_line_read(ew_slice_str(line), out, why, 256);
}

static void test_state(void **state) {
  struct ew_destination *d = NULL;
  char why[256];
  assert_int_equal(
      read_line("{\"version\":7,\"complete\":true," POD "}", &d, why), EW_OK);
  assert_int_equal(d->version, 7);
  assert_int_equal(d->kind, EW_DEST_POD);
  assert_string_equal(d->name, "p");
  ew_destination_unref(d);
}

/* The line's version counts, whatever the destination says of itself. */
static void test_version_is_the_lines(void **state) {
  struct ew_destination *d = NULL;
  char why[256];
  assert_int_equal(read_line("{\"destination\":{\"kind\":\"unknown\","
                             "\"version\":3},\"version\":0,\"complete\":true}",
                             &d, why),
                   EW_OK);
  assert_int_equal(d->version, 0);
  ew_destination_unref(d);
}

static void test_unknown_members(void **state) {
  struct ew_destination *d = NULL;
  char why[256];
  assert_int_equal(
      read_line("{\"version\":1,\"complete\":true,\"later\":[1]," POD "}\r", &d,
                why),
      EW_OK);
  ew_destination_unref(d);
}

static void test_heartbeat(void **state) {
  struct ew_destination *d = NULL;
  char why[256];
  assert_int_equal(read_line("{\"heartbeat\":7}", &d, why), EW_EAGAIN);
  assert_int_equal(read_line("{\"heartbeat\":0}", &d, why), EW_EAGAIN);
  assert_null(d);
}

static void test_refused(void **state) {
  static const struct {
    const char *line, *why;
  } cases[] = {
      {"", "byte 0"},
      {"ok", "byte"},
      {"[]", "expected an object"},
      {"{}", "complete: must be true"},
      {"{\"heartbeat\":\"7\"}", "complete: must be true"},
      {"{\"heartbeat\":null}", "complete: must be true"},
      {"{\"version\":1," POD "}", "complete: must be true"},
      {"{\"version\":1,\"complete\":false," POD "}", "complete: must be true"},
      {"{\"version\":1,\"complete\":1," POD "}", "complete: must be true"},
      {"{\"complete\":true," POD "}", "version: must be a number"},
      {"{\"complete\":true,\"version\":-1," POD "}", "version: must be"},
      {"{\"complete\":true,\"version\":1.5," POD "}", "version: must be"},
      {"{\"complete\":true,\"version\":\"1\"," POD "}", "version: must be"},
      {"{\"complete\":true,\"version\":1}", "destination: must be an object"},
      {"{\"complete\":true,\"version\":1,\"destination\":[]}",
       "destination: must be an object"},
      {"{\"complete\":true,\"version\":1,\"destination\":{\"kind\":\"x\"}}",
       "kind: \"x\": must be one of unknown, service, pod"},
      {"{\"complete\":true,\"version\":1," POD "}{}", "byte"},
      {"{\"complete\":true,\"complete\":true,\"version\":1," POD "}",
       "duplicate"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct ew_destination *d = NULL;
    char why[256] = "";
    assert_int_equal(read_line(cases[i].line, &d, why), EW_EINVAL);
    assert_null(d);
    if (!strstr(why, cases[i].why))
      fail_msg("%s: reason is \"%s\"", cases[i].line, why);
  }
}

/* A line that was cut off is never a state. */
static void test_cut_anywhere(void **state) {
  static const char line[] = "{\"version\":7,\"complete\":true," POD "}";
  for (size_t n = 0; n < sizeof line - 1; n++) {
    struct ew_destination *d = NULL;
    char why[256];
    assert_int_equal(
        ew_discovery_line_read(ew_slice(line, n), &d, why, sizeof why),
        EW_EINVAL);
    assert_null(d);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_state),
      cmocka_unit_test(test_version_is_the_lines),
      cmocka_unit_test(test_unknown_members),
      cmocka_unit_test(test_heartbeat),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_cut_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
