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
#undef KEY_MAX
#include "controller/topics.c"

struct fixture {
  struct ew_objects *o;
  struct ew_topics *t;
  struct ew_topic *changed[16], *drop;
  size_t changed_n;
};

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  f->o = ew_objects_new();
  f->t = ew_topics_new(f->o, "cluster.local");
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  ew_topics_del(f->t);
  ew_objects_del(f->o);
  free(f);
  return 0;
}

static struct ew_topic *get(struct fixture *f, const char *ns,
                            const char *addr) {
  struct ew_addr a;
  assert_int_equal(ew_addr_parse(&a, addr), EW_OK);
  return ew_topics_get(f->t, ns, &a);
}

static void on_change(void *arg, struct ew_topic *topic) {
  struct fixture *f = arg;
  assert_true(f->changed_n < 16);
  f->changed[f->changed_n++] = topic;
  if (topic == f->drop)
    ew_topics_drop(f->t, topic);
}

static size_t update(struct fixture *f) {
  f->changed_n = 0;
  ew_topics_update(f->t, on_change, f);
  return f->changed_n;
}

/* The line, as JSON; it is checked that it is exactly one. */
static json_t *line(const struct ew_topic *t) {
  assert_int_equal(strlen(t->line), t->line_len);
  assert_ptr_equal(strchr(t->line, '\n'), t->line + t->line_len - 1);
  json_t *j = json_loads(t->line, 0, NULL);
  assert_non_null(j);
  assert_int_equal(json_integer_value(json_object_get(j, "version")),
                   t->version);
  assert_true(json_is_true(json_object_get(j, "complete")));
  return j;
}

static void assert_kind(const struct ew_topic *t, const char *kind) {
  json_t *j = line(t);
  const json_t *d = json_object_get(j, "destination");
  assert_string_equal(json_string_value(json_object_get(d, "kind")), kind);
  json_decref(j);
}

static void test_found_or_made(void **state) {
  struct fixture *f = *state;
  struct ew_topic *t = get(f, "a", "10.0.0.1:80");
  assert_string_equal(t->namespace_, "a");
  assert_string_equal(t->ip, "10.0.0.1");
  assert_int_equal(t->port, 80);
  assert_kind(t, "unknown");
  assert_ptr_equal(get(f, "a", "10.0.0.1:80"), t);
  assert_ptr_equal(get(f, "a", "[::ffff:10.0.0.1]:80"), t);
  assert_int_equal(ew_topics_count(f->t), 1);
  assert_ptr_not_equal(get(f, "b", "10.0.0.1:80"), t);
  assert_ptr_not_equal(get(f, "a", "10.0.0.1:81"), t);
  assert_ptr_not_equal(get(f, "a", "[fd00::1]:80"), t);
  assert_ptr_equal(get(f, "a", "[FD00:0::1]:80"), get(f, "a", "[fd00::1]:80"));
  assert_int_equal(ew_topics_count(f->t), 4);
}

static void test_only_what_changed_is_told(void **state) {
  struct fixture *f = *state;
  struct ew_topic *echo = get(f, "a", "10.0.0.1:80");
  struct ew_topic *other = get(f, "a", "10.0.0.2:80");
  assert_int_equal(update(f), 0);
  put_service(f->o, "a", "echo", PORTS_80);
  uint64_t before = echo->version, untouched = other->version;
  assert_int_equal(update(f), 1);
  assert_ptr_equal(f->changed[0], echo);
  assert_kind(echo, "service");
  assert_true(echo->version > before);
  assert_int_equal(other->version, untouched);
  assert_int_equal(update(f), 0);
  /* A change of an object that is none for those who follow. */
  put(f->o, "v1", "Service", "a", "echo", "2001",
      "'spec':{'clusterIP':'10.0.0.1','ports':" PORTS_80 "},'frob':1");
  assert_int_equal(update(f), 0);
  assert_int_equal(ew_objects_delete(f->o, "Service", "a", "echo"), EW_OK);
  assert_int_equal(update(f), 1);
  assert_kind(echo, "unknown");
}

/* Each version is used for one state only, of all topics. */
static void test_versions(void **state) {
  struct fixture *f = *state;
  struct ew_topic *a = get(f, "a", "10.0.0.1:80");
  struct ew_topic *b = get(f, "b", "10.0.0.1:80");
  uint64_t last = b->version;
  assert_true(a->version < b->version);
  for (int i = 0; i < 5; i++) {
    char ports[64];
    snprintf(ports, sizeof ports, "[{'name':'x%d','port':80}]", i);
    put_service(f->o, "a", "echo", ports);
    assert_int_equal(update(f), 2);
    assert_true(a->version > last && b->version > last);
    assert_int_not_equal(a->version, b->version);
    last = a->version > b->version ? a->version : b->version;
  }
}

static void test_dropped_within_the_call(void **state) {
  struct fixture *f = *state;
  struct ew_topic *all[3] = {get(f, "a", "10.0.0.1:80"),
                             get(f, "b", "10.0.0.1:80"),
                             get(f, "c", "10.0.0.1:80")};
  put_service(f->o, "a", "echo", PORTS_80);
  f->drop = all[1];
  assert_int_equal(update(f), 3);
  assert_int_equal(ew_topics_count(f->t), 2);
  f->changed_n = 0;
  f->drop = all[0];
  ew_topics_each(f->t, on_change, f);
  assert_int_equal(f->changed_n, 2);
  assert_int_equal(ew_topics_count(f->t), 1);
  f->changed_n = 0;
  f->drop = NULL;
  ew_topics_each(f->t, on_change, f);
  assert_ptr_equal(f->changed[0], all[2]);
}

static void test_again_after_a_drop(void **state) {
  struct fixture *f = *state;
  struct ew_topic *t = get(f, "a", "10.0.0.1:80");
  uint64_t version = t->version;
  ew_topics_drop(f->t, t);
  assert_int_equal(ew_topics_count(f->t), 0);
  put_service(f->o, "a", "echo", PORTS_80);
  t = get(f, "a", "10.0.0.1:80");
  assert_kind(t, "service");
  assert_true(t->version > version);
}

int main(void) {
#define TOPICS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TOPICS_TEST(test_found_or_made),
      TOPICS_TEST(test_only_what_changed_is_told),
      TOPICS_TEST(test_versions),
      TOPICS_TEST(test_dropped_within_the_call),
      TOPICS_TEST(test_again_after_a_drop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
