/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

/* What is wrong with a route with this spec, "" if nothing is. */
static const char *fault(struct ew_objects *o, const char *kind,
                         const char *spec) {
  static char why[1024];
  char text[4096];
  snprintf(text, sizeof text,
           "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'%s',"
           "'metadata':{'namespace':'a','name':'r'},'spec':%s}",
           kind, spec);
  json_t *j = json_of(text);
  int rc = ew_objects_upsert(o, j, NULL, why, sizeof why);
  json_decref(j);
  if (rc == EW_OK)
    return "";
  const char *place = strstr(why, "Route a/r: ");
  assert_non_null(place);
  return place + strlen("Route a/r: ");
}

/* A route with only that rule. */
static const struct ew_route *rule(struct ew_objects *o, const char *kind,
                                   const char *members) {
  char rules[4096];
  snprintf(rules, sizeof rules, "[{%s}]", members);
  return &put_route(o, kind, "a", "r", "", PARENT(""), rules)->u.route;
}

static const struct ew_route *http(struct ew_objects *o, const char *members) {
  return rule(o, "HTTPRoute", members);
}

static void assert_fault(struct ew_objects *o, const char *kind,
                         const char *members, const char *want) {
  char spec[3000], path[512];
  char *text = quoted(want);
  snprintf(spec, sizeof spec, "{'rules':[{},{%s}]}", members);
  snprintf(path, sizeof path, "spec.rules[1].%s", text);
  assert_string_equal(fault(o, kind, spec), path);
  free(text);
}

/* ---- faults ---- */

/* Quotes are " here: the text has ' of its own. */
static void test_faults_of_a_spec(void **state) {
  static const char *const cases[][2] = {
      {"null", "spec: absent: must be an object"},
      {"7", "spec: 7: must be an object"},
      {"{'parentRefs':{}}", "spec.parentRefs: an object: must be a list"},
      {"{'parentRefs':[{'kind':'Service'}]}",
       "spec.parentRefs[0].name: absent: must be a string that is not empty"},
      {"{'parentRefs':[{'name':'Echo'}]}",
       "spec.parentRefs[0].name: \"Echo\": must be the name of an object "
       "(lowercase letters, digits, '-' and '.')"},
      {"{'parentRefs':[{'name':'e','port':0}]}",
       "spec.parentRefs[0].port: 0: must be an integer from 1 to 65535"},
      {"{'parentRefs':[{'name':'e','sectionName':1}]}",
       "spec.parentRefs[0].sectionName: 1: must be a string"},
      {"{'rules':[1]}", "spec.rules[0]: 1: must be an object"},
      {"{'rules':'x'}", "spec.rules: \"x\": must be a list"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(fault(*state, "HTTPRoute", cases[i][0]), cases[i][1]);
}

#define URL_CHARS "must only have characters of a URL path"
#define DURATION "must be a duration like '500ms' or '1m30s'"
#define NOT_EMPTY "must be a string that is not empty"

static void test_faults_of_paths(void **state) {
  static const char *const cases[][2] = {
      {"7", "7: must be a string"},
      {"''", "'': must begin with '/'"},
      {"'x'", "'x': must begin with '/'"},
      {"'/a//b'", "'/a//b': must not contain '//'"},
      {"'/a/./b'", "'/a/./b': must not contain '/./'"},
      {"'/a/../b'", "'/a/../b': must not contain '/../'"},
      {"'/a%2fb'", "'/a%2fb': must not contain '%2f'"},
      {"'/a%2Fb'", "'/a%2Fb': must not contain '%2F'"},
      {"'/a#b'", "'/a#b': must not contain '#'"},
      {"'/a/.'", "'/a/.': must not end with '/.' or '/..'"},
      {"'/a/..'", "'/a/..': must not end with '/.' or '/..'"},
      {"'/a b'", "'/a b': " URL_CHARS},
      {"'/a?b'", "'/a?b': " URL_CHARS},
      {"'/{a}'", "'/{a}': " URL_CHARS},
      {"'/\\u00e4'", "'/\xc3\xa4': " URL_CHARS},
      {"'/a%'", "'/a%': must have two hexadecimal digits after '%'"},
      {"'/a%4'", "'/a%4': must have two hexadecimal digits after '%'"},
      {"'/a%4x'", "'/a%4x': must have two hexadecimal digits after '%'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static const char *const types[] = {"PathPrefix", "Exact"};
    for (size_t j = 0; j < 2; j++) {
      char members[256], got[512];
      snprintf(members, sizeof members,
               "{'rules':[{'matches':[{},{'path':{'type':'%s','value':%s}}]}]}",
               types[j], cases[i][0]);
      snprintf(got, sizeof got, "%s", fault(*state, "HTTPRoute", members));
      for (char *p = got; *p; p++)
        if (*p == '"')
          *p = '\'';
      char want[256];
      snprintf(want, sizeof want, "spec.rules[0].matches[1].path.value: %s",
               cases[i][1]);
      assert_string_equal(got, want);
    }
  }
}

static void test_longest_path(void **state) {
  char path[1100], members[1400];
  for (size_t n = 1024; n <= 1025; n++) {
    memset(path, 'a', n);
    path[0] = '/';
    path[n] = '\0';
    snprintf(members, sizeof members,
             "{'rules':[{'matches':[{'path':{'value':'%s'}}]}]}", path);
    const char *got = fault(*state, "HTTPRoute", members);
    if (n == 1024)
      assert_string_equal(got, "");
    else
      assert_non_null(strstr(got, "...\": must have at most 1024 characters"));
  }
}

static void test_faults_of_a_match(void **state) {
  static const char *const cases[][2] = {
      {"'matches':{}", "matches: an object: must be a list"},
      {"'matches':[1]", "matches[0]: 1: must be an object"},
      {"'matches':[{'path':'/'}]", "matches[0].path: '/': must be an object"},
      {"'matches':[{'path':{'type':1}}]",
       "matches[0].path.type: 1: must be a string"},
      {"'matches':[{'method':1}]", "matches[0].method: 1: must be a string"},
      {"'matches':[{'headers':[{'value':'x'}]}]",
       "matches[0].headers[0].name: absent: " NOT_EMPTY},
      {"'matches':[{'headers':[{'name':'a b','value':'x'}]}]",
       "matches[0].headers[0].name: 'a b': must be a name of letters, digits "
       "and !#$%&\x01*+-.^_`|~"},
      {"'matches':[{'headers':[{'name':':path','value':'x'}]}]",
       "matches[0].headers[0].name: ':path': must be a name of letters, digits "
       "and !#$%&\x01*+-.^_`|~"},
      {"'matches':[{'headers':[{'name':'a'}]}]",
       "matches[0].headers[0].value: absent: " NOT_EMPTY},
      {"'matches':[{'queryParams':[{'name':'a','value':''}]}]",
       "matches[0].queryParams[0].value: '': " NOT_EMPTY},
      {"'matches':[{'queryParams':{}}]",
       "matches[0].queryParams: an object: must be a list"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char spec[512], want[512];
    snprintf(spec, sizeof spec, "{'rules':[{},{%s}]}", cases[i][0]);
    char *text = quoted(cases[i][1]);
    snprintf(want, sizeof want, "spec.rules[1].%s", text);
    for (char *p = want; *p; p++)
      if (*p == '\x01')
        *p = '\'';
    assert_string_equal(fault(*state, "HTTPRoute", spec), want);
    free(text);
  }
}

static void test_faults_of_a_grpc_match(void **state) {
  assert_fault(*state, "GRPCRoute", "'matches':[{'method':{}}]",
               "matches[0].method: an object: must have service or method");
  assert_fault(*state, "GRPCRoute",
               "'matches':[{'method':{'service':'','method':''}}]",
               "matches[0].method: an object: must have service or method");
  assert_fault(*state, "GRPCRoute", "'matches':[{'method':'x'}]",
               "matches[0].method: 'x': must be an object");
}

static void test_faults_of_backends(void **state) {
  static const char *const kinds[] = {"HTTPRoute", "GRPCRoute", "TLSRoute",
                                      "TCPRoute"};
  for (size_t i = 0; i < 4; i++) {
    assert_fault(*state, kinds[i], "'backendRefs':[{'name':'x'},{}]",
                 "backendRefs[1].name: absent: " NOT_EMPTY);
    assert_fault(*state, kinds[i],
                 "'backendRefs':[{'name':'x','weight':1000001}]",
                 "backendRefs[0].weight: 1000001: must be an integer from 0 to "
                 "1000000");
    assert_fault(*state, kinds[i], "'backendRefs':[{'name':'x','weight':-1}]",
                 "backendRefs[0].weight: -1: must be an integer from 0 to "
                 "1000000");
    assert_fault(*state, kinds[i], "'backendRefs':[{'name':'x','port':'http'}]",
                 "backendRefs[0].port: 'http': must be an integer from 1 to "
                 "65535");
  }
}

static void test_faults_of_times(void **state) {
  static const char *const bad[] = {
      "1",   "1d",    "1.5s",  "-1s",     "",    "s",         "1s ",
      " 1s", "1h 2m", "5usec", "100000s", "1m2", "1s1s1s1s1s"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char members[128], want[256];
    snprintf(members, sizeof members, "'timeouts':{'request':'%s'}", bad[i]);
    snprintf(want, sizeof want, "timeouts.request: '%s': " DURATION, bad[i]);
    assert_fault(*state, "HTTPRoute", members, want);
  }
  assert_fault(*state, "HTTPRoute", "'timeouts':{'request':1}",
               "timeouts.request: 1: must be a string");
  assert_fault(*state, "HTTPRoute",
               "'timeouts':{'request':'1s','backendRequest':'2s'}",
               "timeouts.backendRequest: '2s': must not be longer than "
               "request");
}

static void test_faults_of_retries(void **state) {
  assert_fault(*state, "HTTPRoute", "'retry':{'codes':[503,399]}",
               "retry.codes[1]: 399: must be an integer from 400 to 599");
  assert_fault(*state, "HTTPRoute", "'retry':{'codes':['503']}",
               "retry.codes[0]: '503': must be an integer from 400 to 599");
  assert_fault(*state, "HTTPRoute", "'retry':{'attempts':-1}",
               "retry.attempts: -1: must be an integer from 0 to 1000");
  assert_fault(*state, "HTTPRoute", "'retry':{'backoff':'x'}",
               "retry.backoff: 'x': " DURATION);
}

#define FILTER(type, member) "'filters':[{'type':'" type "'," member "}]"
#define HEADERS(member) \
  FILTER("RequestHeaderModifier", "'requestHeaderModifier':{" member "}")
#define MIRROR(more)                                                     \
  FILTER("RequestMirror", "'requestMirror':{'backendRef':{'name':'echo'" \
                          ",'port':80}" more "}")
#define REDIRECT(members) \
  FILTER("RequestRedirect", "'requestRedirect':{" members "}")
#define REWRITE(members) FILTER("URLRewrite", "'urlRewrite':{" members "}")
#define CORS(members) FILTER("CORS", "'cors':{" members "}")

static void test_faults_of_filters(void **state) {
  static const char *const cases[][2] = {
      {"'filters':[{}]", "filters[0].type: absent: " NOT_EMPTY},
      {FILTER("URLRewrite", "'x':1"),
       "filters[0].urlRewrite: absent: must be given with this type of filter"},
      {HEADERS("'set':[{'name':'a b','value':''}]"),
       "filters[0].requestHeaderModifier.set[0].name: 'a b': must be the name "
       "of a header"},
      {HEADERS("'add':[{'name':'a'}]"),
       "filters[0].requestHeaderModifier.add[0].value: absent: must be a "
       "string"},
      {HEADERS("'remove':['a','']"),
       "filters[0].requestHeaderModifier.remove[1]: '': must be the name of a "
       "header"},
      {HEADERS("'remove':[1]"),
       "filters[0].requestHeaderModifier.remove[0]: 1: must be a string"},
      {FILTER("RequestMirror", "'requestMirror':{}"),
       "filters[0].requestMirror.backendRef: absent: must be given with this "
       "type of filter"},
      {MIRROR(",'percent':101"), "filters[0].requestMirror.percent: 101: must "
                                 "be an integer from 0 to 100"},
      {MIRROR(",'percent':1,'fraction':{'numerator':1}"),
       "filters[0].requestMirror.percent: 1: must not stand beside fraction"},
      {MIRROR(",'fraction':{}"),
       "filters[0].requestMirror.fraction.numerator: absent: must be given"},
      {MIRROR(",'fraction':{'numerator':3,'denominator':2}"),
       "filters[0].requestMirror.fraction.numerator: 3: must be an integer "
       "from 0 to 2"},
      {MIRROR(",'fraction':{'numerator':0,'denominator':0}"),
       "filters[0].requestMirror.fraction.denominator: 0: must be an integer "
       "from 1 to 2147483647"},
      {REDIRECT("'hostname':'Example.com'"),
       "filters[0].requestRedirect.hostname: 'Example.com': must be a "
       "lowercase host name"},
      {REDIRECT("'port':0"), "filters[0].requestRedirect.port: 0: must be an "
                             "integer from 1 to 65535"},
      {REDIRECT("'statusCode':'302'"),
       "filters[0].requestRedirect.statusCode: '302': must be an integer from "
       "0 to 65535"},
      {REDIRECT("'path':{'type':'ReplaceFullPath'}"),
       "filters[0].requestRedirect.path.replaceFullPath: absent: must be given "
       "with type ReplaceFullPath"},
      {REWRITE("'path':{}"), "filters[0].urlRewrite.path.type: absent: must be "
                             "a string that is not empty"},
      {REWRITE("'hostname':'x:80'"), "filters[0].urlRewrite.hostname: 'x:80': "
                                     "must be a lowercase host name"},
      {CORS("'maxAge':0"), "filters[0].cors.maxAge: 0: must be an integer from "
                           "1 to 2147483647"},
      {CORS("'allowCredentials':'yes'"),
       "filters[0].cors.allowCredentials: 'yes': must be true or false"},
      {CORS("'allowOrigins':'*'"),
       "filters[0].cors.allowOrigins: '*': must be a list"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_fault(*state, "HTTPRoute", cases[i][0], cases[i][1]);
  assert_fault(*state, "GRPCRoute",
               "'backendRefs':[{'name':'x',"
               "'filters':[{'type':'RequestMirror'}]}]",
               "backendRefs[0].filters[0].requestMirror: absent: must be given "
               "with this type of filter");
}

static void test_faults_of_server_names(void **state) {
  static const char *const bad[] = {"*",   "*.", "a.*.b", "A.b",
                                    "a_b", "",   "*.*.b"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char spec[128], want[128];
    snprintf(spec, sizeof spec, "{'hostnames':['a.b','%s'],'rules':[{}]}",
             bad[i]);
    snprintf(want, sizeof want,
             "spec.hostnames[1]: \"%s\": must be a host name, or one after "
             "\"*.\"",
             bad[i]);
    assert_string_equal(fault(*state, "TLSRoute", spec), want);
  }
}

/* ---- what is read ---- */

static void test_parents(void **state) {
  const struct ew_route *r =
      &put_route(*state, "HTTPRoute", "a", "r", "",
                 "[{'name':'gw'},{'group':'','kind':'Service','name':'s',"
                 "'namespace':'b','sectionName':'http','port':80},"
                 "{'kind':'Service','name':'s'},"
                 "{'group':'core','kind':'Service','name':'s'}]",
                 "[]")
           ->u.route;
  assert_int_equal(r->parents_n, 4);
  assert_false(r->parents[0].service);
  assert_true(r->parents[1].service);
  assert_string_equal(r->parents[1].namespace_, "b");
  assert_string_equal(r->parents[1].section, "http");
  assert_int_equal(r->parents[1].port, 80);
  assert_false(r->parents[2].service);
  assert_true(r->parents[3].service);
  assert_string_equal(r->parents[3].namespace_, "a");
  assert_null(r->parents[3].section);
  assert_int_equal(r->parents[3].port, 0);
}

static void test_rules(void **state) {
  const struct ew_route *r =
      &put_route(*state, "HTTPRoute", "a", "r", "", PARENT(""),
                 "[{'name':'first','matches':[{},{}]},{'backendRefs':"
                 "[{'name':'x','port':80},{'name':'y','namespace':'b',"
                 "'kind':'K','group':'g','weight':0}]}]")
           ->u.route;
  assert_int_equal(r->rules_n, 2);
  assert_string_equal(r->rules[0].name, "first");
  assert_string_equal(r->rules[1].route_kind, "HTTPRoute");
  assert_string_equal(r->rules[1].route_namespace, "a");
  assert_string_equal(r->rules[1].route_name, "r");
  assert_null(r->rules[1].name);
  assert_int_equal(r->rules[1].index, 1);
  assert_int_equal(r->matches_n, 3);
  assert_int_equal(r->matches[1].rule, 0);
  assert_int_equal(r->matches[2].rule, 1);
  assert_string_equal(r->matches[2].path, "");
  assert_int_equal(r->matches[2].path_type, EW_MATCH_PREFIX);
  assert_int_equal(r->rules[1].backends_n, 2);
  assert_int_equal(r->rules[1].backends[0].weight, 1);
  assert_int_equal(r->rules[1].backends[1].weight, 0);
  const struct ew_route_ref *ref = &r->refs[r->rules[1].backends[0].backend];
  assert_string_equal(ref->kind, "Service");
  assert_string_equal(ref->namespace_, "a");
  ref = &r->refs[r->rules[1].backends[1].backend];
  assert_string_equal(ref->kind, "K");
  assert_string_equal(ref->group, "g");
  assert_string_equal(ref->namespace_, "b");
  assert_int_equal(ref->port, 0);
}

/* An HTTPRoute without rules matches all, and a GRPCRoute nothing. */
static void test_no_rules(void **state) {
  const struct ew_route *r =
      &put_route(*state, "HTTPRoute", "a", "r", "", PARENT(""), "[]")->u.route;
  assert_int_equal(r->rules_n, 1);
  assert_int_equal(r->matches_n, 1);
  r = &put_route(*state, "GRPCRoute", "a", "r", "", PARENT(""), "[]")->u.route;
  assert_int_equal(r->rules_n, 0);
  assert_int_equal(r->matches_n, 0);
}

static void test_many_matches_and_refs(void **state) {
  char rules[6000] = "[";
  for (int i = 0; i < 40; i++) {
    size_t n = strlen(rules);
    snprintf(rules + n, sizeof rules - n,
             "%s{'matches':[{'path':{'value':'/%d'}}],"
             "'backendRefs':[{'name':'s%d'}]}",
             i ? "," : "", i, i);
  }
  size_t n = strlen(rules);
  snprintf(rules + n, sizeof rules - n, "]");
  const struct ew_route *r =
      &put_route(*state, "HTTPRoute", "a", "r", "", PARENT(""), rules)->u.route;
  assert_int_equal(r->matches_n, 40);
  for (int i = 0; i < 40; i++) {
    char want[8];
    snprintf(want, sizeof want, "/%d", i);
    assert_string_equal(r->matches[i].path, want);
    snprintf(want, sizeof want, "s%d", i);
    assert_string_equal(r->refs[r->rules[i].backends[0].backend].name, want);
  }
}

static void test_paths(void **state) {
  static const struct {
    const char *path, *value;
    enum ew_match_type type;
  } cases[] = {
      {"{}", "", EW_MATCH_PREFIX},
      {"{'value':'/'}", "", EW_MATCH_PREFIX},
      {"{'value':'/a/'}", "/a", EW_MATCH_PREFIX},
      {"{'type':'PathPrefix','value':'/a/b'}", "/a/b", EW_MATCH_PREFIX},
      {"{'type':'Exact','value':'/a/'}", "/a/", EW_MATCH_EXACT},
      {"{'type':'Exact'}", "/", EW_MATCH_EXACT},
      {"{'value':'/a;b=c:%20@!$&*()+,~'}", "/a;b=c:%20@!$&*()+,~",
       EW_MATCH_PREFIX},
      {"{'type':'RegularExpression','value':'a[^/]+$'}", "a[^/]+$",
       EW_MATCH_REGEX},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char members[256];
    snprintf(members, sizeof members, "'matches':[{'path':%s}]", cases[i].path);
    const struct ew_route *r = http(*state, members);
    assert_null(r->faults);
    assert_string_equal(r->matches[0].path, cases[i].value);
    assert_int_equal(r->matches[0].path_type, cases[i].type);
  }
}

static void test_values(void **state) {
  const struct ew_match *m =
      http(*state,
           "'matches':[{'method':'PATCH','headers':[{'name':'X-A',"
           "'value':'1'},{'name':'x-a','value':'2'},{'name':'b','type':"
           "'RegularExpression','value':'^v'}],'queryParams':[{'name':'A',"
           "'value':'1'},{'name':'a','value':'2'},{'name':'A','value':'3'}]}]")
          ->matches;
  assert_string_equal(m->method, "PATCH");
  assert_int_equal(m->headers_n, 2);
  assert_string_equal(m->headers[0].name, "x-a");
  assert_string_equal(m->headers[0].value, "1");
  assert_int_equal(m->headers[0].type, EW_MATCH_EXACT);
  assert_string_equal(m->headers[1].name, "b");
  assert_int_equal(m->headers[1].type, EW_MATCH_REGEX);
  assert_int_equal(m->query_n, 2);
  assert_string_equal(m->query[0].name, "A");
  assert_string_equal(m->query[0].value, "1");
  assert_string_equal(m->query[1].name, "a");
}

static void test_grpc_matches(void **state) {
  const struct ew_match *m =
      rule(*state, "GRPCRoute",
           "'matches':[{},{'method':{'service':'a.B'}},{'method':{'type':"
           "'RegularExpression','service':'','method':'G.*'},'headers':"
           "[{'name':'A','value':'b'}]}]")
          ->matches;
  assert_null(m[0].grpc_service);
  assert_null(m[0].grpc_method);
  assert_null(m[0].path);
  assert_string_equal(m[1].grpc_service, "a.B");
  assert_null(m[1].grpc_method);
  assert_int_equal(m[1].grpc_type, EW_MATCH_EXACT);
  assert_null(m[2].grpc_service);
  assert_string_equal(m[2].grpc_method, "G.*");
  assert_int_equal(m[2].grpc_type, EW_MATCH_REGEX);
  assert_string_equal(m[2].headers[0].name, "a");
}

/* What can't be carried out drops its rule, and that only. */
static void test_dropped_rules(void **state) {
  static const char *const cases[][3] = {
      {"HTTPRoute", "{'method':'get'}", "method \"get\" is not known"},
      {"HTTPRoute", "{'path':{'type':'Frob','value':'/'}}",
       "match type \"Frob\" is not known"},
      {"HTTPRoute", "{'headers':[{'name':'a','type':'Frob','value':'b'}]}",
       "match type \"Frob\" is not known"},
      {"HTTPRoute",
       "{'headers':[{'name':'a','type':'PathPrefix','value':'b'}]}",
       "match type \"PathPrefix\" is not known"},
      {"HTTPRoute", "{'path':{'type':'RegularExpression','value':'(a'}}",
       "\"(a\" is no regular expression (RE2): missing ): (a"},
      {"HTTPRoute",
       "{'queryParams':[{'name':'a','type':'RegularExpression','value':"
       "'(?=a)'}]}",
       "\"(?=a)\" is no regular expression (RE2): invalid perl operator: (?="},
      {"GRPCRoute", "{'method':{'type':'Frob','service':'a'}}",
       "match type \"Frob\" is not known"},
      {"GRPCRoute", "{'method':{'type':'RegularExpression','method':'*'}}",
       "\"*\" is no regular expression (RE2): no argument for repetition "
       "operator: *"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char rules[512];
    snprintf(rules, sizeof rules, "[{},{'matches':[{},%s,{}]},{}]",
             cases[i][1]);
    const struct ew_route *r =
        &put_route(*state, cases[i][0], "a", "r", "", PARENT(""), rules)
             ->u.route;
    assert_non_null(r->faults);
    assert_null(r->faults->next);
    assert_int_equal(r->faults->rule, 1);
    assert_true(r->faults->dropped);
    assert_string_equal(r->faults->reason, "UnsupportedValue");
    assert_string_equal(r->faults->message, cases[i][2]);
    assert_int_equal(r->rules_n, 3);
    assert_int_equal(r->matches_n, 2);
    assert_int_equal(r->matches[1].rule, 2);
  }
}

static void test_same_names(void **state) {
  const struct ew_route *r =
      &put_route(*state, "HTTPRoute", "a", "r", "", PARENT(""),
                 "[{'name':'x'},{},{},{'name':'y'},{'name':'x'}]")
           ->u.route;
  assert_string_equal(r->rejected,
                      "rules 0 and 4 have the same name \"x\": rule names "
                      "must be unique");
}

static void test_durations(void **state) {
  static const struct {
    const char *text;
    uint32_t ms;
  } cases[] = {{"0s", 0},        {"0ms", 0},
               {"500ms", 500},   {"1h2m3s4ms", 3723004},
               {"1m30s", 90000}, {"99999ms", 99999},
               {"5s5s", 10000},  {"99999h", UINT32_MAX}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char members[128];
    snprintf(members, sizeof members, "'timeouts':{'request':'%s'}",
             cases[i].text);
    const struct ew_rule *r = http(*state, members)->rules;
    assert_int_equal(r->request_timeout_ms, cases[i].ms);
    assert_int_equal(r->backend_timeout_ms, 0);
  }
}

static void test_times(void **state) {
  const struct ew_rule *r =
      http(*state, "'timeouts':{'request':'2s','backendRequest':'2s'}")->rules;
  assert_int_equal(r->backend_timeout_ms, 2000);
  /* No limit is longer than any. */
  r = http(*state, "'timeouts':{'request':'0s','backendRequest':'2s'}")->rules;
  assert_int_equal(r->request_timeout_ms, 0);
  assert_int_equal(r->backend_timeout_ms, 2000);
}

static void test_retry(void **state) {
  const struct ew_rule *r = http(*state, "")->rules;
  assert_false(r->has_retry);
  r = http(*state, "'retry':{}")->rules;
  assert_true(r->has_retry);
  assert_int_equal(r->retry.attempts, 1);
  assert_int_equal(r->retry.codes_n, 0);
  r = http(*state,
           "'retry':{'codes':[400,503,599],'attempts':0,'backoff':'1s5ms'}")
          ->rules;
  assert_int_equal(r->retry.codes_n, 3);
  assert_int_equal(r->retry.codes[2], 599);
  assert_int_equal(r->retry.attempts, 0);
  assert_int_equal(r->retry.backoff_ms, 1005);
}

/* Of a newer API, or of no interest. */
static void test_unknown_fields(void **state) {
  const struct ew_route *r =
      http(*state, "'sessionPersistence':{'type':'Cookie'},'frob':[1],"
                   "'matches':[{'frob':1}]");
  assert_null(r->faults);
  assert_int_equal(r->matches_n, 1);
}

/* TCP and TLS do not have them, whatever is written there. */
static void test_l4_has_no_filters(void **state) {
  const struct ew_route *r =
      rule(*state, "TCPRoute", "'filters':7,'timeouts':7,'matches':7");
  assert_int_equal(r->matches_n, 0);
  assert_int_equal(r->rules[0].filters_n, 0);
  assert_int_equal(r->rules[0].snis_n, 0);
}

static void test_server_names(void **state) {
  const struct ew_object *x =
      put(*state, "gateway.networking.k8s.io/v1alpha2", "TLSRoute", "a", "r",
          "", "'spec':{'hostnames':['a.b','*.c'],'rules':[{},{}]}");
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(x->u.route.rules[i].snis_n, 2);
    assert_string_equal(x->u.route.rules[i].snis[0], "a.b");
    assert_string_equal(x->u.route.rules[i].snis[1], "*.c");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_faults_of_a_spec),
      OBJECTS_TEST(test_faults_of_paths),
      OBJECTS_TEST(test_longest_path),
      OBJECTS_TEST(test_faults_of_a_match),
      OBJECTS_TEST(test_faults_of_a_grpc_match),
      OBJECTS_TEST(test_faults_of_backends),
      OBJECTS_TEST(test_faults_of_times),
      OBJECTS_TEST(test_faults_of_retries),
      OBJECTS_TEST(test_faults_of_filters),
      OBJECTS_TEST(test_faults_of_server_names),
      OBJECTS_TEST(test_parents),
      OBJECTS_TEST(test_rules),
      OBJECTS_TEST(test_no_rules),
      OBJECTS_TEST(test_many_matches_and_refs),
      OBJECTS_TEST(test_paths),
      OBJECTS_TEST(test_values),
      OBJECTS_TEST(test_grpc_matches),
      OBJECTS_TEST(test_dropped_rules),
      OBJECTS_TEST(test_same_names),
      OBJECTS_TEST(test_durations),
      OBJECTS_TEST(test_times),
      OBJECTS_TEST(test_retry),
      OBJECTS_TEST(test_unknown_fields),
      OBJECTS_TEST(test_l4_has_no_filters),
      OBJECTS_TEST(test_server_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
