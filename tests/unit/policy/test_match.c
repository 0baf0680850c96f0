/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/match.h"

#include "policy_test.h"

static bool fits(const struct ew_match *m, struct ew_message *req) {
  struct ew_matcher mr;
  ew_matcher_init(&mr, m, NULL);
  assert_null(mr.invalid);
  bool yes = ew_matcher_test(&mr, req);
  ew_matcher_fini(&mr);
  ew_message_del(req);
  return yes;
}

static void paths(void **state) {
  static const struct {
    enum ew_match_type type;
    const char *want, *path;
    bool yes;
  } t[] = {
      {EW_MATCH_EXACT, "/a", "/a", true},
      {EW_MATCH_EXACT, "/a", "/a?x=1", true},
      {EW_MATCH_EXACT, "/a", "/a/", false},
      {EW_MATCH_EXACT, "/a", "/A", false},
      {EW_MATCH_EXACT, "/a", "/%61", false}, /* as forwarded, not decoded */
      {EW_MATCH_EXACT, "/a", "//a", false},
      {EW_MATCH_EXACT, NULL, "/whatever", true},
      {EW_MATCH_PREFIX, "/abc", "/abc", true},
      {EW_MATCH_PREFIX, "/abc", "/abc/", true},
      {EW_MATCH_PREFIX, "/abc", "/abc/def?q", true},
      {EW_MATCH_PREFIX, "/abc", "/abc?q", true},
      {EW_MATCH_PREFIX, "/abc", "/abcd", false},
      {EW_MATCH_PREFIX, "/abc", "/ab", false},
      {EW_MATCH_PREFIX, "", "/", true},
      {EW_MATCH_PREFIX, "", "/x/y", true},
      {EW_MATCH_REGEX, "/v[12]/.*", "/v1/x?y", true},
      {EW_MATCH_REGEX, "/v[12]/.*", "/v3/x", false},
      {EW_MATCH_REGEX, "/v", "/v1", false},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_match m = {.path_type = t[i].type, .path = t[i].want};
    if (fits(&m, request(t[i].path)) != t[i].yes)
      fail_msg("%s on %s", t[i].want ? t[i].want : "any", t[i].path);
  }
}

static void options_star_is_covered_by_the_root(void **state) {
  struct ew_match root = {.path_type = EW_MATCH_PREFIX, .path = ""};
  struct ew_match deeper = {.path_type = EW_MATCH_PREFIX, .path = "/a"};
  struct ew_message *m = request("/");
  m->method = EW_SLICE_LIT("OPTIONS");
  m->path = EW_SLICE_LIT("*");
  assert_true(fits(&root, ew_message_dup(m)));
  assert_false(fits(&deeper, m));
}

static void method_is_exact(void **state) {
  struct ew_match get = {.method = "GET"}, post = {.method = "POST"},
                  lower = {.method = "get"};
  assert_true(fits(&get, request("/")));
  assert_false(fits(&post, request("/")));
  assert_false(fits(&lower, request("/")));
}

/* |lines|: up to three "name", "value" pairs. */
struct header_case {
  struct ew_value_match want;
  const char *lines[6];
  bool yes;
};

static void headers(void **state) {
  static const struct header_case t[] = {
      {{EW_MATCH_EXACT, "v", "one"}, {"v", "one"}, true},
      {{EW_MATCH_EXACT, "v", "one"}, {"V", "one"}, true},
      {{EW_MATCH_EXACT, "v", "one"}, {"v", "One"}, false},
      {{EW_MATCH_EXACT, "v", "one"}, {"v", "onetwo"}, false},
      {{EW_MATCH_EXACT, "v", "one"}, {"w", "one"}, false},
      {{EW_MATCH_EXACT, "v", ""}, {"w", "one"}, false},
      {{EW_MATCH_EXACT, "v", ""}, {"v", ""}, true},
      {{EW_MATCH_EXACT, "v", "a,b"}, {"v", "a", "w", "x", "v", "b"}, true},
      {{EW_MATCH_EXACT, "v", "a"}, {"v", "a", "v", "b"}, false},
      {{EW_MATCH_EXACT, "v", "b"}, {"v", "a", "v", "b"}, false},
      {{EW_MATCH_EXACT, "v", ",,"}, {"v", "", "v", "", "v", ""}, true},
      {{EW_MATCH_REGEX, "v", "a.*"}, {"v", "abc"}, true},
      {{EW_MATCH_REGEX, "v", "b"}, {"v", "abc"}, false},
      {{EW_MATCH_REGEX, "v", ".*"}, {"w", "abc"}, false},
      {{EW_MATCH_REGEX, "v", "a,b"}, {"v", "a", "v", "b"}, true},
      {{EW_MATCH_EXACT, "host", "echo"}, {"v", "a"}, true},
      {{EW_MATCH_EXACT, "host", "other"}, {"v", "a"}, false},
      {{EW_MATCH_REGEX, "host", "e.*"}, {"v", "a"}, true},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_match m = {.headers = &t[i].want, .headers_n = 1};
    struct ew_message *req = request("/");
    for (size_t k = 0; k < 6 && t[i].lines[k]; k += 2)
      put(req, t[i].lines[k], t[i].lines[k + 1]);
    if (fits(&m, req) != t[i].yes)
      fail_msg("case %zu", i);
  }
}

static void joined_header_that_does_not_fit(void **state) {
  struct ew_message *m = request("/");
  struct ew_slice v;
  char buf[4];
  put(m, "a", "12");
  put(m, "a", "3");
  put(m, "b", "12345");
  put(m, "b", "6");
  put(m, "c", "1");
  put(m, "c", "234");
  assert_true(ew_header_value(m, EW_SLICE_LIT("a"), buf, sizeof buf, &v));
  assert_slice(v, "12,3");
  assert_false(ew_header_value(m, EW_SLICE_LIT("b"), buf, sizeof buf, &v));
  assert_false(ew_header_value(m, EW_SLICE_LIT("c"), buf, sizeof buf, &v));
  m->authority = (struct ew_slice){NULL, 0};
  assert_false(ew_header_value(m, EW_SLICE_LIT("host"), buf, sizeof buf, &v));
  ew_message_del(m);
}

static void query_parameters(void **state) {
  static const struct {
    struct ew_value_match want;
    const char *path;
    bool yes;
  } t[] = {
      {{EW_MATCH_EXACT, "a", "1"}, "/?a=1", true},
      {{EW_MATCH_EXACT, "a", "1"}, "/?b=2&a=1&c", true},
      {{EW_MATCH_EXACT, "a", "1"}, "/?a=2&a=1", false}, /* the first counts */
      {{EW_MATCH_EXACT, "a", "2"}, "/?a=2&a=1", true},
      {{EW_MATCH_EXACT, "a", "1"}, "/?A=1", false},
      {{EW_MATCH_EXACT, "a", "1"}, "/", false},
      {{EW_MATCH_EXACT, "a", ""}, "/?a", true},
      {{EW_MATCH_EXACT, "a", ""}, "/?a=", true},
      {{EW_MATCH_EXACT, "a", ""}, "/?ab=", false},
      {{EW_MATCH_EXACT, "a", "x y"}, "/?a=x+y", true},
      {{EW_MATCH_EXACT, "a", "x y"}, "/?a=x%20y", true},
      {{EW_MATCH_EXACT, "a", "x&y=z"}, "/?a=x%26y%3dz", true},
      {{EW_MATCH_EXACT, "a", "x=y"}, "/?a=x=y", true},
      {{EW_MATCH_EXACT, "a", "%zz%4"}, "/?a=%zz%4", true},
      {{EW_MATCH_EXACT, "a", "%g1"}, "/?a=%g1", true},
      {{EW_MATCH_EXACT, "a", "%"}, "/?a=%", true},
      {{EW_MATCH_EXACT, "a b", "1"}, "/?a%20b=1", true},
      {{EW_MATCH_REGEX, "a", "[0-9]+"}, "/?a=123", true},
      {{EW_MATCH_REGEX, "a", "[0-9]+"}, "/?a=12x", false},
      {{EW_MATCH_REGEX, "a", "x y"}, "/?a=x%20y", true},
      {{EW_MATCH_REGEX, "a", "J"}, "/?a=%4a", true},
      {{EW_MATCH_REGEX, "a", "J"}, "/?a=%4A", true},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_match m = {.query = &t[i].want, .query_n = 1};
    if (fits(&m, request(t[i].path)) != t[i].yes)
      fail_msg("%s=%s on %s", t[i].want.name, t[i].want.value, t[i].path);
  }
}

static void query_value_that_does_not_fit(void **state) {
  struct ew_slice v;
  char buf[2];
  assert_true(ew_query_value(EW_SLICE_LIT("a=%31%32"), EW_SLICE_LIT("a"), buf,
                             sizeof buf, &v));
  assert_slice(v, "12");
  assert_false(ew_query_value(EW_SLICE_LIT("a=123"), EW_SLICE_LIT("a"), buf,
                              sizeof buf, &v));
}

static void gamma_rule_21_of_repeated_names_the_first_counts(void **state) {
  static const struct ew_value_match headers[] = {{EW_MATCH_EXACT, "v", "one"},
                                                  {EW_MATCH_EXACT, "v", "two"}};
  static const struct ew_value_match query[] = {
      {EW_MATCH_EXACT, "q", "1"},
      {EW_MATCH_REGEX, "q", "2"},
      {EW_MATCH_EXACT, "v", "3"}}; /* a header's name is another one */
  struct ew_match h = {.headers = headers, .headers_n = 2};
  struct ew_match q = {.query = query, .query_n = 3};
  struct ew_message *m = request("/?q=1&v=3");
  put(m, "v", "one");
  assert_true(fits(&h, ew_message_dup(m)));
  assert_true(fits(&q, m));
  m = request("/?q=2&v=3");
  put(m, "v", "two");
  assert_false(fits(&h, ew_message_dup(m)));
  assert_false(fits(&q, m));
  /* Also with a first one that does not compile. */
  static const struct ew_value_match broken[] = {{EW_MATCH_REGEX, "v", "("},
                                                 {EW_MATCH_EXACT, "v", "x"}};
  struct ew_match b = {.headers = broken, .headers_n = 2};
  struct ew_matcher mr;
  struct ew_match_key key;
  size_t i = 0;
  ew_matcher_init(&mr, &b, NULL);
  assert_non_null(mr.invalid);
  assert_false(ew_matcher_next_key(&mr, &i, &key));
  ew_matcher_fini(&mr);
}

static void gamma_rule_18_grpc_service_and_method(void **state) {
  static const struct {
    enum ew_match_type type;
    const char *service, *method, *path;
    bool yes;
  } t[] = {
      {EW_MATCH_EXACT, "a.S", "M", "/a.S/M", true},
      {EW_MATCH_EXACT, "a.S", "M", "/a.S/m", false},
      {EW_MATCH_EXACT, "a.S", "M", "/a.s/M", false},
      {EW_MATCH_EXACT, "a.S", "M", "/a.S/M/x", false},
      {EW_MATCH_EXACT, "a.S", NULL, "/a.S/Any", true},
      {EW_MATCH_EXACT, "a.S", NULL, "/a.SX/Any", false},
      {EW_MATCH_EXACT, "a.S", NULL, "/a.S", false},
      {EW_MATCH_EXACT, "a.S", NULL, "/a.S/", false},
      {EW_MATCH_EXACT, NULL, "M", "/x/M", true},
      {EW_MATCH_EXACT, NULL, "M", "/x/N", false},
      {EW_MATCH_EXACT, NULL, "M", "//M", false},
      {EW_MATCH_EXACT, NULL, NULL, "/", true},
      {EW_MATCH_REGEX, "a\\..*", NULL, "/a.S/M", true},
      {EW_MATCH_REGEX, "a\\..*", "[MN]", "/a.S/N", true},
      {EW_MATCH_REGEX, "a\\..*", "[MN]", "/a.S/MN", false},
      {EW_MATCH_REGEX, NULL, "[MN]", "/a.S/M", true},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_match m = {.grpc_type = t[i].type,
                         .grpc_service = t[i].service,
                         .grpc_method = t[i].method};
    if (fits(&m, request(t[i].path)) != t[i].yes)
      fail_msg("case %zu: %s", i, t[i].path);
  }
  struct ew_slice s, m;
  assert_false(ew_grpc_split(EW_SLICE_LIT("*"), &s, &m));
  assert_false(ew_grpc_split(EW_SLICE_LIT(""), &s, &m));
}

static void all_parts_must_fit(void **state) {
  static const struct ew_value_match h = {EW_MATCH_EXACT, "v", "1"};
  static const struct ew_value_match q = {EW_MATCH_EXACT, "q", "1"};
  struct ew_match m = {.path_type = EW_MATCH_EXACT,
                       .path = "/a",
                       .method = "GET",
                       .headers = &h,
                       .headers_n = 1,
                       .query = &q,
                       .query_n = 1};
  struct ew_message *req = request("/a?q=1");
  put(req, "v", "1");
  assert_true(fits(&m, ew_message_dup(req)));
  req->path = EW_SLICE_LIT("/a?q=2");
  assert_false(fits(&m, ew_message_dup(req)));
  req->path = EW_SLICE_LIT("/b?q=1");
  assert_false(fits(&m, ew_message_dup(req)));
  req->path = EW_SLICE_LIT("/a?q=1");
  req->method = EW_SLICE_LIT("PUT");
  assert_false(fits(&m, ew_message_dup(req)));
  req->method = EW_SLICE_LIT("GET");
  ew_message_remove(req, EW_SLICE_LIT("v"));
  assert_false(fits(&m, req));
}

static void what_does_not_compile_matches_and_says_so(void **state) {
  static const struct ew_value_match h = {EW_MATCH_REGEX, "v", "["};
  const struct ew_match broken[] = {
      {.path_type = EW_MATCH_REGEX, .path = "(", .method = "GET"},
      {.grpc_type = EW_MATCH_REGEX, .grpc_service = "(", .grpc_method = "("},
      {.headers = &h, .headers_n = 1},
      {.query = &h, .query_n = 1},
  };
  struct ew_message *get = request("/a/b"), *put_ = request("/a/b");
  put_->method = EW_SLICE_LIT("PUT");
  for (size_t i = 0; i < COUNT(broken); i++) {
    struct ew_matcher mr;
    ew_matcher_init(&mr, &broken[i], NULL);
    assert_non_null(strstr(mr.invalid, "regular expression '"));
    assert_true(ew_matcher_test(&mr, get));
    /* What is known of the match still counts. */
    assert_int_equal(ew_matcher_test(&mr, put_), i > 0);
    ew_matcher_fini(&mr);
  }
  ew_message_del(get);
  ew_message_del(put_);
}

static void regular_expressions_are_rationed(void **state) {
  static const struct ew_value_match h[] = {{EW_MATCH_REGEX, "a", "x"},
                                            {EW_MATCH_REGEX, "b", "x"}};
  struct ew_match m = {.headers = h, .headers_n = 2};
  struct ew_matcher mr;
  size_t left = 1;
  ew_matcher_init(&mr, &m, &left);
  assert_int_equal(left, 0);
  assert_non_null(strstr(mr.invalid, "too many"));
  ew_matcher_fini(&mr);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths),
      cmocka_unit_test(options_star_is_covered_by_the_root),
      cmocka_unit_test(method_is_exact),
      cmocka_unit_test(headers),
      cmocka_unit_test(joined_header_that_does_not_fit),
      cmocka_unit_test(query_parameters),
      cmocka_unit_test(query_value_that_does_not_fit),
      cmocka_unit_test(gamma_rule_21_of_repeated_names_the_first_counts),
      cmocka_unit_test(gamma_rule_18_grpc_service_and_method),
      cmocka_unit_test(all_parts_must_fit),
      cmocka_unit_test(what_does_not_compile_matches_and_says_so),
      cmocka_unit_test(regular_expressions_are_rationed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
