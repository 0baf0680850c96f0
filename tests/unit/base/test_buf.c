/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/buf.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "eastwest/base/err.h"

#define S(s) EW_SLICE_LIT(s)

static void test_append_all_or_nothing(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 5);
  assert_null(ew_buf_peek(&b).p);
  assert_int_equal(ew_buf_append(&b, S("abc")), EW_OK);
  assert_int_equal(ew_buf_append(&b, S("def")), EW_EAGAIN);
  assert_int_equal(ew_buf_room(&b), 2);
  assert_int_equal(ew_buf_append_str(&b, "de"), EW_OK);
  assert_int_equal(ew_buf_append(&b, S("")), EW_OK);
  assert_true(ew_slice_eq_str(ew_buf_peek(&b), "abcde"));
  ew_buf_fini(&b);
  assert_int_equal(b.max, 5);
}

static void test_append_some(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 4);
  assert_int_equal(ew_buf_append_some(&b, S("abcdef")), 4);
  assert_int_equal(ew_buf_append_some(&b, S("x")), 0);
  assert_true(ew_slice_eq_str(ew_buf_peek(&b), "abcd"));
  ew_buf_fini(&b);
}

/* A queue that is fed and drained for ever keeps to its maximum. */
static void test_memory_stays_below_the_maximum(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 1000);
  unsigned char in = 0, out = 0;
  for (int round = 0; round < 2000; round++) {
    char chunk[37];
    for (size_t i = 0; i < sizeof(chunk); i++)
      chunk[i] = (char)in++;
    if (ew_buf_append(&b, ew_slice(chunk, sizeof(chunk))) != EW_OK)
      in = (unsigned char)(in - sizeof(chunk));
    assert_true(b.cap <= 1000);
    size_t take = (size_t)round % 53;
    if (take > ew_buf_len(&b))
      take = ew_buf_len(&b);
    struct ew_slice s = ew_buf_peek(&b);
    for (size_t i = 0; i < take; i++)
      assert_int_equal((unsigned char)s.p[i], out++);
    ew_buf_consume(&b, take);
  }
  ew_buf_fini(&b);
}

static void test_reserve_and_commit(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 600);
  assert_null(ew_buf_reserve(&b, 601));
  char *p = ew_buf_reserve(&b, 600);
  memset(p, 'x', 600);
  ew_buf_commit(&b, 599);
  assert_int_equal(ew_buf_len(&b), 599);
  ew_buf_consume(&b, 300);
  /* Room is found by moving what is left to the front. */
  p = ew_buf_reserve(&b, 301);
  assert_non_null(p);
  assert_int_equal(b.cap, 600);
  assert_int_equal(ew_buf_len(&b), 299);
  assert_int_equal(ew_buf_peek(&b).p[298], 'x');
  ew_buf_fini(&b);
}

static void test_release_only_when_empty(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 100);
  ew_buf_append(&b, S("ab"));
  ew_buf_release(&b);
  assert_int_equal(ew_buf_len(&b), 2);
  ew_buf_consume(&b, 2);
  ew_buf_release(&b);
  assert_null(b.p);
  assert_int_equal(ew_buf_append(&b, S("cd")), EW_OK);
  ew_buf_fini(&b);
}

static void test_printf(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 400);
  assert_int_equal(ew_buf_printf(&b, "%d-%s", 7, "x"), EW_OK);
  assert_true(ew_slice_eq_str(ew_buf_peek(&b), "7-x"));
  /* Longer than the buffer on the stack, and exactly what still fits. */
  assert_int_equal(ew_buf_printf(&b, "%0397d", 5), EW_OK);
  assert_int_equal(ew_buf_len(&b), 400);
  assert_int_equal(ew_buf_peek(&b).p[399], '5');
  assert_int_equal(ew_buf_printf(&b, "a"), EW_EAGAIN);
  ew_buf_consume(&b, 1);
  assert_int_equal(ew_buf_printf(&b, "%0300d", 1), EW_EAGAIN);
  assert_int_equal(ew_buf_len(&b), 399);
  ew_buf_fini(&b);
}

static void consume_too_much(void) {
  struct ew_buf b;
  ew_buf_init(&b, 10);
  ew_buf_append_str(&b, "ab");
  ew_buf_consume(&b, 3);
}

static void commit_too_much(void) {
  struct ew_buf b;
  ew_buf_init(&b, 10);
  ew_buf_reserve(&b, 1);
  ew_buf_commit(&b, 11);
}

static void test_misuse_is_a_bug(void **state) {
  char err[8192];
  assert_true(WIFSIGNALED(child_run(consume_too_much, err, sizeof(err))));
  assert_non_null(strstr(err, "eastwest: bug"));
  assert_true(WIFSIGNALED(child_run(commit_too_much, err, sizeof(err))));
  assert_non_null(strstr(err, "eastwest: bug"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_append_all_or_nothing),
      cmocka_unit_test(test_append_some),
      cmocka_unit_test(test_memory_stays_below_the_maximum),
      cmocka_unit_test(test_reserve_and_commit),
      cmocka_unit_test(test_release_only_when_empty),
      cmocka_unit_test(test_printf),
      cmocka_unit_test(test_misuse_is_a_bug),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
