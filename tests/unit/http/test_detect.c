/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/http/detect.h"

struct row {
  struct ew_slice in;
  enum ew_detected want;
};
#define ROW(s, want) \
  { {s, sizeof(s) - 1}, EW_DETECT_##want }

static void test_verdicts(void **state) {
  static const struct row rows[] = {
      ROW("", MORE),
      ROW("GET / HTTP/1.1\r\n", HTTP1),
      ROW("GET /", HTTP1),
      ROW("GET ", MORE),
      ROW("GET", MORE),
      ROW("G", MORE),
      ROW("OPTIONS *", HTTP1),
      ROW("GET h", MORE),
      ROW("GET HTTP", HTTP1),
      ROW("GET http://a/", HTTP1),
      ROW("GET hello", MORE),
      ROW("GET hello\r\n", OPAQUE),
      ROW("GET  /", MORE),
      ROW("GET  / HTTP/1.1\r\n", HTTP1),
      ROW("GET\t/ HTTP/1.1\r\n", HTTP1),
      ROW("GET\v/\fhttp/1.0 \n", HTTP1),
      ROW("GET hello HTTP/1.1\r\n", HTTP1),
      ROW("GET \"/\" HTTP/9.9\r\n", HTTP1),
      ROW("GET hello HTTP/1.1", MORE),
      ROW("GET hello HTTP/1.x\r\n", OPAQUE),
      ROW("GET helloHTTP/1.1\r\n", OPAQUE),
      ROW("1.2.3.4 - \"GET / HTTP/1.1\" 200\n", OPAQUE),
      ROW("get key\r\n / HTTP/1.1\r\n", OPAQUE),
      ROW("OPTIONS sip:a SIP/2.0\r\n", OPAQUE),
      ROW("GET \x01", OPAQUE),
      ROW("M-SEARCH *", HTTP1),
      ROW("\r\nGET /", HTTP1),
      ROW("\r\n", MORE),
      ROW("\r", MORE),
      ROW("\rX", MORE),
      ROW("\r\n\r\n", MORE),
      ROW("\r\n\r\n\0", OPAQUE),
      ROW("\nGET /", HTTP1),
      ROW(" \n\t\r GET /", HTTP1),
      ROW("12345678901234567890123456789012 /", HTTP1),
      ROW("12345678901234567890123456789012", MORE),
      ROW("123456789012345678901234567890123", OPAQUE),
      ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP2),
      ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", HTTP2),
      ROW("PRI * HTTP/2.0\r\n\r\nSM", MORE),
      ROW("PRI * HTTP/1.1\r\n", HTTP1),
      ROW("P", MORE),
      ROW("PUT /x", HTTP1),
      ROW("\x16\x03\x01\x02", OPAQUE),
      ROW("SSH-2.0-OpenSSH_9\r\n", OPAQUE),
      ROW("*1\r\n$4\r\nPING\r\n", OPAQUE),
      ROW("\0", OPAQUE),
      ROW("\xff", OPAQUE),
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    enum ew_detected got = ew_detect(rows[i].in);
    if (got != rows[i].want)
      fail_msg("row %zu: %.*s: got %d, want %d", i, EW_SLICE_FMT(rows[i].in),
               (int)got, (int)rows[i].want);
  }
}

/* A verdict that was given is not taken back by further bytes. */
static void test_prefixes_agree(void **state) {
  static const char *const whole[] = {
      "GET /path HTTP/1.1\r\nhost: a\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\n",
      "\r\nPOST http://a/ HTTP/1.1\r\n",
      "\x16\x03\x01\x02\x01",
      "\n\r\n GET\t / HTTP/1.0\n",
      "get hello world\n",
  };
  for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
    struct ew_slice all = ew_slice_str(whole[i]);
    enum ew_detected last = ew_detect(all);
    assert_int_not_equal(last, EW_DETECT_MORE);
    for (size_t n = 0; n < all.n; n++) {
      enum ew_detected d = ew_detect(ew_slice(all.p, n));
      assert_true(d == EW_DETECT_MORE || d == last);
    }
  }
}

static void test_8192_bytes_settle_it(void **state) {
  static char in[9000];
  for (int c = 0; c < 256; c++) {
    memset(in, c, sizeof(in));
    assert_int_not_equal(ew_detect(ew_slice(in, 8192)), EW_DETECT_MORE);
    assert_int_not_equal(ew_detect(ew_slice(in, sizeof(in))), EW_DETECT_MORE);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_verdicts),
      cmocka_unit_test(test_prefixes_agree),
      cmocka_unit_test(test_8192_bytes_settle_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
