/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/worker.h"

#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "sidecar/discovery.h"
#include "sidecar/identity.h"
#include "sidecar/proxy/access_log.h"
#include "sidecar/proxy/inbound.h"
#include "sidecar/proxy/outbound.h"
#include "sidecar/proxy/service.h"

#define SERIES_MAX 20000
#define DRAIN_CHECK_MS 20
#define SCHED_LOOK_MS 100

static void on_outbound(void *arg, int fd, const struct ew_addr *peer) {
  struct ew_worker *w = arg;
  ew_outbound_accept(&w->env, &w->outbound, fd, peer);
}

static void on_inbound(void *arg, int fd, const struct ew_addr *peer) {
  struct ew_worker *w = arg;
  ew_inbound_accept(&w->env, &w->inbound, w->locals, fd, peer);
}

/* At the maximum, connections wait in the kernel's backlog. */
static void on_conns(void *arg) {
  struct ew_worker *w = arg;
  bool pause = ew_conns_full(&w->outbound) || ew_conns_full(&w->inbound);

  if (pause == w->paused)
    return;
  w->paused = pause;
  ew_log(EW_LOG_WARN, pause ? "connection limit reached" : "accepting again",
         "outbound=%zu inbound=%zu", w->outbound.count, w->inbound.count);
  for (size_t i = 0; i < w->listeners_n; i++)
    ew_listener_pause(w->listeners[i], pause);
}

static int listen_at(struct ew_worker *w, const char *ip, uint16_t port,
                     ew_accept_fn on_accept, bool optional) {
  struct ew_addr at;
  char text[EW_ADDR_STR];
  int err = 0;
  struct ew_listener *l;

  EW_BUG_ON(ew_addr_set(&at, ip, port) != EW_OK);
  l = ew_listener_new(w->env.loop, &at, on_accept, w, &err);
  if (l) {
    w->listeners[w->listeners_n++] = l;
    return EW_OK;
  }
  if (optional)
    return EW_ENOENT;
  ew_log(EW_LOG_ERROR, "can't listen", "address=%s error=%s",
         ew_addr_str(&at, text), strerror(err));
  return EW_EIO;
}

static int listen_all(struct ew_worker *w) {
  const struct ew_config *c = w->env.config;

  if (listen_at(w, "127.0.0.1", c->outbound_port, on_outbound, false) != EW_OK)
    return EW_EIO;
  (void)listen_at(w, "::1", c->outbound_port, on_outbound, true);
  if (listen_at(w, "::", c->inbound_port, on_inbound, true) == EW_OK)
    return EW_OK;
  return listen_at(w, "0.0.0.0", c->inbound_port, on_inbound, false);
}

/* A quarter of the descriptors for each side's connections: each needs up to
 * two. */
static size_t conns_max(void) {
  struct rlimit r;

  if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
    return 65536;
  return r.rlim_cur / 4 > 16 ? r.rlim_cur / 4 : 16;
}

static void start_mesh(struct ew_worker *w) {
  const struct ew_config *c = w->env.config;

  if (!c->has_controller && !c->identity_dir)
    return;
  w->env.identity =
      ew_identity_new(w->env.loop, &(struct ew_identity_opts){
                                       .controller = c->controller,
                                       .controller_id = c->controller_id,
                                       .trust_domain = c->trust_domain,
                                       .token_file = c->token_file,
                                       .roots_file = c->roots_file,
                                       .identity_dir = c->identity_dir,
                                       .metrics = w->env.metrics,
                                   });
  if (!c->has_controller)
    return;
  w->env.discovery =
      ew_discovery_new(w->env.loop, &(struct ew_discovery_opts){
                                        .controller = c->controller,
                                        .controller_id = c->controller_id,
                                        .identity = w->env.identity,
                                        .metrics = w->env.metrics,
                                    });
}

static void tell_short(struct ew_worker *w, uint64_t wait_us) {
  struct ew_series *s = ew_series_ref(
      w->env.metrics, EW_COUNTER, "eastwest_batch_scheduling_ended_total",
      "Times that the wait for a processor was too long for SCHED_BATCH.", NULL,
      0);

  ew_series_add(s, 1);
  ew_series_unref(w->env.metrics, s);
  ew_log(EW_LOG_DEBUG, "processors are short",
         "policy=%s mean_wait_us=%llu for_ms=%llu", "SCHED_OTHER",
         (unsigned long long)wait_us, (unsigned long long)w->sched.hold_ms);
}

static void on_pulse(void *arg) {
  struct ew_worker *w = arg;
  uint64_t wait_us;

  if (ew_sched_look(&w->sched, ew_loop_now_ms(w->env.loop), &wait_us) ==
      EW_SCHED_TO_OTHER)
    tell_short(w, wait_us);
}

static void on_drain_check(struct ew_timer *t) {
  struct ew_worker *w = EW_CONTAINER(t, struct ew_worker, drain_check);
  size_t open = w->outbound.count + w->inbound.count;

  if (open == 0 || ew_loop_now_ms(w->env.loop) >= w->drain_deadline_ms) {
    ew_log(EW_LOG_INFO, "drained", "connections_left=%zu", open);
    ew_loop_stop(w->env.loop);
    return;
  }
  ew_timer_start(t, DRAIN_CHECK_MS);
}

int ew_worker_init(struct ew_worker *w, struct ew_loop *l,
                   const struct ew_config *config) {
  memset(w, 0, sizeof(*w));
  w->env.loop = l;
  w->env.config = config;
  w->env.metrics = ew_metrics_new(SERIES_MAX);
  if (getrandom(&w->env.random, sizeof(w->env.random), 0) < 0)
    w->env.random = ew_clock_us();
  ew_timer_init(l, &w->drain_check, on_drain_check);
  ew_tidy_init(&w->tidy, l);
  if (ew_sched_init(&w->sched, NULL) == EW_OK)
    ew_loop_set_pulse(l, SCHED_LOOK_MS, on_pulse, w);
  ew_conns_init(&w->outbound, conns_max(), on_conns, w);
  ew_conns_init(&w->inbound, conns_max(), on_conns, w);
  w->env.access_log = ew_access_log_new(l, config->access_log);
  start_mesh(w);
  w->env.services = ew_services_new(&w->env);
  w->locals = ew_locals_new(&w->env);
  return listen_all(w);
}

bool ew_worker_ready(struct ew_worker *w, const char **why) {
  *why = "";
  if (w->draining)
    *why = "draining";
  else if (w->env.identity && !ew_identity_ctx(w->env.identity))
    *why = "no certificate yet";
  else if (w->env.discovery && !w->was_ready &&
           !ew_discovery_connected(w->env.discovery))
    *why = "not connected to the controller yet";
  else
    w->was_ready = true;
  return !(*why)[0];
}

void ew_worker_drain(struct ew_worker *w) {
  if (w->draining)
    return;
  w->draining = true;
  w->drain_deadline_ms =
      ew_loop_now_ms(w->env.loop) + 1000ull * w->env.config->drain_s;
  ew_log(EW_LOG_INFO, "draining", "connections=%zu",
         w->outbound.count + w->inbound.count);
  ew_conns_drain(&w->inbound);
  ew_conns_drain(&w->outbound);
  ew_timer_start(&w->drain_check, DRAIN_CHECK_MS);
}
