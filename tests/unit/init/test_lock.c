/* SPDX-License-Identifier: Apache-2.0 */
/* The name is the network namespace's: each test runs in one of its own. */
#include <sched.h>

#include "init/lock.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/wait.h>

#include <cmocka.h>

static int own_namespace(void **state) { return unshare(CLONE_NEWNET); }

static void test_second_waits_and_gives_up(void **state) {
  assert_int_equal(ew_lock_take(0), EW_OK);
  assert_int_equal(ew_lock_take(0), EW_ETIMEDOUT);
  assert_int_equal(ew_lock_take(2 * EW_LOCK_STEP_MS), EW_ETIMEDOUT);
}

static void test_end_of_the_holder_frees(void **state) {
  int fd[2];
  char c;
  assert_int_equal(pipe(fd), 0);
  pid_t pid = fork();
  if (pid == 0) {
    int rc = ew_lock_take(0);
    c = (char)rc;
    if (write(fd[1], &c, 1) != 1)
      _exit(1);
    pause();
    _exit(0);
  }
  assert_int_equal(read(fd[0], &c, 1), 1);
  assert_int_equal(c, EW_OK);
  assert_int_equal(ew_lock_take(0), EW_ETIMEDOUT);
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  assert_int_equal(ew_lock_take(0), EW_OK);
  close(fd[0]);
  close(fd[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_second_waits_and_gives_up, own_namespace),
      cmocka_unit_test_setup(test_end_of_the_holder_frees, own_namespace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
