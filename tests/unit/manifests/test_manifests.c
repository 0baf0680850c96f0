/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/manifests/manifests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/buf.h"

/* A folder with what the loader told since the last look, one line each:
 *   "- KIND NAMESPACE NAME", "+ KIND NAMESPACE NAME @WHERE", "! ERROR"
 * The path of the folder is left out of WHERE and ERROR. */
struct fixture {
  char root[64];
  struct ew_buf told;
  struct ew_manifests *m;
  json_t *last; /* the last object told */
  size_t told_n;
};

/* |s| without any "ROOT/". */
static const char *without_root(const struct fixture *f, const char *s) {
  static char out[2048];
  size_t n = strlen(f->root), used = 0;
  while (*s && used < sizeof out - 1)
    if (strncmp(s, f->root, n) == 0)
      s += n + 1;
    else
      out[used++] = *s++;
  out[used] = '\0';
  return out;
}

static const char *text_at(const json_t *o, const char *a, const char *b) {
  if (a)
    o = json_object_get(o, a);
  const char *s = json_string_value(json_object_get(o, b));
  return s ? s : "";
}

static void on_upsert(void *arg, json_t *object, const char *where) {
  struct fixture *f = arg;
  ew_buf_printf(&f->told, "+ %s %s %s @%s\n", text_at(object, NULL, "kind"),
                text_at(object, "metadata", "namespace"),
                text_at(object, "metadata", "name"), without_root(f, where));
  json_decref(f->last);
  f->last = json_incref(object);
  f->told_n++;
}

static void on_delete(void *arg, const char *kind, const char *ns,
                      const char *name) {
  struct fixture *f = arg;
  ew_buf_printf(&f->told, "- %s %s %s\n", kind, ns, name);
}

static void on_error(void *arg, const char *text) {
  struct fixture *f = arg;
  ew_buf_printf(&f->told, "! %s\n", without_root(f, text));
}

static const struct ew_manifests_events events = {on_upsert, on_delete,
                                                  on_error};

static char *path_of(const struct fixture *f, const char *name) {
  static char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", f->root, name);
  return path;
}

static void make_dir(struct fixture *f, const char *name) {
  assert_int_equal(mkdir(path_of(f, name), 0777), 0);
}

static void write_bytes(const char *path, const char *text, size_t n) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, n), n);
  close(fd);
}

/* In place: the same inode, emptied and written. */
static void write_file(struct fixture *f, const char *name, const char *text) {
  write_bytes(path_of(f, name), text, strlen(text));
}

static void remove_file(struct fixture *f, const char *name) {
  assert_int_equal(unlink(path_of(f, name)), 0);
}

static void rename_file(struct fixture *f, const char *from, const char *to) {
  char *old = ew_strdup(path_of(f, from));
  assert_int_equal(rename(old, path_of(f, to)), 0);
  free(old);
}

static void start(struct fixture *f, const char *const *names, size_t n) {
  char *dirs[4];
  for (size_t i = 0; i < n; i++)
    dirs[i] = ew_strdup(path_of(f, names[i]));
  f->m = ew_manifests_new((const char *const *)dirs, n, &events, f);
  for (size_t i = 0; i < n; i++)
    free(dirs[i]);
}

static void check(struct fixture *f, bool changed, const char *expected) {
  bool got = ew_manifests_poll(f->m);
  ew_buf_append(&f->told, ew_slice("", 1));
  assert_string_equal(ew_buf_peek(&f->told).p, expected);
  assert_int_equal(got, changed);
  ew_buf_consume(&f->told, ew_buf_len(&f->told));
}

static int setup(void **state) {
  struct fixture *f = ew_calloc(1, sizeof *f);
  snprintf(f->root, sizeof f->root, "/tmp/ew_manifests_XXXXXX");
  assert_non_null(mkdtemp(f->root));
  ew_buf_init(&f->told, 1 << 20);
  make_dir(f, "a");
  make_dir(f, "b");
  *state = f;
  return 0;
}

/* Each test has the folder "a" unless it says otherwise. */
static int setup_a(void **state) {
  setup(state);
  start(*state, (const char *const[]){"a"}, 1);
  return 0;
}

static int remove_any(const char *path, const struct stat *st, int type,
                      struct FTW *ftw) {
  return remove(path);
}

static int teardown(void **state) {
  struct fixture *f = *state;
  ew_manifests_del(f->m);
  json_decref(f->last);
  ew_buf_fini(&f->told);
  nftw(f->root, remove_any, 16, FTW_DEPTH | FTW_PHYS);
  free(f);
  return 0;
}

#define SERVICE(name, port)                                 \
  "apiVersion: v1\nkind: Service\nmetadata:\n  name: " name \
  "\nspec:\n  port: " port "\n"
#define ROUTE(ns, name)                                         \
  "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n" \
  "metadata: {name: " name ", namespace: " ns "}\n"

static void test_nothing(void **state) {
  struct fixture *f = *state;
  check(f, false, "");
  ew_manifests_del(NULL);
  assert_int_equal(ew_manifests_errors(f->m), 0);
}

static void test_no_folder_at_all(void **state) {
  struct fixture *f = *state;
  start(f, NULL, 0);
  check(f, false, "");
}

static void test_first_call_reads_everything(void **state) {
  struct fixture *f = *state;
  make_dir(f, "a/sub");
  make_dir(f, "a/sub/deeper");
  make_dir(f, "a/.hidden");
  make_dir(f, "a/folder.yaml");
  write_file(f, "a/two.yaml", SERVICE("s", "1") "---\n" ROUTE("shop", "r"));
  write_file(f, "a/one.yml", SERVICE("t", "1"));
  write_file(f, "a/o.json",
             "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\","
             "\"metadata\":{\"name\":\"shop\"}}");
  write_file(f, "a/sub/x.yaml", SERVICE("u", "1"));
  write_file(f, "a/sub/deeper/x.yaml", SERVICE("v", "1"));
  write_file(f, "a/folder.yaml/x.yaml", SERVICE("w", "1"));
  write_file(f, "a/.hidden/x.yaml", SERVICE("no", "1"));
  write_file(f, "a/.x.yaml", SERVICE("no", "1"));
  write_file(f, "a/x.yaml~", SERVICE("no", "1"));
  write_file(f, "a/readme.txt", "no");
  write_file(f, "a/.yaml", "no: [");
  assert_int_equal(symlink("nowhere", path_of(f, "a/dangling.yaml")), 0);
  check(f, true,
        "+ Service default w @a/folder.yaml/x.yaml:1\n"
        "+ Namespace  shop @a/o.json:1\n"
        "+ Service default t @a/one.yml:1\n"
        "+ Service default u @a/sub/x.yaml:1\n"
        "+ Service default s @a/two.yaml:1\n"
        "+ HTTPRoute shop r @a/two.yaml:8\n");
  check(f, false, "");
}

static void test_change(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1") "---\n" SERVICE("t", "1"));
  check(f, true,
        "+ Service default s @a/x.yaml:1\n"
        "+ Service default t @a/x.yaml:8\n");
  /* Only what differs is told, even if it stands in another line now. */
  write_file(f, "a/x.yaml",
             "# new\n" SERVICE("s", "1") "---\n" SERVICE("t", "2"));
  check(f, true, "+ Service default t @a/x.yaml:9\n");
  assert_int_equal(json_integer_value(json_object_get(
                       json_object_get(f->last, "spec"), "port")),
                   2);
  write_file(f, "a/x.yaml",
             "# newer\n" SERVICE("s", "1") "---\n" SERVICE("t", "2"));
  check(f, false, "");
}

/* Same size, and as good as the same time. */
static void test_changes_in_a_row(void **state) {
  struct fixture *f = *state;
  for (int i = 0; i < 20; i++) {
    char text[128];
    snprintf(text, sizeof text, SERVICE("s", "%d"), i % 10);
    write_file(f, "a/x.yaml", text);
    check(f, true, "+ Service default s @a/x.yaml:1\n");
    check(f, false, "");
  }
}

static void test_delete(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1") "---\n" ROUTE("shop", "r"));
  write_file(f, "a/y.yaml",
             "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}");
  check(f, true,
        "+ Service default s @a/x.yaml:1\n"
        "+ HTTPRoute shop r @a/x.yaml:8\n"
        "+ Namespace  ns @a/y.yaml:1\n");
  /* A document fewer; deletes come first. */
  write_file(f, "a/x.yaml", SERVICE("new", "1") "---\n" SERVICE("s", "1"));
  check(f, true,
        "- HTTPRoute.gateway.networking.k8s.io shop r\n"
        "+ Service default new @a/x.yaml:1\n");
  remove_file(f, "a/y.yaml");
  check(f, true, "- Namespace  ns\n");
  remove_file(f, "a/x.yaml");
  check(f, true, "- Service default new\n- Service default s\n");
  check(f, false, "");
}

static void test_delete_of_empty_file_tells_nothing(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", "# nothing\n");
  check(f, false, "");
  remove_file(f, "a/x.yaml");
  check(f, false, "");
}

static void test_rename(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  write_file(f, "a/.x.tmp", SERVICE("s", "2"));
  check(f, false, "");
  rename_file(f, "a/.x.tmp", "a/x.yaml");
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  /* The same objects in a file of another name. */
  rename_file(f, "a/x.yaml", "a/y.yaml");
  check(f, false, "");
  rename_file(f, "a/y.yaml", "a/y.yaml~");
  check(f, true, "- Service default s\n");
}

/* The way of a mounted ConfigMap: links into a folder that is a link. */
static void test_configmap_mount(void **state) {
  struct fixture *f = *state;
  make_dir(f, "a/..1");
  make_dir(f, "a/..2");
  write_file(f, "a/..1/x.yaml", SERVICE("s", "1"));
  write_file(f, "a/..2/x.yaml", SERVICE("s", "2"));
  assert_int_equal(symlink("..1", path_of(f, "a/..data")), 0);
  assert_int_equal(symlink("..data/x.yaml", path_of(f, "a/x.yaml")), 0);
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  assert_int_equal(symlink("..2", path_of(f, "a/..new")), 0);
  rename_file(f, "a/..new", "a/..data");
  check(f, true, "+ Service default s @a/x.yaml:1\n");
}

/* An editor that empties the file before it writes. */
static void test_emptied_file(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  write_file(f, "a/x.yaml", "");
  check(f, false, "");
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, false, "");
  write_file(f, "a/x.yaml", "");
  check(f, false, "");
  check(f, true, "- Service default s\n");
  check(f, false, "");
}

static void test_broken_file_keeps_its_objects(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1") "---\n" SERVICE("t", "1"));
  check(f, true,
        "+ Service default s @a/x.yaml:1\n"
        "+ Service default t @a/x.yaml:8\n");
  write_file(f, "a/x.yaml", SERVICE("s", "2") "---\na: [\n");
  check(f, false,
        "! a/x.yaml:9: while parsing a flow node: did not find expected node "
        "content\n");
  check(f, false, "");
  assert_int_equal(ew_manifests_errors(f->m), 1);
  /* Another file changes: what is broken is not told again, and its objects
   * stay. */
  write_file(f, "a/y.yaml", SERVICE("u", "1"));
  check(f, true, "+ Service default u @a/y.yaml:1\n");
  write_file(f, "a/x.yaml", SERVICE("t", "1"));
  check(f, true, "- Service default s\n");
}

static void test_bad_documents(void **state) {
  struct fixture *f = *state;
  static const struct {
    const char *text, *why;
  } t[] = {
      {"just text", "is no object"},
      {"[]", "is no object"},
      {"{apiVersion: v1, metadata: {name: x}}", "kind is missing"},
      {"{kind: 1, apiVersion: v1, metadata: {name: x}}",
       "kind must be a string"},
      {"{kind: A.b, apiVersion: v1, metadata: {name: x}}",
       "kind must be a word"},
      {"{kind: '', apiVersion: v1, metadata: {name: x}}",
       "kind must be a word"},
      {"{kind: A, metadata: {name: x}}", "apiVersion is missing"},
      {"{kind: A, apiVersion: ~, metadata: {name: x}}",
       "apiVersion is missing"},
      {"{kind: A, apiVersion: 1, metadata: {name: x}}",
       "apiVersion must be a string"},
      {"{kind: A, apiVersion: a/b/c, metadata: {name: x}}",
       "apiVersion must be GROUP/VERSION or VERSION"},
      {"{kind: A, apiVersion: a/, metadata: {name: x}}",
       "apiVersion must be GROUP/VERSION or VERSION"},
      {"{kind: A, apiVersion: /v1, metadata: {name: x}}",
       "apiVersion must be GROUP/VERSION or VERSION"},
      {"{kind: A, apiVersion: v1}", "metadata.name is missing"},
      {"{kind: A, apiVersion: v1, metadata: x}", "metadata.name is missing"},
      {"{kind: A, apiVersion: v1, metadata: {generateName: x}}",
       "metadata.name is missing"},
      {"{kind: A, apiVersion: v1, metadata: {name: 12}}",
       "metadata.name must be a string"},
      {"{kind: A, apiVersion: v1, metadata: {name: a/b}}",
       "metadata.name must be 1 to 253 bytes without blanks and '/'"},
      {"{kind: A, apiVersion: v1, metadata: {name: \"a\\x7f\"}}",
       "metadata.name must be 1 to 253 bytes without blanks and '/'"},
      {"{kind: A, apiVersion: v1, metadata: {name: x, namespace: []}}",
       "metadata.namespace must be a string"},
      {"{kind: A, apiVersion: v1, metadata: {name: x, namespace: a b}}",
       "metadata.namespace must be 1 to 253 bytes without blanks and '/'"},
      {"{kind: List, apiVersion: v1}", "metadata.name is missing"},
  };
  for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
    char text[256], told[256];
    snprintf(text, sizeof text, "# %zu\n---\n%s\n---\n%s", i, t[i].text,
             SERVICE("s", "1"));
    snprintf(told, sizeof told, "! a/x.yaml:3: %s\n%s", t[i].why,
             i == 0 ? "+ Service default s @a/x.yaml:5\n" : "");
    write_file(f, "a/x.yaml", text);
    check(f, i == 0, told);
    check(f, false, "");
  }
}

static void test_longest_names(void **state) {
  struct fixture *f = *state;
  char name[255], text[1600], told[1600];
  memset(name, 'x', sizeof name);
  name[254] = '\0';
  static const char form[] = "kind: %.*s\napiVersion: %.*s/v1\n"
                             "metadata: {name: %.*s, namespace: %.*s}\n";
  snprintf(text, sizeof text, form, 253, name, 253, name, 253, name, 253, name);
  write_file(f, "a/x.yaml", text);
  snprintf(told, sizeof told, "+ %.*s %.*s %.*s @a/x.yaml:1\n", 253, name, 253,
           name, 253, name);
  check(f, true, told);
  remove_file(f, "a/x.yaml");
  snprintf(told, sizeof told, "- %.*s.%.*s %.*s %.*s\n", 253, name, 253, name,
           253, name, 253, name);
  check(f, true, told);
  snprintf(text, sizeof text, form, 254, name, 253, name, 253, name, 253, name);
  write_file(f, "a/x.yaml", text);
  check(f, false, "! a/x.yaml:1: kind must be a word\n");
}

static void test_namespaces(void **state) {
  struct fixture *f = *state;
  write_file(
      f, "a/x.yaml",
      "{kind: Node, apiVersion: v1, metadata: {name: a, namespace: x}}\n"
      "---\n{kind: Node, apiVersion: own.example/v1, metadata: {name: b}}\n"
      "---\n{kind: GatewayClass, apiVersion: gateway.networking.k8s.io/v1,"
      " metadata: {name: c}}\n"
      "---\n{kind: Any, apiVersion: admissionregistration.k8s.io/v1,"
      " metadata: {name: d}}\n"
      "---\n{kind: Pod, apiVersion: v1, metadata: {name: e, namespace: ''}}\n"
      "---\n{kind: Pod, apiVersion: v1, metadata: {name: f, namespace: ~}}\n"
      "---\n{kind: Pod, apiVersion: v1, metadata: {name: g, namespace: ns}}\n");
  check(f, true,
        "+ Node  a @a/x.yaml:1\n"
        "+ Node default b @a/x.yaml:3\n"
        "+ GatewayClass  c @a/x.yaml:5\n"
        "+ Any  d @a/x.yaml:7\n"
        "+ Pod default e @a/x.yaml:9\n"
        "+ Pod default f @a/x.yaml:11\n"
        "+ Pod ns g @a/x.yaml:13\n");
  write_file(f, "a/x.yaml", "# nothing\n");
  check(f, true,
        "- Node  a\n"
        "- Node.own.example default b\n"
        "- GatewayClass.gateway.networking.k8s.io  c\n"
        "- Any.admissionregistration.k8s.io  d\n"
        "- Pod default e\n"
        "- Pod default f\n"
        "- Pod ns g\n");
}

/* Filling in the namespace of one must not change the other. */
static void test_metadata_by_alias(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml",
             "kind: List\napiVersion: v1\nitems:\n"
             "- {kind: Pod, apiVersion: v1, metadata: &m {name: x}}\n"
             "- {kind: Node, apiVersion: v1, metadata: *m}\n");
  check(f, true,
        "+ Pod default x @a/x.yaml:4\n"
        "+ Node  x @a/x.yaml:5\n");
}

static void test_list(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml",
             "apiVersion: v1\n"
             "kind: List\n"
             "items:\n"
             "- apiVersion: v1\n"
             "  kind: Service\n"
             "  metadata: {name: s}\n"
             "- {kind: A}\n"
             "- 1\n"
             "-\n"
             "  apiVersion: v1\n"
             "  kind: Service\n"
             "  metadata: {name: t}\n"
             "- apiVersion: v1\n"
             "  kind: List\n"
             "  items:\n"
             "  - {apiVersion: v1, kind: Service, metadata: {name: u}}\n"
             "---\n"
             "{apiVersion: v1, kind: List, items: []}\n"
             "---\n"
             "{apiVersion: v1, kind: List, items: ~}\n");
  check(f, true,
        "! a/x.yaml:7: apiVersion is missing\n"
        "! a/x.yaml:8: is no object\n"
        "+ Service default s @a/x.yaml:4\n"
        "+ Service default t @a/x.yaml:10\n"
        "+ Service default u @a/x.yaml:13\n");
}

/* As an API server answers for one kind. */
static void test_typed_list(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml",
             "apiVersion: apps/v1\n"
             "kind: DeploymentList\n"
             "items:\n"
             "- metadata: {name: s}\n"
             "- {apiVersion: apps/v2, metadata: {name: t}}\n"
             "- {apiVersion: v1, kind: Service, metadata: {name: u}}\n"
             "- x\n"
             "---\n"
             "{apiVersion: v1, kind: WishList, metadata: {name: w}}\n");
  check(f, true,
        "! a/x.yaml:7: is no object\n"
        "+ Deployment default s @a/x.yaml:4\n"
        "+ Deployment default t @a/x.yaml:5\n"
        "+ Service default u @a/x.yaml:6\n"
        "+ WishList default w @a/x.yaml:9\n");
}

static void test_duplicates_in_one_folder(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1") "---\n" SERVICE("s", "2"));
  write_file(f, "a/y.yaml", SERVICE("s", "3"));
  check(f, true,
        "! a/x.yaml:8: Service/default/s stands in a/x.yaml:1 already\n"
        "! a/y.yaml:1: Service/default/s stands in a/x.yaml:1 already\n"
        "+ Service default s @a/x.yaml:1\n");
  assert_int_equal(ew_manifests_errors(f->m), 2);
  /* Told once per change of its file. */
  write_file(f, "a/z.yaml", SERVICE("t", "1"));
  check(f, true, "+ Service default t @a/z.yaml:1\n");
  /* The first one goes: the next one counts. */
  remove_file(f, "a/x.yaml");
  check(f, true, "+ Service default s @a/y.yaml:1\n");
  write_file(f, "a/x.yaml", SERVICE("s", "3"));
  check(f, false,
        "! a/y.yaml:1: Service/default/s stands in a/x.yaml:1 already\n");
}

static void test_overlay(void **state) {
  struct fixture *f = *state;
  start(f, (const char *const[]){"a", "b/"}, 2);
  write_file(f, "a/x.yaml", SERVICE("s", "1") "---\n" SERVICE("t", "1"));
  write_file(f, "b/x.yaml", SERVICE("s", "2"));
  check(f, true,
        "+ Service default s @b/x.yaml:1\n"
        "+ Service default t @a/x.yaml:8\n");
  assert_int_equal(ew_manifests_errors(f->m), 0);
  /* What is covered may change unseen. */
  write_file(f, "a/x.yaml", SERVICE("s", "3") "---\n" SERVICE("t", "1"));
  check(f, false, "");
  remove_file(f, "b/x.yaml");
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  write_file(f, "b/y.yaml", SERVICE("s", "3"));
  check(f, false, "");
  write_file(f, "b/y.yaml", SERVICE("s", "4"));
  check(f, true, "+ Service default s @b/y.yaml:1\n");
}

static void test_folder_is_missing(void **state) {
  struct fixture *f = *state;
  start(f, (const char *const[]){"c", "a"}, 2);
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, true,
        "! c: No such file or directory\n"
        "+ Service default s @a/x.yaml:1\n");
  check(f, false, "");
  rename_file(f, "a", "away");
  check(f, false, "! a: No such file or directory\n");
  check(f, false, "");
  rename_file(f, "away", "a");
  check(f, false, "");
  rename_file(f, "a", "c");
  check(f, false, "! a: No such file or directory\n");
  assert_int_equal(ew_manifests_errors(f->m), 3);
  make_dir(f, "a");
  check(f, false, "");
  write_file(f, "c/x.yaml", SERVICE("s", "2"));
  check(f, true, "+ Service default s @c/x.yaml:1\n");
}

static void test_not_a_folder(void **state) {
  struct fixture *f = *state;
  write_file(f, "file", "");
  start(f, (const char *const[]){"file"}, 1);
  check(f, false, "! file: Not a directory\n");
}

static void test_subfolder_goes(void **state) {
  struct fixture *f = *state;
  make_dir(f, "a/sub");
  write_file(f, "a/sub/x.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/sub/x.yaml:1\n");
  rename_file(f, "a/sub", "away");
  check(f, true, "- Service default s\n");
}

/* Root may look everywhere; so as somebody else. */
static void lower(struct fixture *f, const char *name) {
  if (geteuid() != 0)
    return;
  assert_int_equal(chown(path_of(f, name), 65534, 65534), 0);
  assert_int_equal(chmod(f->root, 0755), 0);
  assert_int_equal(seteuid(65534), 0);
}

static void test_no_permission(void **state) {
  struct fixture *f = *state;
  make_dir(f, "a/sub");
  write_file(f, "a/sub/x.yaml", SERVICE("s", "1"));
  write_file(f, "a/x.yaml", SERVICE("t", "1"));
  check(f, true,
        "+ Service default s @a/sub/x.yaml:1\n"
        "+ Service default t @a/x.yaml:1\n");
  assert_int_equal(chmod(path_of(f, "a/sub"), 0), 0);
  assert_int_equal(chmod(path_of(f, "a/x.yaml"), 0), 0);
  lower(f, "a");
  check(f, false,
        "! a/sub: Permission denied\n"
        "! a/sub/x.yaml: Permission denied\n"
        "! a/x.yaml: Permission denied\n");
  check(f, false, "");
  /* Names can be read, and nothing else. */
  assert_int_equal(chmod(path_of(f, "a"), 0444), 0);
  check(f, false, "");
  assert_int_equal(chmod(path_of(f, "a"), 0), 0);
  check(f, false, "! a: Permission denied\n");
  assert_int_equal(chmod(path_of(f, "a"), 0755), 0);
  assert_int_equal(seteuid(getuid()), 0);
  /* The change of user took it away, and the leak checker needs it. */
  assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
  assert_int_equal(chmod(path_of(f, "a/sub"), 0755), 0);
  assert_int_equal(chmod(path_of(f, "a/x.yaml"), 0644), 0);
  check(f, false, "");
  write_file(f, "a/sub/x.yaml", SERVICE("s", "2"));
  check(f, true, "+ Service default s @a/sub/x.yaml:1\n");
}

/* A file of /proc has more bytes than it says, so it is always one that
 * somebody writes to just now; and one of them cannot be read at its start. */
static void test_unsteady_files(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  remove_file(f, "a/x.yaml");
  assert_int_equal(symlink("/proc/self/status", path_of(f, "a/x.yaml")), 0);
  check(f, false, "");
  check(f, false, "");
  remove_file(f, "a/x.yaml");
  assert_int_equal(symlink("/proc/self/mem", path_of(f, "a/x.yaml")), 0);
  check(f, false, "! a/x.yaml: Input/output error\n");
  remove_file(f, "a/x.yaml");
  check(f, true, "- Service default s\n");
}

/* A fault that has nothing to do with the file: its change is not missed. */
static void test_no_descriptor(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  write_file(f, "a/x.yaml", SERVICE("s", "2"));
  struct rlimit was, none;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  none = was;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  check(f, false,
        "! a: Too many open files\n! a/x.yaml: Too many open files\n");
  check(f, false, "");
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  check(f, true, "+ Service default s @a/x.yaml:1\n");
}

static void test_special_files(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/x.yaml:1\n");
  remove_file(f, "a/x.yaml");
  assert_int_equal(mkfifo(path_of(f, "a/x.yaml"), 0666), 0);
  check(f, false, "! a/x.yaml: not a regular file\n");
  check(f, false, "");
  remove_file(f, "a/x.yaml");
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  check(f, false, "");
}

static void test_names_that_are_no_text(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/\xff.yaml", SERVICE("s", "1"));
  check(f, true, "+ Service default s @a/\xff.yaml:1\n");
  write_file(f, "a/\n.yaml", "\"k\\e\": 1\n\"k\\e\": 2");
  check(f, false, "! a/?.yaml:2: key \"k?\" stands here twice\n");
}

static void test_size_limit(void **state) {
  struct fixture *f = *state;
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  assert_int_equal(truncate(path_of(f, "a/x.yaml"), EW_MANIFEST_FILE_MAX + 1),
                   0);
  check(f, false, "! a/x.yaml: larger than 16 MiB\n");
  check(f, false, "");
  char *text = ew_malloc(EW_MANIFEST_FILE_MAX);
  memset(text, '\n', EW_MANIFEST_FILE_MAX);
  memcpy(text, SERVICE("s", "1"), strlen(SERVICE("s", "1")));
  write_bytes(path_of(f, "a/x.yaml"), text, EW_MANIFEST_FILE_MAX);
  free(text);
  check(f, true, "+ Service default s @a/x.yaml:1\n");
}

static void test_number_of_files(void **state) {
  struct fixture *f = *state;
  char name[32];
  for (int i = 0; i < EW_MANIFEST_FILES_MAX - 1; i++) {
    snprintf(name, sizeof name, "a/%05d.yaml", i);
    write_file(f, name, "");
  }
  write_file(f, "a/x.yaml", SERVICE("s", "1"));
  write_file(f, "a/y.yaml", SERVICE("t", "1"));
  write_file(f, "a/z.yaml", SERVICE("u", "1"));
  check(f, true,
        "! a/y.yaml: more than 20000 files: this one and all after it are left "
        "out\n"
        "+ Service default s @a/x.yaml:1\n");
  check(f, false, "");
  remove_file(f, "a/00000.yaml");
  remove_file(f, "a/00001.yaml");
  check(f, true,
        "+ Service default t @a/y.yaml:1\n"
        "+ Service default u @a/z.yaml:1\n");
}

int main(void) {
#define EACH(t) cmocka_unit_test_setup_teardown(t, setup_a, teardown)
#define FREE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
  const struct CMUnitTest tests[] = {
      EACH(test_nothing),
      FREE(test_no_folder_at_all),
      EACH(test_first_call_reads_everything),
      EACH(test_change),
      EACH(test_changes_in_a_row),
      EACH(test_delete),
      EACH(test_delete_of_empty_file_tells_nothing),
      EACH(test_rename),
      EACH(test_configmap_mount),
      EACH(test_emptied_file),
      EACH(test_broken_file_keeps_its_objects),
      EACH(test_bad_documents),
      EACH(test_longest_names),
      EACH(test_namespaces),
      EACH(test_metadata_by_alias),
      EACH(test_list),
      EACH(test_typed_list),
      EACH(test_duplicates_in_one_folder),
      FREE(test_overlay),
      FREE(test_folder_is_missing),
      FREE(test_not_a_folder),
      EACH(test_subfolder_goes),
      EACH(test_no_permission),
      EACH(test_unsteady_files),
      EACH(test_no_descriptor),
      EACH(test_special_files),
      EACH(test_names_that_are_no_text),
      EACH(test_size_limit),
      EACH(test_number_of_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
