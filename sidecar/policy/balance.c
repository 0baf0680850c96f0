/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/balance.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "sidecar/policy/hash.h"
#include "sidecar/policy/pick.h"

/* Added to every average: two endpoints that answer at once, or that nobody
 * asked for long, differ by what is in flight and not by noise. */
#define FLOOR_US 5000
/* Random draws for one choice before the list is searched. */
#define DRAWS_MAX 8

struct endpoints {
  struct ew_bal_endpoint **v;
  size_t n;
};

struct ew_balancer {
  char *own_zone;
  void (*user_del)(void *user);
  struct endpoints all;   /* one reference each */
  struct endpoints local; /* those of |all| in the own zone */
};

struct ew_balancer *ew_balancer_new(const char *own_zone,
                                    void (*user_del)(void *user)) {
  struct ew_balancer *b = ew_calloc(1, sizeof *b);
  b->own_zone = own_zone ? ew_strdup(own_zone) : NULL;
  b->user_del = user_del;
  return b;
}

static char *copy(const char *s) { return s ? ew_strdup(s) : NULL; }

static struct ew_bal_endpoint *endpoint_new(struct ew_balancer *b,
                                            const struct ew_endpoint *from) {
  struct ew_bal_endpoint *e = ew_calloc(1, sizeof *e);
  e->address = ew_strdup(from->address);
  e->port = from->port;
  e->identity = copy(from->identity);
  e->zone = copy(from->zone);
  e->pod = copy(from->pod);
  e->user_del = b->user_del;
  e->refs = 1;
  e->ewma_us = EW_BAL_DEFAULT_US;
  return e;
}

struct ew_bal_endpoint *ew_bal_ref(struct ew_bal_endpoint *e) {
  e->refs++;
  return e;
}

void ew_bal_unref(struct ew_bal_endpoint *e) {
  if (!e || --e->refs > 0)
    return;
  if (e->user && e->user_del)
    e->user_del(e->user);
  free((char *)e->address);
  free((char *)e->identity);
  free((char *)e->zone);
  free((char *)e->pod);
  free(e);
}

static void endpoints_fini(struct endpoints *l,
                           void (*on_removed)(struct ew_bal_endpoint *e)) {
  for (size_t i = 0; i < l->n; i++) {
    if (!l->v[i])
      continue;
    l->v[i]->removed = true;
    if (on_removed)
      on_removed(l->v[i]);
    ew_bal_unref(l->v[i]);
  }
  free(l->v);
}

void ew_balancer_del(struct ew_balancer *b) {
  if (!b)
    return;
  endpoints_fini(&b->all, NULL);
  free(b->local.v);
  free(b->own_zone);
  free(b);
}

static bool same(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Only the address is hashed: config is no enemy of itself. */
static uint64_t address_hash(const char *address, uint16_t port) {
  struct ew_hash_key key = {{port, 0}};
  return ew_hash(&key, address, strlen(address));
}

/* Takes the endpoint that is the same as |e| out of |old|. An address that
 * comes back with another pod or identity is another endpoint. */
static struct ew_bal_endpoint *take(struct endpoints *old,
                                    const struct ew_table *places,
                                    const struct ew_endpoint *e) {
  const uint32_t *at = ew_table_get(places, address_hash(e->address, e->port));
  struct ew_bal_endpoint *was = at ? old->v[*at] : NULL;
  if (!was || was->port != e->port || !same(was->address, e->address) ||
      !same(was->identity, e->identity) || !same(was->zone, e->zone) ||
      !same(was->pod, e->pod))
    return NULL;
  old->v[*at] = NULL;
  return was;
}

static void find_local(struct ew_balancer *b) {
  b->local.v = ew_realloc(b->local.v, (b->all.n + 1) * sizeof *b->local.v);
  b->local.n = 0;
  for (size_t i = 0; b->own_zone && i < b->all.n; i++)
    if (same(b->all.v[i]->zone, b->own_zone))
      b->local.v[b->local.n++] = b->all.v[i];
}

void ew_balancer_update(struct ew_balancer *b, const struct ew_endpoint *v,
                        size_t n,
                        void (*on_removed)(struct ew_bal_endpoint *e)) {
  struct endpoints old = b->all;
  struct ew_table places = {0};
  for (size_t i = 0; i < old.n; i++)
    ew_table_put(&places, address_hash(old.v[i]->address, old.v[i]->port),
                 (uint32_t)i);
  b->all.v = ew_calloc(n + 1, sizeof *b->all.v);
  b->all.n = n;
  for (size_t i = 0; i < n; i++) {
    b->all.v[i] = take(&old, &places, &v[i]);
    if (!b->all.v[i])
      b->all.v[i] = endpoint_new(b, &v[i]);
  }
  find_local(b);
  ew_table_fini(&places);
  endpoints_fini(&old, on_removed);
}

size_t ew_balancer_count(const struct ew_balancer *b) { return b->all.n; }

struct ew_bal_endpoint *ew_balancer_at(struct ew_balancer *b, size_t i) {
  return b->all.v[i];
}

bool ew_bal_is_ejected(const struct ew_bal_endpoint *e, uint64_t now_us) {
  return e->ejected_until_us > now_us;
}

static uint64_t decayed(const struct ew_bal_endpoint *e, uint64_t now_us) {
  uint64_t age = now_us > e->ewma_at_us ? now_us - e->ewma_at_us : 0;
  if (e->ewma_at_us == 0)
    age = 0;
  return e->ewma_us * EW_BAL_DECAY_US / (EW_BAL_DECAY_US + age);
}

static uint64_t cost(const struct ew_bal_endpoint *e, uint64_t now_us) {
  return (decayed(e, now_us) + FLOOR_US) * ((uint64_t)e->in_flight + 1);
}

/* What a pick asks of an endpoint. */
struct wish {
  uint64_t now_us;
  struct ew_bal_endpoint *const *exclude;
  size_t exclude_n;
  bool ejected_too;
};

static bool fits(const struct wish *w, const struct ew_bal_endpoint *e) {
  for (size_t i = 0; i < w->exclude_n; i++)
    if (w->exclude[i] == e)
      return false;
  return w->ejected_too || !ew_bal_is_ejected(e, w->now_us);
}

/* One of |l| that fits and is not |other|, each with about the same chance. */
static struct ew_bal_endpoint *draw(const struct endpoints *l,
                                    const struct wish *w, uint64_t *random,
                                    const struct ew_bal_endpoint *other) {
  if (l->n == 0 || (l->n == 1 && other))
    return NULL;
  size_t at = 0;
  for (int i = 0; i < DRAWS_MAX; i++) {
    at = (size_t)((ew_mix64(random) >> 32) * l->n >> 32);
    if (l->v[at] != other && fits(w, l->v[at]))
      return l->v[at];
  }
  for (size_t i = 0; i < l->n; i++, at = at + 1 < l->n ? at + 1 : 0)
    if (l->v[at] != other && fits(w, l->v[at]))
      return l->v[at];
  return NULL;
}

/* Whether the first of two costs wins. By chance, in favour of the lower one by
 * the cube: 8 to 1 at half, 1000 to 1 at ten
 * times. The lower one always would mean that the worst endpoint is never
 * asked again, however little it is behind. */
static bool prefers(uint64_t mine, uint64_t other, uint64_t *random) {
  double x = (double)other / (double)mine;
  double odds = x * x * x;
  double u = (double)(ew_mix64(random) >> 11) * 0x1p-53;
  return u * (1 + odds) < odds;
}

static struct ew_bal_endpoint *choose(const struct endpoints *l,
                                      const struct wish *w, uint64_t *random) {
  struct ew_bal_endpoint *a = draw(l, w, random, NULL);
  struct ew_bal_endpoint *b = a ? draw(l, w, random, a) : NULL;
  return b && prefers(cost(b, w->now_us), cost(a, w->now_us), random) ? b : a;
}

struct ew_bal_endpoint *ew_balancer_pick(struct ew_balancer *b, uint64_t now_us,
                                         uint64_t random,
                                         struct ew_bal_endpoint *const *exclude,
                                         size_t exclude_n) {
  struct wish w = {now_us, exclude, exclude_n, false};
  struct ew_bal_endpoint *e = choose(&b->local, &w, &random);
  if (!e)
    e = choose(&b->all, &w, &random);
  w.ejected_too = true;
  if (!e)
    e = choose(&b->all, &w, &random);
  w.exclude_n = 0;
  return e ? e : choose(&b->all, &w, &random);
}

void ew_bal_start(struct ew_bal_endpoint *e) {
  e->in_flight++;
  ew_bal_ref(e);
}

void ew_bal_cancel(struct ew_bal_endpoint *e) {
  EW_BUG_ON(e->in_flight == 0);
  e->in_flight--;
  ew_bal_unref(e);
}

static void learn(struct ew_bal_endpoint *e, uint64_t now_us, uint64_t sample) {
  uint64_t age = now_us > e->ewma_at_us ? now_us - e->ewma_at_us : 0;
  if (sample > EW_BAL_LATENCY_MAX_US)
    sample = EW_BAL_LATENCY_MAX_US;
  /* The first one replaces the guess; a peak counts at once, an improvement
   * by the time that it lasts. */
  if (e->ewma_at_us == 0 || sample > decayed(e, now_us))
    e->ewma_us = sample;
  else
    e->ewma_us =
        (e->ewma_us * EW_BAL_DECAY_US + sample * age) / (EW_BAL_DECAY_US + age);
  e->ewma_at_us = now_us > 0 ? now_us : 1;
}

static void failed(struct ew_bal_endpoint *e, uint64_t now_us) {
  /* Late failures of an endpoint that is out already tell nothing new. */
  if (ew_bal_is_ejected(e, now_us) || ++e->failures < EW_BAL_FAILURES_MAX)
    return;
  uint64_t out = EW_BAL_EJECT_US;
  for (unsigned i = 0; i < e->ejections && out < EW_BAL_EJECT_MAX_US; i++)
    out *= 2;
  if (out > EW_BAL_EJECT_MAX_US)
    out = EW_BAL_EJECT_MAX_US;
  else
    e->ejections++;
  e->ejected_until_us = now_us + out;
}

void ew_bal_done(struct ew_bal_endpoint *e, uint64_t now_us,
                 uint64_t latency_us, bool ok) {
  if (ok) {
    e->failures = e->ejections = 0;
    e->ejected_until_us = 0;
    if (latency_us > 0)
      learn(e, now_us, latency_us);
  } else {
    failed(e, now_us);
    if (latency_us > e->ewma_us)
      learn(e, now_us, latency_us);
  }
  ew_bal_cancel(e);
}
