/* SPDX-License-Identifier: Apache-2.0 */
#include "objects_test.h"

#include "eastwest/base/log.h"

/* The real one leaves out what is more than ten lines a second. */
static char lines[1 << 16];
static size_t lines_len;

static void record(enum ew_log_level level, const char *msg, const char *fmt,
                   ...) __attribute__((format(printf, 3, 4)));

static void record(enum ew_log_level level, const char *msg, const char *fmt,
                   ...) {
  va_list ap;
  lines_len += (size_t)snprintf(lines + lines_len, sizeof lines - lines_len,
                                "level=%d msg=%s ", (int)level, msg);
  va_start(ap, fmt);
  lines_len +=
      (size_t)vsnprintf(lines + lines_len, sizeof lines - lines_len, fmt, ap);
  va_end(ap);
  lines_len +=
      (size_t)snprintf(lines + lines_len, sizeof lines - lines_len, "\n");
  assert_true(lines_len < sizeof lines);
}

#undef ew_log
#define ew_log record

#include "controller/precedence.c"
#include "controller/refs.c"
#include "controller/status.c"
#include "controller/status_conditions.c"

#include <fcntl.h>

#define RULE "[{'backendRefs':[{'name':'echo','port':80}]}]"
#define FILE_R "HTTPRoute_a_r.json"
#define OLD_TIME "2001-01-01T00:00:00Z"

struct fixture {
  struct ew_objects *o;
  struct ew_status *s;
  char dir[64];
};

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  snprintf(f->dir, sizeof f->dir, "/tmp/eastwest-status-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  f->o = ew_objects_new();
  f->s = ew_status_new(f->dir);
  put_service(f->o, "a", "echo", PORTS_80);
  lines_len = 0;
  lines[0] = '\0';
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  ew_status_del(f->s);
  ew_objects_del(f->o);
  DIR *d = opendir(f->dir);
  for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
    if (e->d_name[0] != '.')
      unlinkat(dirfd(d), e->d_name, 0);
  if (d)
    closedir(d);
  rmdir(f->dir);
  free(f);
  return 0;
}

static void restart(struct fixture *f) {
  ew_status_del(f->s);
  f->s = ew_status_new(f->dir);
}

static const struct ew_object *put_r(struct fixture *f, const char *parent) {
  return put_route(f->o, "HTTPRoute", "a", "r", "", parent, RULE);
}

static void path_of(const struct fixture *f, const char *name,
                    char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s/%s", f->dir, name);
}

/* NULL if there is no such file. */
static json_t *file(const struct fixture *f, const char *name) {
  char path[PATH_MAX];
  path_of(f, name, path);
  return json_load_file(path, 0, NULL);
}

static void write_file(const struct fixture *f, const char *name,
                       const char *text) {
  char path[PATH_MAX];
  path_of(f, name, path);
  assert_true(ew_write_all(path, text));
}

static bool exists(const struct fixture *f, const char *name) {
  char path[PATH_MAX];
  path_of(f, name, path);
  return access(path, F_OK) == 0;
}

static ino_t inode(const struct fixture *f, const char *name) {
  char path[PATH_MAX];
  struct stat st;
  path_of(f, name, path);
  assert_int_equal(stat(path, &st), 0);
  return st.st_ino;
}

static size_t files(const struct fixture *f) {
  size_t n = 0;
  DIR *d = opendir(f->dir);
  for (struct dirent *e = readdir(d); e; e = readdir(d))
    n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

/* How many lines hold |text|; forgets them all. */
static int logged(const char *text) {
  int n = 0;
  for (char *p = lines, *end; (end = strchr(p, '\n')); p = end + 1) {
    *end = '\0';
    n += strstr(p, text) != NULL;
  }
  lines_len = 0;
  lines[0] = '\0';
  return n;
}

/* Our condition of type Accepted in the file; the member |name|. */
static void assert_accepted(const struct fixture *f, const char *name,
                            const char *want) {
  json_t *doc = file(f, FILE_R);
  const json_t *status = json_object_get(doc, "status");
  const json_t *e = json_array_get(json_object_get(status, "parents"), 0);
  const json_t *c =
      ew_status_condition(status, json_object_get(e, "parentRef"), "Accepted");
  assert_string_equal(ew_status_text(c, name), want);
  json_decref(doc);
}

static void test_document(void **state) {
  struct fixture *f = *state;
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  json_t *doc = file(f, FILE_R);
  json_t *head =
      json_of("{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute',"
              "'metadata':{'name':'r','namespace':'a','generation':3}}");
  const char *key;
  json_t *v;
  json_object_foreach(head, key, v)
      assert_true(json_equal(json_object_get(doc, key), v));
  assert_int_equal(json_object_size(doc), 4);
  json_decref(head);
  json_decref(doc);
  assert_accepted(f, "status", "True");
  assert_int_equal(files(f), 1);
}

static void test_text_is_indented(void **state) {
  struct fixture *f = *state;
  char path[PATH_MAX], text[4096];
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  path_of(f, FILE_R, path);
  FILE *in = fopen(path, "r");
  assert_non_null(in);
  size_t n = fread(text, 1, sizeof text - 1, in);
  fclose(in);
  const char *head = "{\n  \"apiVersion\": ";
  assert_memory_equal(text, head, strlen(head));
  assert_memory_equal(text + n - 3, "\n}\n", 3);
}

static void test_written_only_if_changed(void **state) {
  struct fixture *f = *state;
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  ino_t was = inode(f, FILE_R);
  /* A rename gives the name another inode, and this one is held. */
  char path[PATH_MAX];
  path_of(f, FILE_R, path);
  int fd = open(path, O_RDONLY);
  ew_status_update(f->s, f->o);
  restart(f);
  ew_status_update(f->s, f->o);
  assert_int_equal(inode(f, FILE_R), was);
  put_r(f, PARENT(",'port':81"));
  ew_status_update(f->s, f->o);
  assert_int_not_equal(inode(f, FILE_R), was);
  assert_accepted(f, "status", "False");
  close(fd);
}

static void test_removed(void **state) {
  struct fixture *f = *state;
  put_r(f, PARENT(""));
  put_route(f->o, "TLSRoute", "a", "t", "", PARENT(""), RULE);
  ew_status_update(f->s, f->o);
  assert_int_equal(files(f), 2);
  ew_objects_delete(f->o, "HTTPRoute", "a", "r");
  ew_status_update(f->s, f->o);
  assert_false(exists(f, FILE_R));
  assert_true(exists(f, "TLSRoute_a_t.json"));
  /* Gone while nobody ran. */
  ew_objects_delete(f->o, "TLSRoute", "a", "t");
  restart(f);
  ew_status_update(f->s, f->o);
  assert_int_equal(files(f), 0);
}

static void test_no_route_of_ours(void **state) {
  struct fixture *f = *state;
  put_r(f, "[{'name':'gateway'}]");
  ew_status_update(f->s, f->o);
  assert_int_equal(files(f), 0);
}

static void test_ours_no_longer(void **state) {
  struct fixture *f = *state;
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  put_r(f, "[{'name':'gateway'}]");
  for (int i = 0; i < 3; i++) {
    ew_status_update(f->s, f->o);
    json_t *doc = file(f, FILE_R);
    assert_int_equal(json_array_size(json_object_get(
                         json_object_get(doc, "status"), "parents")),
                     0);
    json_decref(doc);
    restart(f);
  }
}

/* The file of a run that ended long ago. */
static void write_old(const struct fixture *f) {
  char *text = quoted(
      "{'kind':'HTTPRoute','metadata':{'name':'r','namespace':'a'},'status':"
      "{'parents':[{'controllerName':'x.io/y'},"
      "{'controllerName':'eastwest.dev/controller','parentRef':{'group':'',"
      "'kind':'Service','name':'echo'},'conditions':[{'type':'Accepted',"
      "'status':'True','reason':'Accepted','lastTransitionTime':'" OLD_TIME
      "'}]}]}}");
  write_file(f, FILE_R, text);
  free(text);
}

static void test_times_of_another_run(void **state) {
  struct fixture *f = *state;
  write_old(f);
  restart(f);
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  json_t *doc = file(f, FILE_R);
  const json_t *parents =
      json_object_get(json_object_get(doc, "status"), "parents");
  assert_int_equal(json_array_size(parents), 2);
  assert_string_equal(
      ew_status_text(json_array_get(parents, 0), "controllerName"), "x.io/y");
  const json_t *c = json_array_get(
      json_object_get(json_array_get(parents, 1), "conditions"), 0);
  assert_string_equal(ew_status_text(c, "lastTransitionTime"), OLD_TIME);
  json_decref(doc);
}

/* Without a file, what the object itself says counts; and other controllers'
 * entries always are those of the object. */
static void test_status_in_the_object(void **state) {
  struct fixture *f = *state;
  const char *rest = "'spec':{'parentRefs':" PARENT(
      "") ",'rules':" RULE "},'status':"
          "{'parents':[{'controllerName':'eastwest.dev/controller','parentRef':"
          "{'group':'','kind':'Service','name':'echo'},'conditions':[{'type':"
          "'Accepted','status':'True','reason':'Accepted','lastTransitionTime':"
          "'" OLD_TIME "'}]},{'controllerName':'x.io/new'}]}";
  for (int i = 0; i < 2; i++) {
    put(f->o, "gateway.networking.k8s.io/v1", "HTTPRoute", "a", "r", "", rest);
    ew_status_update(f->s, f->o);
    json_t *doc = file(f, FILE_R);
    const json_t *parents =
        json_object_get(json_object_get(doc, "status"), "parents");
    assert_int_equal(json_array_size(parents), 2);
    assert_string_equal(
        ew_status_text(json_array_get(parents, 0), "controllerName"),
        "x.io/new");
    const json_t *c = json_array_get(
        json_object_get(json_array_get(parents, 1), "conditions"), 0);
    assert_string_equal(ew_status_text(c, "lastTransitionTime"), OLD_TIME);
    json_decref(doc);
    write_old(f);
    restart(f);
  }
}

static void test_foreign_files_stay(void **state) {
  struct fixture *f = *state;
  static const char *const names[] = {"README", "Gateway_a_r.json",
                                      "HTTPRoute.json", "HTTPRoute_a_x.txt"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    write_file(f, names[i], "{}");
  write_file(f, "HTTPRoute_a_gone.json.tmp", "{");
  restart(f);
  ew_status_update(f->s, f->o);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    assert_true(exists(f, names[i]));
  assert_false(exists(f, "HTTPRoute_a_gone.json.tmp"));
}

static void test_faulty_file(void **state) {
  struct fixture *f = *state;
  static const char *const texts[] = {
      "", "{", "[]", "{}",
      "{\"kind\":\"HTTPRoute\",\"metadata\":{\"namespace\":\"a\",\"name\":"
      "\"other\"}}"};
  put_r(f, PARENT(""));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    write_file(f, FILE_R, texts[i]);
    restart(f);
    assert_int_equal(logged("route status of another run not used"), 1);
    ew_status_update(f->s, f->o);
    assert_accepted(f, "status", "True");
  }
}

static void test_folder_is_made(void **state) {
  struct fixture *f = *state;
  assert_int_equal(rmdir(f->dir), 0);
  restart(f);
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  assert_true(exists(f, FILE_R));
}

static void test_written_again_after_a_failure(void **state) {
  struct fixture *f = *state;
  assert_int_equal(rmdir(f->dir), 0);
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  assert_int_equal(logged("route status not written"), 1);
  assert_int_equal(mkdir(f->dir, 0700), 0);
  ew_status_update(f->s, f->o);
  assert_accepted(f, "status", "True");
  assert_int_equal(logged("not written"), 0);
}

static void test_log(void **state) {
  struct fixture *f = *state;
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  assert_int_equal(logged("msg=route condition"), 2);
  ew_status_update(f->s, f->o);
  restart(f);
  ew_status_update(f->s, f->o);
  assert_int_equal(logged("route condition"), 0);
  put_r(f, PARENT(",'port':81"));
  ew_status_update(f->s, f->o);
  logged("");
  put_service(f->o, "a", "echo", "[{'port':81}]");
  ew_status_update(f->s, f->o);
  assert_int_equal(
      logged("level=2 msg=route condition kind=HTTPRoute namespace=a name=r "
             "parent=echo condition=Accepted status=True reason=Accepted"),
      1);
}

static void test_log_of_a_removed_condition(void **state) {
  struct fixture *f = *state;
  put_route(f->o, "HTTPRoute", "a", "r", "", PARENT(""),
            "[{},{'matches':[{'method':'FROB'}]}]");
  ew_status_update(f->s, f->o);
  assert_int_equal(logged("PartiallyInvalid"), 1);
  put_r(f, PARENT(""));
  ew_status_update(f->s, f->o);
  assert_int_equal(logged("condition=PartiallyInvalid status=removed"), 1);
}

static void test_log_only(void **state) {
  struct fixture *f = *state;
  struct ew_status *s = ew_status_new(NULL);
  put_r(f, PARENT(""));
  ew_status_update(s, f->o);
  ew_status_update(s, f->o);
  assert_int_equal(logged("route condition"), 2);
  ew_objects_delete(f->o, "HTTPRoute", "a", "r");
  ew_status_update(s, f->o);
  ew_status_del(s);
  ew_status_del(NULL);
  assert_int_equal(files(f), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_document),
      TEST(test_text_is_indented),
      TEST(test_written_only_if_changed),
      TEST(test_removed),
      TEST(test_no_route_of_ours),
      TEST(test_ours_no_longer),
      TEST(test_times_of_another_run),
      TEST(test_status_in_the_object),
      TEST(test_foreign_files_stay),
      TEST(test_faulty_file),
      TEST(test_folder_is_made),
      TEST(test_written_again_after_a_failure),
      TEST(test_log),
      TEST(test_log_of_a_removed_condition),
      TEST(test_log_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
