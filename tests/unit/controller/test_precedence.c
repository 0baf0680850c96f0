/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#include "controller/precedence.c"

#define PORTS                                            \
  "[{'name':'http','port':80},{'name':'alt','port':81}," \
  "{'name':'dns','port':53,'protocol':'UDP'}]"
#define RULE "[{'backendRefs':[{'name':'echo','port':80}]}]"
#define BAD_RULE "{'matches':[{'method':'FROB'}]}"

/* Which of the ports of PORTS a parentRef selects, as bits. */
static unsigned selected(struct ew_objects *o, const char *parent) {
  const struct ew_object *s = put_service(o, "a", "echo", PORTS);
  const struct ew_object *r =
      put_route(o, "HTTPRoute", "a", "r", "", parent, RULE);
  unsigned bits = 0;
  for (size_t i = 0; i < s->u.service.ports_n; i++)
    bits |= (unsigned)ew_route_applies(o, r, r->u.route.parents, s,
                                       &s->u.service.ports[i])
            << i;
  return bits;
}

static void test_applies(void **state) {
  struct ew_objects *o = *state;
  assert_int_equal(selected(o, PARENT("")), 3);
  assert_int_equal(selected(o, PARENT(",'port':80")), 1);
  assert_int_equal(selected(o, PARENT(",'port':82")), 0);
  assert_int_equal(selected(o, PARENT(",'sectionName':'alt'")), 2);
  assert_int_equal(selected(o, PARENT(",'sectionName':'alt','port':81")), 2);
  assert_int_equal(selected(o, PARENT(",'sectionName':'alt','port':80")), 0);
  assert_int_equal(selected(o, PARENT(",'sectionName':'other'")), 0);
}

static void test_applies_not_to_udp(void **state) {
  assert_int_equal(selected(*state, PARENT(",'port':53")), 0);
  assert_int_equal(selected(*state, PARENT(",'sectionName':'dns'")), 0);
}

static void test_applies_not_to_others(void **state) {
  struct ew_objects *o = *state;
  assert_int_equal(selected(o, PARENT(",'namespace':'b'")), 0);
  assert_int_equal(selected(o, "[{'group':'','kind':'Service','name':'x'}]"),
                   0);
  assert_int_equal(selected(o, "[{'name':'echo'}]"), 0);
}

static void test_applies_core_group(void **state) {
  assert_int_equal(
      selected(*state, "[{'group':'core','kind':'Service','name':'echo'}]"), 3);
}

static void test_applies_external_name(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *s = put(
      o, "v1", "Service", "a", "echo", "",
      "'spec':{'type':'ExternalName','externalName':'x','ports':" PORTS "}");
  const struct ew_object *r =
      put_route(o, "HTTPRoute", "a", "r", "", PARENT(""), RULE);
  assert_false(
      ew_route_applies(o, r, r->u.route.parents, s, &s->u.service.ports[0]));
}

static int older(struct ew_objects *o, const char *ns_a, const char *a,
                 const char *created_a, const char *ns_b, const char *b,
                 const char *created_b) {
  const struct ew_object *x =
      put_route(o, "HTTPRoute", ns_a, a, created_a, PARENT(""), RULE);
  const struct ew_object *y =
      put_route(o, "HTTPRoute", ns_b, b, created_b, PARENT(""), RULE);
  int d = ew_route_older(x, y), back = ew_route_older(y, x);
  assert_true((d < 0) == (back > 0) && (d == 0) == (back == 0));
  return d;
}

static void test_older(void **state) {
  struct ew_objects *o = *state;
  const char *old = "2024-01-01T00:00:00Z", *new = "2024-01-01T00:00:01Z";
  assert_true(older(o, "a", "z", old, "a", "b", new) < 0);
  assert_true(older(o, "a", "b", new, "a", "z", old) > 0);
  assert_true(older(o, "a", "b", old, "a", "z", old) < 0);
  assert_true(older(o, "a", "z", old, "b", "b", old) < 0);
  /* "a-b/r" is before "a/r", though "a" is before "a-b". */
  assert_true(older(o, "a-b", "r", old, "a", "r", old) < 0);
  assert_int_equal(older(o, "a", "r", old, "a", "r", old), 0);
}

static bool in_force(struct ew_objects *o, const char *kind,
                     const char *rules) {
  return ew_route_in_force(put_route(o, kind, "a", "f", "", PARENT(""), rules));
}

static void test_in_force(void **state) {
  struct ew_objects *o = *state;
  assert_true(in_force(o, "HTTPRoute", RULE));
  assert_true(in_force(o, "GRPCRoute", "[]"));
  assert_false(in_force(o, "HTTPRoute", "[" BAD_RULE "]"));
  assert_false(in_force(o, "HTTPRoute", "[" BAD_RULE "," BAD_RULE "]"));
  assert_true(in_force(o, "HTTPRoute", "[" BAD_RULE ",{}]"));
  assert_false(in_force(o, "HTTPRoute", "[{'name':'x'},{'name':'x'}]"));
  /* It answers 500: that is an effect. */
  assert_true(in_force(o, "HTTPRoute", "[{'filters':[{'type':'Frob'}]}]"));
}

static void test_faulty(void **state) {
  const struct ew_object *r =
      put_route(*state, "HTTPRoute", "a", "f", "", PARENT(""),
                "[" BAD_RULE ",{},{'filters':[{'type':'Frob'},{'type':'X'}]}]");
  assert_int_equal(ew_route_faulty(&r->u.route, true), 1);
  assert_int_equal(ew_route_faulty(&r->u.route, false), 2);
}

struct fixture {
  struct ew_objects *o;
  const struct ew_object *service;
};

static const char *winner(const struct fixture *f, const char *ns,
                          size_t port) {
  const struct ew_object *x =
      ew_route_winner(f->o, ns, f->service, &f->service->u.service.ports[port]);
  return x ? x->name : "";
}

static struct fixture fixture(void **state) {
  return (struct fixture){*state, put_service(*state, "a", "echo", PORTS)};
}

static void test_winner_type(void **state) {
  struct fixture f = fixture(state);
  assert_string_equal(winner(&f, "a", 0), "");
  put_route(f.o, "TCPRoute", "a", "tcp", "2001", PARENT(""), RULE);
  assert_string_equal(winner(&f, "a", 0), "tcp");
  put_route(f.o, "TLSRoute", "a", "tls", "2002", PARENT(""), RULE);
  assert_string_equal(winner(&f, "a", 0), "tls");
  put_route(f.o, "HTTPRoute", "a", "http", "2003", PARENT(""), RULE);
  assert_string_equal(winner(&f, "a", 0), "http");
  put_route(f.o, "GRPCRoute", "a", "grpc", "2004", PARENT(",'port':80"), RULE);
  assert_string_equal(winner(&f, "a", 0), "grpc");
  assert_string_equal(winner(&f, "a", 1), "http");
}

static void test_winner_age(void **state) {
  struct fixture f = fixture(state);
  put_route(f.o, "TCPRoute", "a", "b", "2002", PARENT(""), RULE);
  put_route(f.o, "TCPRoute", "a", "c", "2001", PARENT(""), RULE);
  put_route(f.o, "TCPRoute", "a", "a", "2003", PARENT(""), RULE);
  assert_string_equal(winner(&f, "a", 0), "c");
}

static void test_winner_in_its_namespace(void **state) {
  struct fixture f = fixture(state);
  put_route(f.o, "TCPRoute", "a", "producer", "", PARENT(""), RULE);
  put_route(f.o, "GRPCRoute", "b", "consumer", "", PARENT(",'namespace':'a'"),
            RULE);
  assert_string_equal(winner(&f, "a", 0), "producer");
  assert_string_equal(winner(&f, "b", 0), "consumer");
  assert_string_equal(winner(&f, "c", 0), "");
}

static void test_winner_must_be_in_force(void **state) {
  struct fixture f = fixture(state);
  put_route(f.o, "GRPCRoute", "a", "grpc", "", PARENT(""),
            "[{'name':'x'},{'name':'x'}]");
  put_route(f.o, "HTTPRoute", "a", "http", "", PARENT(""), RULE);
  assert_string_equal(winner(&f, "a", 0), "http");
}

static void test_winner_by_any_parent(void **state) {
  struct fixture f = fixture(state);
  put_route(f.o, "HTTPRoute", "a", "r", "",
            "[{'group':'','kind':'Service','name':'echo','port':80},"
            "{'group':'','kind':'Service','name':'echo','port':81}]",
            RULE);
  assert_string_equal(winner(&f, "a", 0), "r");
  assert_string_equal(winner(&f, "a", 1), "r");
}

static void test_loses(void **state) {
  static const struct {
    const char *kind, *winner;
    bool loses;
  } cases[] = {
      {"HTTPRoute", "GRPCRoute", true},  {"HTTPRoute", "HTTPRoute", false},
      {"GRPCRoute", "GRPCRoute", false}, {"TLSRoute", "TLSRoute", false},
      {"TCPRoute", "TCPRoute", true},    {"TCPRoute", "HTTPRoute", true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct ew_object *a =
        put_route(*state, cases[i].kind, "a", "a", "", PARENT(""), RULE);
    const struct ew_object *b =
        put_route(*state, cases[i].winner, "a", "b", "", PARENT(""), RULE);
    assert_int_equal(ew_route_loses(a, b), cases[i].loses);
    assert_false(ew_route_loses(a, a));
    assert_false(ew_route_loses(a, NULL));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_applies),
      OBJECTS_TEST(test_applies_not_to_udp),
      OBJECTS_TEST(test_applies_not_to_others),
      OBJECTS_TEST(test_applies_core_group),
      OBJECTS_TEST(test_applies_external_name),
      OBJECTS_TEST(test_older),
      OBJECTS_TEST(test_in_force),
      OBJECTS_TEST(test_faulty),
      OBJECTS_TEST(test_winner_type),
      OBJECTS_TEST(test_winner_age),
      OBJECTS_TEST(test_winner_in_its_namespace),
      OBJECTS_TEST(test_winner_must_be_in_force),
      OBJECTS_TEST(test_winner_by_any_parent),
      OBJECTS_TEST(test_loses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
