/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eastwest/model/destination.h"

/* Takes |d|. */
static void expect_text(struct ew_destination *d, const char *want) {
  size_t n;
  char *text = ew_destination_to_json(d, &n);
  assert_string_equal(text, want);
  assert_int_equal(n, strlen(want));
  free(text);
  ew_destination_unref(d);
}

static void test_empty(void **state) {
  expect_text(ew_destination_new(), "{\"kind\":\"unknown\"}");
}

/* States are compared as text: what has its default is never written. */
static void test_defaults_are_left_out(void **state) {
  struct ew_destination *d = ew_destination_new();
  const struct ew_backend_ref ref = {.backend = 0, .weight = 1};
  const struct ew_filter filters[] = {
      {.type = EW_FILTER_REQUEST_HEADERS},
      {.type = EW_FILTER_REDIRECT, .u.location = {.status = 302}},
      {.type = EW_FILTER_REWRITE},
      {.type = EW_FILTER_MIRROR, .u.mirror = {0, 1, 1}},
      {.type = EW_FILTER_CORS, .u.cors = {.max_age_s = 5}},
      {.type = EW_FILTER_INVALID},
  };
  const struct ew_rule rule = {.route_kind = "HTTPRoute",
                               .route_namespace = "n",
                               .route_name = "r",
                               .filters = filters,
                               .filters_n = 6,
                               .backends = &ref,
                               .backends_n = 1,
                               .has_retry = true,
                               .retry = {.attempts = 1}};
  const struct ew_match matches[] = {
      {.rule = 0},
      {.path_type = EW_MATCH_EXACT, .path = "/", .grpc_service = NULL}};
  const struct ew_backend backend = {.kind = "Service"};
  d->kind = EW_DEST_POD;
  d->rules = &rule;
  d->matches = matches;
  d->backends = &backend;
  d->rules_n = d->backends_n = 1;
  d->matches_n = 2;
  expect_text(
      d, "{\"kind\":\"pod\",\"rules\":[{\"route\":{\"kind\":\"HTTPRoute\","
         "\"namespace\":\"n\",\"name\":\"r\"},\"filters\":["
         "{\"type\":\"RequestHeaderModifier\"},{\"type\":\"RequestRedirect\"},"
         "{\"type\":\"URLRewrite\"},{\"type\":\"RequestMirror\",\"backend\":0},"
         "{\"type\":\"CORS\"},{\"type\":\"Invalid\"}],"
         "\"backends\":[{\"backend\":0}],\"retry\":{}}],"
         "\"matches\":[{\"rule\":0},{\"rule\":0,\"path\":{\"value\":\"/\"}}],"
         "\"backends\":[{}]}");
}

/* 0 is not the default of these. */
static void test_zero_is_written(void **state) {
  struct ew_destination *d = ew_destination_new();
  const struct ew_filter filters[] = {
      {.type = EW_FILTER_MIRROR, .u.mirror = {0, 0, 100}},
      {.type = EW_FILTER_CORS, .u.cors = {.max_age_s = 0}},
  };
  const struct ew_backend_ref ref = {
      .backend = 0, .weight = 0, .filters = filters, .filters_n = 2};
  const struct ew_rule rule = {
      .backends = &ref, .backends_n = 1, .has_retry = true};
  const struct ew_backend backend = {.kind = NULL, .name = ""};
  d->l4_rules = &rule;
  d->backends = &backend;
  d->l4_rules_n = d->backends_n = 1;
  d->default_backend = 0;
  expect_text(d, "{\"kind\":\"unknown\",\"l4Rules\":[{\"route\":{},"
                 "\"backends\":[{\"backend\":0,\"weight\":0,\"filters\":["
                 "{\"type\":\"RequestMirror\",\"backend\":0,\"numerator\":0,"
                 "\"denominator\":100},{\"type\":\"CORS\",\"maxAge\":0}]}],"
                 "\"retry\":{\"attempts\":0}}],\"backends\":[{\"name\":\"\"}],"
                 "\"defaultBackend\":0}");
}

static void test_half_a_grpc_match(void **state) {
  struct ew_destination *d = ew_destination_new();
  const struct ew_match matches[] = {{.grpc_service = "s"},
                                     {.grpc_method = "m"}};
  d->matches = matches;
  d->matches_n = 2;
  expect_text(d, "{\"kind\":\"unknown\",\"matches\":["
                 "{\"rule\":0,\"grpc\":{\"service\":\"s\"}},"
                 "{\"rule\":0,\"grpc\":{\"method\":\"m\"}}]}");
}

/* One line, whatever the strings hold: the stream is one object a line. */
static void test_strings_are_escaped(void **state) {
  struct ew_destination *d = ew_destination_new();
  d->name = "a\"\\\n\x01\x7f\xc3\xa9";
  d->version = INT64_MAX;
  d->protocol = EW_PROTO_OPAQUE;
  expect_text(d, "{\"version\":9223372036854775807,\"kind\":\"unknown\","
                 "\"name\":\"a\\\"\\\\\\n\\u0001\x7f\xc3\xa9\","
                 "\"protocol\":\"opaque\"}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_defaults_are_left_out),
      cmocka_unit_test(test_zero_is_written),
      cmocka_unit_test(test_half_a_grpc_match),
      cmocka_unit_test(test_strings_are_escaped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
