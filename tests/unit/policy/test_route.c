/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/route.h"

#include <time.h>

#include "policy_test.h"
#include "sidecar/policy/match.h"
#include "sidecar/policy/pick.h"

/* A destination whose match i belongs to rule i. |matches| stays the test's. */
static struct ew_routes *routes(struct ew_match *matches, size_t n) {
  struct ew_destination *d = ew_destination_new();
  d->kind = EW_DEST_SERVICE;
  struct ew_rule *rules = ew_arena_alloc(&d->arena, (n + 1) * sizeof *rules);
  memset(rules, 0, (n + 1) * sizeof *rules);
  for (size_t i = 0; i < n; i++)
    matches[i].rule = i;
  d->rules = rules;
  d->rules_n = n;
  d->matches = matches;
  d->matches_n = n;
  d->default_backend = EW_NO_BACKEND;
  struct ew_routes *r = ew_routes_new(d, NULL, 0);
  assert_ptr_equal(ew_routes_destination(r), d);
  ew_destination_unref(d);
  return r;
}

/* Index of the match, -1 for none. */
static int find(const struct ew_routes *r, struct ew_message *m) {
  const struct ew_match *found = ew_routes_find(r, m);
  ew_message_del(m);
  return found ? (int)found->rule : -1;
}

static void find_cases(struct ew_match *matches, size_t n,
                       const char *const *paths, const int *want,
                       size_t cases) {
  struct ew_routes *r = routes(matches, n);
  for (size_t i = 0; i < cases; i++) {
    int got = find(r, request(paths[i]));
    if (got != want[i])
      fail_msg("%s: got %d, expected %d", paths[i], got, want[i]);
  }
  ew_routes_del(r);
}

static void exact_prefix_and_anything(void **state) {
  struct ew_match m[] = {
      {.path_type = EW_MATCH_EXACT, .path = "/a/b"},
      {.path_type = EW_MATCH_EXACT, .path = "/a/b/"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a"},
      {.path_type = EW_MATCH_REGEX, .path = "/x.*"},
      {.path_type = EW_MATCH_PREFIX, .path = "/v2", .method = "PUT"},
      {.path_type = EW_MATCH_PREFIX, .path = "", .method = "PUT"},
  };
  const char *paths[] = {"/a/b",  "/a/b/",  "/a/b/c", "/a",   "/a/",
                         "/a/bc", "/xyz",   "/",      "/v2",  "/ab",
                         "/a?q",  "/a/b?q", "//a/b",  "/a//b"};
  const int want[] = {0, 1, 2, 3, 3, 3, 4, -1, -1, -1, 3, 0, -1, 3};
  find_cases(m, COUNT(m), paths, want, COUNT(paths));
}

/* The controller orders; here the first that fits wins, whatever list of the
 * index it stands in. */
static void gamma_rule_17_the_first_in_precedence_wins(void **state) {
  static const struct ew_value_match h = {EW_MATCH_EXACT, "v", "1"};
  static const struct ew_value_match q = {EW_MATCH_EXACT, "q", "1"};
  struct ew_match m[] = {
      {.path_type = EW_MATCH_EXACT, .path = "/a/b"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a/b"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a", .method = "GET"},
      {.path_type = EW_MATCH_PREFIX,
       .path = "/a",
       .headers = &h,
       .headers_n = 1},
      {.path_type = EW_MATCH_PREFIX, .path = "/a", .query = &q, .query_n = 1},
      {.path_type = EW_MATCH_PREFIX, .path = "/a"},
      {.path_type = EW_MATCH_PREFIX, .path = "/a"}, /* of a younger route */
  };
  static const struct {
    const char *path, *method, *header;
    int want;
  } t[] = {
      {"/a/b", "GET", NULL, 0},   {"/a/b/c", "GET", NULL, 1},
      {"/a/c", "GET", "1", 2},    {"/a/c", "PUT", "1", 3},
      {"/a?q=1", "PUT", "1", 3},  {"/a?q=1", "PUT", NULL, 4},
      {"/a?q=1", "GET", NULL, 2}, {"/a?q=2", "PUT", "2", 5},
  };
  struct ew_routes *r = routes(m, COUNT(m));
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_message *req = request(t[i].path);
    req->method = ew_slice_str(t[i].method);
    if (t[i].header)
      put(req, "v", t[i].header);
    if (find(r, req) != t[i].want)
      fail_msg("case %zu", i);
  }
  ew_routes_del(r);
  /* A less specific match that is listed first wins as well. */
  struct ew_match turned[] = {{.path_type = EW_MATCH_PREFIX, .path = ""},
                              {.path_type = EW_MATCH_EXACT, .path = "/a"},
                              {.path_type = EW_MATCH_PREFIX, .path = "/a"}};
  r = routes(turned, COUNT(turned));
  assert_int_equal(find(r, request("/a")), 0);
  ew_routes_del(r);
}

static void gamma_rule_18_grpc_by_service_and_method(void **state) {
  struct ew_match m[] = {
      {.grpc_service = "p.S", .grpc_method = "M"},
      {.grpc_service = "p.S"},
      {.grpc_method = "M"},
      {.grpc_type = EW_MATCH_REGEX, .grpc_service = "q\\..*"},
  };
  const char *paths[] = {"/p.S/M", "/p.S/N", "/p.T/M",  "/q.U/X",
                         "/p.T/N", "/p.S",   "/p.S/M/x"};
  const int want[] = {0, 1, 2, 3, -1, -1, -1};
  find_cases(m, COUNT(m), paths, want, COUNT(paths));
}

static void gamma_rule_4_no_match_is_null(void **state) {
  struct ew_match m[] = {{.path_type = EW_MATCH_EXACT, .path = "/only"}};
  const char *paths[] = {"/", "/other", "/only/"};
  const int want[] = {-1, -1, -1};
  find_cases(m, COUNT(m), paths, want, COUNT(paths));
  struct ew_routes *r = routes(NULL, 0);
  assert_int_equal(find(r, request("/")), -1);
  ew_routes_del(r);
  ew_routes_del(NULL);
}

static void options_star(void **state) {
  struct ew_match m[] = {{.path_type = EW_MATCH_PREFIX, .path = "/a"},
                         {.path_type = EW_MATCH_EXACT, .path = "*"},
                         {.path_type = EW_MATCH_PREFIX, .path = ""}};
  struct ew_routes *r = routes(m, COUNT(m));
  struct ew_message *req = request("/");
  req->method = EW_SLICE_LIT("OPTIONS");
  req->path = EW_SLICE_LIT("*");
  assert_int_equal(find(r, req), 1);
  assert_int_equal(find(r, request("/b")), 2);
  ew_routes_del(r);
}

static void broken_regex_harms_only_its_rule(void **state) {
  struct ew_match m[] = {
      {.path_type = EW_MATCH_EXACT, .path = "/a"},
      {.path_type = EW_MATCH_REGEX, .path = "/(", .method = "PUT"},
      {.path_type = EW_MATCH_PREFIX, .path = ""}};
  struct ew_destination *d = ew_destination_new();
  struct ew_rule rules[3] = {{0}};
  char why[256];
  d->rules = rules;
  d->rules_n = d->matches_n = 3;
  d->matches = m;
  struct ew_routes *r = ew_routes_new(d, why, sizeof why);
  ew_destination_unref(d);
  assert_non_null(strstr(why, "path: regular expression '/('"));
  assert_null(ew_routes_invalid(r, &m[0]));
  assert_non_null(ew_routes_invalid(r, &m[1]));
  struct ew_message *req = request("/b");
  assert_ptr_equal(ew_routes_find(r, req), &m[2]);
  req->method = EW_SLICE_LIT("PUT");
  assert_ptr_equal(ew_routes_find(r, req), &m[1]); /* 500, never skipped */
  req->path = EW_SLICE_LIT("/a");
  assert_ptr_equal(ew_routes_find(r, req), &m[0]);
  ew_message_del(req);
  ew_routes_del(r);
}

/* Random matches and requests over a small alphabet, so that they often meet.
 */
static const char *const segments[] = {"a", "b", "", "p.S", "M", "x"};
static const char *const values[] = {"1", "2", "3", ""};

static size_t below(uint64_t *seed, size_t n) {
  return (size_t)(ew_mix64(seed) % n);
}

static char *random_path(struct ew_arena *a, uint64_t *seed, bool prefix) {
  char text[64];
  size_t n = 0, count = below(seed, 5);
  text[0] = '\0';
  for (size_t i = 0; i < count; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "/%s",
                          segments[below(seed, COUNT(segments))]);
  while (prefix && n > 0 && text[n - 1] == '/')
    n--;
  if (!prefix && n == 0)
    text[n++] = '/';
  return ew_arena_dup(a, text, n);
}

static size_t random_values(struct ew_arena *a, uint64_t *seed,
                            const struct ew_value_match **out) {
  static const char *const names[] = {
      "n0", "n1",  "n2",  "n3",  "n4",  "n5",  "n6",  "n7",  "n8",
      "n9", "n10", "n11", "n12", "n13", "n14", "n15", "n16", "host"};
  size_t n = below(seed, 4);
  struct ew_value_match *v = ew_arena_alloc(a, (n + 1) * sizeof *v);
  for (size_t i = 0; i < n; i++) {
    v[i].type = below(seed, 4) ? EW_MATCH_EXACT : EW_MATCH_REGEX;
    v[i].name = names[below(seed, below(seed, 2) ? 2 : COUNT(names))];
    v[i].value = v[i].type == EW_MATCH_REGEX ? "[12]?" : values[below(seed, 4)];
  }
  *out = v;
  return n;
}

static void random_match(struct ew_arena *a, uint64_t *seed,
                         struct ew_match *m) {
  static const char *const methods[] = {"GET", "PUT"};
  *m = (struct ew_match){0};
  switch (below(seed, 6)) {
  case 0:
    m->path_type = EW_MATCH_EXACT;
    m->path = random_path(a, seed, false);
    break;
  case 1:
    m->path_type = EW_MATCH_REGEX;
    m->path = "/a.*|/[bx]/.*";
    break;
  case 2:
    m->grpc_type = below(seed, 3) ? EW_MATCH_EXACT : EW_MATCH_REGEX;
    m->grpc_service = below(seed, 3) ? segments[3] : NULL;
    m->grpc_method = below(seed, 2) ? segments[4] : NULL;
    break;
  case 3:
    break;
  default:
    m->path_type = EW_MATCH_PREFIX;
    m->path = random_path(a, seed, true);
  }
  if (below(seed, 3) == 0)
    m->method = methods[below(seed, 2)];
  if (below(seed, 2))
    m->headers_n = random_values(a, seed, &m->headers);
  if (below(seed, 3) == 0)
    m->query_n = random_values(a, seed, &m->query);
}

static struct ew_message *random_request(uint64_t *seed) {
  struct ew_message *m = ew_message_new();
  char text[160], name[8];
  struct ew_arena a;
  ew_arena_init(&a);
  size_t n =
      (size_t)snprintf(text, sizeof text, "%s", random_path(&a, seed, false));
  for (size_t i = 0, count = below(seed, 4); i < count; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "%cn%zu=%s", i ? '&' : '?',
                          below(seed, 3), values[below(seed, 4)]);
  ew_arena_fini(&a);
  m->method = ew_slice_str(below(seed, 2) ? "GET" : "PUT");
  m->authority = ew_slice_str(values[below(seed, 4)]);
  m->path = ew_message_dup_slice(m, ew_slice(text, n));
  for (size_t i = 0, count = below(seed, 5); i < count; i++) {
    snprintf(name, sizeof name, "n%zu", below(seed, 17));
    put(m, below(seed, 2) ? "n0" : name, values[below(seed, 4)]);
  }
  return m;
}

static const struct ew_match *linear(const struct ew_matcher *mrs, size_t n,
                                     const struct ew_message *req) {
  for (size_t i = 0; i < n; i++)
    if (ew_matcher_test(&mrs[i], req))
      return mrs[i].match;
  return NULL;
}

static void same_answer_as_a_linear_scan(void **state) {
  uint64_t seed = 42;
  size_t hits = 0, misses = 0;
  for (int round = 0; round < 60; round++) {
    struct ew_arena a;
    ew_arena_init(&a);
    size_t n = 1 + below(&seed, round % 2 ? 120 : 8);
    struct ew_match *m = ew_arena_alloc(&a, n * sizeof *m);
    struct ew_matcher *mrs = ew_arena_alloc(&a, n * sizeof *mrs);
    for (size_t i = 0; i < n; i++) {
      random_match(&a, &seed, &m[i]);
      ew_matcher_init(&mrs[i], &m[i], NULL);
    }
    struct ew_routes *r = routes(m, n);
    for (int k = 0; k < 150; k++) {
      struct ew_message *req = random_request(&seed);
      const struct ew_match *want = linear(mrs, n, req);
      if (ew_routes_find(r, req) != want)
        fail_msg("round %d: %.*s", round, EW_SLICE_FMT(req->path));
      want ? hits++ : misses++;
      ew_message_del(req);
    }
    ew_routes_del(r);
    for (size_t i = 0; i < n; i++)
      ew_matcher_fini(&mrs[i]);
    ew_arena_fini(&a);
  }
  /* The alphabets are such that both happen often. */
  assert_true(hits > 1000 && misses > 500);
}

static double cpu_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* |n| rules of several shapes: paths, tenants by header on one path. */
static struct ew_routes *many(struct ew_arena *a, size_t n, bool by_header) {
  struct ew_match *m = ew_arena_alloc(a, n * sizeof *m);
  for (size_t i = 0; i < n; i++) {
    char text[64];
    int len = snprintf(text, sizeof text, "/api/v1/service-%zu", i);
    const char *s = ew_arena_dup(a, text, (size_t)len);
    m[i] = (struct ew_match){
        .path_type = i % 2 ? EW_MATCH_PREFIX : EW_MATCH_EXACT, .path = s};
    if (by_header) {
      struct ew_value_match *h = ew_arena_alloc(a, 2 * sizeof *h);
      h[0] = (struct ew_value_match){EW_MATCH_EXACT, "env", "test"};
      h[1] = (struct ew_value_match){EW_MATCH_EXACT, "tenant", s};
      m[i] = (struct ew_match){.path_type = EW_MATCH_PREFIX,
                               .path = "",
                               .headers = h,
                               .headers_n = 2};
    }
  }
  return routes(m, n);
}

static double cost_us(const struct ew_routes *r, size_t n) {
  double best = 1e12;
  char text[64];
  snprintf(text, sizeof text, "/api/v1/service-%zu", n - 1);
  struct ew_message *hit = request(text), *miss = request("/api/v1/nothing");
  put(hit, "env", "test");
  put(hit, "tenant", text);
  put(miss, "env", "test");
  assert_non_null(ew_routes_find(r, hit));
  assert_null(ew_routes_find(r, miss));
  for (int round = 0; round < 20; round++) {
    double t0 = cpu_us();
    for (int i = 0; i < 50; i++) {
      ew_routes_find(r, hit);
      ew_routes_find(r, miss);
    }
    double t = cpu_us() - t0;
    best = t < best ? t : best;
  }
  ew_message_del(hit);
  ew_message_del(miss);
  return best;
}

static void ten_thousand_rules_cost_at_most_twice_of_ten(void **state) {
  for (int by_header = 0; by_header < 2; by_header++) {
    struct ew_arena a;
    ew_arena_init(&a);
    struct ew_routes *few = many(&a, 10, by_header);
    struct ew_routes *lots = many(&a, 10000, by_header);
    double c10 = cost_us(few, 10), c10k = cost_us(lots, 10000);
    print_message("100 look-ups: 10 rules %.1f us, 10,000 rules %.1f us\n", c10,
                  c10k);
    assert_true(c10k <= 2 * c10);
    ew_routes_del(few);
    ew_routes_del(lots);
    ew_arena_fini(&a);
  }
}

/* 8,000 segments against a deep route: the work is bounded by the bytes. */
static void deep_hostile_path(void **state) {
  static char deep[2 * 500 + 1], path[EW_TARGET_MAX];
  for (size_t i = 0; i < sizeof deep - 1; i++)
    deep[i] = i % 2 ? 'a' : '/';
  for (size_t i = 0; i < sizeof path; i++)
    path[i] = i % 2 ? 'a' : '/';
  struct ew_match m[] = {{.path_type = EW_MATCH_EXACT, .path = deep},
                         {.path_type = EW_MATCH_PREFIX, .path = deep}};
  struct ew_routes *r = routes(m, 2);
  struct ew_message *req = request("/");
  req->path = ew_slice(path, sizeof path);
  assert_int_equal(find(r, req), 1);
  assert_int_equal(find(r, request(deep)), 0);
  ew_routes_del(r);
}

static void too_many_regular_expressions(void **state) {
  static struct ew_match m[EW_ROUTES_REGEX_MAX + 1];
  for (size_t i = 0; i < COUNT(m); i++)
    m[i] = (struct ew_match){.path_type = EW_MATCH_REGEX, .path = "/x"};
  struct ew_routes *r = routes(m, COUNT(m));
  assert_null(ew_routes_invalid(r, &m[EW_ROUTES_REGEX_MAX - 1]));
  assert_non_null(ew_routes_invalid(r, &m[EW_ROUTES_REGEX_MAX]));
  ew_routes_del(r);
}

static void l4_by_server_name(void **state) {
  static const char *const exact[] = {"a.example.com", "B.example.com"};
  static const char *const wild[] = {"*.example.com"};
  static const char *const wider[] = {"*.com"};
  struct ew_rule rules[] = {
      {.snis = exact, .snis_n = 2},
      {.snis = wild, .snis_n = 1},
      {.snis = wider, .snis_n = 1},
      {.name = "any"},
      {.name = "never"},
  };
  static const struct {
    const char *sni;
    int want;
  } t[] = {
      {"a.example.com", 0},   {"A.EXAMPLE.com", 0},
      {"b.example.com", 0},   {"c.example.com", 1},
      {"x.y.example.com", 1}, {"example.com", 2},
      {".example.com", 3},    {"com", 3},
      {"a.example.org", 3},   {"", 3},
  };
  struct ew_destination *d = ew_destination_new();
  d->l4_rules = rules;
  d->l4_rules_n = COUNT(rules);
  struct ew_routes *r = ew_routes_new(d, NULL, 0);
  for (size_t i = 0; i < COUNT(t); i++)
    if (ew_routes_l4(r, ew_slice_str(t[i].sni)) != &rules[t[i].want])
      fail_msg("%s", t[i].sni);
  char big[300];
  memset(big, 'a', sizeof big);
  assert_ptr_equal(ew_routes_l4(r, ew_slice(big, sizeof big)), &rules[3]);
  ew_routes_del(r);
  d->l4_rules_n = 3;
  r = ew_routes_new(d, NULL, 0);
  assert_null(ew_routes_l4(r, EW_SLICE_LIT("a.example.org")));
  assert_null(ew_routes_l4(r, (struct ew_slice){NULL, 0}));
  ew_routes_del(r);
  d->l4_rules_n = 0;
  r = ew_routes_new(d, NULL, 0);
  assert_null(ew_routes_l4(r, EW_SLICE_LIT("a.example.com")));
  ew_routes_del(r);
  ew_destination_unref(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_prefix_and_anything),
      cmocka_unit_test(gamma_rule_17_the_first_in_precedence_wins),
      cmocka_unit_test(gamma_rule_18_grpc_by_service_and_method),
      cmocka_unit_test(gamma_rule_4_no_match_is_null),
      cmocka_unit_test(options_star),
      cmocka_unit_test(broken_regex_harms_only_its_rule),
      cmocka_unit_test(same_answer_as_a_linear_scan),
      cmocka_unit_test(ten_thousand_rules_cost_at_most_twice_of_ten),
      cmocka_unit_test(deep_hostile_path),
      cmocka_unit_test(too_many_regular_expressions),
      cmocka_unit_test(l4_by_server_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
