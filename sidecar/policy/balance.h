/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_BALANCE_H
#define EASTWEST_SIDECAR_POLICY_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/model/destination.h"

/* The endpoints of one backend as one worker sees them. Power of two choices
 * over peak-EWMA latency x (requests in flight + 1), of which the cheaper one
 * is likely to win, the more the cheaper it is. Endpoints of the own zone
 * come first if there are any usable ones: the controller gives a zone only
 * where the Service asks for it. Not thread safe. */
struct ew_balancer;

#define EW_BAL_DECAY_US 10000000u /* time constant of the average */
#define EW_BAL_DEFAULT_US 0u      /* latency of an endpoint not yet tried */
#define EW_BAL_LATENCY_MAX_US 600000000u /* longer counts as this */
#define EW_BAL_FAILURES_MAX 5            /* consecutive ones until ejected */
#define EW_BAL_EJECT_US 1000000u         /* first ejection; doubles ... */
#define EW_BAL_EJECT_MAX_US 60000000u    /* ... up to this */

struct ew_bal_endpoint {
  /* Read-only copies; they never change in the life of an endpoint. */
  const char *address;
  uint16_t port;
  const char *identity, *zone, *pod; /* NULL as in struct ew_endpoint */
  /* The proxy's own (pools); freed by the balancer's |user_del|. */
  void *user;
  /* Read-only. */
  unsigned in_flight;
  bool removed; /* no longer listed; alive only while referenced */
  /* private */
  void (*user_del)(void *user);
  unsigned refs;
  unsigned failures, ejections;
  uint64_t ewma_us, ewma_at_us, ejected_until_us;
};

/* |own_zone| may be NULL; copied. |user_del| (may be NULL) is called with each
 * endpoint's |user| that is not NULL right before the endpoint is freed. */
struct ew_balancer *ew_balancer_new(const char *own_zone,
                                    void (*user_del)(void *user));
/* Endpoints that are referenced live on, as removed. */
void ew_balancer_del(struct ew_balancer *b); /* NULL is allowed */

/* Replaces the list. An endpoint with the same address, port, identity, zone
 * and pod keeps its object and what was learnt. Others are removed: never
 * picked again, freed with the last reference. |on_removed| (may be NULL) is
 * called once for each removed one, before the reference of the list is given
 * up: close idle connections. */
void ew_balancer_update(struct ew_balancer *b, const struct ew_endpoint *v,
                        size_t n,
                        void (*on_removed)(struct ew_bal_endpoint *e));
size_t ew_balancer_count(const struct ew_balancer *b);
struct ew_bal_endpoint *ew_balancer_at(struct ew_balancer *b, size_t i);

/* The endpoint for the next try; NULL only without any endpoint. Those in
 * |exclude| (already tried by this request) come last, ejected ones before
 * them: so ejection never leaves a backend without endpoints. Takes no
 * reference. */
struct ew_bal_endpoint *ew_balancer_pick(struct ew_balancer *b, uint64_t now_us,
                                         uint64_t random,
                                         struct ew_bal_endpoint *const *exclude,
                                         size_t exclude_n);

struct ew_bal_endpoint *ew_bal_ref(struct ew_bal_endpoint *e);
void ew_bal_unref(struct ew_bal_endpoint *e); /* NULL is allowed */

/* A try begins: one more in flight, and a reference. Each start is followed by
 * exactly one done or cancel, which gives the reference back. */
void ew_bal_start(struct ew_bal_endpoint *e);
/* The response head came after |latency_us|, or the try failed (!ok: connect
 * failure, reset, timeout, 5xx of the gateway kind as the caller sees fit). A
 * failure never lowers the latency average. |latency_us| 0: not known (the
 * first answer on a new connection tells how cold the way was). */
void ew_bal_done(struct ew_bal_endpoint *e, uint64_t now_us,
                 uint64_t latency_us, bool ok);
/* The client gave up: nothing is learnt. */
void ew_bal_cancel(struct ew_bal_endpoint *e);
bool ew_bal_is_ejected(const struct ew_bal_endpoint *e, uint64_t now_us);

#endif
