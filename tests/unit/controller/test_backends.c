/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#include "controller/backends.c"
#include "controller/refs.c"

struct fixture {
  struct ew_objects *o;
  struct ew_arena arena;
  struct ew_backends b;
};

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  f->o = ew_objects_new();
  ew_arena_init(&f->arena);
  f->b = (struct ew_backends){
      .objects = f->o, .arena = &f->arena, .trust_domain = "example.org"};
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  ew_backends_fini(&f->b);
  ew_arena_fini(&f->arena);
  ew_objects_del(f->o);
  free(f);
  return 0;
}

#define ECHO_PORTS "[{'name':'http','port':80},{'name':'alt','port':81}]"
#define ADDR(ip) "{'addresses':['" ip "']}"
#define ADDR_OF(ip, pod) \
  "{'addresses':['" ip "'],'targetRef':{'kind':'Pod','name':'" pod "'}}"

static void put_slice(struct fixture *f, const char *name, const char *type,
                      const char *ports, const char *endpoints) {
  char rest[2048];
  snprintf(rest, sizeof rest,
           "'metadata':{'name':'%s','namespace':'a','labels':"
           "{'kubernetes.io/service-name':'echo'}},'addressType':'%s',"
           "'ports':%s,'endpoints':[%s]",
           name, type, ports, endpoints);
  put(f->o, "discovery.k8s.io/v1", "EndpointSlice", "a", name, "", rest);
}

static void put_pod(struct fixture *f, const char *name, const char *ip,
                    const char *meta, const char *spec) {
  char rest[1024];
  snprintf(rest, sizeof rest,
           "'metadata':{'name':'%s','namespace':'a',"
           "'labels':{'eastwest.dev/inject':'enabled'}%s},"
           "'spec':{'serviceAccountName':'me'%s},'status':{'podIP':'%s'}",
           name, meta, spec, ip);
  put(f->o, "v1", "Pod", "a", name, "", rest);
}

#define PORT_8080 "[{'name':'http','port':8080}]"

/* The backend for port |port| of Service a/echo, which is made. */
static const struct ew_backend *echo(struct fixture *f, size_t port) {
  const struct ew_object *s = put_service(f->o, "a", "echo", ECHO_PORTS);
  size_t at = ew_backends_add_service(&f->b, s, &s->u.service.ports[port]);
  assert_true(at < f->b.n);
  return &f->b.list[at];
}

static void test_endpoints(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1", "", "");
  put_slice(f, "s1", "IPv4", PORT_8080,
            ADDR_OF("10.1.0.1", "one") "," ADDR("10.1.0.2"));
  put_slice(f, "s2", "IPv4", "[{'name':'http','port':9090}]",
            "{'addresses':['10.1.0.3'],'conditions':{'ready':false}}," ADDR(
                "10.1.0.4"));
  const struct ew_backend *b = echo(f, 0);
  assert_string_equal(b->kind, "Service");
  assert_string_equal(b->namespace_, "a");
  assert_string_equal(b->name, "echo");
  assert_int_equal(b->port, 80);
  assert_null(b->invalid);
  assert_int_equal(b->endpoints_n, 3);
  assert_string_equal(b->endpoints[0].address, "10.1.0.1");
  assert_int_equal(b->endpoints[0].port, 8080);
  assert_string_equal(b->endpoints[0].identity,
                      "spiffe://example.org/ns/a/sa/me");
  assert_string_equal(b->endpoints[0].pod, "one");
  assert_null(b->endpoints[1].identity);
  assert_null(b->endpoints[1].pod);
  assert_string_equal(b->endpoints[2].address, "10.1.0.4");
  assert_int_equal(b->endpoints[2].port, 9090);
}

static void test_ports_of_a_slice(void **state) {
  struct fixture *f = *state;
  put_slice(f, "udp", "IPv4",
            "[{'name':'http','port':1,'protocol':'UDP'},"
            "{'name':'alt','port':8081}]",
            ADDR("10.1.0.1"));
  /* All ports: the Service's own number counts. */
  put_slice(f, "all", "IPv4", "[{'name':'alt'}]", ADDR("10.1.0.2"));
  put_slice(f, "other", "IPv4", "[{'name':'x','port':1}]", ADDR("10.1.0.3"));
  assert_int_equal(echo(f, 0)->endpoints_n, 0);
  const struct ew_backend *b = echo(f, 1);
  assert_int_equal(b->endpoints_n, 2);
  assert_int_equal(b->endpoints[0].port, 8081);
  assert_int_equal(b->endpoints[1].port, 81);
}

static void test_once(void **state) {
  struct fixture *f = *state;
  const struct ew_object *s = put_service(f->o, "a", "echo", ECHO_PORTS);
  const struct ew_service_port *p = s->u.service.ports;
  assert_int_equal(ew_backends_add_service(&f->b, s, &p[0]), 0);
  assert_int_equal(ew_backends_add_service(&f->b, s, &p[1]), 1);
  assert_int_equal(ew_backends_add_service(&f->b, s, &p[0]), 0);
  assert_int_equal(f->b.n, 2);
}

static void test_many(void **state) {
  struct fixture *f = *state;
  char name[8];
  for (size_t turn = 0; turn < 2; turn++)
    for (size_t i = 0; i < 50; i++) {
      snprintf(name, sizeof name, "s%zu", i);
      const struct ew_object *s = put_service(f->o, "a", name, PORTS_80);
      assert_int_equal(ew_backends_add_service(&f->b, s, s->u.service.ports),
                       i);
    }
  for (size_t i = 0; i < 50; i++) {
    snprintf(name, sizeof name, "s%zu", i);
    assert_string_equal(f->b.list[i].name, name);
  }
}

/* Each pod counts once: the family that the client called, else the other. */
static void test_dual_stack(void **state) {
  struct fixture *f = *state;
  put_slice(f, "v4", "IPv4", PORT_8080, ADDR("10.1.0.1"));
  put_slice(f, "v6", "IPv6", PORT_8080, ADDR("fd01::1"));
  const struct ew_backend *b = echo(f, 0);
  assert_int_equal(b->endpoints_n, 1);
  assert_string_equal(b->endpoints[0].address, "10.1.0.1");
  struct ew_backends six = f->b;
  six.ipv6 = true;
  six.index = (struct ew_strmap){0};
  six.list = NULL;
  six.n = six.cap = 0;
  const struct ew_object *s = put_service(f->o, "a", "echo", ECHO_PORTS);
  ew_backends_add_service(&six, s, s->u.service.ports);
  assert_int_equal(six.list[0].endpoints_n, 1);
  assert_string_equal(six.list[0].endpoints[0].address, "fd01::1");
  ew_backends_fini(&six);
}

static void test_other_family_if_nobody_is_ready(void **state) {
  struct fixture *f = *state;
  put_slice(f, "v4", "IPv4", PORT_8080,
            "{'addresses':['10.1.0.1'],'conditions':{'ready':false}}");
  put_slice(f, "v6", "IPv6", PORT_8080, ADDR("fd01::1"));
  const struct ew_backend *b = echo(f, 0);
  assert_int_equal(b->endpoints_n, 1);
  assert_string_equal(b->endpoints[0].address, "fd01::1");
}

static const struct ew_endpoint *only(struct fixture *f) {
  const struct ew_backend *b = echo(f, 0);
  assert_int_equal(b->endpoints_n, 1);
  return b->endpoints;
}

static void test_skipped_port(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1",
          ",'annotations':{'eastwest.dev/skip-inbound-ports':'8080'}", "");
  put_slice(f, "s", "IPv4",
            "[{'name':'http','port':8080},{'name':'alt','port':8081}]",
            ADDR_OF("10.1.0.1", "one"));
  assert_null(only(f)->identity);
  assert_string_equal(only(f)->pod, "one");
  assert_string_equal(echo(f, 1)->endpoints[0].identity,
                      "spiffe://example.org/ns/a/sa/me");
}

/* The sidecar answers there itself, in plain text. */
static void test_status_port(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1", "", "");
  put_slice(f, "s", "IPv4",
            "[{'name':'http','port':15020},{'name':'alt','port':15021}]",
            ADDR_OF("10.1.0.1", "one"));
  assert_null(only(f)->identity);
  assert_non_null(echo(f, 1)->endpoints[0].identity);
}

/* The address of such a pod is its node's, and nothing is redirected there. */
static void test_host_network(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1", "", ",'hostNetwork':true");
  put_slice(f, "s", "IPv4", PORT_8080, ADDR_OF("10.1.0.1", "one"));
  assert_null(only(f)->identity);
}

/* A slice by hand: who is there is told by the address. */
static void test_address_counts_more_than_the_name(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1", "", "");
  put_pod(f, "two", "10.1.0.2", "", ",'serviceAccountName':'other'");
  put_slice(f, "s", "IPv4", PORT_8080, ADDR_OF("10.1.0.2", "one"));
  assert_string_equal(only(f)->pod, "two");
  assert_string_equal(only(f)->identity, "spiffe://example.org/ns/a/sa/other");
}

static void test_name_without_a_pod(void **state) {
  struct fixture *f = *state;
  put_slice(f, "s", "IPv4", PORT_8080, ADDR_OF("10.1.0.1", "gone"));
  assert_null(only(f)->pod);
  assert_null(only(f)->identity);
}

/* Of two pods with the address for a moment the slice knows which. */
static void test_name_decides_between_two(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1", ",'creationTimestamp':'2001'", "");
  put_pod(f, "two", "10.1.0.1", ",'creationTimestamp':'2002'", "");
  put_slice(f, "s", "IPv4", PORT_8080, ADDR_OF("10.1.0.1", "one"));
  assert_string_equal(only(f)->pod, "one");
}

static void test_zones(void **state) {
  struct fixture *f = *state;
  put_slice(f, "s", "IPv4", PORT_8080,
            "{'addresses':['10.1.0.1'],'zone':'z1'},"
            "{'addresses':['10.1.0.2'],'zone':'z1','hints':{'forZones':"
            "[{'name':'z2'}]}}");
  const struct ew_backend *b = echo(f, 0);
  assert_null(b->endpoints[0].zone);
  assert_string_equal(b->endpoints[1].zone, "z2");
  const struct ew_object *s =
      put(f->o, "v1", "Service", "a", "echo", "",
          "'spec':{'trafficDistribution':'PreferClose','ports':"
          "[{'name':'http','port':80,'appProtocol':'http'},"
          "{'name':'http','port':90}]}");
  b = &f->b.list[ew_backends_add_service(&f->b, s, &s->u.service.ports[1])];
  assert_string_equal(b->endpoints[0].zone, "z1");
  assert_string_equal(b->endpoints[1].zone, "z2");
}

static void test_protocol(void **state) {
  struct fixture *f = *state;
  const struct ew_object *s = put_service(
      f->o, "a", "web", "[{'port':80,'appProtocol':'kubernetes.io/h2c'}]");
  ew_backends_add_service(&f->b, s, s->u.service.ports);
  assert_int_equal(f->b.list[0].protocol, EW_PROTO_HTTP2);
}

static size_t add_ref(struct fixture *f, const char *ref) {
  char rules[256];
  snprintf(rules, sizeof rules, "[{'backendRefs':[%s]}]", ref);
  const struct ew_object *r =
      put_route(f->o, "HTTPRoute", "a", "r", "", PARENT(""), rules);
  return ew_backends_add_ref(&f->b, r, r->u.route.refs);
}

static void test_refs(void **state) {
  struct fixture *f = *state;
  const struct ew_object *s = put_service(f->o, "a", "echo", ECHO_PORTS);
  size_t at = ew_backends_add_service(&f->b, s, s->u.service.ports);
  assert_int_equal(add_ref(f, "{'name':'echo','port':80}"), at);
}

static void test_refs_that_cannot_be_followed(void **state) {
  struct fixture *f = *state;
  static const struct {
    const char *ref, *kind, *ns, *name, *reason;
    uint16_t port;
  } cases[] = {
      {"{'name':'none','port':80}", "Service", "a", "none", "BackendNotFound",
       80},
      {"{'name':'none','port':81}", "Service", "a", "none", "BackendNotFound",
       81},
      {"{'name':'none','port':80,'namespace':'b'}", "Service", "b", "none",
       "BackendNotFound", 80},
      {"{'kind':'K','name':'none','port':80}", "K", "a", "none", "InvalidKind",
       80},
      {"{'name':'x'}", "Service", "a", "x", "BackendNotFound", 0},
  };
  size_t n = sizeof cases / sizeof *cases;
  for (size_t turn = 0; turn < 2; turn++)
    for (size_t i = 0; i < n; i++)
      assert_int_equal(add_ref(f, cases[i].ref), i);
  /* Strings are borrowed from the objects: only literals can be read here,
   * the routes have been replaced. */
  assert_int_equal(f->b.n, n);
  for (size_t i = 0; i < n; i++) {
    assert_string_equal(f->b.list[i].invalid, cases[i].reason);
    assert_int_equal(f->b.list[i].port, cases[i].port);
    assert_int_equal(f->b.list[i].endpoints_n, 0);
  }
  size_t at = add_ref(f, "{'kind':'Frob','name':'new','namespace':'c',"
                         "'port':1}");
  assert_string_equal(f->b.list[at].kind, "Frob");
  assert_string_equal(f->b.list[at].namespace_, "c");
  assert_string_equal(f->b.list[at].name, "new");
}

static void test_pod(void **state) {
  struct fixture *f = *state;
  put_pod(f, "one", "10.1.0.1",
          ",'annotations':{'eastwest.dev/skip-inbound-ports':'81'}", "");
  const struct ew_object *pod = ew_objects_get(f->o, EW_KIND_POD, "a", "one");
  for (uint16_t port = 80; port <= 81; port++) {
    size_t at =
        ew_backends_add_pod(&f->b, pod, "10.1.0.1", port, EW_PROTO_HTTP);
    const struct ew_backend *b = &f->b.list[at];
    assert_string_equal(b->kind, "Pod");
    assert_string_equal(b->name, "one");
    assert_int_equal(b->protocol, EW_PROTO_HTTP);
    assert_int_equal(b->endpoints_n, 1);
    assert_string_equal(b->endpoints[0].address, "10.1.0.1");
    assert_int_equal(b->endpoints[0].port, port);
    assert_string_equal(b->endpoints[0].pod, "one");
    if (port == 80)
      assert_string_equal(b->endpoints[0].identity,
                          "spiffe://example.org/ns/a/sa/me");
    else
      assert_null(b->endpoints[0].identity);
  }
}

int main(void) {
#define BACKENDS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      BACKENDS_TEST(test_endpoints),
      BACKENDS_TEST(test_ports_of_a_slice),
      BACKENDS_TEST(test_once),
      BACKENDS_TEST(test_many),
      BACKENDS_TEST(test_dual_stack),
      BACKENDS_TEST(test_other_family_if_nobody_is_ready),
      BACKENDS_TEST(test_skipped_port),
      BACKENDS_TEST(test_status_port),
      BACKENDS_TEST(test_host_network),
      BACKENDS_TEST(test_address_counts_more_than_the_name),
      BACKENDS_TEST(test_name_without_a_pod),
      BACKENDS_TEST(test_name_decides_between_two),
      BACKENDS_TEST(test_zones),
      BACKENDS_TEST(test_protocol),
      BACKENDS_TEST(test_refs),
      BACKENDS_TEST(test_refs_that_cannot_be_followed),
      BACKENDS_TEST(test_pod),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
