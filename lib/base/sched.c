/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/sched.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "eastwest/base/err.h"

/* Mean waits per turn on two processors: 10 to 20 us with idle time left, 60 to
 * 100 us when client, app and proxies fill both, 300 us to milliseconds beside
 * two or more threads that compute without end. */
#define WAIT_MAX_NS 150000u
/* Fewer turns say nothing about the mean. */
#define TURNS_MIN 64u
#define HOLD_MIN_MS 1000u
#define HOLD_MAX_MS 300000u
/* So long without trouble, and the next hold is the shortest again. */
#define CALM_MS 60000u

/* The line is "ON_CPU_NS WAITED_NS TURNS". */
static int read_waits(int fd, uint64_t *waited_ns, uint64_t *turns) {
  char line[96];
  unsigned long long waited, n;
  ssize_t len = pread(fd, line, sizeof(line) - 1, 0);

  if (len <= 0)
    return EW_ENOENT;
  line[len] = '\0';
  if (sscanf(line, "%*u %llu %llu", &waited, &n) != 2 || n == 0)
    return EW_ENOENT;
  *waited_ns = waited;
  *turns = n;
  return EW_OK;
}

static int set_policy(int policy) {
  const struct sched_param none = {.sched_priority = 0};
  return sched_setscheduler(0, policy, &none) == 0 ? EW_OK : EW_ENOENT;
}

int ew_sched_init(struct ew_sched *s, const char *schedstat) {
  *s = (struct ew_sched){.fd = -1, .hold_ms = HOLD_MIN_MS};
  if (sched_getscheduler(0) != SCHED_OTHER)
    return EW_ENOENT;
  s->fd = open(schedstat ? schedstat : "/proc/thread-self/schedstat",
               O_RDONLY | O_CLOEXEC);
  if (s->fd < 0)
    return EW_ENOENT;
  if (read_waits(s->fd, &s->waited_ns, &s->turns) != EW_OK ||
      set_policy(SCHED_BATCH) != EW_OK) {
    ew_sched_fini(s);
    return EW_ENOENT;
  }
  s->batch = true;
  return EW_OK;
}

static enum ew_sched_change change_to(struct ew_sched *s, bool batch,
                                      uint64_t now_ms) {
  if (set_policy(batch ? SCHED_BATCH : SCHED_OTHER) != EW_OK)
    return EW_SCHED_SAME;
  s->batch = batch;
  s->since_ms = now_ms;
  return batch ? EW_SCHED_TO_BATCH : EW_SCHED_TO_OTHER;
}

static enum ew_sched_change look_in_batch(struct ew_sched *s, uint64_t now_ms,
                                          uint64_t *wait_us) {
  uint64_t waited_ns, turns, mean_ns;

  if (read_waits(s->fd, &waited_ns, &turns) != EW_OK ||
      turns - s->turns < TURNS_MIN)
    return EW_SCHED_SAME;
  mean_ns = (waited_ns - s->waited_ns) / (turns - s->turns);
  s->waited_ns = waited_ns;
  s->turns = turns;
  if (mean_ns > WAIT_MAX_NS) {
    *wait_us = mean_ns / 1000;
    return change_to(s, false, now_ms);
  }
  if (now_ms - s->since_ms >= CALM_MS)
    s->hold_ms = HOLD_MIN_MS;
  return EW_SCHED_SAME;
}

static enum ew_sched_change look_in_other(struct ew_sched *s, uint64_t now_ms) {
  if (now_ms - s->since_ms < s->hold_ms ||
      read_waits(s->fd, &s->waited_ns, &s->turns) != EW_OK)
    return EW_SCHED_SAME;
  s->hold_ms = s->hold_ms * 2 < HOLD_MAX_MS ? s->hold_ms * 2 : HOLD_MAX_MS;
  return change_to(s, true, now_ms);
}

enum ew_sched_change ew_sched_look(struct ew_sched *s, uint64_t now_ms,
                                   uint64_t *wait_us) {
  *wait_us = 0;
  if (s->fd < 0)
    return EW_SCHED_SAME;
  return s->batch ? look_in_batch(s, now_ms, wait_us)
                  : look_in_other(s, now_ms);
}

void ew_sched_fini(struct ew_sched *s) {
  if (s->fd >= 0)
    close(s->fd);
  s->fd = -1;
}
