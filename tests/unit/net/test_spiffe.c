/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include "eastwest/base/alloc.h"
#include "eastwest/net/tls.h"
#include "lib/net/spiffe.h"

static int check(const char *id) {
  return ew_spiffe_check(ew_slice_str(id), "cluster.local");
}

static void good_ids(void **state) {
  static const char *const good[] = {
      "spiffe://cluster.local/ns/a/sa/b",
      "spiffe://cluster.local/x",
      "spiffe://cluster.local/A-z_0.9/...",
      "spiffe://cluster.local/..a/.b",
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
    assert_int_equal(check(good[i]), EW_OK);
}

static void bad_ids(void **state) {
  static const char *const bad[] = {
      "",
      "spiffe",
      "spiffe://",
      "spiffe:///ns/a",
      "spiffe://cluster.local",
      "spiffe://cluster.local/",
      "spiffe://cluster.local//a",
      "spiffe://cluster.local/a/",
      "spiffe://cluster.local/a//b",
      "spiffe://cluster.local/./a",
      "spiffe://cluster.local/a/..",
      "spiffe://cluster.local/../a",
      "spiffe://cluster.local/a?b",
      "spiffe://cluster.local/a#b",
      "spiffe://cluster.local?q/a",
      "spiffe://cluster.local:80/a",
      "spiffe://user@cluster.local/a",
      "spiffe://cluster.local/%61",
      "spiffe://cluster%2elocal/a",
      "spiffe://cluster.local/a b",
      "spiffe://cluster.local/\xc3\xa4",
      "spiffe://cluster.local/a\n",
      "SPIFFE://cluster.local/a",
      "Spiffe://cluster.local/a",
      "spiffe://Cluster.local/a",
      "spiffe://cluster.local.evil/a",
      "spiffe://evil.cluster.local/a",
      "spiffe://cluster.loca/a",
      "https://cluster.local/a",
      " spiffe://cluster.local/a",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
    assert_int_equal(check(bad[i]), EW_EINVAL);
}

static void bytes_not_c_strings(void **state) {
  static const char id[] = "spiffe://cluster.local/a\0b";
  assert_int_equal(ew_spiffe_check(ew_slice(id, 24), "cluster.local"), EW_OK);
  assert_int_equal(ew_spiffe_check(ew_slice(id, 25), "cluster.local"),
                   EW_EINVAL);
  assert_int_equal(ew_spiffe_check(ew_slice(id, 26), "cluster.local"),
                   EW_EINVAL);
}

static void length_limits(void **state) {
  char id[2100] = "spiffe://cluster.local/";
  char td[300];
  size_t n = strlen(id);
  memset(id + n, 'a', sizeof(id) - n);
  assert_int_equal(ew_spiffe_check(ew_slice(id, 2048), "cluster.local"), EW_OK);
  assert_int_equal(ew_spiffe_check(ew_slice(id, 2049), "cluster.local"),
                   EW_EINVAL);
  memset(td, 'a', sizeof(td));
  assert_int_equal(ew_spiffe_trust_domain_check(ew_slice(td, 255)), EW_OK);
  assert_int_equal(ew_spiffe_trust_domain_check(ew_slice(td, 256)), EW_EINVAL);
  assert_int_equal(ew_spiffe_trust_domain_check(ew_slice(td, 0)), EW_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_ids),
      cmocka_unit_test(bad_ids),
      cmocka_unit_test(bytes_not_c_strings),
      cmocka_unit_test(length_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
