/* SPDX-License-Identifier: Apache-2.0 */
#include "init/run.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ew_buf out, err;

static int setup(void **state) {
  ew_buf_init(&out, 1 << 20);
  ew_buf_init(&err, 100);
  signal(SIGPIPE, SIG_IGN);
  return 0;
}

static int teardown(void **state) {
  ew_buf_fini(&out);
  ew_buf_fini(&err);
  return 0;
}

static int sh(const char *script, struct ew_slice in) {
  const char *const argv[] = {"sh", "-c", script, NULL};
  return ew_run(argv, in, &out, &err);
}

static void test_output_and_status(void **state) {
  assert_int_equal(sh("echo a; echo b >&2; exit 3", ew_slice(NULL, 0)), 3);
  assert_true(ew_slice_eq_str(ew_buf_peek(&out), "a\n"));
  assert_true(ew_slice_eq_str(ew_buf_peek(&err), "b\n"));
}

/* More than a pipe holds goes in and comes out at the same time. */
static void test_large_input_passes(void **state) {
  size_t n = 900000;
  char *big = malloc(n);
  for (size_t i = 0; i < n; i++)
    big[i] = (char)(i * 7);
  assert_int_equal(sh("exec cat", ew_slice(big, n)), 0);
  assert_true(ew_slice_eq(ew_buf_peek(&out), ew_slice(big, n)));
  free(big);
}

static void test_reader_that_leaves_is_survived(void **state) {
  size_t n = 900000;
  char *big = calloc(n, 1);
  assert_int_equal(sh("exec 0<&-; echo done", ew_slice(big, n)), 0);
  assert_true(ew_slice_eq_str(ew_buf_peek(&out), "done\n"));
  free(big);
}

static void test_endless_output_is_ended(void **state) {
  assert_int_equal(sh("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done",
                      ew_slice(NULL, 0)),
                   EW_ELIMIT);
}

static void test_surplus_of_stderr_is_dropped(void **state) {
  assert_int_equal(
      sh("i=0; while [ $i -lt 99 ]; do echo xxxxxxxxx >&2; i=$((i+1)); done",
         ew_slice(NULL, 0)),
      0);
  assert_int_equal(ew_buf_len(&err), 100);
}

static void test_missing_program(void **state) {
  const char *const argv[] = {"eastwest-no-such-program", NULL};
  assert_int_equal(ew_run(argv, ew_slice(NULL, 0), &out, &err), 127);
  const char *const folder[] = {"/proc", NULL};
  assert_int_equal(ew_run(folder, ew_slice(NULL, 0), &out, &err), 126);
}

static void test_signal_is_a_failure(void **state) {
  assert_int_equal(sh("kill -9 $$", ew_slice(NULL, 0)), EW_EIO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(test_output_and_status),
      T(test_large_input_passes),
      T(test_reader_that_leaves_is_survived),
      T(test_endless_output_is_ended),
      T(test_surplus_of_stderr_is_dropped),
      T(test_missing_program),
      T(test_signal_is_a_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
