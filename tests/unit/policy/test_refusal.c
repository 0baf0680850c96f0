/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/refusal.h"

#include "policy_test.h"

static void every_reason_is_complete(void **state) {
  for (int r = EW_REFUSE_NONE + 1; r < EW_REFUSE_COUNT; r++) {
    enum ew_refusal x = (enum ew_refusal)r;
    struct ew_slice name = ew_slice_str(ew_refusal_name(x));
    assert_true(ew_is_token(name));
    assert_in_range(ew_refusal_status(x), 400, 599);
    assert_in_range(ew_refusal_grpc(x), 1, 16);
    assert_true(strlen(ew_refusal_text(x)) > 10);
    for (int k = r + 1; k < EW_REFUSE_COUNT; k++)
      assert_string_not_equal(name.p, ew_refusal_name((enum ew_refusal)k));
  }
  assert_string_equal(ew_refusal_name(EW_REFUSE_NONE), "");
}

static void statuses(void **state) {
  static const struct {
    enum ew_refusal r;
    int http, grpc;
  } t[] = {
      {EW_REFUSE_NO_ROUTE, 404, 12},
      {EW_REFUSE_NO_BACKENDS, 500, 14},
      {EW_REFUSE_INVALID_FILTER, 500, 14},
      {EW_REFUSE_CONNECT_FAILED, 503, 14},
      {EW_REFUSE_UPSTREAM_RESET, 502, 14},
      {EW_REFUSE_REQUEST_TIMEOUT, 504, 4},
      {EW_REFUSE_BACKEND_TIMEOUT, 504, 4},
      {EW_REFUSE_DENIED, 403, 7},
      {EW_REFUSE_BAD_REQUEST, 400, 13},
      {EW_REFUSE_OVERLOAD, 503, 8},
      {EW_REFUSE_UPSTREAM_PROTOCOL, 502, 14},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    assert_int_equal(ew_refusal_status(t[i].r), t[i].http);
    assert_int_equal(ew_refusal_grpc(t[i].r), t[i].grpc);
  }
}

static void gamma_rule_19_invalid_500_and_no_endpoints_503(void **state) {
  assert_int_equal(ew_refusal_status(EW_REFUSE_INVALID_BACKEND), 500);
  assert_int_equal(ew_refusal_status(EW_REFUSE_NO_ENDPOINTS), 503);
}

static void from_status(void **state) {
  assert_int_equal(ew_refusal_from_status(400), EW_REFUSE_BAD_REQUEST);
  assert_int_equal(ew_refusal_from_status(408), EW_REFUSE_HEAD_TIMEOUT);
  assert_int_equal(ew_refusal_from_status(414), EW_REFUSE_TARGET_TOO_LONG);
  assert_int_equal(ew_refusal_from_status(431), EW_REFUSE_HEAD_TOO_LARGE);
  assert_int_equal(ew_refusal_from_status(502), EW_REFUSE_UPSTREAM_PROTOCOL);
  assert_int_equal(ew_refusal_from_status(0), EW_REFUSE_BAD_REQUEST);
}

static void http_response_names_where_it_happened(void **state) {
  struct ew_destination d = {.kind = EW_DEST_SERVICE,
                             .namespace_ = "shop",
                             .name = "cart",
                             .port = 80};
  struct ew_rule rule = {.route_kind = "HTTPRoute",
                         .route_namespace = "shop",
                         .route_name = "split",
                         .index = 2};
  struct ew_backend b = {
      .kind = "Service", .namespace_ = "shop", .name = "cart-v2", .port = 8080};
  struct ew_refusal_site site = {&d, &rule, &b, "BackendNotFound"};
  struct ew_slice body;
  struct ew_message *m =
      ew_refusal_response(EW_REFUSE_INVALID_BACKEND, false, &site, &body);
  assert_int_equal(m->status, 500);
  assert_int_equal(m->body, EW_BODY_LENGTH);
  assert_int_equal(m->content_length, body.n);
  assert_header(m, "content-type", "text/plain; charset=utf-8");
  assert_header(m, EW_REFUSAL_HEADER, "invalid-backend");
  assert_slice(body,
               "eastwest: invalid-backend: the backend of the rule is invalid "
               "(BackendNotFound); Service shop/cart:80; HTTPRoute shop/split "
               "rule 2; backend Service shop/cart-v2:8080\n");
  ew_message_del(m);
  /* With less. */
  rule.name = "named";
  rule.route_namespace = rule.route_kind = b.kind = b.namespace_ = NULL;
  d.kind = EW_DEST_POD;
  site.detail = NULL;
  m = ew_refusal_response(EW_REFUSE_NO_ENDPOINTS, false, &site, &body);
  assert_slice(body, "eastwest: no-endpoints: the backend has no ready "
                     "endpoint; Pod shop/cart:80; object /split rule named; "
                     "backend Service /cart-v2:8080\n");
  ew_message_del(m);
  m = ew_refusal_response(EW_REFUSE_LOOP, false, NULL, &body);
  assert_slice(body, "eastwest: loop: the request came back to where it was\n");
  ew_message_del(m);
}

static void grpc_response_is_trailers_only(void **state) {
  struct ew_refusal_site site = {.detail = "100%\xc3\xa9"};
  struct ew_slice body;
  struct ew_message *m =
      ew_refusal_response(EW_REFUSE_NO_ROUTE, true, &site, &body);
  assert_int_equal(m->status, 200);
  assert_int_equal(m->body, EW_BODY_NONE);
  assert_int_equal(body.n, 0);
  assert_header(m, "content-type", "application/grpc");
  assert_header(m, "grpc-status", "12");
  assert_header(m, "grpc-message",
                "eastwest: no-route: no rule of the attached routes matches "
                "(100%25%C3%A9)");
  assert_header(m, EW_REFUSAL_HEADER, "no-route");
  ew_message_del(m);
}

static void gamma_rule_18_invalid_rules_are_unavailable_to_grpc(void **state) {
  struct ew_slice body;
  static const enum ew_refusal r[] = {EW_REFUSE_INVALID_BACKEND,
                                      EW_REFUSE_INVALID_MATCH,
                                      EW_REFUSE_NO_BACKENDS};
  for (size_t i = 0; i < COUNT(r); i++) {
    struct ew_message *m = ew_refusal_response(r[i], true, NULL, &body);
    assert_header(m, "grpc-status", "14");
    ew_message_del(m);
  }
}

static void an_overlong_text_is_left_out(void **state) {
  static char longer[3000];
  memset(longer, 'x', sizeof longer - 1);
  struct ew_refusal_site site = {.detail = longer};
  struct ew_slice body;
  struct ew_message *m =
      ew_refusal_response(EW_REFUSE_DENIED, false, &site, &body);
  assert_slice(body, "eastwest: denied: the peer is not allowed to do this\n");
  ew_message_del(m);
}

static void what_grpc_is(void **state) {
  static const struct {
    const char *type;
    bool yes;
  } t[] = {
      {"application/grpc", true},
      {"application/grpc+proto", true},
      {"application/grpc; x=y", true},
      {"Application/GRPC", true},
      {"application/grpc ;x", true},
      {"application/grpc-web", false},
      {"application/grpcx", false},
      {"application/json", false},
      {"", false},
  };
  for (size_t i = 0; i < COUNT(t); i++) {
    struct ew_message *m = request("/");
    put(m, "content-type", t[i].type);
    if (ew_is_grpc(m) != t[i].yes)
      fail_msg("%s", t[i].type);
    ew_message_del(m);
  }
  struct ew_message *m = request("/");
  assert_false(ew_is_grpc(m));
  ew_message_del(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_reason_is_complete),
      cmocka_unit_test(statuses),
      cmocka_unit_test(gamma_rule_19_invalid_500_and_no_endpoints_503),
      cmocka_unit_test(from_status),
      cmocka_unit_test(http_response_names_where_it_happened),
      cmocka_unit_test(grpc_response_is_trailers_only),
      cmocka_unit_test(gamma_rule_18_invalid_rules_are_unavailable_to_grpc),
      cmocka_unit_test(an_overlong_text_is_left_out),
      cmocka_unit_test(what_grpc_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
