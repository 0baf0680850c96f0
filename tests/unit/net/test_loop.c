/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_test.h"

#include <pthread.h>
#include <signal.h>

#define TIMERS 200

static struct ew_loop *loop;

struct probe {
  struct ew_timer timer;
  struct ew_task task;
  int id;
  unsigned again;
};

static int order[1024];
static size_t order_n;

static void fire(struct ew_timer *t) {
  order[order_n++] = EW_CONTAINER(t, struct probe, timer)->id;
}

static int setup(void **state) {
  loop = ew_loop_new();
  order_n = 0;
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  ew_loop_del(loop);
  return 0;
}

static void timers_fire_in_order(void **state) {
  struct probe p[TIMERS];
  for (int i = 0; i < TIMERS; i++) {
    p[i].id = i * 37 % TIMERS;
    ew_timer_init(loop, &p[i].timer, fire);
    assert_false(ew_timer_active(&p[i].timer));
    ew_timer_start(&p[i].timer, (uint64_t)p[i].id / 8 + 1);
    assert_true(ew_timer_active(&p[i].timer));
  }
  ew_loop_run(loop);
  assert_int_equal(order_n, TIMERS);
  for (int i = 1; i < TIMERS; i++)
    assert_true(order[i - 1] / 8 <= order[i] / 8);
}

static void equal_timers_keep_their_order(void **state) {
  struct probe p[TIMERS];
  for (int i = 0; i < TIMERS; i++) {
    p[i].id = i;
    ew_timer_init(loop, &p[i].timer, fire);
    ew_timer_start(&p[i].timer, 5);
  }
  ew_loop_run(loop);
  for (int i = 0; i < TIMERS; i++)
    assert_int_equal(order[i], i);
}

static void timers_stop_and_restart(void **state) {
  struct probe p[TIMERS];
  for (int i = 0; i < TIMERS; i++) {
    p[i].id = i;
    ew_timer_init(loop, &p[i].timer, fire);
    ew_timer_start(&p[i].timer, (uint64_t)(i * 13 % 40) + 1);
  }
  for (int i = 0; i < TIMERS; i++) {
    if (i % 3 == 0)
      ew_timer_stop(&p[i].timer);
    else if (i % 3 == 1)
      ew_timer_start(&p[i].timer, (uint64_t)(TIMERS - i) / 10 + 1);
  }
  ew_timer_stop(&p[0].timer); /* inactive already */
  ew_loop_run(loop);
  assert_int_equal(order_n, TIMERS - (TIMERS + 2) / 3);
  for (size_t i = 0; i < order_n; i++)
    assert_true(order[i] % 3 != 0);
}

static void timer_waits_its_time(void **state) {
  struct probe p = {.id = 1};
  ew_timer_init(loop, &p.timer, fire);
  uint64_t begin = ew_loop_now_ms(loop);
  ew_timer_start(&p.timer, 30);
  ew_loop_run(loop);
  assert_true(ew_loop_now_ms(loop) - begin >= 30);
  assert_int_equal(order_n, 1);
}

static void huge_delay_does_not_overflow(void **state) {
  struct probe p = {.id = 1};
  ew_timer_init(loop, &p.timer, fire);
  ew_timer_start(&p.timer, UINT64_MAX);
  ew_loop_run_once(loop, 5);
  assert_int_equal(order_n, 0);
  ew_timer_stop(&p.timer);
}

static void fire_again(struct ew_timer *t) {
  struct probe *p = EW_CONTAINER(t, struct probe, timer);
  fire(t);
  if (p->again-- > 0)
    ew_timer_start(t, 0);
}

/* Each time it is put off, or brought forward; one beside it keeps its time. */
static void timer_is_moved(void **state) {
  struct probe later = {.id = 1}, sooner = {.id = 2}, fixed = {.id = 3};
  uint64_t begin = ew_loop_now_ms(loop);
  ew_timer_init(loop, &later.timer, fire);
  ew_timer_init(loop, &sooner.timer, fire);
  ew_timer_init(loop, &fixed.timer, fire);
  ew_timer_start(&later.timer, 5);
  ew_timer_start(&later.timer, 50);
  ew_timer_start(&later.timer, 90);
  ew_timer_start(&sooner.timer, 5);
  ew_timer_start(&sooner.timer, 200);
  ew_timer_start(&sooner.timer, 2);
  ew_timer_start(&fixed.timer, 40);
  ew_loop_run(loop);
  assert_true(ew_loop_now_ms(loop) - begin >= 90);
  assert_int_equal(order_n, 3);
  assert_int_equal(order[0], 2);
  assert_int_equal(order[1], 3);
  assert_int_equal(order[2], 1);
}

static void put_off_timer_is_stopped(void **state) {
  struct probe p = {.id = 1};
  ew_timer_init(loop, &p.timer, fire);
  ew_timer_start(&p.timer, 1);
  ew_timer_start(&p.timer, 5000);
  ew_loop_run_once(loop, 20);
  ew_loop_run_once(loop, 20);
  assert_true(ew_timer_active(&p.timer));
  ew_timer_stop(&p.timer);
  ew_loop_run(loop);
  assert_int_equal(order_n, 0);
}

static void timer_restarts_itself_without_starving(void **state) {
  struct probe p = {.id = 1, .again = 5};
  ew_timer_init(loop, &p.timer, fire_again);
  ew_timer_start(&p.timer, 0);
  ew_loop_run_once(loop, 100);
  assert_true(order_n <= 2);
  ew_loop_run(loop);
  assert_int_equal(order_n, 6);
}

static void task_run(struct ew_task *t) {
  struct probe *p = EW_CONTAINER(t, struct probe, task);
  order[order_n++] = p->id;
  if (p->again > 0) {
    p->again--;
    ew_task_defer(loop, t);
  }
}

static void tasks_run_once_in_order(void **state) {
  struct probe p[3];
  for (int i = 0; i < 3; i++) {
    p[i] = (struct probe){.id = i};
    ew_task_init(&p[i].task, task_run);
    ew_task_defer(loop, &p[i].task);
    ew_task_defer(loop, &p[i].task);
  }
  ew_task_cancel(&p[1].task);
  ew_task_cancel(&p[1].task);
  assert_int_equal(order_n, 0);
  ew_loop_run(loop);
  assert_int_equal(order_n, 2);
  assert_int_equal(order[0], 0);
  assert_int_equal(order[1], 2);
}

static void cancelled_task_leaves_nothing_to_wait_for(void **state) {
  struct probe p = {0};
  ew_task_init(&p.task, task_run);
  ew_task_defer(loop, &p.task);
  ew_task_cancel(&p.task);
  ew_loop_run(loop); /* returns */
  assert_int_equal(order_n, 0);
}

static void deferring_task_does_not_starve_timers(void **state) {
  struct probe t = {.id = 1000, .again = 0};
  struct probe p = {.id = 7, .again = 1000000};
  ew_task_init(&p.task, task_run);
  ew_timer_init(loop, &t.timer, fire);
  ew_timer_start(&t.timer, 2);
  ew_task_defer(loop, &p.task);
  for (int i = 0; i < 900 && ew_timer_active(&t.timer); i++) {
    if (order_n > 900)
      order_n = 0;
    ew_loop_run_once(loop, 1);
    usleep(10);
  }
  assert_false(ew_timer_active(&t.timer));
  ew_task_cancel(&p.task);
}

static void fire_defers(struct ew_timer *t) {
  struct probe *p = EW_CONTAINER(t, struct probe, timer);
  ew_task_defer(loop, &p->task);
}

static void task_of_a_timer_runs_before_the_loop_blocks(void **state) {
  struct probe p = {.id = 3};
  struct probe later = {.id = 9};
  ew_task_init(&p.task, task_run);
  ew_timer_init(loop, &p.timer, fire_defers);
  ew_timer_init(loop, &later.timer, fire);
  ew_timer_start(&p.timer, 1);
  ew_timer_start(&later.timer, 20);
  ew_loop_run(loop);
  assert_int_equal(order_n, 2);
  assert_int_equal(order[0], 3);
  assert_int_equal(order[1], 9);
}

static void on_signal(void *arg, int signum) {
  *(int *)arg = signum;
  ew_loop_stop(loop);
}

static void signal_is_delivered(void **state) {
  struct probe guard = {.id = 1};
  int got = 0;
  ew_timer_init(loop, &guard.timer, fire);
  assert_int_equal(ew_loop_signal(loop, SIGUSR1, on_signal, &got), EW_OK);
  assert_int_equal(ew_loop_signal(loop, -5, on_signal, &got), EW_EINVAL);
  ew_loop_run(loop); /* a signal handler alone is nothing to wait for */
  assert_int_equal(got, 0);
  ew_timer_start(&guard.timer, 5000);
  raise(SIGUSR1);
  ew_loop_run(loop);
  assert_int_equal(got, SIGUSR1);
  ew_timer_stop(&guard.timer);
}

static void on_wake(void *arg) {
  ++*(int *)arg;
  ew_loop_stop(loop);
}

static void *wake_thread(void *arg) {
  ew_loop_wake(arg);
  return NULL;
}

static void wake_from_another_thread(void **state) {
  struct probe guard = {.id = 1};
  pthread_t th;
  int woken = 0;
  ew_loop_set_wake(loop, on_wake, &woken);
  ew_timer_init(loop, &guard.timer, fire);
  ew_timer_start(&guard.timer, 5000);
  assert_int_equal(pthread_create(&th, NULL, wake_thread, loop), 0);
  ew_loop_run(loop);
  pthread_join(th, NULL);
  assert_int_equal(woken, 1);
  ew_timer_stop(&guard.timer);
}

static void on_pulse(void *arg) { ++*(int *)arg; }

static void pulse_comes_with_turns_alone(void **state) {
  struct probe p = {.id = 1};
  int pulses = 0;
  ew_loop_set_pulse(loop, 20, on_pulse, &pulses);
  /* Nothing to wait for: the pulse keeps no loop running. */
  ew_loop_run(loop);
  assert_int_equal(pulses, 0);
  ew_timer_init(loop, &p.timer, fire);
  ew_timer_start(&p.timer, 60);
  ew_loop_run(loop); /* one turn, 60 ms long, and perhaps another */
  ew_loop_run_once(loop, 0);
  assert_int_equal(pulses, 1);
  ew_loop_set_pulse(loop, 600000, on_pulse, &pulses);
  ew_timer_start(&p.timer, 10);
  ew_loop_run(loop);
  ew_loop_run_once(loop, 0);
  assert_int_equal(pulses, 1);
  ew_loop_set_pulse(loop, 0, NULL, NULL);
  ew_timer_start(&p.timer, 30);
  ew_loop_run(loop);
  ew_loop_run_once(loop, 0);
  assert_int_equal(pulses, 1);
}

static void wake_without_listener_is_harmless(void **state) {
  ew_loop_wake(loop);
  ew_loop_run_once(loop, 10);
}

static void scratch_is_writable(void **state) {
  memset(ew_loop_scratch(loop), 1, EW_SCRATCH_SIZE);
  assert_int_equal(ew_loop_scratch(loop)[EW_SCRATCH_SIZE - 1], 1);
}

static void run_once_does_not_wait_for_ever(void **state) {
  uint64_t begin = ew_clock_us();
  ew_loop_run_once(loop, 0);
  ew_loop_run_once(loop, 20);
  assert_true(ew_clock_us() - begin < 5000000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(timers_fire_in_order),
      T(equal_timers_keep_their_order),
      T(timers_stop_and_restart),
      T(timer_waits_its_time),
      T(timer_is_moved),
      T(put_off_timer_is_stopped),
      T(huge_delay_does_not_overflow),
      T(timer_restarts_itself_without_starving),
      T(tasks_run_once_in_order),
      T(cancelled_task_leaves_nothing_to_wait_for),
      T(deferring_task_does_not_starve_timers),
      T(task_of_a_timer_runs_before_the_loop_blocks),
      T(signal_is_delivered),
      T(wake_from_another_thread),
      T(pulse_comes_with_turns_alone),
      T(wake_without_listener_is_harmless),
      T(scratch_is_writable),
      T(run_once_does_not_wait_for_ever),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
