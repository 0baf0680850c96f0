/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/retry.h"

#include "policy_test.h"
#include "sidecar/policy/pick.h"

static const uint16_t codes[] = {500, 502, 503, 504};

static bool wanted(const struct ew_retry *p, const char *method,
                   struct ew_try t) {
  struct ew_message *m = request("/");
  m->method = ew_slice_str(method);
  bool yes = ew_retry_wanted(p, m, &t);
  ew_message_del(m);
  return yes;
}

static void gamma_rule_23_codes_and_connect_errors(void **state) {
  struct ew_retry p = {.codes = codes, .codes_n = 4, .attempts = 2};
  for (size_t i = 0; i < COUNT(codes); i++)
    assert_true(wanted(&p, "POST",
                       (struct ew_try){.end = EW_TRY_STATUS,
                                       .status = codes[i],
                                       .sent = true,
                                       .replayable = true}));
  assert_false(wanted(&p, "GET",
                      (struct ew_try){.end = EW_TRY_STATUS,
                                      .status = 501,
                                      .replayable = true}));
  assert_false(wanted(&p, "GET",
                      (struct ew_try){.end = EW_TRY_STATUS,
                                      .status = 200,
                                      .replayable = true}));
  /* Without any code connection errors are retried all the same. */
  struct ew_retry bare = {.attempts = 1};
  assert_true(wanted(
      &bare, "POST",
      (struct ew_try){.end = EW_TRY_CONNECT_FAILED, .replayable = true}));
  assert_true(wanted(&bare, "POST",
                     (struct ew_try){.end = EW_TRY_REFUSED,
                                     .sent = true,
                                     .replayable = true}));
  assert_false(wanted(&bare, "GET",
                      (struct ew_try){.end = EW_TRY_STATUS,
                                      .status = 503,
                                      .replayable = true}));
}

static void gamma_rule_22_spent_attempts_end_in_an_error(void **state) {
  struct ew_retry p = {.codes = codes, .codes_n = 4, .attempts = 2};
  struct ew_try t = {.end = EW_TRY_STATUS, .status = 503, .replayable = true};
  for (t.retries = 0; t.retries < 2; t.retries++)
    assert_true(wanted(&p, "GET", t));
  assert_false(wanted(&p, "GET", t));
  /* Zero attempts switch every retry off. */
  p.attempts = t.retries = 0;
  assert_false(wanted(&p, "GET", t));
  t.end = EW_TRY_CONNECT_FAILED;
  assert_false(wanted(&p, "GET", t));
}

static void
gamma_rule_22_a_timeout_is_retried_by_code_or_where_safe(void **state) {
  static const uint16_t only_503[] = {503};
  struct ew_retry p = {.codes = codes, .codes_n = 4, .attempts = 1};
  struct ew_try t = {.end = EW_TRY_TIMEOUT, .sent = true, .replayable = true};
  assert_true(wanted(&p, "POST", t));
  p.codes = only_503;
  p.codes_n = 1;
  assert_false(wanted(&p, "POST", t));
  assert_true(wanted(&p, "GET", t));
}

static void gamma_rule_22_back_off_is_at_least_the_base(void **state) {
  struct ew_retry p = {.attempts = 10, .backoff_ms = 100};
  uint64_t seed = 3, highest = 0;
  for (unsigned n = 1; n < 40; n++) {
    for (int i = 0; i < 200; i++) {
      uint64_t us = ew_retry_backoff_us(&p, n, ew_mix64(&seed));
      assert_true(us >= 100000);
      assert_true(us <= EW_RETRY_BACKOFF_MAX_US);
      if (n <= 3)
        assert_true(us <= 100000u << n);
      highest = us > highest ? us : highest;
    }
    assert_int_equal(ew_retry_backoff_us(&p, n, 0), 100000);
  }
  assert_true(highest > EW_RETRY_BACKOFF_MAX_US / 2);
  /* A base above the cap is kept. */
  p.backoff_ms = 60000;
  assert_int_equal(ew_retry_backoff_us(&p, 5, 12345), 60000000);
  p.backoff_ms = UINT32_MAX;
  assert_true(ew_retry_backoff_us(&p, 5, UINT64_MAX) == UINT32_MAX * 1000ull);
  p.backoff_ms = 0;
  assert_true(ew_retry_backoff_us(&p, 1, 0) == EW_RETRY_BACKOFF_BASE_US);
  assert_int_equal(ew_retry_backoff_us(NULL, 1, 99), 0);
}

static void a_body_that_is_gone_is_never_retried(void **state) {
  struct ew_retry p = {.codes = codes, .codes_n = 4, .attempts = 2};
  for (int end = EW_TRY_STATUS; end <= EW_TRY_TIMEOUT; end++) {
    struct ew_try t = {.end = (enum ew_try_end)end, .status = 503};
    assert_false(wanted(&p, "GET", t));
    assert_false(wanted(NULL, "GET", t));
  }
}

static void reset_is_retried_where_it_is_safe(void **state) {
  struct ew_retry p = {.codes = codes, .codes_n = 4, .attempts = 2};
  static const struct {
    const char *method;
    bool sent, reused, with, without;
  } t[] = {
      {"GET", true, false, true, false},   {"GET", true, true, true, true},
      {"PUT", true, true, true, true},     {"DELETE", true, true, true, true},
      {"HEAD", true, false, true, false},  {"POST", true, true, false, false},
      {"PATCH", true, true, false, false}, {"POST", false, false, true, true},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_try tr = {.end = EW_TRY_RESET,
                        .sent = t[i].sent,
                        .reused = t[i].reused,
                        .replayable = true};
    if (wanted(&p, t[i].method, tr) != t[i].with ||
        wanted(NULL, t[i].method, tr) != t[i].without)
      fail_msg("case %zu", i);
  }
}

static void without_a_policy_only_the_safe_ones(void **state) {
  struct ew_try t = {.end = EW_TRY_CONNECT_FAILED, .replayable = true};
  for (t.retries = 0; t.retries < EW_RETRY_IMPLICIT_MAX; t.retries++)
    assert_true(wanted(NULL, "POST", t));
  assert_false(wanted(NULL, "POST", t));
  t.retries = 0;
  t.end = EW_TRY_REFUSED;
  assert_true(wanted(NULL, "POST", t));
  t.end = EW_TRY_TIMEOUT;
  assert_false(wanted(NULL, "GET", t));
  t.end = EW_TRY_STATUS;
  t.status = 503;
  assert_false(wanted(NULL, "GET", t));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gamma_rule_23_codes_and_connect_errors),
      cmocka_unit_test(gamma_rule_22_spent_attempts_end_in_an_error),
      cmocka_unit_test(
          gamma_rule_22_a_timeout_is_retried_by_code_or_where_safe),
      cmocka_unit_test(gamma_rule_22_back_off_is_at_least_the_base),
      cmocka_unit_test(a_body_that_is_gone_is_never_retried),
      cmocka_unit_test(reset_is_retried_where_it_is_safe),
      cmocka_unit_test(without_a_policy_only_the_safe_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
