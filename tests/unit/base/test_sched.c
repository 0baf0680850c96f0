/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "eastwest/base/sched.h"

/* Stands in for /proc/thread-self/schedstat. */
static char path[] = "/tmp/eastwest-sched.XXXXXX";
static unsigned long long waited_ns, turns;

static void tell(unsigned long long wait_ns, unsigned n) {
  FILE *f = fopen(path, "w");

  waited_ns += wait_ns * n;
  turns += n;
  assert_non_null(f);
  assert_true(fprintf(f, "123456789 %llu %llu\n", waited_ns, turns) > 0);
  assert_int_equal(fclose(f), 0);
}

static void set(int policy) {
  struct sched_param p = {.sched_priority = 0};
  assert_int_equal(sched_setscheduler(0, policy, &p), 0);
}

static int setup(void **state) {
  set(SCHED_OTHER);
  tell(5000000, 100); /* before the first look; not to be counted */
  return 0;
}

static int teardown(void **state) {
  set(SCHED_OTHER);
  return 0;
}

static enum ew_sched_change look(struct ew_sched *s, uint64_t now_ms) {
  uint64_t wait_us;
  return ew_sched_look(s, now_ms, &wait_us);
}

static void lets_wakers_go_on(void **state) {
  struct ew_sched s;

  assert_int_equal(ew_sched_init(&s, path), EW_OK);
  assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
  for (uint64_t now = 100; now < 2000; now += 100) {
    tell(90000, 200);
    assert_int_equal(look(&s, now), EW_SCHED_SAME);
  }
  assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
  ew_sched_fini(&s);
}

static void is_normal_while_processors_are_short(void **state) {
  struct ew_sched s;
  uint64_t now = 100000, wait_us, hold = 1000;

  assert_int_equal(ew_sched_init(&s, path), EW_OK);
  for (int i = 0; i < 12; i++) {
    tell(400000, 100);
    assert_int_equal(ew_sched_look(&s, now, &wait_us), EW_SCHED_TO_OTHER);
    assert_int_equal(wait_us, 400);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    tell(900000, 100);
    assert_int_equal(look(&s, now + hold - 1), EW_SCHED_SAME);
    now += hold;
    assert_int_equal(look(&s, now), EW_SCHED_TO_BATCH);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    /* What it waited before counts no more. */
    tell(20000, 100);
    now += 100;
    assert_int_equal(look(&s, now), EW_SCHED_SAME);
    hold = hold * 2 < 300000 ? hold * 2 : 300000;
  }
  /* A calm minute, and all begins again. */
  now += 60000;
  tell(20000, 100);
  assert_int_equal(look(&s, now), EW_SCHED_SAME);
  tell(400000, 100);
  assert_int_equal(look(&s, now), EW_SCHED_TO_OTHER);
  assert_int_equal(look(&s, now + 1000), EW_SCHED_TO_BATCH);
  ew_sched_fini(&s);
}

static void few_turns_are_no_mean(void **state) {
  struct ew_sched s;

  assert_int_equal(ew_sched_init(&s, path), EW_OK);
  tell(9000000, 20);
  assert_int_equal(look(&s, 100), EW_SCHED_SAME);
  tell(9000000, 20);
  assert_int_equal(look(&s, 200), EW_SCHED_SAME);
  tell(9000000, 24); /* they add up */
  assert_int_equal(look(&s, 300), EW_SCHED_TO_OTHER);
  ew_sched_fini(&s);
}

static void a_policy_of_somebody_else_stays(void **state) {
  struct ew_sched s;

  set(SCHED_IDLE);
  assert_int_equal(ew_sched_init(&s, path), EW_ENOENT);
  tell(900000, 100);
  assert_int_equal(look(&s, 100), EW_SCHED_SAME);
  assert_int_equal(look(&s, 100000), EW_SCHED_SAME);
  assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
  ew_sched_fini(&s);
}

static void without_counts_it_stays_normal(void **state) {
  struct ew_sched s;
  FILE *f;

  assert_int_equal(ew_sched_init(&s, "/proc/no-such-file"), EW_ENOENT);
  f = fopen(path, "w"); /* as with CONFIG_SCHED_INFO off */
  assert_non_null(f);
  assert_true(fputs("0 0 0\n", f) >= 0);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(ew_sched_init(&s, path), EW_ENOENT);
  assert_int_equal(truncate(path, 0), 0);
  assert_int_equal(ew_sched_init(&s, path), EW_ENOENT);
  assert_int_equal(look(&s, 100), EW_SCHED_SAME);
  assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
  ew_sched_fini(&s);
}

static void the_kernel_counts(void **state) {
  struct ew_sched s;

  assert_int_equal(ew_sched_init(&s, NULL), EW_OK);
  assert_true(s.turns > 0);
  ew_sched_fini(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(lets_wakers_go_on),
      T(is_normal_while_processors_are_short),
      T(few_turns_are_no_mean),
      T(a_policy_of_somebody_else_stays),
      T(without_counts_it_stays_normal),
      T(the_kernel_counts),
  };
  int fd = mkstemp(path), failed;

  if (fd < 0)
    return 1;
  close(fd);
  failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
