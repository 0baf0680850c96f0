/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_SCHED_H
#define EASTWEST_BASE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

/* How the kernel treats the calling thread when it is woken (sched(7)).
 *
 * By the normal policy (SCHED_OTHER) a thread that is woken may take the
 * processor from the one that woke it. Who wakes a proxy has sent something and
 * is about to wait for the answer; to be stopped just before that costs two
 * more switches, and often a move to the other processor's cold cache. By
 * SCHED_BATCH the woken thread waits until the processor is free, and has the
 * same share of it. That is a few microseconds if the waker is the only other
 * one; but milliseconds where processors are short. So the thread watches how
 * long it waited, and is normal again, for a while that doubles with each such
 * try, when that was too long. */
struct ew_sched {
  int fd;             /* -1: the policy is none of our business */
  bool batch;         /* the policy is SCHED_BATCH */
  uint64_t waited_ns; /* of the thread, up to the last look that counted */
  uint64_t turns;     /* times that it got a processor, likewise */
  uint64_t since_ms;  /* when the policy was set */
  uint64_t hold_ms;   /* how long the normal policy stays */
};

/* What a look saw. */
enum ew_sched_change { EW_SCHED_SAME, EW_SCHED_TO_BATCH, EW_SCHED_TO_OTHER };

/* Makes SCHED_BATCH the calling thread's policy. |schedstat| is the file of how
 * long it waited: NULL for /proc/thread-self/schedstat (proc(5)). Returns
 * EW_OK, or EW_ENOENT if the kernel doesn't count that, refuses the policy, or
 * somebody chose another one than SCHED_OTHER: then all stays as it is. */
int ew_sched_init(struct ew_sched *s, const char *schedstat);
/* Changes the policy if it is time to, and tells. |now_ms|: monotonic. To be
 * called from the thread of ew_sched_init, ten times a second while it is
 * busy; one read of a file in /proc. |*wait_us| gets the mean wait for a
 * processor that made it normal, else 0. */
enum ew_sched_change ew_sched_look(struct ew_sched *s, uint64_t now_ms,
                                   uint64_t *wait_us);
/* Leaves the policy as it is. */
void ew_sched_fini(struct ew_sched *s);

#endif
