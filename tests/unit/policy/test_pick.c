/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/pick.h"

#include "policy_test.h"

static void nothing_to_pick(void **state) {
  struct ew_backend_ref zero[2] = {{.weight = 0}, {.weight = 0}};
  assert_null(ew_pick(NULL, 0, 1));
  assert_null(ew_pick(zero, 2, 1));
}

static void shares_follow_weights(void **state) {
  struct ew_backend_ref refs[] = {{.weight = 0},
                                  {.weight = 90},
                                  {.weight = 0},
                                  {.weight = 10},
                                  {.weight = 0}};
  size_t count[COUNT(refs)] = {0};
  uint64_t seed = 1;
  for (int i = 0; i < 100000; i++)
    count[ew_pick(refs, COUNT(refs), ew_mix64(&seed)) - refs]++;
  assert_int_equal(count[0] + count[2] + count[4], 0);
  assert_in_range(count[1], 89000, 91000);
  /* Every number of a round is used exactly as often as the weight says. */
  memset(count, 0, sizeof count);
  for (uint64_t r = 0; r < 100; r++)
    count[ew_pick(refs, COUNT(refs), r) - refs]++;
  assert_int_equal(count[1], 90);
  assert_int_equal(count[3], 10);
}

static void large_weights_do_not_overflow(void **state) {
  struct ew_backend_ref refs[] = {{.weight = UINT32_MAX},
                                  {.weight = UINT32_MAX}};
  assert_ptr_equal(ew_pick(refs, 2, UINT32_MAX - 1u), &refs[0]);
  assert_ptr_equal(ew_pick(refs, 2, UINT32_MAX), &refs[1]);
}

/* An invalid backend is picked like any other: its share gets 500. */
static void gamma_rule_19_invalid_backend_keeps_its_share(void **state) {
  struct ew_backend backends[] = {{.invalid = "BackendNotFound"}, {0}};
  struct ew_backend_ref refs[] = {{.backend = 0, .weight = 1},
                                  {.backend = 1, .weight = 1}};
  size_t invalid = 0;
  for (uint64_t r = 0; r < 10; r++)
    invalid += backends[ew_pick(refs, 2, r)->backend].invalid != NULL;
  assert_int_equal(invalid, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_to_pick),
      cmocka_unit_test(shares_follow_weights),
      cmocka_unit_test(large_weights_do_not_overflow),
      cmocka_unit_test(gamma_rule_19_invalid_backend_keeps_its_share),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
