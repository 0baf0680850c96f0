/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

static void test_names(void **state) {
  (void)state;
  static const struct {
    const char *name;
    enum ew_protocol protocol;
  } cases[] = {
      {NULL, EW_PROTO_DETECT},
      {"", EW_PROTO_DETECT},
      {"example.com/frob", EW_PROTO_DETECT},
      {"http", EW_PROTO_HTTP},
      {"HTTP", EW_PROTO_HTTP},
      {"http ", EW_PROTO_DETECT},
      {"kubernetes.io/ws", EW_PROTO_HTTP1},
      {"kubernetes.io/h2c", EW_PROTO_HTTP2},
      {"Kubernetes.io/H2C", EW_PROTO_HTTP2},
      {"h2c", EW_PROTO_HTTP2},
      {"http2", EW_PROTO_HTTP2},
      {"grpc", EW_PROTO_HTTP2},
      {"kubernetes.io/wss", EW_PROTO_TLS},
      {"https", EW_PROTO_TLS},
      {"tls", EW_PROTO_TLS},
      {"grpcs", EW_PROTO_TLS},
      {"tcp", EW_PROTO_OPAQUE},
      {"mysql", EW_PROTO_OPAQUE},
      {"smtp", EW_PROTO_OPAQUE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(ew_app_protocol(cases[i].name), cases[i].protocol);
}

/* Annotations, NULL: none. */
static enum ew_protocol port_80(struct ew_objects *o, const char *app,
                                const char *on_service,
                                const char *on_namespace) {
  char rest[512], annotation[128] = "{}";
  if (on_service)
    snprintf(annotation, sizeof annotation,
             "{'eastwest.dev/opaque-ports':'%s'}", on_service);
  snprintf(rest, sizeof rest,
           "'metadata':{'name':'x','namespace':'a','annotations':%s},"
           "'spec':{'ports':[{'port':80,'appProtocol':'%s'}]}",
           annotation, app);
  const struct ew_object *s = put(o, "v1", "Service", "a", "x", "", rest);
  if (on_namespace) {
    snprintf(rest, sizeof rest,
             "'metadata':{'name':'a','annotations':"
             "{'eastwest.dev/opaque-ports':'%s'}}",
             on_namespace);
    put(o, "v1", "Namespace", "", "a", "", rest);
  }
  return ew_service_port_protocol(o, s, &s->u.service.ports[0]);
}

static void test_order_of_sources(void **state) {
  struct ew_objects *o = *state;
  assert_int_equal(port_80(o, "", NULL, NULL), EW_PROTO_DETECT);
  assert_int_equal(port_80(o, "", "79-81", NULL), EW_PROTO_OPAQUE);
  assert_int_equal(port_80(o, "", NULL, "80"), EW_PROTO_OPAQUE);
  assert_int_equal(port_80(o, "", NULL, "81"), EW_PROTO_DETECT);
  /* An empty annotation of its own takes a Service out. */
  assert_int_equal(port_80(o, "", "", "80"), EW_PROTO_DETECT);
  assert_int_equal(port_80(o, "", "443", "80"), EW_PROTO_DETECT);
  assert_int_equal(port_80(o, "http", "80", "80"), EW_PROTO_HTTP);
  /* It is there, but tells nothing that is known. */
  assert_int_equal(port_80(o, "example.com/frob", "80", "80"), EW_PROTO_DETECT);
}

static void test_routable(void **state) {
  (void)state;
  static const enum ew_protocol good[] = {EW_PROTO_DETECT, EW_PROTO_HTTP1,
                                          EW_PROTO_HTTP2, EW_PROTO_HTTP,
                                          EW_PROTO_OPAQUE};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_true(ew_protocol_routable(good[i]));
  assert_false(ew_protocol_routable(EW_PROTO_TLS));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OBJECTS_TEST(test_names),
      OBJECTS_TEST(test_order_of_sources),
      OBJECTS_TEST(test_routable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
