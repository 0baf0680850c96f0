/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/authorize.h"

#include "policy_test.h"

static const struct ew_probe probes[] = {
    {8080, "/healthz"}, {8080, "/ready?full=1"}, {9090, NULL}};

static void connections(void **state) {
  static const struct {
    enum ew_inbound_mode mode;
    const char *peer;
    bool same_pod;
    uint16_t port;
    enum ew_inbound_verdict want;
  } t[] = {
      {EW_INBOUND_PERMISSIVE, NULL, false, 80, EW_INBOUND_ALLOW},
      {EW_INBOUND_PERMISSIVE, "spiffe://x", false, 80, EW_INBOUND_ALLOW},
      {EW_INBOUND_STRICT, "spiffe://x", false, 80, EW_INBOUND_ALLOW},
      {EW_INBOUND_STRICT, NULL, false, 80, EW_INBOUND_DENY},
      {EW_INBOUND_STRICT, "", false, 80, EW_INBOUND_DENY},
      {EW_INBOUND_STRICT, NULL, true, 80, EW_INBOUND_ALLOW},
      {EW_INBOUND_STRICT, NULL, false, 8080, EW_INBOUND_PROBE_ONLY},
      {EW_INBOUND_STRICT, NULL, false, 9090, EW_INBOUND_PROBE_ONLY},
      {EW_INBOUND_STRICT, "spiffe://x", false, 8080, EW_INBOUND_ALLOW},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_inbound_policy p = {t[i].mode, probes, COUNT(probes)};
    const char *why = NULL;
    if (ew_authorize_connection(&p, t[i].peer, t[i].same_pod, t[i].port,
                                &why) != t[i].want)
      fail_msg("case %zu", i);
    assert_non_null(why);
  }
}

static void requests_on_a_probe_port(void **state) {
  static const struct {
    uint16_t port;
    const char *method, *path;
    bool allow;
  } t[] = {
      {8080, "GET", "/healthz", true},
      {8080, "HEAD", "/healthz", true},
      {8080, "POST", "/healthz", false},
      {8080, "GET", "/healthz/", false},
      {8080, "GET", "/healthz?x", false},
      {8080, "GET", "/ready", false},
      {8080, "GET", "/ready?full=1", true},
      {8081, "GET", "/healthz", false},
      {9090, "GET", "/", false},
  };
  struct ew_inbound_policy p = {EW_INBOUND_STRICT, probes, COUNT(probes)};
  for (size_t i = 0; i < COUNT(t); i++) {
    const char *why = NULL;
    struct ew_slice method = ew_slice_str(t[i].method);
    struct ew_slice path = ew_slice_str(t[i].path);
    bool allow = ew_authorize_request(&p, t[i].port, method, path, &why) ==
                 EW_INBOUND_ALLOW;
    if (allow != t[i].allow)
      fail_msg("case %zu", i);
    assert_int_equal(ew_is_probe(&p, t[i].port, method, path), t[i].allow);
    assert_non_null(why);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections),
      cmocka_unit_test(requests_on_a_probe_port),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
