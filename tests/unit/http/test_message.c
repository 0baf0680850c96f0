/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "eastwest/http/message.h"

#define S(s) EW_SLICE_LIT(s)

static void assert_slice(struct ew_slice got, const char *want) {
  if (!ew_slice_eq_str(got, want))
    fail_msg("got \"%.*s\", want \"%s\"", EW_SLICE_FMT(got), want);
}

static void test_add_get(void **state) {
  struct ew_message *m = ew_message_new();
  char name[] = "X-Name", value[] = "v 1";
  assert_int_equal(ew_message_add(m, ew_slice_str(name), ew_slice_str(value)),
                   EW_OK);
  memset(name, 'z', sizeof(name) - 1);
  memset(value, 'z', sizeof(value) - 1);
  assert_slice(m->headers.v[0].name, "x-name");
  assert_slice(ew_message_get(m, "x-name"), "v 1");
  assert_null(ew_message_get(m, "x-other").p);
  assert_int_equal(ew_message_add(m, S("e"), ew_slice(NULL, 0)), EW_OK);
  assert_int_equal(ew_message_get(m, "e").n, 0);
  assert_non_null(ew_message_get(m, "e").p);
  assert_int_equal(ew_message_add(m, S("p"), S(" \tpadded\t ")), EW_OK);
  assert_slice(ew_message_get(m, "p"), "padded");
  ew_message_del(m);
  ew_message_del(NULL);
}

static void test_add_refuses(void **state) {
  struct ew_message *m = ew_message_new();
  static const struct ew_slice names[] = {
      {"", 0}, {"a b", 3}, {"a:", 2}, {"a\0", 2}, {"\xc3\xa4", 2}, {"a\r\n", 3},
  };
  static const struct ew_slice values[] = {
      {"a\r\nb: c", 7}, {"a\nb", 3}, {"a\rb", 3},    {"a\0b", 3},
      {"\x7f", 1},      {"\x01", 1}, {"\x1b[0m", 4},
  };
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    assert_int_equal(ew_message_add(m, names[i], S("v")), EW_EINVAL);
    assert_int_equal(ew_message_set(m, names[i], S("v")), EW_EINVAL);
  }
  for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
    assert_int_equal(ew_message_add(m, S("n"), values[i]), EW_EINVAL);
    assert_int_equal(ew_message_set(m, S("n"), values[i]), EW_EINVAL);
  }
  assert_int_equal(m->headers.n, 0);
  assert_int_equal(ew_message_add(m, S("n"), S("obs \x80\xff\ttext")), EW_OK);
  ew_message_del(m);
}

static void test_field_limit(void **state) {
  struct ew_message *m = ew_message_new();
  for (int i = 0; i < EW_FIELDS_MAX; i++)
    assert_int_equal(ew_message_add(m, S("n"), S("v")), EW_OK);
  assert_int_equal(ew_message_add(m, S("n"), S("v")), EW_ELIMIT);
  assert_int_equal(ew_message_set(m, S("new"), S("v")), EW_ELIMIT);
  assert_int_equal(ew_message_set(m, S("n"), S("w")), EW_OK);
  assert_int_equal(m->headers.n, 1);
  ew_message_del(m);
}

static void test_set_remove(void **state) {
  struct ew_message *m = ew_message_new();
  ew_message_add(m, S("a"), S("1"));
  ew_message_add(m, S("b"), S("2"));
  ew_message_add(m, S("A"), S("3"));
  ew_message_add(m, S("c"), S("4"));
  /* The new value is a part of the old one. */
  assert_int_equal(ew_message_set(m, S("A"), ew_message_get(m, "c")), EW_OK);
  assert_int_equal(m->headers.n, 3);
  assert_slice(m->headers.v[0].name, "a");
  assert_slice(m->headers.v[0].value, "4");
  assert_slice(m->headers.v[1].name, "b");
  assert_slice(m->headers.v[2].name, "c");
  assert_int_equal(ew_message_set(m, S("New"), S("5")), EW_OK);
  assert_slice(ew_message_get(m, "new"), "5");
  assert_int_equal(ew_message_set(m, S("new"), ew_slice(NULL, 0)), EW_OK);
  assert_non_null(ew_message_get(m, "new").p);
  assert_int_equal(ew_message_remove(m, S("B")), 1);
  assert_int_equal(ew_message_remove(m, S("b")), 0);
  ew_message_add(m, S("a"), S("9"));
  assert_int_equal(ew_message_remove(m, S("a")), 2);
  assert_int_equal(m->headers.n, 2);
  ew_message_del(m);
}

static void test_joined(void **state) {
  struct ew_message *m = ew_message_new();
  assert_null(ew_message_joined(m, S("x")).p);
  ew_message_add(m, S("x"), S("1"));
  assert_slice(ew_message_joined(m, S("X")), "1");
  ew_message_add(m, S("y"), S("-"));
  ew_message_add(m, S("x"), S(""));
  ew_message_add(m, S("x"), S("2, 3"));
  assert_slice(ew_message_joined(m, S("x")), "1,,2, 3");
  ew_message_add(m, S("cookie"), S("a=1"));
  ew_message_add(m, S("cookie"), S("b=2"));
  assert_slice(ew_message_joined(m, S("cookie")), "a=1; b=2");
  m->authority = S("a.test:80");
  assert_slice(ew_message_joined(m, S("Host")), "a.test:80");
  ew_message_del(m);
}

static void test_path(void **state) {
  struct ew_message m = {0};
  m.path = S("/a/b");
  assert_slice(ew_message_path_only(&m), "/a/b");
  assert_null(ew_message_query(&m).p);
  m.path = S("/a?b=c?d");
  assert_slice(ew_message_path_only(&m), "/a");
  assert_slice(ew_message_query(&m), "b=c?d");
  m.path = S("/a?");
  assert_slice(ew_message_path_only(&m), "/a");
  assert_int_equal(ew_message_query(&m).n, 0);
  assert_non_null(ew_message_query(&m).p);
}

static void test_dup(void **state) {
  struct ew_message *m = ew_message_new();
  m->method = ew_message_dup_slice(m, S("POST"));
  m->scheme = S("https");
  m->authority = ew_message_dup_slice(m, S("a"));
  m->path = ew_message_dup_slice(m, S("/p"));
  m->upgrade = ew_message_dup_slice(m, S("websocket"));
  m->status = 200;
  m->version = 20;
  m->body = EW_BODY_LENGTH;
  m->content_length = 7;
  for (int i = 0; i < 40; i++)
    ew_message_add(m, S("n"), S("v"));
  struct ew_message *d = ew_message_dup(m);
  ew_message_del(m);
  assert_slice(d->method, "POST");
  assert_slice(d->scheme, "https");
  assert_slice(d->authority, "a");
  assert_slice(d->path, "/p");
  assert_slice(d->upgrade, "websocket");
  assert_int_equal(d->status, 200);
  assert_int_equal(d->version, 20);
  assert_int_equal(d->body, EW_BODY_LENGTH);
  assert_int_equal(d->content_length, 7);
  assert_int_equal(d->headers.n, 40);
  assert_slice(d->headers.v[39].value, "v");
  assert_int_equal(ew_message_add(d, S("x"), S("y")), EW_OK);
  ew_message_del(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_add_get),     cmocka_unit_test(test_add_refuses),
      cmocka_unit_test(test_field_limit), cmocka_unit_test(test_set_remove),
      cmocka_unit_test(test_joined),      cmocka_unit_test(test_path),
      cmocka_unit_test(test_dup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
