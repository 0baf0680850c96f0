/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/order.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* |rule| is the place in the order that is wanted; the list is given in the
 * wrong order, and rotated, so that no place in the list helps. */
static void assert_order(const struct ew_match *wanted, size_t n,
                         void (*order)(struct ew_match *m, size_t n)) {
  struct ew_match list[16];
  assert_true(n <= 16);
  for (size_t turn = 0; turn < n; turn++) {
    for (size_t i = 0; i < n; i++) {
      size_t from = (n - 1 - i + turn) % n;
      list[i] = wanted[from];
      list[i].rule = from;
    }
    order(list, n);
    for (size_t i = 0; i < n; i++)
      assert_int_equal(list[i].rule, i);
  }
}

static void test_http(void **state) {
  (void)state;
  const struct ew_match wanted[] = {
      {.path_type = EW_MATCH_EXACT, .path = "/a", .method = "GET"},
      {.path_type = EW_MATCH_EXACT, .path = "/a", .headers_n = 9},
      {.path_type = EW_MATCH_REGEX, .path = "/a.*"},
      {.path_type = EW_MATCH_REGEX, .path = ".*", .method = "GET"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b/c"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b", .method = "GET"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b", .headers_n = 2},
      {.path_type = EW_MATCH_PREFIX,
       .path = "/a/b",
       .headers_n = 1,
       .query_n = 3},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b", .headers_n = 1},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b", .query_n = 2},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b"},
      {.path_type = EW_MATCH_PREFIX, .path = "", .method = "GET"},
      {.path_type = EW_MATCH_PREFIX, .path = "", .query_n = 1},
      {.path_type = EW_MATCH_PREFIX, .path = ""},
      {.path = NULL},
  };
  assert_order(wanted, sizeof wanted / sizeof *wanted, ew_order_http);
}

static void test_grpc(void **state) {
  (void)state;
  const struct ew_match wanted[] = {
      {.grpc_service = "a.Long", .grpc_method = "GetAll"},
      {.grpc_service = "a.Long", .grpc_method = "Get", .headers_n = 2},
      {.grpc_service = "a.Long", .grpc_method = "Get"},
      {.grpc_service = "a.Long", .headers_n = 5},
      {.grpc_service = "a.Long"},
      {.grpc_service = "a.B", .grpc_method = "GetEverything"},
      {.grpc_method = "GetEverything"},
      {.grpc_method = "Get"},
      {.headers_n = 1},
      {.headers_n = 0},
  };
  assert_order(wanted, sizeof wanted / sizeof *wanted, ew_order_grpc);
}

/* What is as specific as another keeps its order, however many there are. */
static void test_stable(void **state) {
  (void)state;
  static struct ew_match list[999];
  for (int kind = 0; kind < 2; kind++) {
    for (size_t i = 0; i < 999; i++)
      list[i] = (struct ew_match){.rule = i, .headers_n = i % 3};
    (kind ? ew_order_grpc : ew_order_http)(list, 999);
    for (size_t i = 1; i < 999; i++) {
      assert_true(list[i - 1].headers_n >= list[i].headers_n);
      if (list[i - 1].headers_n == list[i].headers_n)
        assert_true(list[i - 1].rule < list[i].rule);
    }
  }
}

static void test_none(void **state) {
  (void)state;
  ew_order_http(NULL, 0);
  ew_order_grpc(NULL, 0);
  ew_order_tls(NULL, 0);
}

static void test_tls(void **state) {
  (void)state;
  static const char *const names[] = {"longer.a.b", "a.b",   "x.y",
                                      "*.long.a.b", "*.a.b", NULL};
  static const size_t given[] = {5, 3, 1, 4, 2, 0};
  struct ew_rule rules[6];
  for (size_t i = 0; i < 6; i++) {
    size_t at = given[i];
    rules[i] = (struct ew_rule){
        .index = (uint32_t)at, .snis = &names[at], .snis_n = names[at] != NULL};
  }
  ew_order_tls(rules, 6);
  assert_int_equal(rules[0].index, 0);
  /* As long as each other: in the order in which they were given. */
  assert_int_equal(rules[1].index, 1);
  assert_int_equal(rules[2].index, 2);
  assert_int_equal(rules[3].index, 3);
  assert_int_equal(rules[4].index, 4);
  assert_int_equal(rules[5].index, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_http),   cmocka_unit_test(test_grpc),
      cmocka_unit_test(test_stable), cmocka_unit_test(test_none),
      cmocka_unit_test(test_tls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
