/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#define PREFIX "'matches':[{'path':{'value':'/a'}}],"

/* The filters of the only rule; |members| ends with its own comma. */
static const struct ew_filter *read(struct ew_objects *o, const char *kind,
                                    const char *members, const char *filters,
                                    const struct ew_route **route) {
  char rules[4096];
  snprintf(rules, sizeof rules, "[{%s'filters':[%s]}]", members, filters);
  const struct ew_object *x =
      put_route(o, kind, "a", "r", "", PARENT(""), rules);
  if (route)
    *route = &x->u.route;
  return x->u.route.rules[0].filters;
}

static const struct ew_filter *http(struct ew_objects *o, const char *filters) {
  const struct ew_route *r;
  const struct ew_filter *f = read(o, "HTTPRoute", PREFIX, filters, &r);
  assert_null(r->faults);
  return f;
}

/* The last filter is invalid, and the status has it. */
static void assert_invalid(struct ew_objects *o, const char *kind,
                           const char *members, const char *filters,
                           const char *reason, const char *message) {
  const struct ew_route *r;
  const struct ew_filter *f = read(o, kind, members, filters, &r);
  f += r->rules[0].filters_n - 1;
  assert_int_equal(f->type, EW_FILTER_INVALID);
  assert_string_equal(f->u.invalid, message);
  assert_non_null(r->faults);
  assert_null(r->faults->next);
  assert_int_equal(r->faults->rule, 0);
  assert_false(r->faults->dropped);
  assert_string_equal(r->faults->reason, reason);
  assert_string_equal(r->faults->message, message);
}

#define HEADERS(member) \
  "{'type':'RequestHeaderModifier','requestHeaderModifier':{" member "}}"
#define RESPONSE(member) \
  "{'type':'ResponseHeaderModifier','responseHeaderModifier':{" member "}}"
#define MIRROR(more)                                              \
  "{'type':'RequestMirror','requestMirror':{'backendRef':{'name'" \
  ":'m','port':81}" more "}}"
#define REDIRECT(members) \
  "{'type':'RequestRedirect','requestRedirect':{" members "}}"
#define REWRITE(members) "{'type':'URLRewrite','urlRewrite':{" members "}}"
#define CORS(members) "{'type':'CORS','cors':{" members "}}"

static void test_headers(void **state) {
  const struct ew_filter *f =
      http(*state, HEADERS("'set':[{'name':'X-A','value':''},{'name':'b',"
                           "'value':'c\\td'}],'add':[{'name':'E','value':"
                           "'f g'}],'remove':['Gh']") "," RESPONSE(""));
  assert_int_equal(f[0].type, EW_FILTER_REQUEST_HEADERS);
  assert_int_equal(f[0].u.headers.set_n, 2);
  assert_string_equal(f[0].u.headers.set[0].name, "x-a");
  assert_string_equal(f[0].u.headers.set[0].value, "");
  assert_string_equal(f[0].u.headers.set[1].value, "c\td");
  assert_string_equal(f[0].u.headers.add[0].name, "e");
  assert_string_equal(f[0].u.headers.add[0].value, "f g");
  assert_string_equal(f[0].u.headers.remove[0], "gh");
  assert_int_equal(f[1].type, EW_FILTER_RESPONSE_HEADERS);
  assert_int_equal(
      f[1].u.headers.set_n + f[1].u.headers.add_n + f[1].u.headers.remove_n, 0);
}

static void test_invalid_headers(void **state) {
  static const char *const framing[] = {
      "Connection", "content-length", "Keep-Alive",        "proxy-connection",
      "TE",         "trailer",        "Transfer-Encoding", "Upgrade"};
  for (size_t i = 0; i < sizeof framing / sizeof *framing; i++) {
    char filter[256];
    snprintf(filter, sizeof filter,
             i % 2 ? HEADERS("'set':[{'name':'%s','value':'x'}]")
                   : RESPONSE("'add':[{'name':'%s','value':'x'}]"),
             framing[i]);
    assert_invalid(*state, "HTTPRoute", "", filter, "UnsupportedValue",
                   "a header belongs to the connection and can't be set");
  }
  assert_invalid(*state, "GRPCRoute", "",
                 HEADERS("'set':[{'name':'a','value':'b\\r\\nc: d'}]"),
                 "UnsupportedValue",
                 "a header has a control byte in its value");
}

static void test_mirrors(void **state) {
  static const struct {
    const char *more;
    uint32_t numerator, denominator;
  } cases[] = {{MIRROR(""), 1, 1},
               {MIRROR(",'percent':0"), 0, 100},
               {MIRROR(",'percent':100"), 100, 100},
               {MIRROR(",'fraction':{'numerator':5}"), 5, 100},
               {MIRROR(",'fraction':{'numerator':0,'denominator':7}"), 0, 7},
               {MIRROR(",'fraction':{'numerator':7,'denominator':7}"), 7, 7}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct ew_route *r;
    const struct ew_filter *f =
        read(*state, "GRPCRoute", "", cases[i].more, &r);
    assert_null(r->faults);
    assert_int_equal(f->type, EW_FILTER_MIRROR);
    assert_int_equal(f->u.mirror.numerator, cases[i].numerator);
    assert_int_equal(f->u.mirror.denominator, cases[i].denominator);
    assert_string_equal(r->refs[f->u.mirror.backend].name, "m");
    assert_int_equal(r->refs[f->u.mirror.backend].port, 81);
  }
}

static void test_redirect(void **state) {
  const struct ew_filter *f = http(*state, REDIRECT(""));
  assert_int_equal(f->type, EW_FILTER_REDIRECT);
  assert_int_equal(f->u.location.status, 302);
  assert_int_equal(f->u.location.port, 0);
  assert_int_equal(f->u.location.path_modifier, EW_PATH_KEEP);
  assert_null(f->u.location.scheme);
  assert_null(f->u.location.hostname);
  f = http(*state, REDIRECT("'scheme':'https','hostname':'a.b','port':8443,"
                            "'statusCode':308,'path':{'type':"
                            "'ReplaceFullPath','replaceFullPath':'/x?y'}"));
  assert_string_equal(f->u.location.scheme, "https");
  assert_string_equal(f->u.location.hostname, "a.b");
  assert_int_equal(f->u.location.port, 8443);
  assert_int_equal(f->u.location.status, 308);
  assert_int_equal(f->u.location.path_modifier, EW_PATH_FULL);
  assert_string_equal(f->u.location.path, "/x?y");
}

static void test_redirect_statuses(void **state) {
  static const int good[] = {301, 302, 303, 307, 308};
  static const int bad[] = {0, 200, 300, 304, 305, 306, 309, 400};
  char filter[128], want[128];
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    snprintf(filter, sizeof filter, REDIRECT("'statusCode':%d"), good[i]);
    assert_int_equal(http(*state, filter)->u.location.status, good[i]);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(filter, sizeof filter, REDIRECT("'statusCode':%d"), bad[i]);
    snprintf(want, sizeof want,
             "RequestRedirect statusCode %d is not supported", bad[i]);
    assert_invalid(*state, "HTTPRoute", "", filter, "UnsupportedValue", want);
  }
}

static void test_redirect_scheme(void **state) {
  assert_string_equal(
      http(*state, REDIRECT("'scheme':'http'"))->u.location.scheme, "http");
  assert_invalid(*state, "HTTPRoute", "", REDIRECT("'scheme':'HTTPS'"),
                 "UnsupportedValue",
                 "RequestRedirect scheme \"HTTPS\" is not supported");
}

static void test_rewrite(void **state) {
  const struct ew_filter *f =
      http(*state, REWRITE("'hostname':'a-b.c','path':{'type':"
                           "'ReplacePrefixMatch','replacePrefixMatch':''}"));
  assert_int_equal(f->type, EW_FILTER_REWRITE);
  assert_string_equal(f->u.location.hostname, "a-b.c");
  assert_int_equal(f->u.location.path_modifier, EW_PATH_PREFIX);
  assert_string_equal(f->u.location.path, "");
  f = http(*state, REWRITE(""));
  assert_null(f->u.location.hostname);
  assert_int_equal(f->u.location.path_modifier, EW_PATH_KEEP);
}

static void test_path_modifiers(void **state) {
  assert_invalid(*state, "HTTPRoute", "", REWRITE("'path':{'type':'Frob'}"),
                 "UnsupportedValue", "path modifier \"Frob\" is not known");
  static const char *const bad[] = {"/a b", "/a#b", "/\\n", "/\\u007f"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char filter[256];
    const struct ew_route *r;
    snprintf(filter, sizeof filter,
             REDIRECT("'path':{'type':'ReplaceFullPath','replaceFullPath':"
                      "'%s'}"),
             bad[i]);
    assert_int_equal(read(*state, "HTTPRoute", PREFIX, filter, &r)->type,
                     EW_FILTER_INVALID);
    assert_non_null(strstr(r->faults->message, "is no URL path"));
  }
}

/* A prefix can only be replaced where exactly one is matched. */
static void test_prefix_needs_one_match(void **state) {
  static const char *const good[] = {PREFIX, "", "'matches':[],",
                                     "'matches':[{'method':'GET'}],"};
  static const char *const bad[] = {
      "'matches':[{},{}],", "'matches':[{'path':{'type':'Exact'}}],",
      "'matches':[{'path':{'type':'RegularExpression','value':'/a'}}],"};
#define REPLACE "'path':{'type':'ReplacePrefixMatch','replacePrefixMatch':'/x'}"
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(
        read(*state, "HTTPRoute", good[i], REWRITE(REPLACE), NULL)->type,
        EW_FILTER_REWRITE);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_invalid(*state, "HTTPRoute", bad[i], REWRITE(REPLACE),
                   "IncompatibleFilters",
                   "ReplacePrefixMatch needs a rule with exactly one match, "
                   "of type PathPrefix");
    assert_invalid(*state, "HTTPRoute", bad[i], REDIRECT(REPLACE),
                   "IncompatibleFilters",
                   "ReplacePrefixMatch needs a rule with exactly one match, "
                   "of type PathPrefix");
  }
}

static void test_cors(void **state) {
  const struct ew_filter *f = http(*state, CORS(""));
  assert_int_equal(f->type, EW_FILTER_CORS);
  assert_int_equal(f->u.cors.max_age_s, 5);
  assert_false(f->u.cors.allow_credentials);
  assert_int_equal(f->u.cors.allow_origins_n, 0);
  f = http(*state,
           CORS("'allowOrigins':['https://*.a.b','*'],'allowMethods':['GET'],"
                "'allowHeaders':['X-A'],'exposeHeaders':['X-B','*'],"
                "'maxAge':60,'allowCredentials':true"));
  assert_int_equal(f->u.cors.allow_origins_n, 2);
  assert_string_equal(f->u.cors.allow_origins[0], "https://*.a.b");
  assert_string_equal(f->u.cors.allow_methods[0], "GET");
  assert_string_equal(f->u.cors.allow_headers[0], "X-A");
  assert_string_equal(f->u.cors.expose_headers[1], "*");
  assert_int_equal(f->u.cors.max_age_s, 60);
  assert_true(f->u.cors.allow_credentials);
}

static void test_invalid_cors(void **state) {
  static const char *const bad[] = {
      CORS("'allowOrigins':['']"), CORS("'allowMethods':['A\\nB']"),
      CORS("'allowHeaders':['a','']"), CORS("'exposeHeaders':['\\u0001']")};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_invalid(*state, "HTTPRoute", "", bad[i], "UnsupportedValue",
                   "CORS has a value that is empty or has a control byte");
}

static void test_unknown_types(void **state) {
  static const char *const grpc[] = {"RequestRedirect", "URLRewrite", "CORS",
                                     "ExtensionRef", "Frob"};
  for (size_t i = 0; i < sizeof grpc / sizeof *grpc; i++) {
    char filter[128], want[128];
    snprintf(filter, sizeof filter, "{'type':'%s'}", grpc[i]);
    snprintf(want, sizeof want, "filter type \"%s\" is not supported", grpc[i]);
    assert_invalid(*state, "GRPCRoute", "", filter, "UnsupportedValue", want);
    if (i >= 3)
      assert_invalid(*state, "HTTPRoute", "", filter, "UnsupportedValue", want);
  }
}

static void test_together(void **state) {
  struct ew_objects *o = *state;
  static const char *const twice[] = {HEADERS(""), RESPONSE(""), REDIRECT(""),
                                      REWRITE(""), CORS("")};
  for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
    char filters[256];
    snprintf(filters, sizeof filters, "%s,%s", twice[i], twice[i]);
    assert_invalid(o, "HTTPRoute", "", filters, "IncompatibleFilters",
                   "a filter of one type can stand only once");
  }
  assert_invalid(o, "HTTPRoute", "", REDIRECT("") "," REWRITE(""),
                 "IncompatibleFilters",
                 "RequestRedirect and URLRewrite can't be combined");
  assert_invalid(o, "HTTPRoute", "",
                 REWRITE("") "," HEADERS("") "," REDIRECT(""),
                 "IncompatibleFilters",
                 "RequestRedirect and URLRewrite can't be combined");
  const struct ew_filter *f = http(o, MIRROR("") "," MIRROR(""));
  assert_int_equal(f[0].type, EW_FILTER_MIRROR);
  assert_int_equal(f[1].type, EW_FILTER_MIRROR);
}

/* Two faults are two, not one of being there twice. */
static void test_two_invalid(void **state) {
  const struct ew_route *r;
  read(*state, "HTTPRoute", "", "{'type':'A'},{'type':'B'}", &r);
  assert_string_equal(r->faults->message, "filter type \"A\" is not supported");
  assert_string_equal(r->faults->next->message,
                      "filter type \"B\" is not supported");
  assert_null(r->faults->next->next);
}

static void test_filters_of_a_backend(void **state) {
  const struct ew_route *r;
  read(*state, "HTTPRoute",
       PREFIX "'backendRefs':[{'name':'x','port':80,'filters':["
              "{'type':'Frob'},"
              "{'type':'RequestHeaderModifier','requestHeaderModifier':"
              "{'remove':['a']}}]},{'name':'y','port':80}],",
       HEADERS(""), &r);
  assert_int_equal(r->rules[0].backends[0].filters_n, 2);
  assert_int_equal(r->rules[0].backends[0].filters[0].type, EW_FILTER_INVALID);
  assert_int_equal(r->rules[0].backends[0].filters[1].type,
                   EW_FILTER_REQUEST_HEADERS);
  assert_int_equal(r->rules[0].backends[1].filters_n, 0);
  assert_string_equal(r->faults->message,
                      "filter type \"Frob\" is not supported");
  assert_false(r->faults->dropped);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_headers),
      OBJECTS_TEST(test_invalid_headers),
      OBJECTS_TEST(test_mirrors),
      OBJECTS_TEST(test_redirect),
      OBJECTS_TEST(test_redirect_statuses),
      OBJECTS_TEST(test_redirect_scheme),
      OBJECTS_TEST(test_rewrite),
      OBJECTS_TEST(test_path_modifiers),
      OBJECTS_TEST(test_prefix_needs_one_match),
      OBJECTS_TEST(test_cors),
      OBJECTS_TEST(test_invalid_cors),
      OBJECTS_TEST(test_unknown_types),
      OBJECTS_TEST(test_together),
      OBJECTS_TEST(test_two_invalid),
      OBJECTS_TEST(test_filters_of_a_backend),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
