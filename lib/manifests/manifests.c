/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/manifests/manifests.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/slice.h"
#include "lib/manifests/file.h"

struct ew_mdir {
  char *path;
  struct ew_mfile **files; /* sorted by name */
  size_t files_n;
};

struct ew_manifests {
  struct ew_mdir *dirs;
  size_t dirs_n;
  const struct ew_manifests_events *events;
  void *arg;
  uint64_t errors;
  /* Paths of folders with a fault, and of the first file too many: at the last
   * look, and at this one. A fault that stays is told once. */
  json_t *faults, *faults_now;
  json_t *in_force; /* key of file.h: entry of file.h */
};

/* Names of files while a folder is read. */
struct ew_mnames {
  char **v;
  size_t n, cap;
};

static char *ew_join(const char *dir, const char *name) {
  size_t n = strlen(dir) + strlen(name) + 2;
  char *path = ew_malloc(n);
  snprintf(path, n, "%s%s%s", dir, *name ? "/" : "", name);
  return path;
}

static void ew_mnames_add(struct ew_mnames *l, const char *sub,
                          const char *name) {
  if (l->n == l->cap) {
    l->cap = l->cap ? 2 * l->cap : 16;
    l->v = ew_realloc(l->v, l->cap * sizeof l->v[0]);
  }
  l->v[l->n++] = *sub ? ew_join(sub, name) : ew_strdup(name);
}

static void ew_mnames_fini(struct ew_mnames *l) {
  for (size_t i = 0; i < l->n; i++)
    free(l->v[i]);
  free(l->v);
}

static int ew_mnames_compare(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void ew_mnames_sort(struct ew_mnames *l) {
  if (l->n > 1)
    qsort(l->v, l->n, sizeof l->v[0], ew_mnames_compare);
}

/* |line| may be 0: the whole file. The text goes to a log: no control
 * bytes, whatever the names of files and keys hold. */
static void ew_manifests_fault(struct ew_manifests *m, const char *path,
                               size_t line, const char *why) {
  char text[1024], at[24] = "";
  if (line)
    snprintf(at, sizeof at, ":%zu", line);
  snprintf(text, sizeof text, "%s%s: %s", path, at, why);
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7f)
      *c = '?';
  m->errors++;
  m->events->on_error(m->arg, text);
}

static void ew_manifests_fault_once(struct ew_manifests *m, const char *path,
                                    const char *why) {
  json_object_set_new_nocheck(m->faults_now, path, json_true());
  if (!json_object_get(m->faults, path))
    ew_manifests_fault(m, path, 0, why);
}

static void ew_manifests_file_fault(void *arg, const char *path, size_t line,
                                    const char *why) {
  ew_manifests_fault(arg, path, line, why);
}

static const struct ew_mfile_events file_events = {
    .on_fault = ew_manifests_file_fault,
};

/* "/" is behind every one of them, before the name. */
static char *ew_mdir_path(const char *dir) {
  size_t n = strlen(dir);
  while (n > 1 && dir[n - 1] == '/')
    n--;
  return ew_strndup(dir, n);
}

struct ew_manifests *ew_manifests_new(const char *const *dirs, size_t dirs_n,
                                      const struct ew_manifests_events *events,
                                      void *arg) {
  struct ew_manifests *m = ew_calloc(1, sizeof *m);
  m->dirs = ew_calloc(dirs_n ? dirs_n : 1, sizeof m->dirs[0]);
  m->dirs_n = dirs_n;
  for (size_t i = 0; i < dirs_n; i++)
    m->dirs[i].path = ew_mdir_path(dirs[i]);
  m->events = events;
  m->arg = arg;
  m->in_force = json_object();
  m->faults = json_object();
  m->faults_now = json_object();
  return m;
}

void ew_manifests_del(struct ew_manifests *m) {
  if (!m)
    return;
  for (size_t i = 0; i < m->dirs_n; i++) {
    struct ew_mdir *d = &m->dirs[i];
    for (size_t k = 0; k < d->files_n; k++)
      ew_mfile_del(d->files[k]);
    free(d->files);
    free(d->path);
  }
  free(m->dirs);
  json_decref(m->in_force);
  json_decref(m->faults);
  json_decref(m->faults_now);
  free(m);
}

uint64_t ew_manifests_errors(const struct ew_manifests *m) { return m->errors; }

static bool ew_name_ends(const char *name, const char *end) {
  size_t n = strlen(name), k = strlen(end);
  return n > k && strcmp(name + n - k, end) == 0;
}

static bool ew_is_manifest_name(const char *name) {
  return ew_name_ends(name, ".yaml") || ew_name_ends(name, ".yml") ||
         ew_name_ends(name, ".json");
}

/* What cannot be looked at is kept on the list, so that it counts as failing
 * and not as gone. */
static void ew_list_entry(int dirfd, const char *sub, const struct dirent *e,
                          struct ew_mnames *files, struct ew_mnames *subs) {
  struct stat st = {.st_mode = DTTOIF(e->d_type)};
  const char *name = e->d_name;
  /* Kubernetes mounts a ConfigMap as links to files: stat, not lstat. */
  bool known = e->d_type == DT_REG || e->d_type == DT_DIR;
  bool failed = !known && fstatat(dirfd, name, &st, 0) < 0;
  if (name[0] == '.' || (failed && (errno == ENOENT || errno == ELOOP)))
    return;
  bool is_dir = !failed && S_ISDIR(st.st_mode);
  if (!is_dir && ew_is_manifest_name(name))
    ew_mnames_add(files, sub, name);
  else if ((is_dir || failed) && subs)
    ew_mnames_add(subs, "", name);
}

/* Files of |path| that are manifests to |files|, with |sub| before their names;
 * its folders to |subs| unless that is NULL. Returns 0 or an errno. */
static int ew_list_folder(const char *path, const char *sub,
                          struct ew_mnames *files, struct ew_mnames *subs) {
  DIR *d = opendir(path);
  if (!d)
    return errno;
  const struct dirent *e;
  while ((errno = 0, e = readdir(d)))
    ew_list_entry(dirfd(d), sub, e, files, subs);
  int err = errno;
  closedir(d);
  return err;
}

/* The files that |d| is known to have in folder |sub|. */
static void ew_mdir_known(const struct ew_mdir *d, const char *sub,
                          struct ew_mnames *files) {
  size_t n = strlen(sub);
  for (size_t i = 0; i < d->files_n; i++)
    if (strncmp(d->files[i]->name, sub, n) == 0 && d->files[i]->name[n] == '/')
      ew_mnames_add(files, "", d->files[i]->name);
}

/* Makes |d->files| be those of |names|, both sorted. Returns whether one that
 * had objects is gone. */
static bool ew_mdir_set(struct ew_mdir *d, const struct ew_mnames *names) {
  struct ew_mfile **files = ew_calloc(names->n ? names->n : 1, sizeof *files);
  size_t old = 0;
  bool lost = false;
  for (size_t i = 0; i <= names->n; i++) {
    int order = -1;
    while (old < d->files_n &&
           (i == names->n ||
            (order = strcmp(d->files[old]->name, names->v[i])) < 0)) {
      lost = lost || json_array_size(d->files[old]->entries) > 0;
      ew_mfile_del(d->files[old++]);
    }
    if (i == names->n)
      break;
    files[i] = old < d->files_n && order == 0
                   ? d->files[old++]
                   : ew_mfile_new(d->path, names->v[i]);
  }
  free(d->files);
  d->files = files;
  d->files_n = names->n;
  return lost;
}

static void ew_mnames_cut(struct ew_manifests *m, const struct ew_mdir *d,
                          struct ew_mnames *files, size_t room) {
  if (files->n <= room)
    return;
  char *path = ew_join(d->path, files->v[room]);
  ew_manifests_fault_once(m, path,
                          "more than 20000 files: this one and all after it "
                          "are left out");
  free(path);
  while (files->n > room)
    free(files->v[--files->n]);
}

static void ew_mdir_scan_sub(struct ew_manifests *m, const struct ew_mdir *d,
                             const char *sub, struct ew_mnames *files) {
  char *path = ew_join(d->path, sub);
  size_t before = files->n;
  int err = ew_list_folder(path, sub, files, NULL);
  /* Gone since its parent was read, or not a folder after all. */
  if (err && err != ENOENT && err != ENOTDIR) {
    ew_manifests_fault_once(m, path, strerror(err));
    while (files->n > before)
      free(files->v[--files->n]);
    ew_mdir_known(d, sub, files);
  }
  free(path);
}

static bool ew_mdir_scan(struct ew_manifests *m, struct ew_mdir *d,
                         size_t room) {
  struct ew_mnames files = {0}, subs = {0};
  bool lost = false;
  int err = ew_list_folder(d->path, "", &files, &subs);
  if (err) {
    ew_manifests_fault_once(m, d->path, strerror(err));
  } else {
    for (size_t i = 0; i < subs.n; i++)
      ew_mdir_scan_sub(m, d, subs.v[i], &files);
    ew_mnames_sort(&files);
    ew_mnames_cut(m, d, &files, room);
    lost = ew_mdir_set(d, &files);
  }
  ew_mnames_fini(&files);
  ew_mnames_fini(&subs);
  return lost;
}

/* Whether any list of entries is another one now. */
static bool ew_manifests_scan(struct ew_manifests *m) {
  size_t room = EW_MANIFEST_FILES_MAX;
  bool changed = false;
  for (size_t i = 0; i < m->dirs_n; i++) {
    struct ew_mdir *d = &m->dirs[i];
    changed |= ew_mdir_scan(m, d, room);
    for (size_t k = 0; k < d->files_n; k++)
      changed |= ew_mfile_refresh(d->files[k], &file_events, m);
    room -= d->files_n < room ? d->files_n : room;
  }
  json_decref(m->faults);
  m->faults = m->faults_now;
  m->faults_now = json_object();
  return changed;
}

static const char *ew_entry_str(const json_t *entry, const char *name) {
  return json_string_value(json_object_get(entry, name));
}

/* A duplicate is told when its own file was read again or when it becomes one,
 * not at each change of any other file. */
static void ew_manifests_duplicate(struct ew_manifests *m,
                                   const struct ew_mfile *f, json_t *entry,
                                   const json_t *first) {
  if (json_object_get(entry, "told"))
    return;
  json_object_set_new(entry, "told", json_true());
  char why[640];
  snprintf(why, sizeof why, "%.300s stands in %.300s already",
           ew_entry_str(entry, "key"), ew_entry_str(first, "where"));
  ew_manifests_fault(m, f->path,
                     (size_t)json_integer_value(json_object_get(entry, "line")),
                     why);
}

static void ew_manifests_desire_file(struct ew_manifests *m,
                                     const struct ew_mfile *f, json_t *own,
                                     json_t *desired) {
  size_t i;
  json_t *e;
  json_array_foreach(f->entries, i, e) {
    const char *key = ew_entry_str(e, "key");
    const json_t *first = json_object_get(own, key);
    if (first) {
      ew_manifests_duplicate(m, f, e, first);
    } else {
      json_object_del(e, "told");
      json_object_set_nocheck(own, key, e);
      json_object_set_nocheck(desired, key, e);
    }
  }
}

/* Key to entry, of all that should be in force. */
static json_t *ew_manifests_desired(struct ew_manifests *m) {
  json_t *desired = json_object();
  for (size_t i = 0; i < m->dirs_n; i++) {
    json_t *own = json_object();
    for (size_t k = 0; k < m->dirs[i].files_n; k++)
      ew_manifests_desire_file(m, m->dirs[i].files[k], own, desired);
    json_decref(own);
  }
  return desired;
}

static void ew_manifests_tell_delete(struct ew_manifests *m, const char *key) {
  char *text = ew_strdup(key);
  char *ns = strchr(text, '/');
  *ns++ = '\0';
  char *name = strchr(ns, '/');
  *name++ = '\0';
  m->events->on_delete(m->arg, text, ns, name);
  free(text);
}

static bool ew_manifests_apply(struct ew_manifests *m, json_t *desired) {
  json_t *old = m->in_force;
  m->in_force = desired;
  const char *key;
  json_t *e;
  bool any = false;
  json_object_foreach(old, key, e) {
    if (!json_object_get(desired, key)) {
      ew_manifests_tell_delete(m, key);
      any = true;
    }
  }
  json_object_foreach(desired, key, e) {
    const json_t *was = json_object_get(json_object_get(old, key), "object");
    json_t *object = json_object_get(e, "object");
    if (!was || !json_equal(was, object)) {
      m->events->on_upsert(m->arg, object, ew_entry_str(e, "where"));
      any = true;
    }
  }
  json_decref(old);
  return any;
}

bool ew_manifests_poll(struct ew_manifests *m) {
  return ew_manifests_scan(m) && ew_manifests_apply(m, ew_manifests_desired(m));
}
