/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

/* "" or the fault, of an object in "x.yaml:7". */
static const char *fault_of(struct ew_objects *o, const char *text) {
  static char why[1024];
  json_t *j = json_of(text);
  int rc = ew_objects_upsert(o, j, "x.yaml:7", why, sizeof why);
  json_decref(j);
  assert_true(rc == EW_OK || rc == EW_EINVAL);
  return rc == EW_OK ? "" : why;
}

static int rc_of(struct ew_objects *o, const char *text) {
  char why[256] = "";
  json_t *j = json_of(text);
  int rc = ew_objects_upsert(o, j, NULL, why, sizeof why);
  json_decref(j);
  return rc;
}

static const struct ew_object *put_pod(struct ew_objects *o, const char *name,
                                       const char *created, const char *ip,
                                       const char *more) {
  char rest[512];
  snprintf(rest, sizeof rest, "'status':{'podIP':'%s'}%s", ip, more);
  return put(o, "v1", "Pod", "a", name, created, rest);
}

static void test_kinds(void **state) {
  struct ew_objects *o = *state;
  assert_int_equal(rc_of(o, "{'kind':'Service'}"), EW_ENOENT);
  assert_int_equal(rc_of(o, "{'apiVersion':'v1'}"), EW_ENOENT);
  assert_int_equal(rc_of(o, "{'apiVersion':1,'kind':2}"), EW_ENOENT);
  assert_int_equal(rc_of(o, "{'apiVersion':'v1','kind':'Frob'}"), EW_ENOENT);
  assert_int_equal(rc_of(o, "{'apiVersion':'serving.knative.dev/v1',"
                            "'kind':'Service','metadata':{'name':'x'}}"),
                   EW_ENOENT);
  assert_int_equal(rc_of(o, "{'apiVersion':'v1','kind':'HTTPRoute',"
                            "'metadata':{'name':'x'}}"),
                   EW_ENOENT);
  assert_int_equal(o->changes, 0);
}

static void test_any_version_of_the_api(void **state) {
  static const char *const versions[] = {"v1", "v1beta1", "v1alpha2"};
  for (size_t i = 0; i < 3; i++) {
    char api[64], name[8];
    snprintf(api, sizeof api, "gateway.networking.k8s.io/%s", versions[i]);
    snprintf(name, sizeof name, "r%zu", i);
    assert_non_null(put(*state, api, "HTTPRoute", "a", name, "", "'spec':{}"));
  }
}

static void test_head(void **state) {
  struct ew_objects *o = *state;
  assert_int_equal(rc_of(o, "{'apiVersion':'v1','kind':'Pod',"
                            "'metadata':{'name':'p'}}"),
                   EW_OK);
  const struct ew_object *x = ew_objects_get(o, EW_KIND_POD, "default", "p");
  assert_non_null(x);
  assert_string_equal(x->namespace_, "default");
  assert_int_equal(x->generation, 1);
  assert_string_equal(x->created, "");
  assert_string_equal(x->where, "");
  x = put(o, "v1", "Pod", "a", "p", "2001-02-03T04:05:06Z", "'spec':{}");
  assert_int_equal(x->generation, 3);
  assert_string_equal(x->created, "2001-02-03T04:05:06Z");
  assert_null(ew_objects_get(o, EW_KIND_SERVICE, "a", "p"));
}

/* A namespace in the metadata of one does not matter, nor in a question. */
static void test_cluster_scoped(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *x =
      put(o, "v1", "Namespace", "frob", "a", "",
          "'metadata':{'name':'a','labels':{'eastwest.dev/inject':'enabled'}}");
  assert_string_equal(x->namespace_, "");
  assert_ptr_equal(ew_objects_get(o, EW_KIND_NAMESPACE, "", "a"), x);
  assert_ptr_equal(ew_objects_get(o, EW_KIND_NAMESPACE, "other", "a"), x);
}

static void test_faults(void **state) {
#define META "'metadata':{'name':'x','namespace':'a'}"
#define SERVICE(spec) "{'apiVersion':'v1','kind':'Service'," META "," spec "}"
#define POD(rest) "{'apiVersion':'v1','kind':'Pod'," rest "}"
#define SLICE(rest)                                                           \
  "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice'," META "," rest \
  "}"
#define NAMED(meta) "{'apiVersion':'v1','kind':'Pod','metadata':" meta "}"
  static const char *const cases[][2] = {
      {NAMED("{}"), "Pod: metadata.name: absent: must be a string that is not "
                    "empty"},
      {NAMED("[]"), "Pod: metadata: a list of 0: must be an object"},
      {NAMED("{'name':7}"), "Pod: metadata.name: 7: must be a string"},
      {NAMED("{'name':'x/y'}"),
       "Pod default/x/y: metadata.name: 'x/y': must be the name of an object"},
      {NAMED("{'name':'x','namespace':'a/b'}"),
       "Pod a/b/x: metadata.namespace: 'a/b': must be the name of a namespace"},
      {NAMED("{'name':'x','generation':-1}"),
       "Pod default/x: metadata.generation: -1: must be an integer from 0 to "
       "9223372036854775807"},
      {NAMED("{'name':'x','labels':{'eastwest.dev/inject':true}}"),
       "Pod default/x: metadata.labels.eastwest.dev/inject: true: must be a "
       "string"},
      {NAMED("{'name':'x','annotations':{'eastwest.dev/opaque-ports':'80-'}}"),
       "Pod default/x: metadata.annotations.eastwest.dev/opaque-ports: '80-': "
       "must be a list of ports and ranges like '3306,8000-8100'"},
      {NAMED("{'name':'x','annotations':"
             "{'eastwest.dev/skip-inbound-ports':'http'}}"),
       "Pod default/x: metadata.annotations.eastwest.dev/skip-inbound-ports: "
       "'http': must be a list of ports and ranges like '3306,8000-8100'"},
      {POD(META ",'spec':{'hostNetwork':'yes'}"),
       "Pod a/x: spec.hostNetwork: 'yes': must be true or false"},
      {POD(META ",'status':{'podIP':'10.0.0'}"),
       "Pod a/x: status.podIP: '10.0.0': must be an IP address"},
      {POD(META ",'status':{'podIPs':[{'ip':'10.0.0.1'},{'ip':'x'}]}"),
       "Pod a/x: status.podIPs[1]: an object: must be an IP address"},
      {SERVICE("'spec':[]"), "Service a/x: spec: a list of 0: must be an "
                             "object"},
      {SERVICE("'x':1"), "Service a/x: spec: absent: must be an object"},
      {SERVICE("'spec':{'type':'Frob'}"),
       "Service a/x: spec.type: 'Frob': must be one of ClusterIP, NodePort, "
       "LoadBalancer, ExternalName"},
      {SERVICE("'spec':{'clusterIP':'10.0.0.256'}"),
       "Service a/x: spec.clusterIP: '10.0.0.256': must be an IP address"},
      {SERVICE("'spec':{'clusterIPs':['10.0.0.1',2]}"),
       "Service a/x: spec.clusterIPs[1]: 2: must be an IP address"},
      {SERVICE("'spec':{'ports':{}}"),
       "Service a/x: spec.ports: an object: must be a list"},
      {SERVICE("'spec':{'ports':[{'port':80},{'name':'x'}]}"),
       "Service a/x: spec.ports[1].port: absent: must be a port"},
      {SERVICE("'spec':{'ports':[{'port':65536}]}"),
       "Service a/x: spec.ports[0].port: 65536: must be an integer from 1 to "
       "65535"},
      {SERVICE("'spec':{'ports':[7]}"),
       "Service a/x: spec.ports[0]: 7: must be an object"},
      {SLICE("'addressType':'IPv5'"),
       "EndpointSlice a/x: addressType: 'IPv5': must be one of IPv4, IPv6, "
       "FQDN"},
      {SLICE("'endpoints':[{'addresses':['10.0.0.1']},{'addresses':[]}]"),
       "EndpointSlice a/x: endpoints[1].addresses[0]: absent: must be an IP "
       "address"},
      {SLICE("'endpoints':[{'addresses':['::1'],'conditions':{'ready':1}}]"),
       "EndpointSlice a/x: endpoints[0].conditions.ready: 1: must be true or "
       "false"},
      {SLICE("'endpoints':[{'addresses':['::1'],'hints':{'forZones':[{}]}}]"),
       "EndpointSlice a/x: endpoints[0].hints.forZones[0].name: absent: must "
       "be a string that is not empty"},
      {SLICE("'endpoints':[{'addresses':['::1'],'targetRef':{'kind':'Pod'}}]"),
       "EndpointSlice a/x: endpoints[0].targetRef.name: absent: must be a "
       "string that is not empty"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char want[512];
    char *text = quoted(cases[i][1]);
    snprintf(want, sizeof want, "x.yaml:7: %s", text);
    assert_string_equal(fault_of(*state, cases[i][0]), want);
    free(text);
  }
  assert_int_equal(((struct ew_objects *)*state)->changes, 0);
}

static void test_last_good_state(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *x = put_service(o, "a", "x", PORTS_80);
  assert_string_equal(
      fault_of(o, SERVICE("'spec':{'ports':[{'port':'80'}]}")),
      "x.yaml:7: Service a/x: spec.ports[0].port: \"80\": must be an integer "
      "from 1 to 65535 (the last good state stays in force)");
  assert_ptr_equal(ew_objects_get(o, EW_KIND_SERVICE, "a", "x"), x);
  assert_ptr_equal(ew_objects_service_by_ip(o, "10.0.0.1"), x);
  assert_int_equal(o->changes, 1);
}

static void test_long_fault_is_cut(void **state) {
  char why[24];
  json_t *j = json_of(SERVICE("'spec':7"));
  assert_int_equal(ew_objects_upsert(*state, j, "x", why, sizeof why),
                   EW_EINVAL);
  assert_int_equal(strncmp(why, "x: Service a/x: spec: 7: must", 23), 0);
  json_decref(j);
}

static void test_equal_is_no_change(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *x = put_service(o, "a", "x", PORTS_80);
  assert_int_equal(o->changes, 1);
  assert_ptr_equal(put_service(o, "a", "x", PORTS_80), x);
  assert_int_equal(o->changes, 1);
  put_service(o, "a", "x", "[{'port':81}]");
  assert_int_equal(o->changes, 2);
}

static void test_delete(void **state) {
  struct ew_objects *o = *state;
  put_route(o, "HTTPRoute", "a", "r", "", PARENT(""), "[]");
  put(o, "v1", "Namespace", "", "a", "", "'spec':{}");
  assert_int_equal(ew_objects_delete(o, "HTTPRoute", "a", "x"), EW_ENOENT);
  assert_int_equal(ew_objects_delete(o, "HTTPRoute.example.com", "a", "r"),
                   EW_ENOENT);
  assert_int_equal(ew_objects_delete(o, "Frob", "a", "r"), EW_ENOENT);
  assert_int_equal(o->changes, 2);
  assert_int_equal(
      ew_objects_delete(o, "HTTPRoute.gateway.networking.k8s.io", "a", "r"),
      EW_OK);
  assert_int_equal(ew_multimap_get(&o->routes_by_service, "a/echo")->n, 0);
  assert_int_equal(ew_objects_delete(o, "Namespace", "", "a"), EW_OK);
  assert_int_equal(o->changes, 4);
}

static void test_service_by_ip(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *x = put(o, "v1", "Service", "a", "x", "",
                                  "'spec':{'clusterIP':'10.0.0.9',"
                                  "'clusterIPs':['10.0.0.9','FD00:0:0::9']}");
  assert_int_equal(x->u.service.ips_n, 2);
  assert_ptr_equal(ew_objects_service_by_ip(o, "10.0.0.9"), x);
  assert_ptr_equal(ew_objects_service_by_ip(o, "fd00::9"), x);
  assert_ptr_equal(ew_objects_service_by_ip(o, "fd00:0::0009"), x);
  assert_null(ew_objects_service_by_ip(o, "10.0.0.8"));
  assert_null(ew_objects_service_by_ip(o, "frob"));
  put(o, "v1", "Service", "a", "x", "", "'spec':{'clusterIP':'10.0.0.8'}");
  assert_null(ew_objects_service_by_ip(o, "10.0.0.9"));
  assert_null(ew_objects_service_by_ip(o, "fd00::9"));
  assert_non_null(ew_objects_service_by_ip(o, "10.0.0.8"));
}

static void test_service_types(void **state) {
  struct ew_objects *o = *state;
  static const struct {
    const char *spec;
    enum ew_service_type type;
    size_t ips;
  } cases[] = {
      {"{'clusterIP':'10.0.0.9'}", EW_SERVICE_CLUSTER_IP, 1},
      {"{'type':'NodePort','clusterIP':'10.0.0.9'}", EW_SERVICE_CLUSTER_IP, 1},
      {"{'type':'LoadBalancer','clusterIPs':['10.0.0.9']}",
       EW_SERVICE_CLUSTER_IP, 1},
      {"{}", EW_SERVICE_CLUSTER_IP, 0},
      {"{'clusterIP':''}", EW_SERVICE_CLUSTER_IP, 0},
      {"{'clusterIP':'None','clusterIPs':['None']}", EW_SERVICE_HEADLESS, 0},
      {"{'type':'ExternalName','externalName':'x.y'}", EW_SERVICE_EXTERNAL_NAME,
       0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char rest[256];
    snprintf(rest, sizeof rest, "'spec':%s", cases[i].spec);
    const struct ew_object *x = put(o, "v1", "Service", "a", "x", "", rest);
    assert_int_equal(x->u.service.type, cases[i].type);
    assert_int_equal(x->u.service.ips_n, cases[i].ips);
  }
}

static void test_service_ports(void **state) {
  const struct ew_service *s =
      &put_service(*state, "a", "x",
                   "[{'port':80},{'port':53,'name':'dns','protocol':'UDP',"
                   "'appProtocol':''},{'port':81,'protocol':'TCP',"
                   "'appProtocol':'http','targetPort':'x'}]")
           ->u.service;
  assert_int_equal(s->ports_n, 3);
  assert_string_equal(s->ports[0].name, "");
  assert_true(s->ports[0].tcp);
  assert_null(s->ports[0].app_protocol);
  assert_string_equal(s->ports[1].name, "dns");
  assert_false(s->ports[1].tcp);
  assert_null(s->ports[1].app_protocol);
  assert_true(s->ports[2].tcp);
  assert_string_equal(s->ports[2].app_protocol, "http");
}

/* For a moment two pods have an address: the newest counts. */
static void test_pod_by_ip(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *old =
      put_pod(o, "old", "2001-01-01T00:00:00Z", "10.1.0.1", "");
  const struct ew_object *new =
      put_pod(o, "new", "2002-01-01T00:00:00Z", "10.1.0.1", "");
  assert_ptr_equal(ew_objects_pod_by_ip(o, "10.1.0.1"), new);
  put_pod(o, "older", "2000-01-01T00:00:00Z", "10.1.0.1", "");
  assert_ptr_equal(ew_objects_pod_by_ip(o, "10.1.0.1"), new);
  assert_int_equal(ew_objects_delete(o, "Pod", "a", "new"), EW_OK);
  assert_ptr_equal(ew_objects_pod_by_ip(o, "10.1.0.1"), old);
}

static void test_pods_without_an_address_of_their_own(void **state) {
  struct ew_objects *o = *state;
  static const char *const rest[] = {
      "'spec':{'hostNetwork':true},'status':{'podIP':'10.1.0.1'}",
      "'status':{'podIP':'10.1.0.1','phase':'Succeeded'}",
      "'status':{'podIP':'10.1.0.1','phase':'Failed'}",
      "'status':{'phase':'Pending'}", "'status':{'podIP':'','podIPs':[]}"};
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
    put(o, "v1", "Pod", "a", "x", "", rest[i]);
    assert_null(ew_objects_pod_by_ip(o, "10.1.0.1"));
  }
}

static void test_pod(void **state) {
  struct ew_objects *o = *state;
  const struct ew_object *x =
      put(o, "v1", "Pod", "a", "x", "",
          "'spec':{'serviceAccountName':'me'},'status':{'phase':'Running',"
          "'podIP':'10.1.0.1','podIPs':[{'ip':'10.1.0.1'},{'ip':'fd01::1'}]}");
  assert_string_equal(x->u.pod.service_account, "me");
  assert_false(x->u.pod.ended || x->u.pod.host_network || x->u.pod.has_opaque);
  assert_int_equal(x->u.pod.ips_n, 2);
  assert_ptr_equal(ew_objects_pod_by_ip(o, "fd01:0::1"), x);
  x = put(o, "v1", "Pod", "a", "x", "", "'spec':{'serviceAccountName':''}");
  assert_string_equal(x->u.pod.service_account, "default");
  assert_null(ew_objects_pod_by_ip(o, "10.1.0.1"));
}

static void set_namespace(struct ew_objects *o, const char *inject) {
  char text[256];
  snprintf(text, sizeof text,
           "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'a',"
           "'labels':{'eastwest.dev/inject':'%s'}}}",
           inject);
  assert_int_equal(rc_of(o, text), EW_OK);
}

static bool injected(struct ew_objects *o, const char *label,
                     const char *spec) {
  char text[256];
  snprintf(text, sizeof text,
           "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p',"
           "'namespace':'a','labels':{'eastwest.dev/inject':'%s'}},"
           "'spec':{%s}}",
           label, spec);
  assert_int_equal(rc_of(o, text), EW_OK);
  return ew_objects_injected(o, ew_objects_get(o, EW_KIND_POD, "a", "p"));
}

static void test_injected(void **state) {
  struct ew_objects *o = *state;
  assert_false(injected(o, "", ""));
  assert_true(injected(o, "enabled", ""));
  set_namespace(o, "enabled");
  assert_true(injected(o, "", ""));
  assert_true(injected(o, "frob", ""));
  assert_false(injected(o, "disabled", ""));
  assert_false(injected(o, "enabled", "'hostNetwork':true"));
  set_namespace(o, "disabled");
  assert_false(injected(o, "", ""));
  assert_true(injected(o, "enabled", ""));
  /* What is seen beats what labels say. */
  assert_true(injected(o, "disabled", "},'eastwest.dev/sidecar':true,'x':{"));
  assert_false(injected(o, "enabled", "},'eastwest.dev/sidecar':false,'x':{"));
}

static const struct ew_object *put_annotated(struct ew_objects *o,
                                             const char *ports) {
  char text[512];
  snprintf(text, sizeof text,
           "{'apiVersion':'v1','kind':'Service','metadata':{'name':'x',"
           "'annotations':{'eastwest.dev/opaque-ports':'%s'}},'spec':{}}",
           ports);
  assert_string_equal(fault_of(o, text), "");
  return ew_objects_get(o, EW_KIND_SERVICE, "default", "x");
}

static void test_ports(void **state) {
  const struct ew_service *s =
      &put_annotated(*state, " 25 , 8000 - 8100,65535,,1")->u.service;
  static const uint16_t in[] = {1, 25, 8000, 8050, 8100, 65535};
  static const uint16_t out[] = {2, 24, 26, 7999, 8101, 65534};
  assert_true(s->has_opaque);
  for (size_t i = 0; i < 6; i++) {
    assert_true(ew_ports_have(&s->opaque, in[i]));
    assert_false(ew_ports_have(&s->opaque, out[i]));
  }
  s = &put_annotated(*state, "")->u.service;
  assert_true(s->has_opaque);
  assert_false(ew_ports_have(&s->opaque, 25));
}

static void test_faulty_ports(void **state) {
  static const char *const bad[] = {"0",  "65536",  "1-65536", "8100-8000",
                                    "-1", "1-2-3",  "1 2",     "http",
                                    "+1", "80;443", "0x50",    "1-"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[512];
    snprintf(text, sizeof text,
             "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'x',"
             "'annotations':{'eastwest.dev/opaque-ports':'80,%s'}}}",
             bad[i]);
    assert_non_null(strstr(fault_of(*state, text), "must be a list of ports"));
  }
}

static const struct ew_endpoint_slice *put_slice(struct ew_objects *o,
                                                 const char *rest) {
  char text[2048];
  snprintf(text, sizeof text,
           "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice',"
           "'metadata':{'name':'s','namespace':'a','labels':"
           "{'kubernetes.io/service-name':'echo'}},%s}",
           rest);
  assert_string_equal(fault_of(o, text), "");
  return &ew_objects_get(o, EW_KIND_ENDPOINT_SLICE, "a", "s")->u.slice;
}

static void test_slice(void **state) {
  struct ew_objects *o = *state;
  const struct ew_endpoint_slice *s = put_slice(
      o, "'addressType':'IPv6','ports':[{'name':'x'},{'port':80}],'endpoints':["
         "{'addresses':['FD00:0::1'],'zone':'z','targetRef':{'kind':'Pod',"
         "'name':'p'}},{'addresses':['fd00::2'],'zone':'z','hints':{'forZones':"
         "[{'name':'y'}]},'targetRef':{'kind':'Node','name':'n'}},"
         "{'addresses':['fd00::3'],'targetRef':{'kind':'Pod','name':'q',"
         "'namespace':'b'}}]");
  assert_string_equal(s->service, "echo");
  assert_true(s->ipv6);
  assert_int_equal(s->ports_n, 2);
  assert_int_equal(s->ports[0].port, 0);
  assert_int_equal(s->endpoints_n, 3);
  assert_string_equal(s->endpoints[0].address, "fd00::1");
  assert_string_equal(s->endpoints[0].zone, "z");
  assert_string_equal(s->endpoints[0].pod_namespace, "a");
  assert_string_equal(s->endpoints[0].pod, "p");
  assert_true(s->endpoints[0].ready && !s->endpoints[0].hinted);
  assert_string_equal(s->endpoints[1].zone, "y");
  assert_true(s->endpoints[1].hinted);
  assert_null(s->endpoints[1].pod);
  assert_null(s->endpoints[2].zone);
  assert_int_equal(ew_multimap_get(&o->slices_by_service, "a/echo")->n, 1);
  assert_int_equal(ew_multimap_get(&o->slices_by_pod, "a/p")->n, 1);
  assert_int_equal(ew_multimap_get(&o->slices_by_pod, "b/q")->n, 1);
  put_slice(o, "'addressType':'IPv4'");
  assert_int_equal(ew_multimap_get(&o->slices_by_pod, "a/p")->n, 0);
}

static void test_ready(void **state) {
  static const struct {
    const char *conditions;
    bool ready;
  } cases[] = {{"{}", true},
               {"{'ready':true}", true},
               {"{'ready':null}", true},
               {"{'ready':false}", false},
               {"{'ready':true,'serving':true,'terminating':true}", false},
               {"{'ready':true,'serving':false}", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char rest[256];
    snprintf(rest, sizeof rest,
             "'endpoints':[{'addresses':['10.0.0.1'],'conditions':%s}]",
             cases[i].conditions);
    assert_int_equal(put_slice(*state, rest)->endpoints[0].ready,
                     cases[i].ready);
  }
}

static void test_slice_of_names_has_no_endpoints(void **state) {
  const struct ew_endpoint_slice *s = put_slice(
      *state, "'addressType':'FQDN','endpoints':[{'addresses':['x.y']}]");
  assert_null(s->service);
  assert_int_equal(s->endpoints_n, 0);
}

/* One entry per Service, however many parentRefs name it. */
static void test_routes_by_service(void **state) {
  struct ew_objects *o = *state;
  put_route(o, "HTTPRoute", "a", "r", "",
            "[{'group':'','kind':'Service','name':'echo','port':80},"
            "{'group':'','kind':'Service','name':'echo','port':81},"
            "{'group':'','kind':'Service','name':'echo','namespace':'b'},"
            "{'name':'gateway'}]",
            "[]");
  assert_int_equal(ew_multimap_get(&o->routes_by_service, "a/echo")->n, 1);
  assert_int_equal(ew_multimap_get(&o->routes_by_service, "b/echo")->n, 1);
  assert_int_equal(ew_multimap_get(&o->routes_by_service, "a/gateway")->n, 0);
  put_route(o, "HTTPRoute", "a", "r", "", PARENT(",'namespace':'b'"), "[]");
  assert_int_equal(ew_multimap_get(&o->routes_by_service, "a/echo")->n, 0);
  assert_int_equal(ew_multimap_get(&o->routes_by_service, "b/echo")->n, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_kinds),
      OBJECTS_TEST(test_any_version_of_the_api),
      OBJECTS_TEST(test_head),
      OBJECTS_TEST(test_cluster_scoped),
      OBJECTS_TEST(test_faults),
      OBJECTS_TEST(test_last_good_state),
      OBJECTS_TEST(test_long_fault_is_cut),
      OBJECTS_TEST(test_equal_is_no_change),
      OBJECTS_TEST(test_delete),
      OBJECTS_TEST(test_service_by_ip),
      OBJECTS_TEST(test_service_types),
      OBJECTS_TEST(test_service_ports),
      OBJECTS_TEST(test_pod_by_ip),
      OBJECTS_TEST(test_pods_without_an_address_of_their_own),
      OBJECTS_TEST(test_pod),
      OBJECTS_TEST(test_injected),
      OBJECTS_TEST(test_ports),
      OBJECTS_TEST(test_faulty_ports),
      OBJECTS_TEST(test_slice),
      OBJECTS_TEST(test_ready),
      OBJECTS_TEST(test_slice_of_names_has_no_endpoints),
      OBJECTS_TEST(test_routes_by_service),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
