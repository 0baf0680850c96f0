/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/balance.h"

#include "policy_test.h"
#include "sidecar/policy/pick.h"

#define SECOND 1000000u

static size_t users_freed;
static void user_del(void *user) {
  assert_non_null(user);
  users_freed++;
}

static size_t removals;
static void on_removed(struct ew_bal_endpoint *e) {
  assert_true(e->removed);
  removals++;
}

static const struct ew_endpoint three[] = {
    {"10.0.0.1", 80, "spiffe://a", "z1", "p1"},
    {"10.0.0.2", 80, "spiffe://a", "z2", "p2"},
    {"10.0.0.3", 80, NULL, NULL, NULL},
};

static struct ew_balancer *balancer(const char *zone,
                                    const struct ew_endpoint *v, size_t n) {
  struct ew_balancer *b = ew_balancer_new(zone, user_del);
  ew_balancer_update(b, v, n, NULL);
  return b;
}

static struct ew_bal_endpoint *pick(struct ew_balancer *b, uint64_t now,
                                    uint64_t random) {
  return ew_balancer_pick(b, now, random, NULL, 0);
}

static void done(struct ew_bal_endpoint *e, uint64_t now, uint64_t latency,
                 bool ok) {
  ew_bal_start(e);
  ew_bal_done(e, now, latency, ok);
}

static void eject(struct ew_bal_endpoint *e, uint64_t now) {
  for (int i = 0; i < EW_BAL_FAILURES_MAX; i++)
    done(e, now, 1000, false);
  assert_true(ew_bal_is_ejected(e, now));
}

static void nobody_and_one(void **state) {
  struct ew_balancer *b = balancer(NULL, NULL, 0);
  assert_null(pick(b, 1, 1));
  ew_balancer_update(b, three, 1, NULL);
  struct ew_bal_endpoint *e = pick(b, 1, 1);
  assert_string_equal(e->address, "10.0.0.1");
  assert_int_equal(e->port, 80);
  assert_string_equal(e->identity, "spiffe://a");
  assert_string_equal(e->pod, "p1");
  assert_int_equal(ew_balancer_count(b), 1);
  assert_ptr_equal(ew_balancer_at(b, 0), e);
  /* Also when it was tried already, and when it is ejected. */
  assert_ptr_equal(ew_balancer_pick(b, 1, 2, &e, 1), e);
  eject(e, SECOND);
  assert_ptr_equal(pick(b, SECOND, 3), e);
  ew_balancer_del(b);
  ew_balancer_del(NULL);
}

static void equals_get_equal_shares(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 3);
  size_t count[3] = {0};
  uint64_t seed = 9;
  for (int i = 0; i < 9000; i++) {
    struct ew_bal_endpoint *e = pick(b, 1, ew_mix64(&seed));
    for (size_t k = 0; k < 3; k++)
      count[k] += ew_balancer_at(b, k) == e;
  }
  for (size_t k = 0; k < 3; k++)
    assert_in_range(count[k], 2700, 3300);
  ew_balancer_del(b);
}

/* How many of 1000 picks are |e|. */
static unsigned share(struct ew_balancer *b, uint64_t now_us,
                      const struct ew_bal_endpoint *e) {
  uint64_t seed = 5;
  unsigned n = 0;
  for (int i = 0; i < 1000; i++)
    n += pick(b, now_us, ew_mix64(&seed)) == e;
  return n;
}

static void the_worst_of_several_is_asked_too(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 3);
  for (size_t i = 0; i < 3; i++)
    done(ew_balancer_at(b, i), SECOND, 1000 + i * 200, true);
  for (size_t i = 0; i < 3; i++)
    assert_in_range(share(b, SECOND, ew_balancer_at(b, i)), 200, 450);
  ew_balancer_del(b);
}

static void the_faster_and_the_less_busy_win(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 2);
  struct ew_bal_endpoint *x = ew_balancer_at(b, 0), *y = ew_balancer_at(b, 1);
  done(x, SECOND, 50000, true);
  done(y, SECOND, 1000, true);
  assert_true(share(b, SECOND, y) >= 990);
  /* With many in flight there the slow one is better. */
  for (int i = 0; i < 60; i++)
    ew_bal_start(y);
  assert_true(share(b, SECOND, x) >= 900);
  for (int i = 0; i < 60; i++)
    ew_bal_cancel(y);
  assert_int_equal(y->in_flight, 0);
  assert_true(share(b, SECOND, y) >= 990);
  ew_balancer_del(b);
}

static void a_peak_counts_at_once_and_fades(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 2);
  struct ew_bal_endpoint *x = ew_balancer_at(b, 0), *y = ew_balancer_at(b, 1);
  uint64_t now = SECOND;
  done(x, now, 10000, true);
  done(y, now, 20000, true);
  assert_true(share(b, now, x) > 600);
  done(x, now, 500000, true);
  assert_true(share(b, now, y) > 600);
  /* Good answers over time bring it back below the other's busy cost. */
  for (int i = 0; i < 1200; i++) {
    now += SECOND / 10;
    done(x, now, 10000, true);
    done(y, now, 20000, true);
  }
  assert_true(share(b, now, x) > 600);
  assert_in_range(x->ewma_us, 9000, 11000);
  /* Nobody asked it: what is known of it fades, so it is tried again. */
  done(x, now, 500000, true);
  assert_true(share(b, now, y) > 600);
  now += 3600ull * SECOND;
  done(y, now, 20000, true);
  assert_true(share(b, now, x) > 600);
  /* A clock that stands still or an absurd sample does no harm. */
  done(x, 0, UINT64_MAX, true);
  assert_int_equal(x->ewma_us, EW_BAL_LATENCY_MAX_US);
  ew_balancer_del(b);
}

static void own_zone_first(void **state) {
  struct ew_balancer *b = balancer("z2", three, 3);
  struct ew_bal_endpoint *local = ew_balancer_at(b, 1);
  for (uint64_t r = 0; r < 50; r++)
    assert_ptr_equal(pick(b, SECOND, r), local);
  /* Tried already, or ejected: then the others. */
  for (uint64_t r = 0; r < 20; r++)
    assert_ptr_not_equal(ew_balancer_pick(b, SECOND, r, &local, 1), local);
  eject(local, SECOND);
  for (uint64_t r = 0; r < 20; r++)
    assert_ptr_not_equal(pick(b, SECOND, r), local);
  assert_ptr_equal(pick(b, 3 * SECOND, 1), local);
  ew_balancer_del(b);
  b = balancer("elsewhere", three, 3);
  assert_non_null(pick(b, SECOND, 1));
  ew_balancer_del(b);
}

static void excluded_ones_come_last(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 3);
  struct ew_bal_endpoint *tried[3];
  for (size_t i = 0; i < 3; i++)
    tried[i] = ew_balancer_at(b, i);
  for (uint64_t r = 0; r < 100; r++)
    assert_ptr_equal(ew_balancer_pick(b, 1, r, tried, 2), tried[2]);
  eject(tried[2], SECOND);
  assert_ptr_equal(ew_balancer_pick(b, SECOND, 1, tried, 2), tried[2]);
  assert_non_null(ew_balancer_pick(b, SECOND, 1, tried, 3));
  ew_balancer_del(b);
}

static void ejection_doubles_and_a_success_forgives(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 2);
  struct ew_bal_endpoint *x = ew_balancer_at(b, 0), *y = ew_balancer_at(b, 1);
  uint64_t now = SECOND, want = EW_BAL_EJECT_US;
  for (int i = 0; i < EW_BAL_FAILURES_MAX - 1; i++)
    done(x, now, 10, false);
  assert_false(ew_bal_is_ejected(x, now));
  done(x, now, 10, true); /* not consecutive any more */
  for (int i = 0; i < EW_BAL_FAILURES_MAX; i++) {
    assert_false(ew_bal_is_ejected(x, now));
    done(x, now, 10, false);
  }
  for (int i = 0; i < 10; i++) {
    assert_true(ew_bal_is_ejected(x, now + want - 1));
    assert_false(ew_bal_is_ejected(x, now + want));
    for (uint64_t r = 0; r < 20; r++)
      assert_ptr_equal(pick(b, now, r), y);
    /* Late failures don't make it longer. */
    done(x, now + 1, 10, false);
    assert_false(ew_bal_is_ejected(x, now + want));
    now += want;
    want = want * 2 > EW_BAL_EJECT_MAX_US ? EW_BAL_EJECT_MAX_US : want * 2;
    done(x, now, 10, false); /* one more is enough after the time is up */
  }
  assert_int_equal(want, EW_BAL_EJECT_MAX_US);
  done(x, now, 10, true);
  assert_false(ew_bal_is_ejected(x, now));
  for (int i = 0; i < EW_BAL_FAILURES_MAX; i++)
    done(x, now, 10, false);
  assert_false(ew_bal_is_ejected(x, now + EW_BAL_EJECT_US));
  ew_balancer_del(b);
}

static void all_ejected_means_none(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 3);
  bool seen[3] = {false};
  for (size_t i = 0; i < 3; i++)
    eject(ew_balancer_at(b, i), SECOND);
  for (uint64_t r = 0; r < 200; r++)
    for (size_t i = 0; i < 3; i++)
      seen[i] |= pick(b, SECOND, r) == ew_balancer_at(b, i);
  assert_true(seen[0] && seen[1] && seen[2]);
  ew_balancer_del(b);
}

/* An endpoint that fails fast must not look fast. */
static void failures_never_lower_the_average(void **state) {
  struct ew_balancer *b = balancer(NULL, three, 1);
  struct ew_bal_endpoint *e = ew_balancer_at(b, 0);
  done(e, SECOND, 5000, true);
  done(e, 20 * SECOND, 1, false);
  assert_int_equal(e->ewma_us, 5000);
  done(e, 21 * SECOND, SECOND, false);
  assert_int_equal(e->ewma_us, SECOND);
  ew_balancer_del(b);
}

static void updates_keep_what_is_the_same(void **state) {
  static const struct ew_endpoint next[] = {
      {"10.0.0.4", 80, NULL, NULL, NULL},
      {"10.0.0.3", 80, NULL, NULL, NULL},
      {"10.0.0.1", 80, "spiffe://a", "z1", "p1"},
      {"10.0.0.2", 80, "spiffe://a", "z2", "p2-next"}, /* the address again */
      {"10.0.0.3", 81, NULL, NULL, NULL},
  };
  struct ew_balancer *b = balancer("z1", three, 3);
  struct ew_bal_endpoint *x = ew_balancer_at(b, 0), *y = ew_balancer_at(b, 1),
                         *z = ew_balancer_at(b, 2);
  int user;
  users_freed = removals = 0;
  x->user = y->user = z->user = &user;
  done(x, SECOND, 777, true);
  ew_bal_start(y);
  ew_balancer_update(b, next, COUNT(next), on_removed);
  assert_int_equal(ew_balancer_count(b), 5);
  assert_ptr_equal(ew_balancer_at(b, 2), x);
  assert_int_equal(x->ewma_us, 777);
  assert_ptr_equal(ew_balancer_at(b, 1), z);
  assert_ptr_not_equal(ew_balancer_at(b, 3), y);
  assert_int_equal(removals, 1);
  /* In flight it stays alive, and is never picked. */
  assert_true(y->removed);
  assert_int_equal(users_freed, 0);
  for (uint64_t r = 0; r < 200; r++)
    assert_ptr_not_equal(pick(b, SECOND, r), y);
  ew_bal_done(y, SECOND, 10, true);
  assert_int_equal(users_freed, 1);
  /* The same list again removes nobody. */
  ew_balancer_update(b, next, COUNT(next), on_removed);
  assert_int_equal(removals, 1);
  ew_bal_start(x);
  ew_balancer_del(b);
  assert_int_equal(users_freed, 2);
  assert_true(x->removed);
  ew_bal_cancel(x);
  assert_int_equal(users_freed, 3);
  ew_bal_unref(NULL);
}

static void an_address_listed_twice(void **state) {
  struct ew_endpoint twice[] = {three[0], three[0]};
  struct ew_balancer *b = balancer(NULL, twice, 2);
  struct ew_bal_endpoint *first = ew_balancer_at(b, 0);
  ew_balancer_update(b, twice, 2, NULL);
  assert_int_equal(ew_balancer_count(b), 2);
  assert_ptr_equal(ew_balancer_at(b, 0), first);
  ew_balancer_update(b, NULL, 0, NULL);
  assert_null(pick(b, 1, 1));
  ew_balancer_del(b);
}

/* 1,000 endpoints, all but one excluded by ejection: it is found. */
static void the_last_usable_one_is_found(void **state) {
  static struct ew_endpoint many[1000];
  static char address[1000][16];
  for (size_t i = 0; i < COUNT(many); i++) {
    snprintf(address[i], sizeof address[i], "10.0.%zu.%zu", i / 250, i % 250);
    many[i] = (struct ew_endpoint){.address = address[i], .port = 80};
  }
  struct ew_balancer *b = balancer(NULL, many, COUNT(many));
  for (size_t i = 0; i < COUNT(many); i++)
    if (i != 617)
      eject(ew_balancer_at(b, i), SECOND);
  for (uint64_t r = 0; r < 20; r++)
    assert_ptr_equal(pick(b, SECOND, r), ew_balancer_at(b, 617));
  ew_balancer_del(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_and_one),
      cmocka_unit_test(equals_get_equal_shares),
      cmocka_unit_test(the_worst_of_several_is_asked_too),
      cmocka_unit_test(the_faster_and_the_less_busy_win),
      cmocka_unit_test(a_peak_counts_at_once_and_fades),
      cmocka_unit_test(own_zone_first),
      cmocka_unit_test(excluded_ones_come_last),
      cmocka_unit_test(ejection_doubles_and_a_success_forgives),
      cmocka_unit_test(all_ejected_means_none),
      cmocka_unit_test(failures_never_lower_the_average),
      cmocka_unit_test(updates_keep_what_is_the_same),
      cmocka_unit_test(an_address_listed_twice),
      cmocka_unit_test(the_last_usable_one_is_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
