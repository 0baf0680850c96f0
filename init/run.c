/* SPDX-License-Identifier: Apache-2.0 */
#include "init/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "eastwest/base/err.h"

/* Longer than iptables waits for the lock of another (-w 30). */
#define EW_RUN_TIMEOUT_MS 60000

struct ew_pipes {
  int in[2], out[2], err[2];
};

static void ew_close(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static void ew_pipes_close(struct ew_pipes *p) {
  int *fds[] = {&p->in[0],  &p->in[1],  &p->out[0],
                &p->out[1], &p->err[0], &p->err[1]};
  for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
    ew_close(fds[i]);
}

static int ew_pipes_open(struct ew_pipes *p) {
  *p = (struct ew_pipes){{-1, -1}, {-1, -1}, {-1, -1}};
  if (pipe2(p->in, O_CLOEXEC) == 0 && pipe2(p->out, O_CLOEXEC) == 0 &&
      pipe2(p->err, O_CLOEXEC) == 0 &&
      fcntl(p->in[1], F_SETFL, O_NONBLOCK) == 0)
    return EW_OK;
  ew_pipes_close(p);
  return EW_EIO;
}

_Noreturn static void ew_child(const struct ew_pipes *p,
                               const char *const argv[]) {
  int why = 0;
  signal(SIGPIPE, SIG_DFL);
  if (dup2(p->in[0], STDIN_FILENO) >= 0 &&
      dup2(p->out[1], STDOUT_FILENO) >= 0 &&
      dup2(p->err[1], STDERR_FILENO) >= 0) {
    /* execvp changes nothing in argv; its type is older than const. */
    union {
      const char *const *from;
      char *const *to;
    } args = {.from = argv};
    execvp(argv[0], args.to);
    why = errno;
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(why));
  }
  _exit(why == ENOENT ? 127 : 126);
}

static long long ew_now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One read; closes |*fd| at the end. */
static int ew_take(int *fd, struct ew_buf *b, bool drop) {
  char chunk[8192];
  ssize_t n = read(*fd, chunk, sizeof(chunk));
  if (n < 0 && errno == EINTR)
    return EW_OK;
  if (n <= 0) {
    ew_close(fd);
    return EW_OK;
  }
  size_t took = ew_buf_append_some(b, ew_slice(chunk, (size_t)n));
  return took == (size_t)n || drop ? EW_OK : EW_ELIMIT;
}

/* One write; closes |*fd| when all is written or the reader has gone. */
static void ew_give(int *fd, struct ew_slice *in) {
  ssize_t n = in->n ? write(*fd, in->p, in->n) : 0;
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return;
  if (n > 0)
    *in = ew_slice(in->p + n, in->n - (size_t)n);
  if (n < 0 || in->n == 0)
    ew_close(fd);
}

static int ew_talk(struct ew_pipes *p, struct ew_slice in, struct ew_buf *out,
                   struct ew_buf *err) {
  long long deadline = ew_now_ms() + EW_RUN_TIMEOUT_MS;
  while (p->out[0] >= 0 || p->err[0] >= 0) {
    long long left = deadline - ew_now_ms();
    if (left <= 0)
      return EW_ETIMEDOUT;
    struct pollfd fds[] = {
        {p->in[1], POLLOUT, 0}, {p->out[0], POLLIN, 0}, {p->err[0], POLLIN, 0}};
    if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
      return EW_EIO;
    if (fds[0].revents)
      ew_give(&p->in[1], &in);
    if (fds[1].revents && ew_take(&p->out[0], out, false) != EW_OK)
      return EW_ELIMIT;
    if (fds[2].revents)
      ew_take(&p->err[0], err, true);
  }
  return EW_OK;
}

int ew_run(const char *const argv[], struct ew_slice in, struct ew_buf *out,
           struct ew_buf *err) {
  struct ew_pipes p;
  if (ew_pipes_open(&p) != EW_OK)
    return EW_EIO;
  pid_t pid = fork();
  if (pid == 0)
    ew_child(&p, argv);
  ew_close(&p.in[0]);
  ew_close(&p.out[1]);
  ew_close(&p.err[1]);
  int rc = pid < 0 ? EW_EIO : ew_talk(&p, in, out, err);
  ew_pipes_close(&p);
  if (pid < 0)
    return rc;
  if (rc != EW_OK)
    kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return EW_EIO;
  if (rc != EW_OK)
    return rc;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EW_EIO;
}
