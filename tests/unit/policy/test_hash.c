/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/hash.h"

#include "policy_test.h"

static void known_answers(void **state) {
  struct ew_hash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
  /* SipHash-1-3, key 00..0f, no input. */
  assert_true(ew_hash(&key, "", 0) == 0xabac0158050fc4dcu);
}

static void every_byte_and_the_key_count(void **state) {
  struct ew_hash_key key = {{1, 2}}, other = {{1, 3}};
  char text[40] = {0};
  for (size_t n = 0; n < sizeof text; n++) {
    uint64_t h = ew_hash(&key, text, n);
    assert_true(h == ew_hash(&key, text, n));
    assert_true(h != ew_hash(&other, text, n));
    assert_true(h != ew_hash(&key, text, n + 1 < sizeof text ? n + 1 : 0));
    for (size_t i = 0; i < n; i++) {
      text[i] = 1;
      assert_true(h != ew_hash(&key, text, n));
      text[i] = 0;
    }
  }
}

static void table_keeps_the_first_value(void **state) {
  struct ew_table t = {0};
  assert_null(ew_table_get(&t, 1));
  for (uint32_t i = 0; i < 1000; i++)
    assert_int_equal(*ew_table_put(&t, (uint64_t)i << 40, i), i);
  for (uint32_t i = 0; i < 1000; i++) {
    assert_int_equal(*ew_table_put(&t, (uint64_t)i << 40, 7), i);
    assert_int_equal(*ew_table_get(&t, (uint64_t)i << 40), i);
  }
  assert_null(ew_table_get(&t, 5));
  assert_int_equal(t.n, 1000);
  ew_table_fini(&t);
  ew_table_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers),
      cmocka_unit_test(every_byte_and_the_key_count),
      cmocka_unit_test(table_keeps_the_first_value),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
