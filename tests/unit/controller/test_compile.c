/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#include "controller/order.c"
#include "controller/precedence.c"
#include "controller/refs.c"

/* Each of these sources has a KEY_MAX of its own. */
#undef KEY_MAX
#include "controller/backends.c"
#undef KEY_MAX
#include "controller/compile.c"

#define NEW "2002-01-01T00:00:00Z"
#define OLD "2001-01-01T00:00:00Z"
#define IP "10.0.0.1" /* of a/echo */

struct fixture {
  struct ew_objects *o;
  struct ew_destination *d; /* the last one, freed by the next */
};

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  f->o = ew_objects_new();
  put_service(f->o, "a", "echo",
              "[{'name':'http','port':80},{'name':'alt','port':81},"
              "{'name':'dns','port':53,'protocol':'UDP'}]");
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  ew_destination_unref(f->d);
  ew_objects_del(f->o);
  free(f);
  return 0;
}

/* A destination must be one that a sidecar takes. */
static void assert_valid(const struct ew_destination *d) {
  char why[256];
  size_t n;
  char *text = ew_destination_to_json(d, &n);
  struct ew_destination *again =
      ew_destination_from_json(ew_slice(text, n), why, sizeof why);
  if (!again)
    fail_msg("%s: %s", why, text);
  ew_destination_unref(again);
  free(text);
}

static const struct ew_destination *at(struct fixture *f, const char *client,
                                       const char *ip, uint16_t port) {
  ew_destination_unref(f->d);
  f->d = ew_compile(f->o, client, ip, port, "cluster.local");
  assert_valid(f->d);
  return f->d;
}

/* Port 80 of a/echo for a client of namespace a. */
static const struct ew_destination *echo(struct fixture *f) {
  return at(f, "a", IP, 80);
}

#define TO(name) "'backendRefs':[{'name':'" name "','port':80}]"
#define RULE "[{" TO("echo") "}]"
#define PATH(p) "'matches':[{'path':{'value':'" p "'}}],"

/* A Service with another address than a/echo. */
static void put_other(struct fixture *f, const char *ns, const char *name,
                      const char *app_protocol) {
  char rest[256];
  snprintf(rest, sizeof rest,
           "'spec':{'clusterIP':'10.0.0.2','ports':[{'port':80,"
           "'appProtocol':'%s'}]}",
           app_protocol);
  put(f->o, "v1", "Service", ns, name, "", rest);
}

static void put_tcp(struct fixture *f, const char *name, const char *created) {
  put_route(f->o, "TCPRoute", "a", name, created, PARENT(""), RULE);
}

static void put_http(struct fixture *f, const char *ns, const char *name,
                     const char *created, const char *parent,
                     const char *rules) {
  put_route(f->o, "HTTPRoute", ns, name, created, parent, rules);
}

static void put_endpoint(struct fixture *f, const char *name, const char *type,
                         const char *ip) {
  char rest[1024];
  snprintf(rest, sizeof rest,
           "'metadata':{'name':'%s','namespace':'a','labels':"
           "{'kubernetes.io/service-name':'echo'}},'addressType':'%s','ports':"
           "[{'name':'http','port':8080,'appProtocol':'http'},"
           "{'name':'alt','port':8081}],'endpoints':[{'addresses':['%s'],"
           "'targetRef':{'kind':'Pod','name':'p'}}]",
           name, type, ip);
  put(f->o, "discovery.k8s.io/v1", "EndpointSlice", "a", name, "", rest);
}

static void put_pod(struct fixture *f, const char *ip, const char *annotations,
                    const char *spec) {
  char rest[512];
  snprintf(rest, sizeof rest,
           "'metadata':{'name':'p','namespace':'a','labels':"
           "{'eastwest.dev/inject':'enabled'},'annotations':{%s}},"
           "'spec':{'serviceAccountName':'me'%s},'status':{'podIP':'%s'}",
           annotations, spec, ip);
  put(f->o, "v1", "Pod", "a", "p", "", rest);
}

/* ---- without routes ---- */

static void test_unknown(void **state) {
  struct fixture *f = *state;
  static const struct {
    const char *ip;
    uint16_t port;
  } cases[] = {{"10.9.9.9", 80}, {"fd00::9", 80}, {IP, 82}, {IP, 53}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct ew_destination *d = at(f, "a", cases[i].ip, cases[i].port);
    assert_int_equal(d->kind, EW_DEST_UNKNOWN);
    assert_int_equal(d->port, cases[i].port);
    assert_int_equal(d->default_backend, EW_NO_BACKEND);
    assert_int_equal(d->backends_n + d->rules_n + d->l4_rules_n, 0);
    assert_null(d->name);
  }
}

static void test_service(void **state) {
  struct fixture *f = *state;
  put_endpoint(f, "s", "IPv4", "10.1.0.1");
  const struct ew_destination *d = at(f, "other", IP, 80);
  assert_int_equal(d->kind, EW_DEST_SERVICE);
  assert_string_equal(d->namespace_, "a");
  assert_string_equal(d->name, "echo");
  assert_string_equal(d->port_name, "http");
  assert_int_equal(d->port, 80);
  assert_int_equal(d->protocol, EW_PROTO_DETECT);
  assert_int_equal(d->default_backend, 0);
  assert_int_equal(d->backends_n, 1);
  assert_int_equal(d->backends[0].endpoints_n, 1);
  assert_int_equal(d->backends[0].endpoints[0].port, 8080);
  assert_int_equal(at(f, "a", IP, 81)->backends[0].endpoints[0].port, 8081);
}

static void test_port_without_a_name(void **state) {
  struct fixture *f = *state;
  put_service(f->o, "a", "echo", "[{'port':80}]");
  assert_null(echo(f)->port_name);
}

static void test_protocol(void **state) {
  struct fixture *f = *state;
  put_service(f->o, "a", "echo",
              "[{'port':80,'appProtocol':'kubernetes.io/h2c'},"
              "{'name':'x','port':81,'appProtocol':'tcp'}]");
  assert_int_equal(echo(f)->protocol, EW_PROTO_HTTP2);
  assert_int_equal(f->d->backends[0].protocol, EW_PROTO_HTTP2);
  assert_int_equal(at(f, "a", IP, 81)->protocol, EW_PROTO_OPAQUE);
}

static void test_dual_stack(void **state) {
  struct fixture *f = *state;
  put(f->o, "v1", "Service", "a", "echo", "",
      "'spec':{'clusterIP':'" IP "','clusterIPs':['" IP "','fd00::1'],'ports':"
      "[{'name':'http','port':80}]}");
  put_endpoint(f, "v4", "IPv4", "10.1.0.1");
  put_endpoint(f, "v6", "IPv6", "fd01::1");
  assert_string_equal(echo(f)->backends[0].endpoints[0].address, "10.1.0.1");
  assert_string_equal(
      at(f, "a", "FD00:0::1", 80)->backends[0].endpoints[0].address, "fd01::1");
  assert_int_equal(f->d->backends[0].endpoints_n, 1);
  put_http(f, "a", "r", "", PARENT(""), RULE);
  assert_int_equal(at(f, "a", "fd00::1", 80)->rules_n, 1);
}

/* ---- pods ---- */

static void test_pod(void **state) {
  struct fixture *f = *state;
  put_pod(f, "10.1.0.1", "", "");
  put_http(f, "a", "r", "", PARENT(""), RULE);
  const struct ew_destination *d = at(f, "b", "10.1.0.1", 7000);
  assert_int_equal(d->kind, EW_DEST_POD);
  assert_string_equal(d->namespace_, "a");
  assert_string_equal(d->name, "p");
  assert_int_equal(d->protocol, EW_PROTO_DETECT);
  assert_int_equal(d->rules_n, 0);
  assert_int_equal(d->default_backend, 0);
  assert_int_equal(d->backends_n, 1);
  assert_string_equal(d->backends[0].endpoints[0].address, "10.1.0.1");
  assert_int_equal(d->backends[0].endpoints[0].port, 7000);
  assert_string_equal(d->backends[0].endpoints[0].identity,
                      "spiffe://cluster.local/ns/a/sa/me");
}

static void test_protocol_of_a_pod(void **state) {
  struct fixture *f = *state;
  put_pod(f, "10.1.0.1", "", "");
  put_endpoint(f, "s", "IPv4", "10.1.0.1");
  assert_int_equal(at(f, "a", "10.1.0.1", 8080)->protocol, EW_PROTO_HTTP);
  assert_int_equal(f->d->backends[0].protocol, EW_PROTO_HTTP);
  assert_int_equal(at(f, "a", "10.1.0.1", 8081)->protocol, EW_PROTO_DETECT);
  put_pod(f, "10.1.0.1", "'eastwest.dev/opaque-ports':'8080'", "");
  assert_int_equal(at(f, "a", "10.1.0.1", 8080)->protocol, EW_PROTO_OPAQUE);
}

static void test_pod_without_a_sidecar_there(void **state) {
  struct fixture *f = *state;
  put_pod(f, "10.1.0.1", "'eastwest.dev/skip-inbound-ports':'9000-9009'", "");
  assert_null(at(f, "a", "10.1.0.1", 9005)->backends[0].endpoints[0].identity);
  assert_non_null(
      at(f, "a", "10.1.0.1", 9010)->backends[0].endpoints[0].identity);
  put_pod(f, "10.1.0.1", "", ",'hostNetwork':true");
  assert_int_equal(at(f, "a", "10.1.0.1", 9010)->kind, EW_DEST_UNKNOWN);
}

/* An address that is a Service's is not a pod's. */
static void test_service_before_pod(void **state) {
  struct fixture *f = *state;
  put_pod(f, IP, "", "");
  assert_int_equal(echo(f)->kind, EW_DEST_SERVICE);
  assert_int_equal(at(f, "a", IP, 4)->kind, EW_DEST_UNKNOWN);
}

/* ---- which routes ---- */

static void test_producer(void **state) {
  struct fixture *f = *state;
  put_http(f, "a", "r", "", PARENT(""), RULE);
  static const char *const clients[] = {"a", "b"};
  for (size_t i = 0; i < 2; i++) {
    const struct ew_destination *d = at(f, clients[i], IP, 80);
    assert_int_equal(d->protocol, EW_PROTO_HTTP);
    assert_int_equal(d->default_backend, EW_NO_BACKEND);
    assert_int_equal(d->rules_n, 1);
    assert_string_equal(d->rules[0].route_name, "r");
  }
}

#define FAR PARENT(",'namespace':'a'")

static void test_consumer(void **state) {
  struct fixture *f = *state;
  put_http(f, "b", "consumer", "", FAR, RULE);
  assert_int_equal(at(f, "a", IP, 80)->rules_n, 0);
  assert_int_equal(f->d->default_backend, 0);
  assert_string_equal(at(f, "b", IP, 80)->rules[0].route_name, "consumer");
  put_http(f, "a", "producer", "", PARENT(""), RULE);
  assert_int_equal(at(f, "b", IP, 80)->rules_n, 1);
  assert_string_equal(f->d->rules[0].route_name, "consumer");
  assert_string_equal(f->d->rules[0].route_namespace, "b");
  assert_string_equal(at(f, "c", IP, 80)->rules[0].route_name, "producer");
}

/* Port by port: where the consumer has nothing, the producer counts. */
static void test_consumer_of_one_port(void **state) {
  struct fixture *f = *state;
  put_http(f, "b", "consumer", "", PARENT(",'namespace':'a','port':81"), RULE);
  put_http(f, "a", "producer", "", PARENT(""), RULE);
  assert_string_equal(at(f, "b", IP, 80)->rules[0].route_name, "producer");
  assert_string_equal(at(f, "b", IP, 81)->rules[0].route_name, "consumer");
}

static void test_consumer_that_is_not_in_force(void **state) {
  struct fixture *f = *state;
  put_http(f, "b", "consumer", "", FAR, "[{'name':'x'},{'name':'x'}]");
  put_http(f, "a", "producer", "", PARENT(""), RULE);
  assert_string_equal(at(f, "b", IP, 80)->rules[0].route_name, "producer");
}

static void test_ports_and_sections(void **state) {
  struct fixture *f = *state;
  put_http(f, "a", "by-port", "", PARENT(",'port':80"), RULE);
  put_http(f, "a", "by-name", "", PARENT(",'sectionName':'alt'"), RULE);
  assert_int_equal(at(f, "a", IP, 80)->rules_n, 1);
  assert_string_equal(f->d->rules[0].route_name, "by-port");
  assert_int_equal(at(f, "a", IP, 81)->rules_n, 1);
  assert_string_equal(f->d->rules[0].route_name, "by-name");
}

static void test_named_twice_counts_once(void **state) {
  struct fixture *f = *state;
  put_http(f, "a", "r", "",
           "[{'group':'','kind':'Service','name':'echo'},"
           "{'group':'','kind':'Service','name':'echo','port':80}]",
           RULE);
  assert_int_equal(echo(f)->rules_n, 1);
}

static void test_kinds_do_not_mix(void **state) {
  struct fixture *f = *state;
  put_tcp(f, "tcp", OLD);
  assert_int_equal(echo(f)->l4_rules_n, 1);
  assert_int_equal(f->d->protocol, EW_PROTO_OPAQUE);
  put_http(f, "a", "http", NEW, PARENT(""), RULE);
  assert_int_equal(echo(f)->l4_rules_n, 0);
  assert_string_equal(f->d->rules[0].route_kind, "HTTPRoute");
  put_route(f->o, "GRPCRoute", "a", "grpc", NEW, PARENT(""), RULE);
  assert_int_equal(echo(f)->rules_n, 1);
  assert_string_equal(f->d->rules[0].route_kind, "GRPCRoute");
}

/* ---- rules and matches ---- */

/* All routes together: by what is matched, then the oldest, then by name. */
static void test_precedence(void **state) {
  struct fixture *f = *state;
  put_http(f, "a", "new", NEW, PARENT(""),
           "[{" PATH("/a") TO("echo") "},{" PATH("/a/b") TO("echo") "}]");
  put_http(f, "a", "old", OLD, PARENT(""), "[{" PATH("/a") TO("echo") "}]");
  put_http(f, "a", "also-old", OLD, PARENT(""),
           "[{'matches':[{'path':{'value':'/a'}},{'method':'GET',"
           "'path':{'value':'/a'}}]}]");
  const struct ew_destination *d = echo(f);
  static const struct {
    const char *route, *path;
  } want[] = {{"new", "/a/b"},
              {"also-old", "/a"},
              {"also-old", "/a"},
              {"old", "/a"},
              {"new", "/a"}};
  assert_int_equal(d->rules_n, 4);
  assert_int_equal(d->matches_n, 5);
  for (size_t i = 0; i < 5; i++) {
    const struct ew_match *m = &d->matches[i];
    assert_string_equal(d->rules[m->rule].route_name, want[i].route);
    assert_string_equal(m->path, want[i].path);
  }
  assert_string_equal(d->matches[1].method, "GET");
  assert_int_equal(d->rules[d->matches[0].rule].index, 1);
}

static void test_grpc_precedence(void **state) {
  struct fixture *f = *state;
  put_route(f->o, "GRPCRoute", "a", "r", "", PARENT(""),
            "[{},{'matches':[{'method':{'service':'a.B'}},"
            "{'method':{'service':'a.B','method':'Get'}}]}]");
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->matches_n, 3);
  assert_string_equal(d->matches[0].grpc_method, "Get");
  assert_string_equal(d->matches[1].grpc_service, "a.B");
  assert_null(d->matches[2].grpc_service);
  assert_int_equal(d->matches[2].rule, 0);
}

static void test_backends_are_shared(void **state) {
  struct fixture *f = *state;
  put_other(f, "a", "v1", "");
  put_http(f, "a", "r", "", PARENT(""),
           "[{'backendRefs':[{'name':'v1','port':80,'weight':9},"
           "{'name':'none','port':80,'weight':0}]},{" TO(
               "v1") "},"
                     "{'backendRefs':[]}]");
  put_http(f, "a", "s", "", PARENT(""), "[{" TO("none") "}]");
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->backends_n, 2);
  assert_int_equal(d->rules_n, 4);
  assert_int_equal(d->rules[0].backends[0].backend, 0);
  assert_int_equal(d->rules[0].backends[0].weight, 9);
  assert_int_equal(d->rules[0].backends[1].backend, 1);
  assert_int_equal(d->rules[0].backends[1].weight, 0);
  assert_int_equal(d->rules[1].backends[0].backend, 0);
  assert_int_equal(d->rules[2].backends_n, 0);
  assert_int_equal(d->rules[3].backends[0].backend, 1);
  assert_null(d->backends[0].invalid);
  assert_string_equal(d->backends[1].invalid, "BackendNotFound");
}

static void test_invalid_refs(void **state) {
  struct fixture *f = *state;
  put_other(f, "a", "wss", "kubernetes.io/wss");
  put_http(f, "a", "r", "", PARENT(""),
           "[{'backendRefs':[{'name':'none','port':80},{'name':'echo'},"
           "{'name':'wss','port':80},{'kind':'K','name':'k','port':80},"
           "{'name':'echo','port':53}]}]");
  static const char *const want[] = {"BackendNotFound", "BackendNotFound",
                                     "UnsupportedProtocol", "InvalidKind",
                                     "BackendNotFound"};
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->backends_n, 5);
  for (size_t i = 0; i < 5; i++)
    assert_string_equal(d->backends[i].invalid, want[i]);
}

static void test_backend_of_another_namespace(void **state) {
  struct fixture *f = *state;
  put_other(f, "b", "far", "http");
  put_http(f, "a", "r", "", PARENT(""),
           "[{'backendRefs':[{'name':'far','namespace':'b','port':80}]}]");
  const struct ew_backend *b = &echo(f)->backends[0];
  assert_null(b->invalid);
  assert_string_equal(b->namespace_, "b");
  assert_int_equal(b->protocol, EW_PROTO_HTTP);
}

#define MIRROR(name)                                                     \
  "{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'" name \
  "','port':80},'percent':10}}"

static void test_mirrors(void **state) {
  struct fixture *f = *state;
  put_other(f, "a", "copy", "");
  put_http(f, "a", "first", OLD, PARENT(""), "[{" TO("copy") "}]");
  put_http(
      f, "a", "r", NEW, PARENT(""),
      "[{'filters':[" MIRROR("none") "," MIRROR(
          "copy") "],"
                  "'backendRefs':[{'name':'echo','port':80,'filters':[" MIRROR(
                      "copy") "]}]}]");
  const struct ew_destination *d = echo(f);
  const struct ew_rule *r = &d->rules[1];
  assert_string_equal(d->backends[r->filters[0].u.mirror.backend].invalid,
                      "BackendNotFound");
  assert_int_equal(r->filters[1].u.mirror.backend, 0);
  assert_int_equal(r->filters[1].u.mirror.numerator, 10);
  assert_int_equal(r->backends[0].filters[0].u.mirror.backend, 0);
  assert_string_equal(d->backends[0].name, "copy");
  assert_int_equal(d->backends_n, 3);
}

static void test_members_of_a_rule(void **state) {
  struct fixture *f = *state;
  put_http(f, "a", "r", "", PARENT(""),
           "[{'name':'n','timeouts':{'request':'3s','backendRequest':'2s'},"
           "'retry':{'codes':[503],'attempts':4,'backoff':'10ms'},"
           "'filters':[{'type':'Frob'}]}]");
  const struct ew_rule *r = echo(f)->rules;
  assert_string_equal(r->name, "n");
  assert_int_equal(r->request_timeout_ms, 3000);
  assert_int_equal(r->backend_timeout_ms, 2000);
  assert_int_equal(r->retry.codes[0], 503);
  assert_int_equal(r->retry.attempts, 4);
  assert_int_equal(r->retry.backoff_ms, 10);
  assert_int_equal(r->filters[0].type, EW_FILTER_INVALID);
}

/* What is left of a route whose first rule is dropped. */
static void test_dropped_rule(void **state) {
  struct fixture *f = *state;
  put_http(f, "a", "r", "", PARENT(""),
           "[{'matches':[{'method':'frob'}]},{" PATH("/b") TO("echo") "}]");
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->rules_n, 2);
  assert_int_equal(d->matches_n, 1);
  assert_int_equal(d->matches[0].rule, 1);
}

/* It answers 404 to all, and is not balanced as if there were no route. */
static void test_grpc_route_without_rules(void **state) {
  struct fixture *f = *state;
  put_route(f->o, "GRPCRoute", "a", "r", "", PARENT(""), "[]");
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->rules_n, 1);
  assert_int_equal(d->matches_n, 0);
  assert_int_equal(d->default_backend, EW_NO_BACKEND);
  assert_string_equal(d->rules[0].route_name, "r");
}

/* ---- TCP and TLS ---- */

static void test_tcp(void **state) {
  struct fixture *f = *state;
  put_tcp(f, "new", NEW);
  put_route(f->o, "TCPRoute", "a", "old", OLD, PARENT(""),
            "[{'backendRefs':[{'name':'echo','port':80,'weight':2},"
            "{'name':'none','port':80}]},{" TO("echo") "}]");
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->l4_rules_n, 1);
  assert_int_equal(d->rules_n, 0);
  assert_int_equal(d->default_backend, EW_NO_BACKEND);
  assert_string_equal(d->l4_rules[0].route_name, "old");
  assert_int_equal(d->l4_rules[0].backends_n, 2);
  assert_string_equal(d->backends[1].invalid, "BackendNotFound");
  put_route(f->o, "TCPRoute", "a", "old", OLD, PARENT(""), "[]");
  assert_int_equal(echo(f)->l4_rules_n, 1);
  assert_int_equal(f->d->l4_rules[0].backends_n, 0);
  assert_string_equal(f->d->l4_rules[0].route_name, "old");
}

static void put_tls(struct fixture *f, const char *name, const char *created,
                    const char *names) {
  char rest[512];
  snprintf(rest, sizeof rest,
           "'spec':{'parentRefs':%s,'hostnames':%s,'rules':%s}", PARENT(""),
           names, RULE);
  put(f->o, "gateway.networking.k8s.io/v1", "TLSRoute", "a", name, created,
      rest);
}

static void test_tls(void **state) {
  struct fixture *f = *state;
  put_tcp(f, "tcp", OLD);
  put_tls(f, "new", NEW, "['*.b.c','a.b.c','x.y']");
  put_tls(f, "old", OLD, "['a.b.c','*.c']");
  put_tls(f, "any", OLD, "[]");
  static const struct {
    const char *name, *route;
  } want[] = {{"a.b.c", "old"}, {"a.b.c", "new"}, {"x.y", "new"},
              {"*.b.c", "new"}, {"*.c", "old"},   {NULL, "any"}};
  const struct ew_destination *d = echo(f);
  assert_int_equal(d->protocol, EW_PROTO_TLS);
  assert_int_equal(d->l4_rules_n, 6);
  for (size_t i = 0; i < 6; i++) {
    const struct ew_rule *r = &d->l4_rules[i];
    assert_string_equal(r->route_name, want[i].route);
    assert_int_equal(r->snis_n, want[i].name != NULL);
    if (want[i].name)
      assert_string_equal(r->snis[0], want[i].name);
    assert_int_equal(r->backends_n, 1);
  }
}

/* Whose own TLS it is does not matter where nothing is opened. */
static void test_tls_to_a_port_with_tls(void **state) {
  struct fixture *f = *state;
  put_service(f->o, "a", "echo", "[{'port':80,'appProtocol':'https'}]");
  put_tls(f, "r", "", "[]");
  assert_null(echo(f)->backends[0].invalid);
}

int main(void) {
#define COMPILE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      COMPILE_TEST(test_unknown),
      COMPILE_TEST(test_service),
      COMPILE_TEST(test_port_without_a_name),
      COMPILE_TEST(test_protocol),
      COMPILE_TEST(test_dual_stack),
      COMPILE_TEST(test_pod),
      COMPILE_TEST(test_protocol_of_a_pod),
      COMPILE_TEST(test_pod_without_a_sidecar_there),
      COMPILE_TEST(test_service_before_pod),
      COMPILE_TEST(test_producer),
      COMPILE_TEST(test_consumer),
      COMPILE_TEST(test_consumer_of_one_port),
      COMPILE_TEST(test_consumer_that_is_not_in_force),
      COMPILE_TEST(test_ports_and_sections),
      COMPILE_TEST(test_named_twice_counts_once),
      COMPILE_TEST(test_kinds_do_not_mix),
      COMPILE_TEST(test_precedence),
      COMPILE_TEST(test_grpc_precedence),
      COMPILE_TEST(test_backends_are_shared),
      COMPILE_TEST(test_invalid_refs),
      COMPILE_TEST(test_backend_of_another_namespace),
      COMPILE_TEST(test_mirrors),
      COMPILE_TEST(test_members_of_a_rule),
      COMPILE_TEST(test_dropped_rule),
      COMPILE_TEST(test_grpc_route_without_rules),
      COMPILE_TEST(test_tcp),
      COMPILE_TEST(test_tls),
      COMPILE_TEST(test_tls_to_a_port_with_tls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
