/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

static void parses_and_formats(void **state) {
  static const char *const good[] = {
      "10.0.0.1:80",    "0.0.0.0:0",         "255.255.255.255:65535",
      "[::1]:443",      "[fd00::1]:80",      "[::]:0",
      "[fe80::1%1]:80", "[2001:db8::5]:8080"};
  for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
    struct ew_addr a;
    char out[EW_ADDR_STR];
    assert_int_equal(ew_addr_parse(&a, good[i]), EW_OK);
    assert_string_equal(ew_addr_str(&a, out), good[i]);
  }
}

static void refuses_what_is_no_address(void **state) {
  static const char *const bad[] = {
      "",
      "10.0.0.1",
      "10.0.0.1:",
      "10.0.0.1:65536",
      ":80",
      "10.0.0:80",
      "010.0.0.1:80",
      "10.0.0.1:+80",
      "::1:80",
      "[::1]",
      "[::1]80",
      "[::1]:",
      "[::1:80",
      "[10.0.0.1]:80",
      "[fd00::1%1]:80",
      "localhost:80",
      "1.2.3.4%1:80",
      "[fe80::1%]:80",
      "[fe80::1%no-such-if]:80",
      "[fe80::1%much-too-long-a-name-for-it]:80",
      "10.0.0.1:80 ",
      "[fe80::00000000000000000000000000000000000000000000000001]:1",
      "[fe80::1%99999999999]:80"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
    struct ew_addr a;
    assert_int_equal(ew_addr_parse(&a, bad[i]), EW_EINVAL);
  }
}

static void mapped_is_stored_as_v4(void **state) {
  struct ew_addr a, b;
  char out[EW_ADDR_STR];
  assert_int_equal(ew_addr_parse(&a, "[::ffff:10.1.2.3]:80"), EW_OK);
  assert_int_equal(ew_addr_parse(&b, "10.1.2.3:80"), EW_OK);
  assert_true(ew_addr_eq(&a, &b));
  assert_int_equal(ew_addr_hash(&a, 1), ew_addr_hash(&b, 1));
  assert_string_equal(ew_addr_ip(&a, out), "10.1.2.3");
  assert_int_equal(ew_addr_len(&a), sizeof(struct sockaddr_in));
}

static void compares(void **state) {
  struct ew_addr a, b, c, d;
  assert_int_equal(ew_addr_set(&a, "fd00::1", 80), EW_OK);
  assert_int_equal(ew_addr_set(&b, "fd00:0:0::1", 81), EW_OK);
  assert_int_equal(ew_addr_set(&c, "10.0.0.1", 80), EW_OK);
  assert_int_equal(ew_addr_set(&d, "10.0.0.1", 81), EW_OK);
  assert_int_equal(ew_addr_set(&d, "[10.0.0.1]", 81), EW_EINVAL);
  assert_false(ew_addr_eq(&a, &b));
  assert_true(ew_addr_same_ip(&a, &b));
  assert_false(ew_addr_same_ip(&a, &c));
  assert_true(ew_addr_same_ip(&c, &d));
  assert_int_equal(ew_addr_port(&a), 80);
  assert_int_equal(ew_addr_port(&d), 81);
  assert_true(ew_addr_hash(&a, 1) != ew_addr_hash(&b, 1));
  assert_true(ew_addr_hash(&a, 1) != ew_addr_hash(&a, 2));
  assert_true(ew_addr_hash(&c, 1) != ew_addr_hash(&d, 1));
}

static void knows_loopback(void **state) {
  static const struct {
    const char *s;
    bool loopback;
  } t[] = {{"127.0.0.1:1", true}, {"127.9.9.9:1", true},
           {"[::1]:1", true},     {"128.0.0.1:1", false},
           {"[::2]:1", false},    {"[::ffff:127.0.0.1]:1", true}};
  for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
    struct ew_addr a;
    assert_int_equal(ew_addr_parse(&a, t[i].s), EW_OK);
    assert_int_equal(ew_addr_is_loopback(&a), t[i].loopback);
  }
}

static void scope_by_name(void **state) {
  struct ew_addr a;
  assert_int_equal(ew_addr_parse(&a, "[fe80::1%lo]:80"), EW_OK);
  assert_true(a.u.in6.sin6_scope_id > 0);
}

static void other_families_are_empty(void **state) {
  struct sockaddr sa = {.sa_family = AF_UNIX};
  struct ew_addr a;
  char out[EW_ADDR_STR];
  ew_addr_from_sockaddr(&a, &sa);
  assert_string_equal(ew_addr_ip(&a, out), "");
  assert_false(ew_addr_is_loopback(&a));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parses_and_formats),
      cmocka_unit_test(refuses_what_is_no_address),
      cmocka_unit_test(mapped_is_stored_as_v4),
      cmocka_unit_test(compares),
      cmocka_unit_test(knows_loopback),
      cmocka_unit_test(scope_by_name),
      cmocka_unit_test(other_families_are_empty),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
