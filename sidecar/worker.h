/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_WORKER_H
#define SIDECAR_WORKER_H

#include "eastwest/base/sched.h"
#include "eastwest/net/tcp.h"
#include "sidecar/proxy/conns.h"
#include "sidecar/proxy/env.h"
#include "sidecar/proxy/local.h"
#include "sidecar/tidy.h"

/* One loop with its listeners and everything that belongs to them. */
struct ew_worker {
  struct ew_env env;
  struct ew_locals *locals;
  struct ew_conns outbound, inbound;
  struct ew_listener *listeners[4];
  size_t listeners_n;
  bool paused;
  bool draining;
  bool was_ready; /* once ready, a lost controller changes nothing */
  struct ew_timer drain_check;
  struct ew_tidy tidy;
  struct ew_sched sched;
  uint64_t drain_deadline_ms;
};

/* Binds the listeners. Returns EW_OK, or EW_EIO after it logged which address
 * can't be bound and why. */
int ew_worker_init(struct ew_worker *w, struct ew_loop *l,
                   const struct ew_config *config);
/* Has a certificate and has spoken with the controller, and is not draining.
 * |*why| gets a fixed text if not, "" if so. */
bool ew_worker_ready(struct ew_worker *w, const char **why);
/* Finishes what is open, still accepts, and stops the loop when nothing is
 * left or the configured time is over. Idempotent. */
void ew_worker_drain(struct ew_worker *w);

#endif
