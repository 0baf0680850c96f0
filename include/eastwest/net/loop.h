/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_LOOP_H
#define EASTWEST_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/list.h"

/* One event loop per worker thread. Everything that is made on a loop is used
 * and closed on the same thread. */
struct ew_loop;

/* Returns NULL when the kernel refuses (file descriptors). */
struct ew_loop *ew_loop_new(void);
/* All timers, streams and listeners must be closed before; aborts if not, so a
 * leaked handle is a failing test. */
void ew_loop_del(struct ew_loop *l);
/* Runs until ew_loop_stop or until nothing is left to wait for; signals and
 * wake alone are nothing to wait for. */
void ew_loop_run(struct ew_loop *l);
/* Handles what is ready now, waiting for at most |timeout_ms| (tests). */
void ew_loop_run_once(struct ew_loop *l, unsigned timeout_ms);
void ew_loop_stop(struct ew_loop *l);
/* Monotonic time in ms / us, read once per loop turn: good for deadlines. */
uint64_t ew_loop_now_ms(const struct ew_loop *l);
/* Monotonic time now, in microseconds, read from the clock. */
uint64_t ew_clock_us(void);

/* Bodies are best moved in pieces of this: with a frame's head and four TLS
 * records around it a piece still fits one segment of the kernel's segmentation
 * offload (64 KiB with its headers, in whole packets of 1428 bytes), so it
 * crosses the network's layers once. */
#define EW_PIECE_SIZE 64000

/* A scratch area of EW_SCRATCH_SIZE bytes shared by everybody on the loop,
 * valid within one callback, until the next call that may use it too. It takes
 * a piece and the framing around it. */
#define EW_SCRATCH_SIZE 64512
char *ew_loop_scratch(struct ew_loop *l);

/* Work for the end of this loop turn, after all callbacks that were ready:
 * used to flush once what many events produced, and to free what a caller may
 * still be using. Embedded; runs once per ew_defer call; calling it again while
 * it waits changes nothing. */
struct ew_task {
  struct ew_list node; /* private */
  void (*run)(struct ew_task *t);
};
void ew_task_init(struct ew_task *t, void (*run)(struct ew_task *));
void ew_task_defer(struct ew_loop *l, struct ew_task *t);
void ew_task_cancel(struct ew_task *t);
/* The tasks that wait are run as soon as the callback of the socket at hand is
 * back, before those of other sockets: what large pieces are made of is then
 * still in the processor's cache. */
void ew_loop_hurry(struct ew_loop *l);

/* A one-shot timer, embedded in its owner, with a resolution of 1 ms. Timers
 * are kept in the loop's own heap behind one kernel timer; there is nothing to
 * close: an inactive timer may be freed with its owner. */
struct ew_timer {
  uint64_t due_ms; /* private: its place in the heap may be an earlier one's */
  size_t pos;      /* private: place in the heap, 0 = inactive */
  struct ew_loop *loop;
  void (*fire)(struct ew_timer *t);
};
void ew_timer_init(struct ew_loop *l, struct ew_timer *t,
                   void (*fire)(struct ew_timer *));
/* (Re)starts: fires once, |ms| from now (0 is taken for 1), on the loop. */
void ew_timer_start(struct ew_timer *t, uint64_t ms);
void ew_timer_stop(struct ew_timer *t);
static inline bool ew_timer_active(const struct ew_timer *t) {
  return t->pos != 0;
}

/* Calls |pulse| at the end of a turn, |ms| after its last time at the earliest:
 * a timer that never wakes a loop that has nothing else to do. NULL ends it. */
void ew_loop_set_pulse(struct ew_loop *l, uint64_t ms, void (*pulse)(void *arg),
                       void *arg);

/* Calls |on_signal| on the loop for |signum| until the loop is deleted. */
int ew_loop_signal(struct ew_loop *l, int signum,
                   void (*on_signal)(void *arg, int signum), void *arg);
/* Calls |wake| on the loop's thread some time after ew_loop_wake was called
 * from any thread; several calls may be one. */
void ew_loop_set_wake(struct ew_loop *l, void (*wake)(void *arg), void *arg);
void ew_loop_wake(struct ew_loop *l);

#endif
