/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#include "controller/refs.c"

/* The reason for the only backendRef |ref| of a route of namespace "a". */
static const char *fault(struct ew_objects *o, const char *kind,
                         const char *ref, char *message, size_t len) {
  char rules[512];
  snprintf(rules, sizeof rules, "[{'backendRefs':[%s]}]", ref);
  const struct ew_object *r =
      put_route(o, kind, "a", "r", "", PARENT(""), rules);
  const struct ew_object *s = r;
  const struct ew_service_port *p = (const void *)r;
  assert_int_equal(r->u.route.refs_n, 1);
  const char *reason =
      ew_ref_fault(o, r, r->u.route.refs, &s, &p, message, len);
  assert_true(!reason == (s != NULL) && !reason == (p != NULL));
  if (reason)
    return reason;
  assert_string_equal(s->name, r->u.route.refs->name);
  assert_string_equal(s->namespace_, r->u.route.refs->namespace_);
  assert_int_equal(p->port, r->u.route.refs->port);
  assert_true(p->tcp);
  return "";
}

static void assert_fault(struct ew_objects *o, const char *ref,
                         const char *reason, const char *message) {
  char got[512] = "";
  assert_string_equal(fault(o, "HTTPRoute", ref, got, sizeof got), reason);
  assert_string_equal(got, message);
}

static void test_good(void **state) {
  put_service(*state, "a", "web",
              "[{'name':'u','port':80,'protocol':'UDP'},"
              "{'name':'t','port':80},{'name':'x','port':81}]");
  assert_fault(*state, "{'name':'web','port':80}", "", "");
  assert_fault(*state, "{'name':'web','port':81}", "", "");
  assert_fault(*state, "{'group':'core','name':'web','port':80}", "", "");
  assert_fault(*state, "{'name':'web','namespace':'a','port':80}", "", "");
}

static void test_unknown_app_protocol_is_good(void **state) {
  put_service(*state, "a", "web",
              "[{'name':'x','port':80,'appProtocol':'example.com/frob'}]");
  assert_fault(*state, "{'name':'web','port':80}", "", "");
}

static void test_invalid_kind(void **state) {
  put_service(*state, "a", "web", PORTS_80);
  assert_fault(*state, "{'kind':'Frob','name':'web','port':80}", "InvalidKind",
               "Backend a/web is of group \"\" and kind \"Frob\"; only "
               "Services of the core group are supported");
  assert_fault(*state, "{'group':'x.io','name':'web','port':80}", "InvalidKind",
               "Backend a/web is of group \"x.io\" and kind \"Service\"; only "
               "Services of the core group are supported");
}

static void test_not_found(void **state) {
  struct ew_objects *o = *state;
  put_service(o, "a", "web", PORTS_80);
  put_service(o, "a", "dns", "[{'port':53,'protocol':'UDP'}]");
  put(o, "v1", "Service", "a", "far", "",
      "'spec':{'type':'ExternalName','externalName':'x','ports':" PORTS_80 "}");
  assert_fault(o, "{'name':'none','port':80}", "BackendNotFound",
               "Service a/none does not exist");
  assert_fault(o, "{'name':'web','port':81}", "BackendNotFound",
               "Service a/web has no TCP port 81");
  assert_fault(o, "{'name':'dns','port':53}", "BackendNotFound",
               "Service a/dns has no TCP port 53");
  assert_fault(o, "{'name':'web'}", "BackendNotFound",
               "Service a/web is named without a port");
  assert_fault(o, "{'name':'far','port':80}", "BackendNotFound",
               "Service a/far is of type ExternalName, which is not supported");
}

#define FAR "{'name':'web','namespace':'b','port':80}"

/* GAMMA rule 15. */
static void test_other_namespace_needs_no_grant(void **state) {
  put_service(*state, "b", "web", PORTS_80);
  assert_fault(*state, FAR, "", "");
  assert_fault(*state, "{'name':'none','namespace':'b','port':80}",
               "BackendNotFound", "Service b/none does not exist");
}

static void test_unsupported_protocol(void **state) {
  put_service(*state, "a", "web",
              "[{'port':443,'appProtocol':'kubernetes.io/wss'}]");
  assert_fault(*state, "{'name':'web','port':443}", "UnsupportedProtocol",
               "Port 443 of Service a/web has the appProtocol "
               "\"kubernetes.io/wss\": the app ends TLS itself, so requests "
               "can't be sent to it");
  assert_string_equal(
      fault(*state, "TLSRoute", "{'name':'web','port':443}", NULL, 0), "");
}

static void test_short_message(void **state) {
  char m[8];
  assert_string_equal(fault(*state, "HTTPRoute", FAR, m, sizeof m),
                      "BackendNotFound");
  assert_string_equal(m, "Service");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_good),
      OBJECTS_TEST(test_unknown_app_protocol_is_good),
      OBJECTS_TEST(test_invalid_kind),
      OBJECTS_TEST(test_not_found),
      OBJECTS_TEST(test_other_namespace_needs_no_grant),
      OBJECTS_TEST(test_unsupported_protocol),
      OBJECTS_TEST(test_short_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
