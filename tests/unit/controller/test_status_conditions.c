/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#include "controller/precedence.c"
#include "controller/refs.c"
#include "controller/status_conditions.c"

#define NOW "2025-01-01T00:00:00Z"
#define LATER "2025-01-02T00:00:00Z"
#define RULE "[{'backendRefs':[{'name':'echo','port':80}]}]"
#define BAD_RULE "{'matches':[{'method':'FROB'}]}"
#define ROUTE(kind, parent, rules) \
  put_route(o, kind, "a", "r", "2001", parent, rules)

static json_t *status_of(struct ew_objects *o, const struct ew_object *r,
                         const json_t *old, const char *now) {
  json_t *s = ew_status_of(o, r, old, now);
  assert_non_null(s);
  return s;
}

static json_t *entry(const json_t *status, size_t i) {
  return json_array_get(json_object_get(status, "parents"), i);
}

/* "Type=Status/Reason: message" of each condition of entry |i|. */
static void assert_entry(const json_t *status, size_t i, const char *want) {
  char got[4096] = "";
  size_t n = 0;
  const json_t *list = json_object_get(entry(status, i), "conditions");
  for (size_t j = 0; j < json_array_size(list); j++) {
    const json_t *c = json_array_get(list, j);
    n += (size_t)snprintf(
        got + n, sizeof got - n, "%s=%s/%s: %s\n", ew_status_text(c, "type"),
        ew_status_text(c, "status"), ew_status_text(c, "reason"),
        ew_status_text(c, "message"));
  }
  assert_string_equal(got, want);
}

static void assert_status(struct ew_objects *o, const struct ew_object *r,
                          const char *want) {
  json_t *s = status_of(o, r, NULL, NOW);
  assert_entry(s, 0, want);
  json_decref(s);
}

#define ACCEPTED "Accepted=True/Accepted: Route is accepted\n"
#define RESOLVED "ResolvedRefs=True/ResolvedRefs: All references are resolved\n"

static void test_form(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  json_t *got = status_of(
      o, ROUTE("HTTPRoute", PARENT(",'port':80,'x':[1]"), RULE), NULL, NOW);
  json_t *want = json_of(
      "{'parents':[{'parentRef':{'group':'','kind':'Service','name':'echo',"
      "'port':80,'x':[1]},'controllerName':'eastwest.dev/controller',"
      "'conditions':["
      "{'type':'Accepted','status':'True','reason':'Accepted',"
      "'message':'Route is accepted','observedGeneration':3,"
      "'lastTransitionTime':'" NOW "'},"
      "{'type':'ResolvedRefs','status':'True','reason':'ResolvedRefs',"
      "'message':'All references are resolved','observedGeneration':3,"
      "'lastTransitionTime':'" NOW "'}]}]}");
  assert_true(json_equal(got, want));
  json_decref(got);
  json_decref(want);
}

static void test_no_matching_parent(void **state) {
  struct ew_objects *o = *state;
  static const struct {
    const char *parent, *message;
  } cases[] = {
      {PARENT(",'port':81"), "Service a/echo has no TCP port 81"},
      {PARENT(",'sectionName':'x'"),
       "Service a/echo has no TCP port with the name \"x\""},
      {PARENT(",'sectionName':'http','port':81"),
       "Service a/echo has no TCP port 81 with the name \"http\""},
      {PARENT(",'namespace':'b'"), "Service b/echo does not exist"},
      {"[{'group':'','kind':'Service','name':'far'}]",
       "Service a/far is of type ExternalName, which can't be the parent of "
       "a route"},
      {"[{'group':'','kind':'Service','name':'none'}]",
       "Service a/none has no TCP port"},
  };
  put_service(o, "a", "echo", PORTS_80);
  put_service(o, "a", "none", "[]");
  put(o, "v1", "Service", "a", "far", "",
      "'spec':{'type':'ExternalName','externalName':'x','ports':" PORTS_80 "}");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char want[512];
    snprintf(want, sizeof want, "Accepted=False/NoMatchingParent: %s\n%s",
             cases[i].message, RESOLVED);
    assert_status(o, ROUTE("HTTPRoute", cases[i].parent, RULE), want);
  }
}

static void test_consumer(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "b", "echo", PORTS_80);
  put_service(o, "a", "echo", PORTS_80);
  assert_status(o, ROUTE("HTTPRoute", PARENT(",'namespace':'b'"), RULE),
                ACCEPTED RESOLVED);
}

static void test_rejected(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  assert_status(
      o, ROUTE("HTTPRoute", PARENT(""), "[{'name':'x'},{'name':'x'}]"),
      "Accepted=False/UnsupportedValue: rules 0 and 1 have the same name "
      "\"x\": rule names must be unique\n" RESOLVED);
}

static void test_all_dropped(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  assert_status(
      o, ROUTE("HTTPRoute", PARENT(""), "[" BAD_RULE "," BAD_RULE "]"),
      "Accepted=False/UnsupportedValue: Rule 0: method \"FROB\" is not known; "
      "Rule 1: method \"FROB\" is not known\n" RESOLVED);
}

static void test_some_dropped(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  assert_status(o,
                ROUTE("HTTPRoute", PARENT(""),
                      "[{},{'name':'n','matches':[{'method':'FROB'}]}]"),
                ACCEPTED RESOLVED
                "PartiallyInvalid=True/UnsupportedValue: Dropped Rule 1 \"n\": "
                "method \"FROB\" is not known\n");
}

#define REDIRECT_AND_REWRITE                                     \
  "{'filters':[{'type':'RequestRedirect','requestRedirect':{}}," \
  "{'type':'URLRewrite','urlRewrite':{'hostname':'x'}}]}"

static void test_incompatible_filters(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  json_t *s =
      status_of(o, ROUTE("HTTPRoute", PARENT(""), "[" REDIRECT_AND_REWRITE "]"),
                NULL, NOW);
  const json_t *ref = json_object_get(entry(s, 0), "parentRef");
  const json_t *c = ew_status_condition(s, ref, "Accepted");
  assert_string_equal(ew_status_text(c, "status"), "False");
  assert_string_equal(ew_status_text(c, "reason"), "IncompatibleFilters");
  assert_null(ew_status_condition(s, ref, "PartiallyInvalid"));
  json_decref(s);
  s = status_of(o,
                ROUTE("HTTPRoute", PARENT(""), "[" REDIRECT_AND_REWRITE ",{}]"),
                NULL, NOW);
  c = ew_status_condition(s, ref = json_object_get(entry(s, 0), "parentRef"),
                          "Accepted");
  assert_string_equal(ew_status_text(c, "status"), "True");
  c = ew_status_condition(s, ref, "PartiallyInvalid");
  assert_string_equal(ew_status_text(c, "reason"), "UnsupportedValue");
  const char *head = "Dropped Rule 0 (its requests get 500): ";
  assert_memory_equal(ew_status_text(c, "message"), head, strlen(head));
  json_decref(s);
}

static void test_conflict_of_types(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo",
              "[{'name':'x','port':80},{'name':'y','port':81}]");
  put_route(o, "GRPCRoute", "a", "g", "2009", PARENT(",'port':80"), RULE);
  assert_status(o, ROUTE("HTTPRoute", PARENT(",'port':80"), RULE),
                "Accepted=False/Conflicted: Not in effect: port 80 belongs to "
                "GRPCRoute a/g\n" RESOLVED);
  assert_status(o, ROUTE("HTTPRoute", PARENT(",'port':81"), RULE),
                ACCEPTED RESOLVED);
  /* One of its ports is its own. */
  assert_status(o, ROUTE("HTTPRoute", PARENT(""), RULE),
                "Accepted=True/Accepted: Not in effect: port 80 belongs to "
                "GRPCRoute a/g\n" RESOLVED);
  put_route(o, "GRPCRoute", "a", "g", "2009", PARENT(""), RULE);
  assert_status(o, ROUTE("HTTPRoute", PARENT(""), RULE),
                "Accepted=False/Conflicted: Not in effect: port 80 belongs to "
                "GRPCRoute a/g; port 81 belongs to GRPCRoute a/g\n" RESOLVED);
}

static void test_conflict_of_age(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  put_route(o, "TCPRoute", "a", "old", "2000", PARENT(""), RULE);
  assert_status(o, ROUTE("TCPRoute", PARENT(""), RULE),
                "Accepted=False/Conflicted: Not in effect: port 80 belongs to "
                "TCPRoute a/old\n" RESOLVED);
  ew_objects_delete(o, "TCPRoute", "a", "old");
  assert_status(o, ew_objects_get(o, EW_KIND_TCP_ROUTE, "a", "r"),
                ACCEPTED RESOLVED);
}

static void test_no_conflict(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  const struct ew_object *r = ROUTE("HTTPRoute", PARENT(""), RULE);
  /* Of the same type; of clients elsewhere; without effect. */
  put_route(o, "HTTPRoute", "a", "h", "2000", PARENT(""), RULE);
  put_route(o, "GRPCRoute", "b", "g", "2000", PARENT(",'namespace':'a'"), RULE);
  put_route(o, "GRPCRoute", "a", "g", "2000", PARENT(""),
            "[{'name':'x'},{'name':'x'}]");
  assert_status(o, r, ACCEPTED RESOLVED);
}

static void test_refs(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  assert_status(o,
                ROUTE("HTTPRoute", PARENT(""),
                      "[{'backendRefs':[{'name':'echo','port':80}]},"
                      "{'backendRefs':[{'kind':'X','name':'y','port':1},"
                      "{'name':'none','port':1}]}]"),
                ACCEPTED
                "ResolvedRefs=False/InvalidKind: Backend a/y is of group \"\" "
                "and kind \"X\"; only Services of the core group are supported "
                "(2 references have a fault)\n");
  assert_status(
      o,
      ROUTE("HTTPRoute", PARENT(""),
            "[{'filters':[{'type':'RequestMirror','requestMirror':"
            "{'backendRef':{'name':'none','port':1}}}],"
            "'backendRefs':[{'name':'echo','port':80}]}]"),
      ACCEPTED
      "ResolvedRefs=False/BackendNotFound: Service a/none does not exist\n");
}

static void test_parents_each_for_itself(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  json_t *s = status_of(o,
                        ROUTE("HTTPRoute",
                              "[{'name':'gateway'},"
                              "{'group':'','kind':'Service','name':'none'},"
                              "{'group':'core','kind':'Service','name':'echo',"
                              "'port':80}]",
                              RULE),
                        NULL, NOW);
  assert_int_equal(json_array_size(json_object_get(s, "parents")), 2);
  assert_entry(s, 0,
               "Accepted=False/NoMatchingParent: Service a/none does not "
               "exist\n" RESOLVED);
  assert_entry(s, 1, ACCEPTED RESOLVED);
  assert_string_equal(
      ew_status_text(json_object_get(entry(s, 1), "parentRef"), "group"),
      "core");
  json_decref(s);
}

static const char *since(const json_t *status, const char *type) {
  return ew_status_text(
      ew_status_condition(status,
                          json_object_get(entry(status, 0), "parentRef"), type),
      "lastTransitionTime");
}

static void test_times(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  json_t *s =
      status_of(o, ROUTE("HTTPRoute", PARENT(""), "[{},{}]"), NULL, NOW);
  json_t *t = status_of(o,
                        ROUTE("HTTPRoute", PARENT(""),
                              "[" BAD_RULE ",{'backendRefs':[{'name':'x'}]}]"),
                        s, LATER);
  assert_string_equal(since(t, "Accepted"), NOW);
  assert_string_equal(since(t, "ResolvedRefs"), LATER);
  assert_string_equal(since(t, "PartiallyInvalid"), LATER);
  json_decref(s);
  /* Another parentRef is another story. */
  s = status_of(o, ROUTE("HTTPRoute", PARENT(",'port':80"), RULE), t, "x");
  assert_string_equal(since(s, "Accepted"), "x");
  json_decref(s);
  json_decref(t);
}

static void test_reason_alone_keeps_the_time(void **state) {
  struct ew_objects *o = *state;
  json_t *s = status_of(o, ROUTE("TCPRoute", PARENT(""), RULE), NULL, NOW);
  put_service(o, "a", "echo", PORTS_80);
  put_route(o, "TCPRoute", "a", "old", "2000", PARENT(""), RULE);
  json_t *t = status_of(o, ROUTE("TCPRoute", PARENT(""), RULE), s, LATER);
  assert_string_equal(since(t, "Accepted"), NOW);
  assert_string_equal(since(t, "ResolvedRefs"), LATER);
  json_decref(s);
  json_decref(t);
}

#define FOREIGN(n) "{'controllerName':'x.io/" n "','y':[1]}"
#define OURS \
  "{'controllerName':'eastwest.dev/controller','parentRef':{'name':'z'}}"

static void test_other_controllers(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  json_t *old =
      json_of("{'parents':[" FOREIGN("1") "," OURS "," FOREIGN("2") ",7]}");
  json_t *s = status_of(o, ROUTE("HTTPRoute", PARENT(""), RULE), old, NOW);
  assert_int_equal(json_array_size(json_object_get(s, "parents")), 4);
  assert_true(json_equal(entry(s, 0), entry(old, 0)));
  assert_true(json_equal(entry(s, 1), entry(old, 2)));
  assert_true(json_equal(entry(s, 2), entry(old, 3)));
  assert_entry(s, 3, ACCEPTED RESOLVED);
  json_decref(old);
  json_decref(s);
}

static void test_not_ours(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *r = ROUTE("HTTPRoute", "[{'name':'gateway'}]", RULE);
  assert_null(ew_status_of(o, r, NULL, NOW));
  json_t *old = json_of("{'parents':[" FOREIGN("1") "]}");
  assert_null(ew_status_of(o, r, old, NOW));
  json_decref(old);
  /* What we said once is taken back. */
  old = json_of("{'parents':[" FOREIGN("1") "," OURS "]}");
  json_t *s = status_of(o, r, old, NOW);
  json_t *want = json_of("{'parents':[" FOREIGN("1") "]}");
  assert_true(json_equal(s, want));
  json_decref(s);
  json_decref(want);
  json_decref(old);
}

static void test_old_of_any_form(void **state) {
  struct ew_objects *o = *state;
  static const char *const olds[] = {
      "[]",
      "{}",
      "{'parents':7}",
      "{'parents':[" OURS "]}",
      "{'parents':[{'controllerName':'eastwest.dev/controller','parentRef':"
      "{'group':'','kind':'Service','name':'echo'},'conditions':[1,{},"
      "{'type':'Accepted','status':'True'},"
      "{'type':'ResolvedRefs','status':7,'lastTransitionTime':[]}]}]}",
  };
  put_service(o, "a", "echo", PORTS_80);
  const struct ew_object *r = ROUTE("HTTPRoute", PARENT(""), RULE);
  json_t *want = status_of(o, r, NULL, NOW);
  for (size_t i = 0; i < sizeof olds / sizeof *olds; i++) {
    json_t *old = json_of(olds[i]);
    json_t *s = status_of(o, r, old, NOW);
    assert_true(json_equal(s, want));
    json_decref(old);
    json_decref(s);
  }
  json_decref(want);
}

/* Many long texts, cut anywhere, still make a condition. */
static void test_long_message(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "echo", PORTS_80);
  char rules[5000] = "[{}", regex[200] = "";
  for (size_t i = 0; i < 90; i++)
    regex[i] = "\xc3\xa4"[i % 2];
  size_t n = strlen(rules);
  for (int i = 0; i < 25; i++)
    n += (size_t)snprintf(rules + n, sizeof rules - n,
                          ",{'matches':[{'path':{'type':'RegularExpression',"
                          "'value':'/%s('}}]}",
                          regex);
  snprintf(rules + n, sizeof rules - n, "]");
  json_t *s = status_of(o, ROUTE("HTTPRoute", PARENT(""), rules), NULL, NOW);
  const json_t *c = ew_status_condition(
      s, json_object_get(entry(s, 0), "parentRef"), "PartiallyInvalid");
  assert_int_equal(strlen(ew_status_text(c, "message")), EW_MESSAGE_MAX - 1);
  json_decref(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_form),
      OBJECTS_TEST(test_no_matching_parent),
      OBJECTS_TEST(test_consumer),
      OBJECTS_TEST(test_rejected),
      OBJECTS_TEST(test_all_dropped),
      OBJECTS_TEST(test_some_dropped),
      OBJECTS_TEST(test_incompatible_filters),
      OBJECTS_TEST(test_conflict_of_types),
      OBJECTS_TEST(test_conflict_of_age),
      OBJECTS_TEST(test_no_conflict),
      OBJECTS_TEST(test_refs),
      OBJECTS_TEST(test_parents_each_for_itself),
      OBJECTS_TEST(test_times),
      OBJECTS_TEST(test_reason_alone_keeps_the_time),
      OBJECTS_TEST(test_other_controllers),
      OBJECTS_TEST(test_not_ours),
      OBJECTS_TEST(test_old_of_any_form),
      OBJECTS_TEST(test_long_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
