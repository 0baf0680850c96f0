/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

/* The real one leaves out what is more than ten lines a second. */
static char line[512];

static void record(enum ew_log_level level, const char *msg, const char *fmt,
                   ...) __attribute__((format(printf, 3, 4)));

static void record(enum ew_log_level level, const char *msg, const char *fmt,
                   ...) {
  va_list ap;
  assert_int_equal(level, EW_LOG_ERROR);
  int n = snprintf(line, sizeof line, "%s ", msg);
  va_start(ap, fmt);
  vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
  va_end(ap);
}

#undef ew_log
#define ew_log record

#include "controller/tokens.c"

#define ALICE "alice-0123456789"
#define BOB "bob-012345678901"
#define ENTRY(token, ns, account)                      \
  "{\"token\":\"" token "\",\"namespace\":\"" ns "\"," \
  "\"serviceAccount\":\"" account "\"}"

struct fixture {
  char dir[64], path[128];
  int generation;
  struct ew_tokens *t;
};

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  snprintf(f->dir, sizeof f->dir, "/tmp/eastwest-tokens-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  snprintf(f->path, sizeof f->path, "%s/tokens.json", f->dir);
  f->t = ew_tokens_new(f->path);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  ew_tokens_del(f->t);
  unlink(f->path);
  rmdir(f->dir);
  free(f);
  return 0;
}

/* Renamed into place, as those who write it do: the inode is another one. */
static void write_text(struct fixture *f, const char *text) {
  char tmp[160];
  snprintf(tmp, sizeof tmp, "%s.%d", f->path, f->generation++);
  FILE *out = fopen(tmp, "we");
  assert_non_null(out);
  assert_true(fputs(text, out) >= 0);
  assert_int_equal(fclose(out), 0);
  assert_int_equal(rename(tmp, f->path), 0);
}

static void write_list(struct fixture *f, const char *entries) {
  char text[1024];
  snprintf(text, sizeof text, "{\"tokens\":[%s]}", entries);
  write_text(f, text);
}

struct answer {
  int calls;
  enum ew_token_verdict verdict;
  char owner[128];
};

static void on_answer(void *arg, enum ew_token_verdict verdict,
                      const struct ew_token_owner *owner) {
  struct answer *a = arg;
  a->calls++;
  a->verdict = verdict;
  assert_int_equal(owner != NULL, verdict == EW_TOKEN_GOOD);
  if (owner)
    snprintf(a->owner, sizeof a->owner, "%s/%s %s", owner->namespace_,
             owner->service_account, owner->pod);
}

/* "namespace/account pod", or "" if the token is not known. */
static const char *owner_of(struct fixture *f, const char *token) {
  static struct answer a;
  struct ew_authenticator *auth = ew_tokens_authenticator(f->t);
  a = (struct answer){0};
  auth->check(auth, ew_slice_str(token), on_answer, &a);
  assert_int_equal(a.calls, 1);
  if (a.verdict != EW_TOKEN_GOOD)
    assert_int_equal(a.verdict, EW_TOKEN_BAD);
  return a.owner;
}

static void test_owners(void **state) {
  struct fixture *f = *state;
  write_list(f, ENTRY(ALICE, "a",
                      "alice") ",{\"token\":\"" BOB "\","
                               "\"namespace\":\"b\",\"serviceAccount\":\"bob\","
                               "\"pod\":\"bob-1\",\"frob\":1}");
  assert_string_equal(owner_of(f, ALICE), "a/alice ");
  assert_string_equal(owner_of(f, BOB), "b/bob bob-1");
  assert_string_equal(owner_of(f, ""), "");
  assert_string_equal(owner_of(f, "alice-012345678"), "");
  assert_string_equal(owner_of(f, ALICE "0"), "");
  assert_string_equal(owner_of(f, "alice-0123456780"), "");
}

static void test_no_file_yet(void **state) {
  struct fixture *f = *state;
  assert_string_equal(owner_of(f, ALICE), "");
  write_list(f, ENTRY(ALICE, "a", "alice"));
  assert_string_equal(owner_of(f, ALICE), "a/alice ");
}

static void test_changes_are_read(void **state) {
  struct fixture *f = *state;
  write_list(f, ENTRY(ALICE, "a", "alice"));
  assert_string_equal(owner_of(f, ALICE), "a/alice ");
  write_list(f, ENTRY(ALICE, "a", "other"));
  assert_string_equal(owner_of(f, ALICE), "a/other ");
  write_list(f, ENTRY(BOB, "b", "bob"));
  assert_string_equal(owner_of(f, ALICE), "");
  assert_string_equal(owner_of(f, BOB), "b/bob ");
  write_list(f, "");
  assert_string_equal(owner_of(f, BOB), "");
}

static void test_a_file_that_is_gone_changes_nothing(void **state) {
  struct fixture *f = *state;
  write_list(f, ENTRY(ALICE, "a", "alice"));
  assert_string_equal(owner_of(f, ALICE), "a/alice ");
  unlink(f->path);
  assert_string_equal(owner_of(f, ALICE), "a/alice ");
}

static void test_faulty_files_change_nothing(void **state) {
  struct fixture *f = *state;
  static const char *const bad[][2] = {
      {"", "line=1 error=expected JSON"},
      {"{\n\"tokens\":", "line=2 error=expected JSON"},
      {"7", "line=1 error=expected JSON"},
      {"[]", "line=0 error=tokens: expected a list"},
      {"{}", "line=0 error=tokens: expected a list"},
      {"{\"tokens\":{}}", "line=0 error=tokens: expected a list"},
      {"{\"tokens\":[7]}",
       "line=0 error=token: expected a string of at least 16 characters"},
      {"{\"tokens\":[{\"namespace\":\"a\",\"serviceAccount\":\"b\"}]}",
       "line=0 error=token: expected a string of at least 16 characters"},
      {"{\"tokens\":[{\"token\":\"" ALICE "\",\"serviceAccount\":\"b\"}]}",
       "line=0 error=namespace and serviceAccount: expected strings"},
      {"{\"tokens\":[{\"token\":\"" ALICE "\",\"namespace\":\"b\"}]}",
       "line=0 error=namespace and serviceAccount: expected strings"},
      {"{\"tokens\":[" ENTRY(BOB, "x", "x") "," ENTRY("15-bytes-of-it.", "a",
                                                      "b") "]}",
       "line=0 error=token: expected a string of at least 16 characters"}};
  assert_int_equal(strlen("15-bytes-of-it."), TOKEN_MIN - 1);
  write_list(f, ENTRY(ALICE, "a", "alice"));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char want[512];
    assert_string_equal(owner_of(f, ALICE), "a/alice ");
    write_text(f, bad[i][0]);
    line[0] = '\0';
    assert_string_equal(owner_of(f, ALICE), "a/alice ");
    snprintf(want, sizeof want, "token file refused file=%s %s", f->path,
             bad[i][1]);
    assert_string_equal(line, want);
    line[0] = '\0';
    assert_string_equal(owner_of(f, BOB), "");
    assert_string_equal(line, "");
  }
  write_list(f, ENTRY(BOB, "b", "bob"));
  assert_string_equal(owner_of(f, BOB), "b/bob ");
}

static void test_no_token_in_the_log(void **state) {
  struct fixture *f = *state;
  write_text(f, "{\"tokens\":[{\"token\" \"" ALICE "\"}]}");
  assert_string_equal(owner_of(f, ALICE), "");
  assert_non_null(strstr(line, "token file refused"));
  assert_null(strstr(line, "alice"));
}

int main(void) {
#define TOKENS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TOKENS_TEST(test_owners),
      TOKENS_TEST(test_no_file_yet),
      TOKENS_TEST(test_changes_are_read),
      TOKENS_TEST(test_a_file_that_is_gone_changes_nothing),
      TOKENS_TEST(test_faulty_files_change_nothing),
      TOKENS_TEST(test_no_token_in_the_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
