/* SPDX-License-Identifier: Apache-2.0 */
/* What follows a fatal signal is run in a child process. */
#ifndef EASTWEST_TESTS_UNIT_BASE_CHILD_H
#define EASTWEST_TESTS_UNIT_BASE_CHILD_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs |fn| in a child whose stderr is read into |out|, NUL-terminated.
 * Returns the wait status. */
static inline int child_run(void (*fn)(void), char *out, size_t n) {
  int fd[2];
  if (pipe(fd) != 0)
    abort();
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    dup2(fd[1], STDERR_FILENO);
    close(fd[0]);
    fn();
    exit(0); /* not _exit: coverage is written on the way out */
  }
  close(fd[1]);
  size_t have = 0;
  ssize_t got;
  while (have < n - 1 && (got = read(fd[0], out + have, n - 1 - have)) > 0)
    have += (size_t)got;
  out[have] = '\0';
  close(fd[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

#endif
