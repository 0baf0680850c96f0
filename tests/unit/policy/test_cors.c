/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/cors.h"

#include "policy_test.h"

static struct ew_filter cors(const char *const *origins, size_t n,
                             bool credentials) {
  struct ew_filter f = {.type = EW_FILTER_CORS};
  f.u.cors.allow_origins = origins;
  f.u.cors.allow_origins_n = n;
  f.u.cors.allow_credentials = credentials;
  f.u.cors.max_age_s = 5;
  return f;
}

static void origins(void **state) {
  static const struct {
    const char *pattern, *origin;
    bool yes;
  } t[] = {
      {"*", "https://a.example", true},
      {"*", "null", true},
      {"https://a.example", "https://a.example", true},
      {"https://a.example", "https://A.Example", true},
      {"https://a.example", "http://a.example", false},
      {"https://a.example", "https://b.example", false},
      {"https://a.example", "https://a.example:443", true},
      {"https://a.example:443", "https://a.example", true},
      {"http://a.example:80", "http://a.example", true},
      {"https://a.example", "https://a.example:8443", false},
      {"https://a.example:8443", "https://a.example:8443", true},
      {"https://a.example", "https://a.example.evil", false},
      {"https://a.example", "null", false},
      {"null", "null", true},
      {"https://*.example", "https://a.example", true},
      {"https://*.example", "https://a.b.example", true},
      {"https://*.example", "https://example", false},
      {"https://*.example", "https://a.example:8443", false},
      {"https://*.example:8443", "https://a.example:8443", true},
      {"https://*.example", "http://a.example", false},
      {"https://*.example", "https://evil/.example", false},
      {"https://*.example", "https://evil?.example", false},
      {"https://*.example", "https://evil@a.example", false},
      {"https://*.example", "https://a.example,https://b.example", false},
      {"https://*.example", "https://*.example", true}, /* as written */
      {"https://*.x.*", "https://*.x.y", false},
      {"https://*", "https://anything.at.all", true},
      {"https://*", "https://", false},
      {"https://*", "http://anything", false},
      {"https://a*b*c", "https://aXXbYYbZZc", true},
      {"https://a*b*c", "https://aXXbYYbZZ", false},
      {"https://a**", "https://a", true},
      {"https://[fd00::1]", "https://[fd00::1]:443", true},
      {"https://[fd00::1]", "https://[fd00::2]", false},
      {"https://a.example", "https://a.example:", false},
      {"https://a.example", "https://a.example:99999", false},
      {"https://a.example", "https:/a.example", false},
      {"https://a.example", "https", false},
      {"ext://abc", "ext://ABC", true},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_filter f = cors(&t[i].pattern, 1, false);
    if (ew_cors_allows(&f, ew_slice_str(t[i].origin)) != t[i].yes)
      fail_msg("%s on %s", t[i].pattern, t[i].origin);
  }
  struct ew_filter none = cors(NULL, 0, false);
  assert_false(ew_cors_allows(&none, EW_SLICE_LIT("https://a")));
}

static struct ew_message *preflight_request(void) {
  struct ew_message *m = request("/");
  m->method = EW_SLICE_LIT("OPTIONS");
  put(m, "access-control-request-method", "PUT");
  return m;
}

static void what_a_preflight_is(void **state) {
  struct ew_slice origin = EW_SLICE_LIT("https://a.example");
  struct ew_message *m = preflight_request();
  assert_true(ew_cors_is_preflight(m, origin));
  assert_false(ew_cors_is_preflight(m, (struct ew_slice){NULL, 0}));
  m->method = EW_SLICE_LIT("GET");
  assert_false(ew_cors_is_preflight(m, origin));
  m->method = EW_SLICE_LIT("OPTIONS");
  ew_message_remove(m, EW_SLICE_LIT("access-control-request-method"));
  assert_false(ew_cors_is_preflight(m, origin));
  ew_message_del(m);
}

struct preflight_case {
  const char *origins[2];
  const char *methods[2], *headers[2];
  bool credentials;
  const char *origin, *asked_headers;
  /* "" for absent */
  const char *allow_origin, *allow_methods, *allow_headers, *vary;
};

static void preflight(void **state) {
  static const struct preflight_case t[] = {
      {{"https://a.example", "https://b.example"},
       {"GET", "PUT"},
       {"x-a", "x-b"},
       false,
       "https://b.example",
       NULL,
       "https://b.example",
       "GET, PUT",
       "x-a, x-b",
       "Origin"},
      {{"https://a.example"},
       {"GET"},
       {"x-a"},
       false,
       "https://evil.example",
       NULL,
       "",
       "",
       "",
       "Origin"},
      {{"*"},
       {"*"},
       {"*"},
       false,
       "https://a.example",
       "x-q",
       "*",
       "*",
       "*",
       ""},
      {{"*"},
       {"*"},
       {"*"},
       true,
       "https://a.example",
       "x-q, x-r",
       "https://a.example",
       "PUT",
       "x-q, x-r",
       "Origin"},
      {{"*"},
       {"*"},
       {"*"},
       true,
       "https://a.example",
       NULL,
       "https://a.example",
       "PUT",
       "",
       "Origin"},
      {{"https://*.example"},
       {NULL},
       {NULL},
       false,
       "https://a.example",
       "x-q",
       "https://a.example",
       "",
       "",
       "Origin"},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_filter f =
        cors(t[i].origins, t[i].origins[1] ? 2 : 1, t[i].credentials);
    f.u.cors.allow_methods = t[i].methods;
    f.u.cors.allow_methods_n =
        (t[i].methods[0] != NULL) + (t[i].methods[1] != NULL);
    f.u.cors.allow_headers = t[i].headers;
    f.u.cors.allow_headers_n =
        (t[i].headers[0] != NULL) + (t[i].headers[1] != NULL);
    struct ew_message *req = preflight_request();
    if (t[i].asked_headers)
      put(req, "access-control-request-headers", t[i].asked_headers);
    struct ew_message *m =
        ew_cors_preflight(&f, req, ew_slice_str(t[i].origin));
    bool allowed = t[i].allow_origin[0] != '\0';
    assert_int_equal(m->status, 204);
    assert_int_equal(m->body, EW_BODY_NONE);
    assert_header(m, "access-control-allow-origin", t[i].allow_origin);
    assert_header(m, "access-control-allow-methods", t[i].allow_methods);
    assert_header(m, "access-control-allow-headers", t[i].allow_headers);
    assert_header(m, "access-control-allow-credentials",
                  t[i].credentials ? "true" : "");
    assert_header(m, "access-control-max-age", allowed ? "5" : "");
    assert_header(m, "vary", t[i].vary);
    ew_message_del(m);
    ew_message_del(req);
  }
}

static void preflight_that_cannot_be_written(void **state) {
  static const char *const any[] = {"*"}, *const bad[] = {"a\nb"};
  struct ew_filter f = cors(any, 1, false);
  f.u.cors.allow_methods = bad;
  f.u.cors.allow_methods_n = 1;
  struct ew_message *req = preflight_request();
  assert_null(ew_cors_preflight(&f, req, EW_SLICE_LIT("https://a")));
  ew_message_del(req);
}

static struct ew_message *response(void) {
  struct ew_message *m = ew_message_new();
  m->status = 200;
  put(m, "access-control-allow-origin", "https://backend");
  put(m, "access-control-allow-credentials", "true");
  put(m, "access-control-expose-headers", "x-old");
  return m;
}

static void actual_response(void **state) {
  static const char *const one[] = {"https://a.example"}, *const any[] = {"*"};
  static const char *const expose[] = {"x-1", "x-2"};
  struct ew_filter f = cors(one, 1, false);
  f.u.cors.expose_headers = expose;
  f.u.cors.expose_headers_n = 2;
  struct ew_message *m = response();
  assert_int_equal(ew_cors_respond(&f, EW_SLICE_LIT("https://a.example"), m),
                   0);
  assert_header(m, "access-control-allow-origin", "https://a.example");
  assert_header(m, "access-control-allow-credentials", "");
  assert_header(m, "access-control-expose-headers", "x-1, x-2");
  assert_header(m, "vary", "Origin");
  /* Twice changes nothing. */
  size_t n = m->headers.n;
  assert_int_equal(ew_cors_respond(&f, EW_SLICE_LIT("https://a.example"), m),
                   0);
  assert_int_equal(m->headers.n, n);
  /* The filter decides, not the backend. */
  assert_int_equal(ew_cors_respond(&f, EW_SLICE_LIT("https://evil"), m), 0);
  assert_header(m, "access-control-allow-origin", "");
  assert_header(m, "access-control-expose-headers", "");
  ew_message_del(m);
  /* Same origin: only caches are told. */
  m = response();
  put(m, "vary", "accept, ORIGIN");
  assert_int_equal(ew_cors_respond(&f, (struct ew_slice){NULL, 0}, m), 0);
  assert_header(m, "access-control-allow-origin", "https://backend");
  assert_header(m, "vary", "accept, ORIGIN");
  ew_message_del(m);
  f = cors(any, 1, false);
  f.u.cors.expose_headers = any;
  f.u.cors.expose_headers_n = 1;
  m = response();
  assert_int_equal(ew_cors_respond(&f, EW_SLICE_LIT("https://a.example"), m),
                   0);
  assert_header(m, "access-control-allow-origin", "*");
  assert_header(m, "access-control-expose-headers", "*");
  assert_header(m, "vary", "");
  ew_message_del(m);
  f.u.cors.allow_credentials = true;
  m = response();
  assert_int_equal(ew_cors_respond(&f, EW_SLICE_LIT("https://a.example"), m),
                   0);
  assert_header(m, "access-control-allow-origin", "https://a.example");
  assert_header(m, "access-control-allow-credentials", "true");
  assert_header(m, "access-control-expose-headers", "");
  ew_message_del(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(origins),
      cmocka_unit_test(what_a_preflight_is),
      cmocka_unit_test(preflight),
      cmocka_unit_test(preflight_that_cannot_be_written),
      cmocka_unit_test(actual_response),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
