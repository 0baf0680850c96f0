/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kube_test.h"

#include "eastwest/kube/watch.h"

struct seen {
  struct api api;
  struct ew_kube *k;
  struct ew_kube_watch *w;
  char log[4096]; /* "+ns/name@version(apiVersion) -ns/name ..." */
  unsigned synced;
};

static const struct ew_kube_watch_opts things = {
    .path = "/api/v1/things", .api_version = "v1", .kind = "Thing"};

static const char *text(const json_t *o, const char *name) {
  const char *s = json_string_value(json_object_get(o, name));
  return s ? s : "";
}

static void note(struct seen *s, const char *what) {
  size_t n = strlen(s->log);
  snprintf(s->log + n, sizeof(s->log) - n, "%s ", what);
}

static void on_object(void *arg, json_t *o) {
  const json_t *meta = json_object_get(o, "metadata");
  char line[256];
  assert_string_equal(text(o, "kind"), "Thing");
  assert_null(json_object_get(meta, "managedFields"));
  snprintf(line, sizeof(line), "+%s/%s@%s(%s)", text(meta, "namespace"),
           text(meta, "name"), text(meta, "resourceVersion"),
           text(o, "apiVersion"));
  note(arg, line);
}

static void on_delete(void *arg, const char *ns, const char *name) {
  char line[256];
  snprintf(line, sizeof(line), "-%s/%s", ns, name);
  note(arg, line);
}

static void on_synced(void *arg) {
  ((struct seen *)arg)->synced++;
  note(arg, "synced");
}

static void begin(struct seen *s, const struct ew_kube_watch_opts *opts) {
  static const struct ew_kube_watch_events events = {on_object, on_delete,
                                                     on_synced};
  memset(s, 0, sizeof(*s));
  api_init(&s->api);
  s->k = ew_kube_new(s->api.l, &(struct ew_kube_opts){.server = s->api.url});
  s->w = ew_kube_watch_new(s->k, s->api.l, opts, &events, s);
}

static void finish(struct seen *s) {
  ew_kube_watch_del(s->w);
  ew_kube_del(s->k);
  api_fini(&s->api);
}

/* All that was told since the last time. */
static void expect(struct seen *s, const char *log) {
  RUN_UNTIL(s->api.l, strlen(s->log) >= strlen(log));
  assert_string_equal(s->log, log);
  s->log[0] = '\0';
}

#define META(ns, name, version)                              \
  "{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name \
  "\",\"resourceVersion\":\"" version "\",\"managedFields\":[{}]}}"
#define LIST(version, more, items)                                          \
  "{\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" more \
  "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define GET_LIST "GET /api/v1/things?limit=500"
#define GET_WATCH(version)                               \
  "GET /api/v1/things?watch=1&allowWatchBookmarks=true&" \
  "resourceVersion=" version "&timeoutSeconds="

static void test_a_list_and_its_events(void **state) {
  struct seen s;
  (void)state;
  begin(&s, &things);
  api_answer(&s.api, GET_LIST, 200,
             LIST("7", "", META("a", "x", "3") "," META("", "y", "5")));
  expect(&s, "+a/x@3(v1) +/y@5(v1) synced ");
  struct ew_httpd_request *r = api_stream(&s.api, GET_WATCH("7"));
  api_write(r, EVENT("ADDED", META("a", "z", "8")));
  expect(&s, "+a/z@8(v1) ");
  api_write(r, EVENT("MODIFIED", META("a", "x", "9"))
                   EVENT("DELETED", META("", "y", "10")));
  expect(&s, "+a/x@9(v1) -/y ");
  /* In two pieces, and one without a name. */
  api_write(r, "\n" EVENT("ADDED", "{\"metadata\":{}}") "{\"type\":\"DEL");
  ew_loop_run_once(s.api.l, 20);
  api_write(r, "ETED\",\"object\":" META("a", "z", "11") "}\n");
  expect(&s, "-a/z ");
  api_write(r, EVENT("BOOKMARK", META("", "", "40")));
  /* It ends soon, so the next one waits a little. */
  api_end(&s.api, r);
  api_stream(&s.api, GET_WATCH("40"));
  assert_int_equal(s.synced, 1);
  assert_int_equal(ew_kube_watch_faults(s.w), 0);
  finish(&s);
}

static void test_pages_and_a_selector(void **state) {
  struct ew_kube_watch_opts opts = things;
  struct seen s;
  (void)state;
  opts.selector = "labelSelector=a%3Db";
  begin(&s, &opts);
  api_answer(&s.api, GET_LIST "&labelSelector=a%3Db", 200,
             LIST("7", "more", META("a", "x", "3")));
  expect(&s, "+a/x@3(v1) ");
  /* A page that fails is asked for again. */
  api_answer(&s.api, GET_LIST "&continue=more&labelSelector=a%3Db", 500, "");
  api_answer(&s.api, GET_LIST "&continue=more&", 200,
             LIST("7", "", META("a", "y", "4")));
  expect(&s, "+a/y@4(v1) synced ");
  api_take(&s.api, GET_WATCH("7"));
  assert_int_equal(ew_kube_watch_faults(s.w), 1);
  finish(&s);
}

static void test_one_object_by_its_name(void **state) {
  static const char by_name[] = "&fieldSelector=metadata.name%3Dx";
  struct ew_kube_watch_opts opts = things;
  struct seen s;
  char path[200];
  (void)state;
  opts.name = "x";
  begin(&s, &opts);
  snprintf(path, sizeof(path), GET_LIST "%s", by_name);
  api_answer(&s.api, path, 200, LIST("7", "", META("a", "x", "3")));
  expect(&s, "+a/x@3(v1) synced ");
  struct ew_httpd_request *r = api_take(&s.api, GET_WATCH("7"));
  struct ew_slice asked = ew_httpd_head(r)->path;
  size_t n = strlen(by_name);
  assert_true(asked.n > n);
  assert_memory_equal(asked.p + asked.n - n, by_name, n);
  finish(&s);
}

static void list_two(struct seen *s) {
  begin(s, &things);
  api_answer(&s->api, GET_LIST, 200,
             LIST("7", "", META("a", "x", "3") "," META("a", "y", "5")));
  expect(s, "+a/x@3(v1) +a/y@5(v1) synced ");
}

static void list_one(struct seen *s) {
  api_answer(&s->api, GET_LIST, 200, LIST("20", "", META("a", "x", "3")));
  expect(s, "+a/x@3(v1) -a/y ");
  api_take(&s->api, GET_WATCH("20"));
  assert_int_equal(s->synced, 1);
}

static void test_410_as_status_lists_again(void **state) {
  struct seen s;
  (void)state;
  list_two(&s);
  api_answer(&s.api, GET_WATCH("7"), 410, "{}");
  list_one(&s);
  finish(&s);
}

static void again_after(const char *bytes) {
  struct seen s;
  list_two(&s);
  struct ew_httpd_request *r = api_stream(&s.api, GET_WATCH("7"));
  api_write(r, bytes);
  api_remove(&s.api, r);
  list_one(&s);
  assert_int_equal(ew_kube_watch_faults(s.w), 1);
  finish(&s);
}

static void test_an_error_event_lists_again(void **state) {
  (void)state;
  again_after(EVENT("ERROR", "{\"code\":410,\"message\":\"old\"}")
                  EVENT("ADDED", META("a", "not-seen", "9")));
  again_after("no JSON\n");
}

static void test_an_event_that_is_too_long_lists_again(void **state) {
  size_t n = EW_KUBE_EVENT_MAX + 2;
  char *large = malloc(n + 1);
  (void)state;
  assert_non_null(large);
  memset(large, 'x', n);
  large[n] = '\0';
  again_after(large);
  free(large);
}

static void test_410_of_a_page_begins_again(void **state) {
  struct seen s;
  (void)state;
  begin(&s, &things);
  api_answer(&s.api, GET_LIST, 200, LIST("7", "m", META("a", "x", "3")));
  api_answer(&s.api, GET_LIST "&continue=m", 410, "{}");
  api_answer(&s.api, GET_LIST, 200, LIST("8", "", META("a", "y", "4")));
  expect(&s, "+a/x@3(v1) +a/y@4(v1) -a/x synced ");
  finish(&s);
}

static void test_answers_that_can_not_be_used(void **state) {
  char *large = malloc(8192);
  struct seen s;
  (void)state;
  assert_non_null(large);
  snprintf(large, 8192, LIST("7", "%04000d", META("a", "x", "3")), 1);
  begin(&s, &things);
  api_answer(&s.api, GET_LIST, 200, "no JSON");
  api_answer(&s.api, GET_LIST, 200, "{\"items\":7}");
  api_answer(&s.api, GET_LIST, 200, LIST("", "", ""));
  api_answer(&s.api, GET_LIST, 200, large);
  api_take(&s.api, GET_LIST);
  assert_string_equal(s.log, "");
  assert_int_equal(ew_kube_watch_faults(s.w), 4);
  free(large);
  finish(&s);
}

static void test_a_broken_watch_goes_on_where_it_was(void **state) {
  char at[EW_ADDR_STR];
  struct seen s;
  (void)state;
  list_two(&s);
  struct ew_httpd_request *r = api_stream(&s.api, GET_WATCH("7"));
  api_write(r, EVENT("ADDED", META("a", "z", "8")) "{\"type\":");
  expect(&s, "+a/z@8(v1) ");
  ew_addr_str(&s.api.at, at);
  ew_httpd_del(s.api.d);
  RUN_UNTIL(s.api.l, ew_kube_watch_faults(s.w) >= 2);
  api_listen(&s.api, at);
  r = api_stream(&s.api, GET_WATCH("8"));
  api_write(r, EVENT("ADDED", META("a", "q", "9")));
  expect(&s, "+a/q@9(v1) ");
  finish(&s);
}

static void test_a_resource_that_is_not_there(void **state) {
  struct seen s;
  (void)state;
  begin(&s, &things);
  api_answer(&s.api, GET_LIST, 404, "");
  expect(&s, "synced ");
  assert_int_equal(ew_kube_watch_faults(s.w), 0);
  finish(&s);
  list_two(&s);
  api_answer(&s.api, GET_WATCH("7"), 404, "");
  expect(&s, "-a/x -a/y ");
  assert_int_equal(s.synced, 1);
  finish(&s);
}

static void test_an_older_version(void **state) {
  struct ew_kube_watch_opts opts = things;
  struct seen s;
  (void)state;
  opts.older_path = "/api/v0/things";
  opts.older_api_version = "v0";
  begin(&s, &opts);
  api_answer(&s.api, GET_LIST, 404, "");
  api_answer(&s.api, "GET /api/v0/things?limit=500", 200,
             LIST("7", "", META("a", "x", "3")));
  expect(&s, "+a/x@3(v0) synced ");
  struct ew_httpd_request *r =
      api_stream(&s.api, "GET /api/v0/things?watch=1&");
  api_write(r, EVENT("ADDED", META("a", "y", "8")));
  expect(&s, "+a/y@8(v0) ");
  api_end(&s.api, r);
  /* An upgrade of the definitions took it away. */
  api_answer(&s.api, "GET /api/v0/things?watch=1&", 404, "");
  api_answer(&s.api, GET_LIST, 200, LIST("9", "", META("a", "x", "3")));
  expect(&s, "+a/x@3(v1) -a/y ");
  api_answer(&s.api, GET_WATCH("9"), 404, "");
  api_answer(&s.api, "GET /api/v0/things?limit=500", 404, "");
  expect(&s, "-a/x ");
  finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_list_and_its_events),
      cmocka_unit_test(test_pages_and_a_selector),
      cmocka_unit_test(test_one_object_by_its_name),
      cmocka_unit_test(test_410_as_status_lists_again),
      cmocka_unit_test(test_an_error_event_lists_again),
      cmocka_unit_test(test_an_event_that_is_too_long_lists_again),
      cmocka_unit_test(test_410_of_a_page_begins_again),
      cmocka_unit_test(test_answers_that_can_not_be_used),
      cmocka_unit_test(test_a_broken_watch_goes_on_where_it_was),
      cmocka_unit_test(test_a_resource_that_is_not_there),
      cmocka_unit_test(test_an_older_version),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
