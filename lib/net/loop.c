/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/net/loop.h"

#include <time.h>
#include <uv.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "lib/net/loop_uv.h"

/* The key stands beside the pointer, so sifting touches no timer. |seq| keeps
 * timers that are due in the same millisecond in the order of their start. */
struct heap_entry {
  uint64_t due;
  uint64_t seq;
  struct ew_timer *timer;
};

struct loop_signal {
  uv_signal_t uv;
  struct ew_list node;
  void (*on_signal)(void *arg, int signum);
  void *arg;
};

struct ew_loop {
  uv_loop_t uv;
  uv_timer_t timer;
  uv_timer_t cap;      /* ends ew_loop_run_once */
  uv_prepare_t before; /* tasks of timers, before the loop blocks */
  uv_check_t after;    /* tasks of everything that was ready */
  uv_idle_t idle;      /* active while tasks wait: no blocking */
  uv_async_t async;
  struct ew_list tasks;
  struct ew_list signals;
  struct heap_entry *heap; /* 1-based */
  size_t heap_n, heap_cap;
  uint64_t seq;
  uint64_t armed; /* when |timer| fires, or UINT64_MAX */
  bool hurry;
  void (*wake)(void *arg);
  void *wake_arg;
  void (*pulse)(void *arg);
  void *pulse_arg;
  uint64_t pulse_ms, pulse_due; /* UINT64_MAX: none */
  char scratch[EW_SCRATCH_SIZE];
  char gather[EW_GATHER_SIZE];
  char cipher[EW_CIPHER_SIZE];
};

uv_loop_t *ew_loop_uv(struct ew_loop *l) { return &l->uv; }
char *ew_loop_gather(struct ew_loop *l) { return l->gather; }
char *ew_loop_cipher(struct ew_loop *l) { return l->cipher; }
char *ew_loop_scratch(struct ew_loop *l) { return l->scratch; }
uint64_t ew_loop_now_ms(const struct ew_loop *l) { return uv_now(&l->uv); }

uint64_t ew_clock_us(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Tasks */

static void idle_cb(uv_idle_t *h) {}

static void run_tasks(struct ew_loop *l) {
  l->hurry = false;
  if (ew_list_empty(&l->tasks)) {
    uv_idle_stop(&l->idle); /* the last one may have been cancelled */
    return;
  }
  /* One round: what these tasks defer waits for the next one, behind the
   * sockets and timers that are ready by then. */
  struct ew_list batch;
  ew_list_take(&batch, &l->tasks);
  while (!ew_list_empty(&batch)) {
    struct ew_task *t = EW_CONTAINER(batch.next, struct ew_task, node);
    ew_list_remove(&t->node);
    t->run(t);
  }
  if (ew_list_empty(&l->tasks))
    uv_idle_stop(&l->idle);
}

static void before_cb(uv_prepare_t *h) {
  struct ew_loop *l = h->data;
  uint64_t now = uv_now(&l->uv);

  run_tasks(l);
  if (now >= l->pulse_due) {
    l->pulse_due = now + l->pulse_ms;
    l->pulse(l->pulse_arg);
  }
}

static void after_cb(uv_check_t *h) { run_tasks(h->data); }

void ew_task_init(struct ew_task *t, void (*run)(struct ew_task *)) {
  ew_list_init(&t->node);
  t->run = run;
}

void ew_task_defer(struct ew_loop *l, struct ew_task *t) {
  if (!ew_list_empty(&t->node))
    return;
  ew_list_push_back(&l->tasks, &t->node);
  uv_idle_start(&l->idle, idle_cb);
}

void ew_task_cancel(struct ew_task *t) { ew_list_remove(&t->node); }

void ew_loop_hurry(struct ew_loop *l) { l->hurry = true; }

void ew_loop_callback_done(struct ew_loop *l) {
  if (l->hurry)
    run_tasks(l);
}

/* Timers */

static bool entry_before(const struct heap_entry *a,
                         const struct heap_entry *b) {
  return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void heap_put(struct ew_loop *l, size_t pos, struct heap_entry e) {
  l->heap[pos] = e;
  e.timer->pos = pos;
}

static void heap_up(struct ew_loop *l, size_t pos, struct heap_entry e) {
  while (pos > 1 && entry_before(&e, &l->heap[pos / 2])) {
    heap_put(l, pos, l->heap[pos / 2]);
    pos /= 2;
  }
  heap_put(l, pos, e);
}

static void heap_down(struct ew_loop *l, size_t pos, struct heap_entry e) {
  size_t child = pos * 2;
  while (child <= l->heap_n) {
    if (child < l->heap_n && entry_before(&l->heap[child + 1], &l->heap[child]))
      child++;
    if (!entry_before(&l->heap[child], &e))
      break;
    heap_put(l, pos, l->heap[child]);
    pos = child;
    child = pos * 2;
  }
  heap_put(l, pos, e);
}

static void heap_remove(struct ew_loop *l, struct ew_timer *t) {
  size_t pos = t->pos;
  struct heap_entry last = l->heap[l->heap_n--];
  t->pos = 0;
  if (last.timer == t)
    return;
  if (pos > 1 && entry_before(&last, &l->heap[pos / 2]))
    heap_up(l, pos, last);
  else
    heap_down(l, pos, last);
}

static void heap_add(struct ew_loop *l, struct ew_timer *t) {
  struct heap_entry e = {t->due_ms, l->seq++, t};

  if (l->heap_n + 1 >= l->heap_cap) {
    l->heap_cap = l->heap_cap > 0 ? l->heap_cap * 2 : 16;
    l->heap = ew_realloc(l->heap, l->heap_cap * sizeof(*l->heap));
  }
  heap_up(l, ++l->heap_n, e);
}

static void timer_cb(uv_timer_t *h);

static void arm(struct ew_loop *l) {
  if (l->heap_n == 0) {
    uv_timer_stop(&l->timer);
    l->armed = UINT64_MAX;
    return;
  }
  uint64_t due = l->heap[1].due;
  uint64_t now = uv_now(&l->uv);
  if (due == l->armed)
    return;
  uv_timer_start(&l->timer, timer_cb, due > now ? due - now : 0, 0);
  l->armed = due;
}

static void timer_cb(uv_timer_t *h) {
  struct ew_loop *l = h->data;
  uint64_t now = uv_now(&l->uv);
  l->armed = UINT64_MAX;
  /* Ends, because a timer that is started now is due at now + 1 at least. */
  while (l->heap_n > 0 && l->heap[1].due <= now) {
    struct ew_timer *t = l->heap[1].timer;
    heap_remove(l, t);
    if (t->due_ms > now)
      heap_add(l, t);
    else
      t->fire(t);
  }
  arm(l);
}

void ew_timer_init(struct ew_loop *l, struct ew_timer *t,
                   void (*fire)(struct ew_timer *)) {
  *t = (struct ew_timer){.loop = l, .fire = fire};
}

void ew_timer_start(struct ew_timer *t, uint64_t ms) {
  struct ew_loop *l = t->loop;
  uint64_t now = uv_now(&l->uv);
  uint64_t due = now + (ms > 0 ? ms : 1);

  t->due_ms = due < now ? UINT64_MAX - 1 : due;
  /* Put off, as idle times are by each request: moved when it comes up. */
  if (t->pos != 0 && t->due_ms >= l->heap[t->pos].due)
    return;
  if (t->pos != 0)
    heap_remove(l, t);
  heap_add(l, t);
  arm(l);
}

void ew_timer_stop(struct ew_timer *t) {
  if (t->pos == 0)
    return;
  heap_remove(t->loop, t);
  arm(t->loop);
}

void ew_loop_set_pulse(struct ew_loop *l, uint64_t ms, void (*pulse)(void *arg),
                       void *arg) {
  l->pulse = pulse;
  l->pulse_arg = arg;
  l->pulse_ms = ms;
  l->pulse_due = pulse ? uv_now(&l->uv) + ms : UINT64_MAX;
}

/* Signals and wake */

static void signal_cb(uv_signal_t *h, int signum) {
  struct loop_signal *s = h->data;
  s->on_signal(s->arg, signum);
}

int ew_loop_signal(struct ew_loop *l, int signum,
                   void (*on_signal)(void *arg, int signum), void *arg) {
  struct loop_signal *s = ew_calloc(1, sizeof(*s));
  uv_signal_init(&l->uv, &s->uv);
  s->uv.data = s;
  s->on_signal = on_signal;
  s->arg = arg;
  /* On the list in either case: the handle is closed with the loop. */
  ew_list_push_back(&l->signals, &s->node);
  if (uv_signal_start(&s->uv, signal_cb, signum) != 0)
    return EW_EINVAL;
  uv_unref((uv_handle_t *)&s->uv);
  return EW_OK;
}

static void async_cb(uv_async_t *h) {
  struct ew_loop *l = h->data;
  if (l->wake)
    l->wake(l->wake_arg);
}

void ew_loop_set_wake(struct ew_loop *l, void (*wake)(void *arg), void *arg) {
  l->wake = wake;
  l->wake_arg = arg;
}

void ew_loop_wake(struct ew_loop *l) { uv_async_send(&l->async); }

/* The loop itself */

struct ew_loop *ew_loop_new(void) {
  struct ew_loop *l = ew_calloc(1, sizeof(*l));
  ew_list_init(&l->tasks);
  ew_list_init(&l->signals);
  l->armed = UINT64_MAX;
  l->pulse_due = UINT64_MAX;
  if (uv_loop_init(&l->uv) != 0) {
    free(l);
    return NULL;
  }
  if (uv_async_init(&l->uv, &l->async, async_cb) != 0) {
    uv_loop_close(&l->uv);
    free(l);
    return NULL;
  }
  l->async.data = l->timer.data = l->before.data = l->after.data = l;
  uv_timer_init(&l->uv, &l->timer);
  uv_timer_init(&l->uv, &l->cap);
  uv_prepare_init(&l->uv, &l->before);
  uv_check_init(&l->uv, &l->after);
  uv_idle_init(&l->uv, &l->idle);
  uv_prepare_start(&l->before, before_cb);
  uv_check_start(&l->after, after_cb);
  uv_unref((uv_handle_t *)&l->before);
  uv_unref((uv_handle_t *)&l->after);
  uv_unref((uv_handle_t *)&l->async);
  return l;
}

static void signal_closed(uv_handle_t *h) { free(h->data); }

void ew_loop_del(struct ew_loop *l) {
  /* Streams that were closed just now free themselves first. */
  for (int i = 0; i < 64 && uv_loop_alive(&l->uv); i++)
    uv_run(&l->uv, UV_RUN_NOWAIT);
  EW_BUG_ON(l->heap_n != 0);
  EW_BUG_ON(!ew_list_empty(&l->tasks));
  while (!ew_list_empty(&l->signals)) {
    struct loop_signal *s =
        EW_CONTAINER(l->signals.next, struct loop_signal, node);
    ew_list_remove(&s->node);
    uv_close((uv_handle_t *)&s->uv, signal_closed);
  }
  uv_close((uv_handle_t *)&l->timer, NULL);
  uv_close((uv_handle_t *)&l->cap, NULL);
  uv_close((uv_handle_t *)&l->before, NULL);
  uv_close((uv_handle_t *)&l->after, NULL);
  uv_close((uv_handle_t *)&l->idle, NULL);
  uv_close((uv_handle_t *)&l->async, NULL);
  for (int i = 0; i < 4; i++)
    uv_run(&l->uv, UV_RUN_NOWAIT);
  int rc = uv_loop_close(&l->uv);
  EW_BUG_ON(rc != 0);
  free(l->heap);
  free(l);
}

void ew_loop_run(struct ew_loop *l) { uv_run(&l->uv, UV_RUN_DEFAULT); }

static void cap_cb(uv_timer_t *h) {}

void ew_loop_run_once(struct ew_loop *l, unsigned timeout_ms) {
  if (timeout_ms == 0) {
    uv_run(&l->uv, UV_RUN_NOWAIT);
  } else {
    uv_update_time(&l->uv);
    uv_timer_start(&l->cap, cap_cb, timeout_ms, 0);
    uv_run(&l->uv, UV_RUN_ONCE);
    uv_timer_stop(&l->cap);
  }
  /* Timers that fired after the check phase. */
  run_tasks(l);
}

void ew_loop_stop(struct ew_loop *l) { uv_stop(&l->uv); }
