/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "eastwest/http/message.h"

#define S(s) EW_SLICE_LIT(s)

static int gate(const char *method, const char *authority, struct ew_slice path,
                int version) {
  struct ew_message *m = ew_message_new();
  const char *why = NULL;
  m->method = ew_slice_str(method);
  m->authority = ew_slice_str(authority);
  m->path = path;
  m->version = version;
  int rc = ew_message_gate(m, &why);
  assert_true((rc == EW_OK) == (why == NULL));
  ew_message_del(m);
  return rc;
}

static void test_tokens(void **state) {
  static const char tchar[] = "!#$%&'*+-.^_`|~";
  for (int c = 0; c < 256; c++) {
    char b = (char)c;
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                 (c >= 'A' && c <= 'Z');
    bool want = alnum || (c != 0 && strchr(tchar, c) != NULL);
    assert_int_equal(ew_is_token(ew_slice(&b, 1)), want);
    bool vchar = c >= 0x21 && c != 0x7f;
    assert_int_equal(ew_is_field_value(ew_slice(&b, 1)), vchar);
    char mid[] = {'a', b, 'a'};
    bool inner = vchar || c == ' ' || c == '\t';
    assert_int_equal(ew_is_field_value(ew_slice(mid, 3)), inner);
  }
  assert_false(ew_is_token(ew_slice(NULL, 0)));
  assert_true(ew_is_field_value(ew_slice(NULL, 0)));
  assert_false(ew_is_field_value(S("a ")));
  assert_false(ew_is_field_value(S("\ta")));
}

static void test_authority(void **state) {
  static const char *const good[] = {
      "a",        "A.Test",     "a.test:80", "a-b_c.svc.cluster.local.:1",
      "10.0.0.1", "10.0.0.1:8", "[::1]",     "[fd00::A]:8080",
      "a:65535",
  };
  static const char *const bad[] = {
      "",       "a@b",      "u:p@h",         "a/b",    "a b",
      "a:",     "a:x",      "a:-1",          "a:+1",   "a:1:2",
      ":80",    "a:65536",  "a:00000000080", "[::1",   "::1",
      "[::1]x", "[]",       "[g::1]",        "[::1]:", "[::1]:x",
      "a,b",    "a%2fb",    "a\\b",          "a?b",    "a#b",
      "a\tb",   "\xc3\xa4", "<x>",           "\"a\"",  "[fe80::1%25eth0]",
      "a\x7f",
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    if (gate("GET", good[i], S("/"), 11) != EW_OK)
      fail_msg("refused: %s", good[i]);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    if (gate("GET", bad[i], S("/"), 11) != 400)
      fail_msg("accepted: %s", bad[i]);
  assert_int_equal(gate("GET", "", S("/"), 10), EW_OK);
  assert_int_equal(gate("GET", "a b", S("/"), 10), 400);
}

static void test_authority_is_lowercased(void **state) {
  struct ew_message *m = ew_message_new();
  const char *why;
  m->method = S("GET");
  m->authority = S("A.TeSt:80");
  m->path = S("/X");
  assert_int_equal(ew_message_gate(m, &why), EW_OK);
  assert_true(ew_slice_eq_str(m->authority, "a.test:80"));
  assert_true(ew_slice_eq_str(m->path, "/X"));
  ew_message_del(m);
}

static void test_path(void **state) {
  static const char *const good[] = {
      "/",       "/a",        "/a//b",    "//",         "/a%2fb",
      "/...",    "/.a",       "/a.",      "/..a",       "/a..b/c",
      "/?../..", "/a?b=/../", "/%2e%2ea", "/%2e%2e%2e", "/a;b",
      "/a?%00",  "/%",        "/%2",      "/%2x",       "/a'b(c)|{}^`\"<>",
  };
  static const char *const bad[] = {
      "",        "a",       "*",       "http://a/", "/..",   "/.",
      "/../",    "/a/..",   "/a/../b", "/a/./b",    "/./a",  "/%2e",
      "/%2E%2e", "/.%2e/x", "/%2e./",  "/a/%2E",    "/..?x", "/a b",
      "/a#b",    "/a?b#c",  "/a\\b",   "/a?b\\c",   "/a%00", "/%00?",
      "/\t",     "/\x7f",   "/\x80",   "/\xff",     "/\r",   "/a\n",
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    if (gate("GET", "a", ew_slice_str(good[i]), 11) != EW_OK)
      fail_msg("refused: %s", good[i]);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    if (gate("GET", "a", ew_slice_str(bad[i]), 11) != 400)
      fail_msg("accepted: %s", bad[i]);
  assert_int_equal(gate("GET", "a", S("/a\0b"), 11), 400);
  assert_int_equal(gate("OPTIONS", "a", S("*"), 11), EW_OK);
}

static void test_percent_bytes(void **state) {
  for (int c = 0; c < 256; c++) {
    char path[16];
    snprintf(path, sizeof(path), "/a%%%02x", (unsigned)c);
    assert_int_equal(gate("GET", "a", ew_slice_str(path), 11),
                     c == 0 ? 400 : EW_OK);
    snprintf(path, sizeof(path), "/%%%02X/a", (unsigned)c);
    assert_int_equal(gate("GET", "a", ew_slice_str(path), 11),
                     c == 0 || c == '.' ? 400 : EW_OK);
  }
}

static void test_method(void **state) {
  assert_int_equal(gate("FOO", "a", S("/"), 20), EW_OK);
  assert_int_equal(gate("", "a", S("/"), 20), 400);
  assert_int_equal(gate("G ET", "a", S("/"), 20), 400);
  assert_int_equal(gate("GET\r\n", "a", S("/"), 20), 400);
  assert_int_equal(gate("CONNECT", "a:1", S("/"), 20), 400);
}

static void test_sizes(void **state) {
  char *path = ew_malloc(EW_TARGET_MAX + 1);
  memset(path, 'a', EW_TARGET_MAX + 1);
  path[0] = '/';
  assert_int_equal(gate("GET", "a", ew_slice(path, EW_TARGET_MAX), 11), EW_OK);
  assert_int_equal(gate("GET", "a", ew_slice(path, EW_TARGET_MAX + 1), 11),
                   414);
  free(path);

  struct ew_message *m = ew_message_new();
  const char *why;
  m->status = 200;
  char value[1024];
  memset(value, 'v', sizeof(value));
  /* 62 * (1024 + 1 + 32) = 65534 */
  for (int i = 0; i < 62; i++)
    assert_int_equal(ew_message_add(m, S("n"), ew_slice(value, 1024)), EW_OK);
  assert_int_equal(ew_message_gate(m, &why), EW_OK);
  assert_int_equal(ew_message_add(m, S("n"), S("")), EW_OK);
  assert_int_equal(ew_message_gate(m, &why), 431);
  ew_message_del(m);
}

static void test_response(void **state) {
  static const int bad[] = {-1, 1, 99, 600, 999};
  struct ew_message *m = ew_message_new();
  const char *why;
  m->status = 100;
  assert_int_equal(ew_message_gate(m, &why), EW_OK);
  m->status = 599;
  assert_int_equal(ew_message_gate(m, &why), EW_OK);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    m->status = bad[i];
    assert_int_equal(ew_message_gate(m, &why), 400);
  }
  ew_message_del(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tokens),
      cmocka_unit_test(test_authority),
      cmocka_unit_test(test_authority_is_lowercased),
      cmocka_unit_test(test_path),
      cmocka_unit_test(test_percent_bytes),
      cmocka_unit_test(test_method),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_response),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
