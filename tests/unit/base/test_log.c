/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "eastwest/base/err.h"

static char out[65536];

static unsigned lines(const char *s) {
  unsigned n = 0;
  while ((s = strchr(s, '\n'))) {
    n++;
    s++;
  }
  return n;
}

static void log_all_conversions(void) {
  const char *volatile none = NULL;
  errno = 77;
  ew_log(
      EW_LOG_WARN, "all",
      "s=%s null=%s d=%d u=%u ld=%ld lu=%lu zu=%zu lld=%lld llu=%llu cut=%.*s",
      "x", none, -1, 2u, LONG_MIN, ULONG_MAX, (size_t)5, -6LL, ULLONG_MAX, 3,
      "abcdef");
  if (errno != 77)
    abort();
}

static void test_members(void **state) {
  assert_int_equal(child_run(log_all_conversions, out, sizeof(out)), 0);
  assert_memory_equal(out, "{\"time\":\"20", 11);
  assert_string_equal(
      strstr(out, "Z\",\"level\""),
      "Z\",\"level\":\"warn\",\"msg\":\"all\",\"s\":\"x\",\"null\":null,\"d\":-"
      "1,"
      "\"u\":2,\"ld\":-9223372036854775808,\"lu\":18446744073709551615,"
      "\"zu\":5,\"lld\":-6,\"llu\":18446744073709551615,\"cut\":\"abc\"}\n");
}

static void log_without_members(void) { ew_log(EW_LOG_ERROR, "plain", NULL); }

static void test_no_members(void **state) {
  child_run(log_without_members, out, sizeof(out));
  assert_string_equal(strstr(out, "\"level\""),
                      "\"level\":\"error\",\"msg\":\"plain\"}\n");
}

static void log_hostile_bytes(void) {
  ew_log(EW_LOG_WARN, "m", "a=%s b=%s c=%s", "\"\\\n\r\x1b[31m\x7f",
         "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xee\x80\x80 \xf4\x8f\xbf\xbf",
         "\xff \xc0\xaf \xed\xa0\x80 \xc2\x9b \xe2\x82 \xf0\x80\x80\x80 \xf5");
}

static void test_bytes_of_a_peer_are_escaped(void **state) {
  child_run(log_hostile_bytes, out, sizeof(out));
  assert_int_equal(lines(out), 1);
  assert_string_equal(
      strstr(out, "\"a\""),
      "\"a\":\"\\\"\\\\\\u000a\\u000d\\u001b[31m\\u007f\","
      "\"b\":\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xee\x80\x80 "
      "\xf4\x8f\xbf\xbf\","
      "\"c\":\"\\u00ff \\u00c0\\u00af \\u00ed\\u00a0\\u0080 \\u00c2\\u009b "
      "\\u00e2\\u0082 \\u00f0\\u0080\\u0080\\u0080 \\u00f5\"}\n");
}

static void log_a_long_value(void) {
  static char big[20000];
  memset(big, '\1', sizeof(big) - 1);
  ew_log(EW_LOG_WARN, "m", "big=%s after=%d", big, 5);
}

static void test_long_line_is_cut_and_closed(void **state) {
  child_run(log_a_long_value, out, sizeof(out));
  assert_int_equal(lines(out), 1);
  size_t n = strlen(out);
  assert_true(n > 4000 && n <= 4096);
  assert_string_equal(out + n - 9, "\\u0001\"}\n");
}

static void wait_for_a_new_second(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  time_t then = ts.tv_sec;
  while (ts.tv_sec == then)
    clock_gettime(CLOCK_REALTIME, &ts);
}

static void log_too_much(void) {
  wait_for_a_new_second();
  for (int i = 0; i < 26; i++) {
    if (i == 25)
      wait_for_a_new_second();
    ew_log(EW_LOG_WARN, "often", "i=%d", i);
  }
  ew_log(EW_LOG_WARN, "another site", NULL);
}

static void test_a_site_is_limited(void **state) {
  child_run(log_too_much, out, sizeof(out));
  assert_int_equal(lines(out), 12);
  assert_non_null(strstr(out, "\"i\":9}"));
  assert_null(strstr(out, "\"i\":10"));
  assert_non_null(strstr(out, "\"i\":25,\"suppressed\":15}"));
  assert_non_null(strstr(out, "another site\"}"));
}

static void test_line_of_another_log(void **state) {
  struct ew_buf b;
  ew_buf_init(&b, 100);
  assert_int_equal(ew_log_line(&b, "path=%s code=%d", "/\"\n", 200), EW_OK);
  struct ew_slice s = ew_buf_peek(&b);
  assert_memory_equal(s.p, "{\"time\":\"20", 11);
  static const char end[] = "Z\",\"path\":\"/\\\"\\u000a\",\"code\":200}\n";
  assert_memory_equal(s.p + s.n - strlen(end), end, strlen(end));
  /* A second one does not fit, and nothing of it is taken. */
  size_t before = s.n;
  assert_int_equal(ew_log_line(&b, "path=%s code=%d", "/", 200), EW_EAGAIN);
  assert_int_equal(ew_buf_len(&b), before);
  ew_buf_fini(&b);
}

static void log_each_level(void) {
  ew_log(EW_LOG_ERROR, "e", NULL);
  ew_log(EW_LOG_INFO, "i", NULL);
  ew_log(EW_LOG_DEBUG, "d", NULL);
}

static void test_threshold(void **state) {
  assert_string_equal(ew_log_level_name(), "info");
  child_run(log_each_level, out, sizeof(out));
  assert_int_equal(lines(out), 2);
  assert_int_equal(ew_log_set_level("debug"), EW_OK);
  child_run(log_each_level, out, sizeof(out));
  assert_int_equal(lines(out), 3);
  assert_int_equal(ew_log_set_level("error"), EW_OK);
  child_run(log_each_level, out, sizeof(out));
  assert_int_equal(lines(out), 1);
  assert_int_equal(ew_log_set_level("loud"), EW_EINVAL);
  assert_string_equal(ew_log_level_name(), "error");
  assert_int_equal(ew_log_set_level("info"), EW_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_members),
      cmocka_unit_test(test_no_members),
      cmocka_unit_test(test_bytes_of_a_peer_are_escaped),
      cmocka_unit_test(test_long_line_is_cut_and_closed),
      cmocka_unit_test(test_a_site_is_limited),
      cmocka_unit_test(test_line_of_another_log),
      cmocka_unit_test(test_threshold),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
