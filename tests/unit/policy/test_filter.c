/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/filter.h"

#include "policy_test.h"

static const struct ew_match root = {.path_type = EW_MATCH_PREFIX, .path = ""};

/* Applies one filter to |req|; the caller looks at |f| and |req|. */
static enum ew_filter_verdict apply(struct ew_filter_run *f,
                                    const struct ew_filter *fl,
                                    const struct ew_match *m, uint16_t port,
                                    struct ew_message *req) {
  ew_filter_run_init(f, req, m, port, 7);
  return ew_filter_request(f, fl, 1, req);
}

static void end(struct ew_filter_run *f, struct ew_message *m) {
  ew_filter_run_fini(f);
  ew_message_del(m);
}

static size_t lines(const struct ew_message *m, const char *name) {
  size_t n = 0;
  for (size_t i = 0; i < m->headers.n; i++)
    n += ew_slice_eq_str(m->headers.v[i].name, name);
  return n;
}

static void header_modifier(void **state) {
  static const struct ew_header_value set[] = {{"a", "new"}, {"b", "fresh"}};
  static const struct ew_header_value add[] = {
      {"set-cookie", "x=1"}, {"set-cookie", "y=2"}, {"c", "2"}};
  static const char *const remove[] = {"d", "absent"};
  struct ew_filter fl = {.type = EW_FILTER_REQUEST_HEADERS};
  fl.u.headers.set = set;
  fl.u.headers.set_n = 2;
  fl.u.headers.add = add;
  fl.u.headers.add_n = 3;
  fl.u.headers.remove = remove;
  fl.u.headers.remove_n = 2;
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  put(m, "A", "1");
  put(m, "a", "2");
  put(m, "c", "1");
  put(m, "D", "1");
  put(m, "d", "2");
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_CONTINUE);
  assert_int_equal(lines(m, "a"), 1);
  assert_header(m, "a", "new");
  assert_header(m, "b", "fresh");
  assert_slice(ew_message_joined(m, EW_SLICE_LIT("c")), "1,2");
  assert_int_equal(lines(m, "d"), 0);
  assert_int_equal(lines(m, "set-cookie"), 2); /* never folded */
  /* The same filter does nothing on the way back. */
  size_t n = m->headers.n;
  assert_int_equal(ew_filter_response(&f, &fl, 1, m), EW_FILTER_CONTINUE);
  assert_int_equal(m->headers.n, n);
  end(&f, m);
  /* And as a response filter only on the way back. */
  fl.type = EW_FILTER_RESPONSE_HEADERS;
  m = ew_message_new();
  m->status = 200;
  ew_filter_run_init(&f, m, NULL, 80, 7);
  assert_int_equal(ew_filter_request(&f, &fl, 1, m), EW_FILTER_CONTINUE);
  assert_int_equal(m->headers.n, 0);
  assert_int_equal(ew_filter_response(&f, &fl, 1, m), EW_FILTER_CONTINUE);
  assert_int_equal(lines(m, "set-cookie"), 2);
  assert_header(m, "a", "new");
  end(&f, m);
}

static enum ew_filter_verdict set_one(struct ew_message *m, const char *name,
                                      const char *value, bool add) {
  struct ew_header_value h = {name, value};
  struct ew_filter fl = {.type = EW_FILTER_REQUEST_HEADERS};
  struct ew_filter_run f;
  if (add) {
    fl.u.headers.add = &h;
    fl.u.headers.add_n = 1;
  } else {
    fl.u.headers.set = &h;
    fl.u.headers.set_n = 1;
  }
  enum ew_filter_verdict v = apply(&f, &fl, &root, 80, m);
  ew_filter_run_fini(&f);
  return v;
}

static void host_header_is_the_authority(void **state) {
  struct ew_message *m = request("/");
  assert_int_equal(set_one(m, "host", "Other:81", false), EW_FILTER_CONTINUE);
  assert_slice(m->authority, "other:81");
  assert_int_equal(set_one(m, "host", "third", true), EW_FILTER_CONTINUE);
  assert_slice(m->authority, "third");
  assert_int_equal(lines(m, "host"), 0);
  assert_int_equal(set_one(m, "host", "a/b", false), EW_FILTER_FAIL);
  ew_message_del(m);
  /* In a response it would mean nothing. */
  struct ew_header_value h = {"host", "x"};
  struct ew_filter fl = {.type = EW_FILTER_RESPONSE_HEADERS};
  fl.u.headers.set = &h;
  fl.u.headers.set_n = 1;
  struct ew_filter_run f;
  m = ew_message_new();
  m->status = 200;
  ew_filter_run_init(&f, m, NULL, 80, 7);
  assert_int_equal(ew_filter_response(&f, &fl, 1, m), EW_FILTER_FAIL);
  end(&f, m);
}

static void framing_is_not_for_filters(void **state) {
  static const char *const names[] = {
      "content-length", "transfer-encoding", "connection", "upgrade", "te",
      "Content-Length"};
  static const char *const remove[] = {"content-length", "host", "connection"};
  for (size_t i = 0; i < COUNT(names); i++) {
    struct ew_message *m = request("/");
    assert_int_equal(set_one(m, names[i], "1", i % 2), EW_FILTER_FAIL);
    assert_int_equal(m->headers.n, 0);
    ew_message_del(m);
  }
  struct ew_filter fl = {.type = EW_FILTER_REQUEST_HEADERS};
  fl.u.headers.remove = remove;
  fl.u.headers.remove_n = COUNT(remove);
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_CONTINUE);
  assert_slice(m->authority, "echo");
  end(&f, m);
}

static void header_limits_fail_the_request(void **state) {
  struct ew_message *m = request("/");
  char name[16];
  for (int i = 0; i < EW_FIELDS_MAX; i++) {
    snprintf(name, sizeof name, "h%d", i);
    put(m, name, "");
  }
  assert_int_equal(set_one(m, "h1", "x", false), EW_FILTER_CONTINUE);
  assert_int_equal(set_one(m, "one-more", "x", true), EW_FILTER_FAIL);
  assert_int_equal(set_one(m, "bad value", "a\r\nb", true), EW_FILTER_FAIL);
  ew_message_del(m);
}

static void gamma_rule_20_an_invalid_filter_is_never_skipped(void **state) {
  struct ew_filter fl[2] = {{.type = EW_FILTER_INVALID},
                            {.type = EW_FILTER_REDIRECT}};
  fl[0].u.invalid = "ExtensionRef: no such kind";
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  ew_filter_run_init(&f, m, &root, 80, 7);
  assert_int_equal(ew_filter_request(&f, fl, 2, m), EW_FILTER_FAIL);
  assert_string_equal(f.why, "ExtensionRef: no such kind");
  assert_null(f.reply);
  fl[0].u.invalid = NULL;
  assert_int_equal(ew_filter_request(&f, fl, 2, m), EW_FILTER_FAIL);
  assert_non_null(f.why);
  end(&f, m);
}

struct location_case {
  const char *scheme, *hostname;
  uint16_t port;
  uint16_t service_port;
  const char *authority, *request_scheme, *want;
};

static void gamma_rule_24_redirect_scheme_host_and_port(void **state) {
  static const struct location_case t[] = {
      /* Nothing given: the listener's port, never :80. */
      {NULL, NULL, 0, 80, "echo", "http", "http://echo/p?q=1"},
      {NULL, NULL, 0, 80, "echo:80", "http", "http://echo/p?q=1"},
      {NULL, NULL, 0, 8080, "echo:8080", "http", "http://echo:8080/p?q=1"},
      {NULL, NULL, 0, 8080, "echo", "http", "http://echo:8080/p?q=1"},
      {NULL, "example.org", 0, 80, "echo", "http", "http://example.org/p?q=1"},
      {NULL, "example.org", 0, 8080, "echo", "http",
       "http://example.org:8080/p?q=1"},
      {NULL, NULL, 443, 80, "echo", "http", "http://echo:443/p?q=1"},
      /* With a scheme: its well-known port, which is not printed. */
      {"https", NULL, 0, 8080, "echo:8080", "http", "https://echo/p?q=1"},
      {"http", NULL, 0, 8080, "echo:8080", "http", "http://echo/p?q=1"},
      {"https", NULL, 443, 80, "echo", "http", "https://echo/p?q=1"},
      {"https", NULL, 8443, 80, "echo", "http", "https://echo:8443/p?q=1"},
      {"https", NULL, 80, 80, "echo", "http", "https://echo:80/p?q=1"},
      {"http", "h", 80, 8080, "echo", "http", "http://h/p?q=1"},
      {"http", "h", 443, 80, "echo", "http", "http://h:443/p?q=1"},
      /* The request's own scheme, if it is one. */
      {NULL, NULL, 0, 443, "echo", "https", "https://echo/p?q=1"},
      {NULL, NULL, 0, 80, "echo", "gopher", "http://echo/p?q=1"},
      {NULL, NULL, 0, 80, "echo", "", "http://echo/p?q=1"},
      /* A scheme without a known port: the listener's. */
      {"ws", NULL, 0, 80, "echo", "http", "ws://echo:80/p?q=1"},
      {NULL, NULL, 0, 80, "[fd00::1]:80", "http", "http://[fd00::1]/p?q=1"},
      {NULL, NULL, 0, 81, "[fd00::1]", "http", "http://[fd00::1]:81/p?q=1"},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_filter fl = {.type = EW_FILTER_REDIRECT};
    struct ew_filter_run f;
    struct ew_message *m = request("/p?q=1");
    fl.u.location.scheme = t[i].scheme;
    fl.u.location.hostname = t[i].hostname;
    fl.u.location.port = t[i].port;
    m->authority = ew_slice_str(t[i].authority);
    m->scheme = ew_slice_str(t[i].request_scheme);
    assert_int_equal(apply(&f, &fl, &root, t[i].service_port, m),
                     EW_FILTER_REPLY);
    assert_int_equal(f.reply->status, 302);
    assert_int_equal(f.reply->body, EW_BODY_NONE);
    assert_header(f.reply, "location", t[i].want);
    end(&f, m);
  }
}

static void redirect_status(void **state) {
  static const uint16_t codes[] = {301, 302, 303, 307, 308};
  for (size_t i = 0; i < COUNT(codes); i++) {
    struct ew_filter fl = {.type = EW_FILTER_REDIRECT};
    struct ew_filter_run f;
    struct ew_message *m = request("/");
    fl.u.location.status = codes[i];
    assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_REPLY);
    assert_int_equal(f.reply->status, codes[i]);
    end(&f, m);
  }
}

static void redirect_that_cannot_be_made(void **state) {
  struct ew_filter fl = {.type = EW_FILTER_REDIRECT};
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  m->version = 10;
  m->authority = (struct ew_slice){NULL, 0};
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_FAIL);
  assert_string_equal(f.why, "redirect: the request has no host or no path");
  end(&f, m);
  m = request("/");
  m->method = EW_SLICE_LIT("OPTIONS");
  m->path = EW_SLICE_LIT("*");
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_FAIL);
  end(&f, m);
  m = request("/");
  fl.u.location.scheme = "http\r\nx: y";
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_FAIL);
  assert_null(f.reply);
  end(&f, m);
}

/* The table of the API's replacePrefixMatch, then cases beyond it. */
static void replace_prefix(void **state) {
  static const struct {
    const char *path, *prefix, *replace, *want;
  } t[] = {
      {"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
      {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
      {"/foo", "/foo", "/xyz", "/xyz"},
      {"/foo/", "/foo", "/xyz", "/xyz/"},
      {"/foo/bar", "/foo", "", "/bar"},
      {"/foo/", "/foo", "", "/"},
      {"/foo", "/foo", "", "/"},
      {"/foo/", "/foo", "/", "/"},
      {"/foo", "/foo", "/", "/"},
      {"/foo/bar?a=/foo", "/foo", "/xyz", "/xyz/bar?a=/foo"},
      {"/foo?", "/foo", "/xyz", "/xyz?"},
      {"/bar", "", "/xyz", "/xyz/bar"},
      {"/", "", "/xyz", "/xyz"},
      {"/", "", "", "/"},
      {"/a%2fb/c", "/a%2fb", "/d", "/d/c"},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_match m = {.path_type = EW_MATCH_PREFIX, .path = t[i].prefix};
    for (int redirect = 0; redirect < 2; redirect++) {
      struct ew_filter fl = {.type = redirect ? EW_FILTER_REDIRECT
                                              : EW_FILTER_REWRITE};
      struct ew_filter_run f;
      struct ew_message *req = request(t[i].path);
      fl.u.location.path_modifier = EW_PATH_PREFIX;
      fl.u.location.path = t[i].replace;
      enum ew_filter_verdict v = apply(&f, &fl, &m, 80, req);
      assert_int_equal(v, redirect ? EW_FILTER_REPLY : EW_FILTER_CONTINUE);
      assert_slice(req->path, t[i].want);
      if (redirect) {
        char url[128];
        snprintf(url, sizeof url, "http://echo%s", t[i].want);
        assert_header(f.reply, "location", url);
      }
      end(&f, req);
    }
  }
}

static void replace_full_path_and_host(void **state) {
  struct ew_filter fl = {.type = EW_FILTER_REWRITE};
  struct ew_filter_run f;
  struct ew_message *m = request("/foo/bar?a=1");
  fl.u.location.hostname = "one.example.org";
  fl.u.location.path_modifier = EW_PATH_FULL;
  fl.u.location.path = "/new/";
  m->authority = EW_SLICE_LIT("echo:8080");
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_CONTINUE);
  assert_slice(m->authority, "one.example.org");
  assert_slice(m->path, "/new/?a=1");
  end(&f, m);
  m = request("/foo");
  fl.u.location.hostname = NULL;
  fl.u.location.path_modifier = EW_PATH_KEEP;
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_CONTINUE);
  assert_slice(m->authority, "echo");
  assert_slice(m->path, "/foo");
  end(&f, m);
}

static void rewrite_that_cannot_be_carried_out(void **state) {
  static const struct ew_match exact = {.path_type = EW_MATCH_EXACT,
                                        .path = "/a"};
  static const struct ew_match other = {.path_type = EW_MATCH_PREFIX,
                                        .path = "/other"};
  static const struct ew_match grpc = {.grpc_service = "S"};
  static const struct ew_match any = {0};
  static const struct {
    const struct ew_match *m;
    enum ew_path_modifier how;
    const char *host, *path;
    bool ok;
  } t[] = {
      {&any, EW_PATH_PREFIX, NULL, "/x", true},
      {&exact, EW_PATH_PREFIX, NULL, "/x", false},
      {&other, EW_PATH_PREFIX, NULL, "/x", false},
      {&grpc, EW_PATH_PREFIX, NULL, "/x", false},
      {NULL, EW_PATH_PREFIX, NULL, "/x", false},
      {&root, EW_PATH_FULL, NULL, "/a b", false},
      {&root, EW_PATH_FULL, NULL, "/a/../b", false},
      {&root, EW_PATH_FULL, NULL, "/a#b", false},
      {&root, EW_PATH_FULL, NULL, "a", false},
      {&root, EW_PATH_FULL, NULL, "", true}, /* the root */
      {&root, EW_PATH_KEEP, "bad host", NULL, false},
      {&root, EW_PATH_KEEP, "a/b", NULL, false},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_filter fl = {.type = EW_FILTER_REWRITE};
    struct ew_filter_run f;
    struct ew_message *m = request("/a");
    fl.u.location.path_modifier = t[i].how;
    fl.u.location.hostname = t[i].host;
    fl.u.location.path = t[i].path;
    enum ew_filter_verdict v = apply(&f, &fl, t[i].m, 80, m);
    if (v != (t[i].ok ? EW_FILTER_CONTINUE : EW_FILTER_FAIL))
      fail_msg("case %zu", i);
    end(&f, m);
  }
  struct ew_filter fl = {.type = EW_FILTER_REWRITE};
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  m->method = EW_SLICE_LIT("OPTIONS");
  m->path = EW_SLICE_LIT("*");
  fl.u.location.path_modifier = EW_PATH_FULL;
  fl.u.location.path = "/x";
  assert_int_equal(apply(&f, &fl, &root, 80, m), EW_FILTER_FAIL);
  end(&f, m);
}

static void mirrors_are_sampled(void **state) {
  struct ew_filter fl[3] = {{.type = EW_FILTER_MIRROR},
                            {.type = EW_FILTER_MIRROR},
                            {.type = EW_FILTER_MIRROR}};
  static const uint32_t share[] = {1, 0, 25}, of[] = {1, 100, 100};
  size_t count[3] = {0};
  for (size_t i = 0; i < 3; i++) {
    fl[i].u.mirror.backend = i;
    fl[i].u.mirror.numerator = share[i];
    fl[i].u.mirror.denominator = of[i];
  }
  struct ew_message *m = request("/");
  for (uint64_t i = 0; i < 20000; i++) {
    struct ew_filter_run f;
    ew_filter_run_init(&f, m, &root, 80, i);
    assert_int_equal(ew_filter_request(&f, fl, 3, m), EW_FILTER_CONTINUE);
    for (size_t k = 0; k < f.mirrors_n; k++)
      count[f.mirrors[k]]++;
    ew_filter_run_fini(&f);
  }
  ew_message_del(m);
  assert_int_equal(count[0], 20000);
  assert_int_equal(count[1], 0);
  assert_in_range(count[2], 4700, 5300);
}

static void mirrors_have_a_maximum(void **state) {
  struct ew_filter fl = {.type = EW_FILTER_MIRROR};
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  ew_filter_run_init(&f, m, &root, 80, 1);
  assert_int_equal(ew_filter_request(&f, &fl, 1, m), EW_FILTER_FAIL);
  fl.u.mirror.numerator = fl.u.mirror.denominator = 1;
  for (int i = 0; i < EW_MIRRORS_MAX; i++)
    assert_int_equal(ew_filter_request(&f, &fl, 1, m), EW_FILTER_CONTINUE);
  assert_int_equal(ew_filter_request(&f, &fl, 1, m), EW_FILTER_FAIL);
  end(&f, m);
}

static void cors_filter_in_a_run(void **state) {
  static const char *const origins[] = {"https://app.example"};
  struct ew_header_value drop = {"origin", "changed"};
  struct ew_filter fl[3] = {{.type = EW_FILTER_REQUEST_HEADERS},
                            {.type = EW_FILTER_CORS},
                            {.type = EW_FILTER_REDIRECT}};
  fl[0].u.headers.set = &drop;
  fl[0].u.headers.set_n = 1;
  fl[1].u.cors.allow_origins = origins;
  fl[1].u.cors.allow_origins_n = 1;
  struct ew_filter_run f;
  struct ew_message *m = request("/");
  put(m, "origin", "https://app.example");
  /* An actual request passes; its response gets the fields, for the origin
   * that the client sent. */
  ew_filter_run_init(&f, m, &root, 80, 1);
  assert_int_equal(ew_filter_request(&f, fl, 2, m), EW_FILTER_CONTINUE);
  struct ew_message *resp = ew_message_new();
  resp->status = 200;
  assert_int_equal(ew_filter_response(&f, fl, 2, resp), EW_FILTER_CONTINUE);
  assert_header(resp, "access-control-allow-origin", "https://app.example");
  for (int i = 0; resp->headers.n < EW_FIELDS_MAX; i++)
    put(resp, "x", "y");
  ew_message_remove(resp, EW_SLICE_LIT("access-control-allow-origin"));
  ew_message_remove(resp, EW_SLICE_LIT("vary"));
  put(resp, "x", "y");
  put(resp, "x", "y");
  assert_int_equal(ew_filter_response(&f, fl, 2, resp), EW_FILTER_FAIL);
  ew_message_del(resp);
  ew_filter_run_fini(&f);
  /* So does a redirect that stands behind the CORS filter. */
  ew_message_set(m, EW_SLICE_LIT("origin"),
                 EW_SLICE_LIT("https://app.example"));
  ew_filter_run_init(&f, m, &root, 80, 1);
  assert_int_equal(ew_filter_request(&f, fl, 3, m), EW_FILTER_REPLY);
  assert_header(f.reply, "access-control-allow-origin", "https://app.example");
  assert_header(f.reply, "location", "http://echo/");
  ew_filter_run_fini(&f);
  /* A preflight is answered here. */
  ew_message_set(m, EW_SLICE_LIT("origin"),
                 EW_SLICE_LIT("https://app.example"));
  put(m, "access-control-request-method", "PUT");
  m->method = EW_SLICE_LIT("OPTIONS");
  ew_filter_run_init(&f, m, &root, 80, 1);
  assert_int_equal(ew_filter_request(&f, fl, 3, m), EW_FILTER_REPLY);
  assert_int_equal(f.reply->status, 204);
  assert_header(f.reply, "access-control-allow-origin", "https://app.example");
  end(&f, m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(header_modifier),
      cmocka_unit_test(host_header_is_the_authority),
      cmocka_unit_test(framing_is_not_for_filters),
      cmocka_unit_test(header_limits_fail_the_request),
      cmocka_unit_test(gamma_rule_20_an_invalid_filter_is_never_skipped),
      cmocka_unit_test(gamma_rule_24_redirect_scheme_host_and_port),
      cmocka_unit_test(redirect_status),
      cmocka_unit_test(redirect_that_cannot_be_made),
      cmocka_unit_test(replace_prefix),
      cmocka_unit_test(replace_full_path_and_host),
      cmocka_unit_test(rewrite_that_cannot_be_carried_out),
      cmocka_unit_test(mirrors_are_sampled),
      cmocka_unit_test(mirrors_have_a_maximum),
      cmocka_unit_test(cors_filter_in_a_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
