/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/service.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "sidecar/discovery.h"

#define BUCKETS 1024
#define SWEEP_MS 10000

struct ew_services {
  struct ew_env *env;
  struct ew_list buckets[BUCKETS];
  size_t count;
  uint64_t seed;
  struct ew_timer sweep;
};

static void forget(struct ew_service *sv) {
  ew_list_remove(&sv->node);
  sv->owner->count--;
  ew_timer_stop(&sv->timer);
  if (sv->watch)
    ew_discovery_unwatch(sv->watch);
  ew_view_unref(sv->view);
  free(sv);
}

static bool is_idle(const struct ew_service *sv, uint64_t now_ms,
                    uint64_t for_ms) {
  return sv->users == 0 && now_ms - sv->idle_since_ms >= for_ms;
}

static void drop_idle(struct ew_services *s, uint64_t for_ms) {
  uint64_t now = ew_loop_now_ms(s->env->loop);
  bool away = !s->env->discovery || !ew_discovery_connected(s->env->discovery);
  struct ew_list *it, *tmp;

  for (size_t i = 0; i < BUCKETS; i++) {
    EW_LIST_EACH(it, tmp, &s->buckets[i]) {
      struct ew_service *sv = EW_CONTAINER(it, struct ew_service, node);
      if (is_idle(sv, now, for_ms) && !(away && sv->view && for_ms > 0))
        forget(sv);
    }
  }
}

static void on_sweep(struct ew_timer *t) {
  struct ew_services *s = EW_CONTAINER(t, struct ew_services, sweep);

  uint64_t for_ms = 1000ull * s->env->config->destination_idle_s;

  drop_idle(s, for_ms);
  ew_timer_start(&s->sweep, for_ms < SWEEP_MS ? for_ms : SWEEP_MS);
}

static void tell_waiters(struct ew_service *sv) {
  ew_timer_stop(&sv->timer);
  while (!ew_list_empty(&sv->waiters)) {
    struct ew_service_waiter *w =
        EW_CONTAINER(sv->waiters.next, struct ew_service_waiter, node);
    ew_list_remove(&w->node);
    w->on_ready(w);
  }
}

static void on_state(void *arg, struct ew_destination *d) {
  struct ew_service *sv = arg;
  struct ew_view *before = sv->view;

  sv->view = ew_view_new(sv->owner->env, d, before);
  ew_view_unref(before);
  sv->gave_up = false;
  tell_waiters(sv);
}

static void on_timer(struct ew_timer *t) {
  struct ew_service *sv = EW_CONTAINER(t, struct ew_service, timer);

  sv->gave_up = true;
  tell_waiters(sv);
}

struct ew_services *ew_services_new(struct ew_env *env) {
  struct ew_services *s = ew_calloc(1, sizeof(*s));

  s->env = env;
  s->seed = ew_env_random(env);
  for (size_t i = 0; i < BUCKETS; i++)
    ew_list_init(&s->buckets[i]);
  ew_timer_init(env->loop, &s->sweep, on_sweep);
  ew_timer_start(&s->sweep, SWEEP_MS);
  return s;
}

void ew_services_del(struct ew_services *s) {
  struct ew_list *it, *tmp;

  ew_timer_stop(&s->sweep);
  for (size_t i = 0; i < BUCKETS; i++)
    EW_LIST_EACH(it, tmp, &s->buckets[i])
  forget(EW_CONTAINER(it, struct ew_service, node));
  free(s);
}

size_t ew_services_count(const struct ew_services *s) { return s->count; }

void ew_services_each(struct ew_services *s,
                      void (*each)(void *arg, const struct ew_service *sv),
                      void *arg) {
  struct ew_list *it, *tmp;

  for (size_t i = 0; i < BUCKETS; i++)
    EW_LIST_EACH(it, tmp, &s->buckets[i])
  each(arg, EW_CONTAINER(it, struct ew_service, node));
}

static struct ew_service *make(struct ew_services *s, struct ew_list *bucket,
                               const struct ew_addr *addr) {
  struct ew_service *sv;

  if (s->count >= EW_SERVICES_MAX)
    drop_idle(s, 0);
  if (s->count >= EW_SERVICES_MAX)
    return NULL;
  sv = ew_calloc(1, sizeof(*sv));
  sv->owner = s;
  sv->addr = *addr;
  ew_list_init(&sv->waiters);
  ew_timer_init(s->env->loop, &sv->timer, on_timer);
  ew_list_push_front(bucket, &sv->node);
  s->count++;
  if (s->env->discovery)
    sv->watch = ew_discovery_watch(s->env->discovery, addr, on_state, sv);
  else
    sv->gave_up = true;
  return sv;
}

struct ew_service *ew_services_use(struct ew_services *s,
                                   const struct ew_addr *addr) {
  struct ew_list *bucket =
      &s->buckets[ew_addr_hash(addr, s->seed) & (BUCKETS - 1)];
  struct ew_service *sv = NULL;
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, bucket) {
    struct ew_service *at = EW_CONTAINER(it, struct ew_service, node);
    if (ew_addr_eq(&at->addr, addr))
      sv = at;
  }
  if (!sv)
    sv = make(s, bucket, addr);
  if (sv)
    sv->users++;
  return sv;
}

void ew_service_release(struct ew_service *sv) {
  EW_BUG_ON(sv->users == 0);
  if (--sv->users == 0)
    sv->idle_since_ms = ew_loop_now_ms(sv->owner->env->loop);
}

bool ew_service_ready(struct ew_service *sv, struct ew_service_waiter *w) {
  if (sv->view || sv->gave_up)
    return true;
  ew_list_push_back(&sv->waiters, &w->node);
  if (!ew_timer_active(&sv->timer))
    ew_timer_start(&sv->timer, EW_SERVICE_WAIT_MS);
  return false;
}

void ew_service_cancel(struct ew_service_waiter *w) {
  ew_list_remove(&w->node);
}
