/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/status.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controller/status_conditions.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/model/json_read.h"

#define EW_KEY_MAX 640
/* 32 parents of 8 conditions, each with a message of 2 KiB, and room. */
#define EW_STATUS_FILE_MAX (1u << 20)
#define EW_TMP_SUFFIX ".tmp"

struct ew_status_entry {
  struct ew_list node;
  char *key;     /* KIND_NAMESPACE_NAME */
  json_t *doc;   /* as in the file */
  bool unsaved;  /* writing failed; to be tried again */
  uint64_t seen; /* the update that last found its route */
};

struct ew_status {
  char *dir;              /* or NULL */
  struct ew_strmap known; /* ew_status_entry by key */
  struct ew_list entries;
  uint64_t update;
};

static const enum ew_kind ew_route_kinds[] = {
    EW_KIND_HTTP_ROUTE, EW_KIND_GRPC_ROUTE, EW_KIND_TCP_ROUTE,
    EW_KIND_TLS_ROUTE};
#define EW_ROUTE_KINDS (sizeof ew_route_kinds / sizeof *ew_route_kinds)

static struct ew_status_entry *ew_entry_new(struct ew_status *s,
                                            const char *key) {
  struct ew_status_entry *e = ew_calloc(1, sizeof *e);
  e->key = ew_strdup(key);
  ew_list_push_back(&s->entries, &e->node);
  ew_strmap_put(&s->known, key, e);
  return e;
}

static void ew_entry_del(struct ew_status *s, struct ew_status_entry *e) {
  ew_strmap_remove(&s->known, e->key);
  ew_list_remove(&e->node);
  json_decref(e->doc);
  free(e->key);
  free(e);
}

/* False if it is too long for a path. */
static bool ew_path(const struct ew_status *s, const char *key,
                    const char *suffix, char out[PATH_MAX]) {
  int n = snprintf(out, PATH_MAX, "%s/%s.json%s", s->dir, key, suffix);
  return n > 0 && n < PATH_MAX;
}

static bool ew_write_all(const char *path, const char *text) {
  FILE *f = fopen(path, "we");
  if (!f)
    return false;
  bool good = fputs(text, f) >= 0 && fputc('\n', f) != EOF;
  return fclose(f) == 0 && good;
}

/* Renamed into place, so that a reader never sees half of it. Not synced: what
 * a crash of the machine loses is written again. */
static bool ew_save(const struct ew_status *s,
                    const struct ew_status_entry *e) {
  char path[PATH_MAX], tmp[PATH_MAX];
  if (!ew_path(s, e->key, "", path) ||
      !ew_path(s, e->key, EW_TMP_SUFFIX, tmp)) {
    errno = ENAMETOOLONG;
    return false;
  }
  char *text = json_dumps(e->doc, JSON_INDENT(2));
  if (!text)
    return false;
  bool good = ew_write_all(tmp, text) && rename(tmp, path) == 0;
  int why = errno;
  free(text);
  if (!good)
    unlink(tmp);
  errno = why;
  return good;
}

static void ew_entry_save(const struct ew_status *s,
                          struct ew_status_entry *e) {
  if (!s->dir)
    return;
  e->unsaved = !ew_save(s, e);
  if (e->unsaved)
    ew_log(EW_LOG_WARN, "route status not written", "dir=%s file=%s error=%s",
           s->dir, e->key, strerror(errno));
}

static void ew_key_of(char key[EW_KEY_MAX], const char *kind, const char *ns,
                      const char *name) {
  snprintf(key, EW_KEY_MAX, "%s_%s_%s", kind, ns, name);
}

/* Of a file name that can be one of ours. */
static bool ew_is_our_file(const char *name) {
  for (size_t i = 0; i < EW_ROUTE_KINDS; i++) {
    const char *kind = ew_kind_name(ew_route_kinds[i]);
    if (strncmp(name, kind, strlen(kind)) == 0 && name[strlen(kind)] == '_')
      return true;
  }
  return false;
}

static bool ew_ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

static json_t *ew_load_doc(const char *path, char *why, size_t why_len) {
  FILE *f = fopen(path, "re");
  if (!f) {
    snprintf(why, why_len, "%s", strerror(errno));
    return NULL;
  }
  char *text = ew_malloc(EW_STATUS_FILE_MAX);
  size_t n = fread(text, 1, EW_STATUS_FILE_MAX, f);
  json_t *doc = NULL;
  if (n == EW_STATUS_FILE_MAX || ferror(f))
    snprintf(why, why_len, "can't be read, or is too large");
  else
    doc = ew_json_parse(ew_slice(text, n), why, why_len);
  fclose(f);
  free(text);
  return doc;
}

/* What is not exactly what we would have written is nobody's memory: it counts
 * as absent, and is replaced if there is such a route. */
static void ew_load(struct ew_status *s, const char *name) {
  char path[PATH_MAX], why[256] = "", key[EW_KEY_MAX];
  if (snprintf(path, sizeof path, "%s/%s", s->dir, name) >= (int)sizeof path)
    return;
  if (ew_ends_with(name, ".json" EW_TMP_SUFFIX)) {
    unlink(path);
    return;
  }
  if (!ew_ends_with(name, ".json"))
    return;
  json_t *doc = ew_load_doc(path, why, sizeof why);
  const json_t *meta = json_object_get(doc, "metadata");
  ew_key_of(key, ew_status_text(doc, "kind"), ew_status_text(meta, "namespace"),
            ew_status_text(meta, "name"));
  size_t n = strlen(name) - strlen(".json");
  if (!doc || strlen(key) != n || strncmp(key, name, n) != 0) {
    ew_log(EW_LOG_WARN, "route status of another run not used",
           "file=%s reason=%s", path,
           doc ? "names another object than the file's name" : why);
    json_decref(doc);
    return;
  }
  ew_entry_new(s, key)->doc = doc;
}

static void ew_load_all(struct ew_status *s) {
  if (mkdir(s->dir, 0755) != 0 && errno != EEXIST)
    ew_log(EW_LOG_ERROR, "folder for route status not made", "dir=%s error=%s",
           s->dir, strerror(errno));
  DIR *d = opendir(s->dir);
  if (!d)
    return;
  for (struct dirent *e = readdir(d); e; e = readdir(d))
    if (ew_is_our_file(e->d_name))
      ew_load(s, e->d_name);
  closedir(d);
}

struct ew_status *ew_status_new(const char *dir) {
  struct ew_status *s = ew_calloc(1, sizeof *s);
  ew_list_init(&s->entries);
  if (dir) {
    s->dir = ew_strdup(dir);
    ew_load_all(s);
  }
  return s;
}

void ew_status_del(struct ew_status *s) {
  if (!s)
    return;
  while (!ew_list_empty(&s->entries))
    ew_entry_del(s,
                 EW_CONTAINER(s->entries.next, struct ew_status_entry, node));
  ew_strmap_fini(&s->known);
  free(s->dir);
  free(s);
}

static void ew_take(json_t *to, const json_t *from, bool ours) {
  const json_t *parents = json_object_get(from, "parents");
  for (size_t i = 0; i < json_array_size(parents); i++)
    if (ew_status_is_ours(json_array_get(parents, i)) == ours)
      json_array_append(to, json_array_get(parents, i));
}

/* Entries of others are in the object, as they are now; ours are as we know
 * them, for the object can be older than what we wrote. */
static json_t *ew_status_before(const struct ew_object *route,
                                const struct ew_status_entry *e) {
  const json_t *known = e ? json_object_get(e->doc, "status") : NULL;
  const json_t *object = json_object_get(route->json, "status");
  json_t *parents = json_array();
  ew_take(parents, json_object_get(object, "parents") ? object : known, false);
  ew_take(parents, known ? known : object, true);
  return json_pack("{s:o}", "parents", parents);
}

static void ew_log_condition(const struct ew_object *route,
                             const json_t *parent_ref, const json_t *c,
                             const char *status) {
  ew_log(EW_LOG_INFO, "route condition",
         "kind=%s namespace=%s name=%s parent=%s condition=%s status=%s "
         "reason=%s detail=%s",
         ew_kind_name(route->kind), route->namespace_, route->name,
         ew_status_text(parent_ref, "name"), ew_status_text(c, "type"), status,
         ew_status_text(c, "reason"), ew_status_text(c, "message"));
}

static bool ew_same_text(const json_t *a, const json_t *b, const char *name) {
  return strcmp(ew_status_text(a, name), ew_status_text(b, name)) == 0;
}

/* Logs the conditions of |a| that |b| lacks or, unless |gone|, has in another
 * state. */
static void ew_log_changes(const struct ew_object *route, const json_t *a,
                           const json_t *b, bool gone) {
  const json_t *parents = json_object_get(a, "parents");
  for (size_t i = 0; i < json_array_size(parents); i++) {
    const json_t *e = json_array_get(parents, i);
    const json_t *ref = json_object_get(e, "parentRef");
    const json_t *list = json_object_get(e, "conditions");
    for (size_t j = 0; ew_status_is_ours(e) && j < json_array_size(list); j++) {
      const json_t *c = json_array_get(list, j);
      const json_t *other =
          ew_status_condition(b, ref, ew_status_text(c, "type"));
      if (gone ? !other
               : !other || !ew_same_text(c, other, "status") ||
                     !ew_same_text(c, other, "reason"))
        ew_log_condition(route, ref, c,
                         gone ? "removed" : ew_status_text(c, "status"));
    }
  }
}

static json_t *ew_doc(const struct ew_object *route, json_t *status) {
  return json_pack("{s:s, s:s, s:{s:s, s:s, s:I}, s:o}", "apiVersion",
                   ew_status_text(route->json, "apiVersion"), "kind",
                   ew_kind_name(route->kind), "metadata", "name", route->name,
                   "namespace", route->namespace_, "generation",
                   (json_int_t)route->generation, "status", status);
}

static void ew_update_route(struct ew_status *s, const struct ew_objects *o,
                            const struct ew_object *route, const char *now) {
  char key[EW_KEY_MAX];
  ew_key_of(key, ew_kind_name(route->kind), route->namespace_, route->name);
  struct ew_status_entry *e = ew_strmap_get(&s->known, key);
  json_t *before = ew_status_before(route, e);
  json_t *status = ew_status_of(o, route, before, now);
  if (e)
    e->seen = s->update;
  if (status) {
    ew_log_changes(route, status, before, false);
    ew_log_changes(route, before, status, true);
    json_t *doc = ew_doc(route, status);
    if (!e) {
      e = ew_entry_new(s, key);
      e->seen = s->update;
    }
    bool same = json_equal(e->doc, doc);
    json_decref(e->doc);
    e->doc = doc;
    if (!same || e->unsaved)
      ew_entry_save(s, e);
  }
  json_decref(before);
}

static void ew_forget(struct ew_status *s, struct ew_status_entry *e) {
  char path[PATH_MAX];
  if (s->dir && ew_path(s, e->key, "", path) && unlink(path) != 0 &&
      errno != ENOENT)
    ew_log(EW_LOG_WARN, "route status not removed", "file=%s error=%s", path,
           strerror(errno));
  ew_entry_del(s, e);
}

void ew_status_update(struct ew_status *s, const struct ew_objects *o) {
  char now[32];
  struct tm tm;
  time_t t = time(NULL);
  gmtime_r(&t, &tm);
  strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
  s->update++;
  for (size_t i = 0; i < EW_ROUTE_KINDS; i++) {
    const struct ew_list *all = &o->kinds[ew_route_kinds[i]];
    for (const struct ew_list *n = all->next; n != all; n = n->next)
      ew_update_route(s, o, EW_CONTAINER(n, struct ew_object, node), now);
  }
  struct ew_list *n, *tmp;
  EW_LIST_EACH(n, tmp, &s->entries) {
    struct ew_status_entry *e = EW_CONTAINER(n, struct ew_status_entry, node);
    if (e->seen != s->update)
      ew_forget(s, e);
  }
}
