/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
  int value;
  struct ew_list node;
};

static int read_out(struct ew_list *l) {
  struct ew_list *it, *tmp;
  int digits = 0;
  EW_LIST_EACH(it, tmp, l)
  digits = digits * 10 + EW_CONTAINER(it, struct item, node)->value;
  return digits;
}

static void test_order(void **state) {
  struct ew_list l;
  struct item a = {1}, b = {2}, c = {3};
  ew_list_init(&l);
  assert_true(ew_list_empty(&l));
  ew_list_push_back(&l, &b.node);
  ew_list_push_back(&l, &c.node);
  ew_list_push_front(&l, &a.node);
  assert_false(ew_list_empty(&l));
  assert_int_equal(read_out(&l), 123);
}

static void test_remove_twice_is_harmless(void **state) {
  struct ew_list l;
  struct item a = {1}, b = {2}, c = {3};
  ew_list_init(&l);
  ew_list_push_back(&l, &a.node);
  ew_list_push_back(&l, &b.node);
  ew_list_push_back(&l, &c.node);
  ew_list_remove(&b.node);
  ew_list_remove(&b.node);
  assert_true(ew_list_empty(&b.node));
  assert_int_equal(read_out(&l), 13);
}

static void test_body_may_remove_its_node(void **state) {
  struct ew_list l, *it, *tmp;
  struct item items[5];
  ew_list_init(&l);
  for (int i = 0; i < 5; i++) {
    items[i].value = i;
    ew_list_push_back(&l, &items[i].node);
  }
  EW_LIST_EACH(it, tmp, &l)
  if (EW_CONTAINER(it, struct item, node)->value % 2)
    ew_list_remove(it);
  assert_int_equal(read_out(&l), 24);
  EW_LIST_EACH(it, tmp, &l)
  ew_list_remove(it);
  assert_true(ew_list_empty(&l));
}

static void test_take(void **state) {
  struct ew_list from, to;
  struct item a = {1}, b = {2};
  ew_list_init(&from);
  ew_list_take(&to, &from);
  assert_true(ew_list_empty(&to));
  assert_true(ew_list_empty(&from));
  ew_list_push_back(&from, &a.node);
  ew_list_push_back(&from, &b.node);
  ew_list_take(&to, &from);
  assert_true(ew_list_empty(&from));
  assert_int_equal(read_out(&to), 12);
  ew_list_remove(&a.node);
  ew_list_push_back(&from, &a.node);
  assert_int_equal(read_out(&to), 2);
  assert_int_equal(read_out(&from), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_remove_twice_is_harmless),
      cmocka_unit_test(test_take),
      cmocka_unit_test(test_body_may_remove_its_node),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
