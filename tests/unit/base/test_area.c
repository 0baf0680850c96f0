/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eastwest/base/area.h"

#define SLOT 8192

static void test_takes_until_full(void **state) {
  struct ew_area a;
  void *p[4];

  (void)state;
  ew_area_init(&a, SLOT, 4, 2);
  for (int i = 0; i < 4; i++) {
    p[i] = ew_area_take(&a);
    assert_non_null(p[i]);
    assert_true(ew_area_has(&a, p[i]));
    assert_true(ew_area_has(&a, (char *)p[i] + SLOT - 1));
    memset(p[i], i + 1, SLOT);
  }
  assert_null(ew_area_take(&a));
  for (int i = 0; i < 4; i++)
    for (size_t k = 0; k < SLOT; k++)
      assert_int_equal(((char *)p[i])[k], i + 1);
  for (int i = 0; i < 4; i++)
    ew_area_give(&a, p[i]);
  ew_area_fini(&a);
}

static void test_cold_slots_give_their_pages_back(void **state) {
  struct ew_area a;
  char *first, *second;

  (void)state;
  ew_area_init(&a, SLOT, 4, 1);
  first = ew_area_take(&a);
  second = ew_area_take(&a);
  memset(first, 1, SLOT);
  memset(second, 1, SLOT);
  ew_area_give(&a, first);
  ew_area_give(&a, second);
  /* The last one given is taken first, and kept its contents. */
  assert_ptr_equal(ew_area_take(&a), second);
  assert_int_equal(second[0], 1);
  assert_ptr_equal(ew_area_take(&a), first);
  assert_int_equal(first[0], 0);
  ew_area_give(&a, first);
  ew_area_give(&a, second);
  ew_area_fini(&a);
}

/* After many were free at once, the one in use must not lose its pages each
 * time it comes back. */
static void test_stays_warm_after_a_peak(void **state) {
  struct ew_area a;
  char *p[8];

  (void)state;
  ew_area_init(&a, SLOT, 8, 2);
  for (int i = 0; i < 8; i++) {
    p[i] = ew_area_take(&a);
    memset(p[i], 1, SLOT);
  }
  for (int i = 0; i < 8; i++)
    ew_area_give(&a, p[i]);
  for (int i = 0; i < 4; i++) {
    p[0] = ew_area_take(&a);
    p[1] = ew_area_take(&a);
    assert_int_equal(p[0][SLOT - 1], 1);
    assert_int_equal(p[1][SLOT - 1], 1);
    ew_area_give(&a, p[0]);
    ew_area_give(&a, p[1]);
  }
  /* A third one was cold, and those freed last are warm afterwards. */
  for (int i = 0; i < 3; i++)
    p[i] = ew_area_take(&a);
  assert_int_equal(p[2][0], 0);
  memset(p[2], 2, SLOT);
  for (int i = 0; i < 3; i++)
    ew_area_give(&a, p[i]);
  assert_ptr_equal(ew_area_take(&a), p[2]);
  assert_int_equal(p[2][0], 2);
  assert_ptr_equal(ew_area_take(&a), p[1]);
  assert_int_equal(p[1][0], 1);
  assert_ptr_equal(ew_area_take(&a), p[0]);
  assert_int_equal(p[0][0], 0);
  for (int i = 0; i < 3; i++)
    ew_area_give(&a, p[i]);
  ew_area_fini(&a);
}

static void test_what_is_not_of_it(void **state) {
  struct ew_area a, none = {0};
  int x;
  char *p;

  (void)state;
  ew_area_init(&a, SLOT, 2, 2);
  assert_false(ew_area_has(&a, &x));
  assert_false(ew_area_has(&a, NULL));
  p = ew_area_take(&a);
  assert_false(ew_area_has(&a, p + 2 * SLOT));
  assert_false(ew_area_has(&a, p - 1));
  ew_area_give(&a, p);
  ew_area_fini(&a);
  assert_false(ew_area_has(&none, &x));
  assert_null(ew_area_take(&none));
}

/* More addresses than there are: takes fail, nothing else. */
static void test_refused_by_the_kernel(void **state) {
  struct ew_area a;

  (void)state;
  ew_area_init(&a, (size_t)1 << 46, 1024, 1);
  assert_null(ew_area_take(&a));
  ew_area_fini(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_takes_until_full),
      cmocka_unit_test(test_cold_slots_give_their_pages_back),
      cmocka_unit_test(test_stays_warm_after_a_peak),
      cmocka_unit_test(test_what_is_not_of_it),
      cmocka_unit_test(test_refused_by_the_kernel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
