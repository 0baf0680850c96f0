/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/manifests/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "eastwest/base/alloc.h"
#include "lib/manifests/document.h"
#include "lib/manifests/yaml.h"

/* The kernel stamps files with the time of its last tick, at most 10 ms old. */
#define EW_MFILE_RECENT_NS INT64_C(50000000)

struct ew_mfile *ew_mfile_new(const char *dir, const char *name) {
  struct ew_mfile *f = ew_calloc(1, sizeof *f);
  size_t n = strlen(dir), m = strlen(name);
  f->name = ew_strdup(name);
  f->path = ew_malloc(n + m + 2);
  snprintf(f->path, n + m + 2, "%s/%s", dir, name);
  f->entries = json_array();
  return f;
}

void ew_mfile_del(struct ew_mfile *f) {
  json_decref(f->entries);
  free(f->path);
  free(f->name);
  free(f);
}

static int64_t ew_mfile_ns(struct timespec t) {
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool ew_mfile_same(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
         a->st_size == b->st_size && a->st_mode == b->st_mode &&
         ew_mfile_ns(a->st_mtim) == ew_mfile_ns(b->st_mtim) &&
         ew_mfile_ns(a->st_ctim) == ew_mfile_ns(b->st_ctim);
}

static bool ew_mfile_recent(const struct stat *st) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t age = ew_mfile_ns(now) - ew_mfile_ns(st->st_ctim);
  return age > -EW_MFILE_RECENT_NS && age < EW_MFILE_RECENT_NS;
}

static uint64_t ew_mfile_hash(const char *p, size_t n) {
  uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
  for (size_t i = 0; i < n; i++)
    h = (h ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
  return h;
}

/* All bytes of |fd|, or NULL with errno. One byte more than |n| is asked for,
 * so that a file that grew is noticed. */
static char *ew_mfile_bytes(int fd, size_t n, size_t *got) {
  char *text = ew_malloc(n + 1);
  *got = 0;
  while (*got <= n) {
    ssize_t r = read(fd, text + *got, n + 1 - *got);
    if (r < 0 && errno == EINTR)
      continue;
    if (r < 0) {
      free(text);
      return NULL;
    }
    if (r == 0)
      break;
    *got += (size_t)r;
  }
  return text;
}

/* The text, or NULL: then |*why| tells the fault, or is NULL if somebody
 * writes to the file just now, and the next look will read it. */
static char *ew_mfile_read(struct ew_mfile *f, size_t *n, const char **why) {
  struct stat before, after;
  char *text = NULL;
  *why = NULL;
  /* Not blocking, for the case that the name now belongs to a FIFO. */
  int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, &before) < 0) {
    *why = errno == ENOENT ? NULL : strerror(errno);
  } else if (!S_ISREG(before.st_mode)) {
    *why = "not a regular file";
  } else if (before.st_size > EW_MANIFEST_FILE_MAX) {
    *why = "larger than 16 MiB";
  } else {
    text = ew_mfile_bytes(fd, (size_t)before.st_size, n);
    if (!text)
      *why = strerror(errno);
  }
  bool torn = text && (*n != (size_t)before.st_size || fstat(fd, &after) < 0 ||
                       !ew_mfile_same(&before, &after) ||
                       !ew_mfile_same(&before, &f->seen));
  if (torn) {
    free(text);
    text = NULL;
  }
  if (fd >= 0)
    close(fd);
  return text;
}

struct ew_mfile_parse {
  struct ew_mfile *f;
  json_t *entries;
  const struct ew_mfile_events *events;
  void *arg;
};

/* The name of a file need not be UTF-8. */
static json_t *ew_mfile_where(const struct ew_mfile *f, size_t line) {
  size_t n = strlen(f->path) + 24;
  char *text = ew_malloc(n);
  snprintf(text, n, "%s:%zu", f->path, line);
  json_t *where = json_string_nocheck(text);
  free(text);
  return where;
}

static void ew_mfile_on_object(void *arg, json_t *object, const char *kind,
                               const char *ns, const char *name, size_t line) {
  struct ew_mfile_parse *p = arg;
  json_t *e = json_object();
  json_object_set_new(e, "key", json_sprintf(EW_MFILE_KEY, kind, ns, name));
  json_object_set_new(e, "where", ew_mfile_where(p->f, line));
  json_object_set_new(e, "line", json_integer((json_int_t)line));
  json_object_set(e, "object", object);
  json_array_append_new(p->entries, e);
}

static void ew_mfile_on_fault(void *arg, size_t line, const char *why) {
  const struct ew_mfile_parse *p = arg;
  p->events->on_fault(p->arg, p->f->path, line, why);
}

static const struct ew_document_out document_out = {
    .on_object = ew_mfile_on_object,
    .on_fault = ew_mfile_on_fault,
};

static bool ew_mfile_parse(struct ew_mfile *f, struct ew_slice text,
                           const struct ew_mfile_events *events, void *arg) {
  struct ew_yaml_fault fault;
  json_t *documents = ew_yaml_documents(text, &fault);
  if (!documents) {
    events->on_fault(arg, f->path, fault.line, fault.why);
    return false;
  }
  struct ew_mfile_parse p = {f, json_array(), events, arg};
  size_t i;
  json_t *each;
  json_array_foreach(documents, i, each) {
    ew_document_read(each, &document_out, &p);
  }
  json_decref(documents);
  json_decref(f->entries);
  f->entries = p.entries;
  return true;
}

/* An editor that writes in place empties the file first. So a file that just
 * lost all its bytes loses its objects at the second look only. */
static bool ew_mfile_just_emptied(struct ew_mfile *f, size_t n) {
  bool just = n == 0 && json_array_size(f->entries) > 0 && !f->emptied;
  f->emptied = just;
  f->again = f->again || just;
  return just;
}

/* False if there is nothing to read: no change, or no file. */
static bool ew_mfile_look(struct ew_mfile *f,
                          const struct ew_mfile_events *events, void *arg,
                          bool *changed) {
  struct stat st;
  bool lost = stat(f->path, &st) < 0;
  if (lost && errno != ENOENT && !f->fault_told) {
    events->on_fault(arg, f->path, 0, strerror(errno));
    f->fault_told = f->again = true;
  }
  if (lost)
    return false;
  *changed = !ew_mfile_same(&st, &f->seen);
  if (!*changed && !f->again)
    return false;
  f->seen = st;
  f->again = ew_mfile_recent(&st);
  return true;
}

bool ew_mfile_refresh(struct ew_mfile *f, const struct ew_mfile_events *events,
                      void *arg) {
  bool changed = false, fresh = false;
  if (!ew_mfile_look(f, events, arg, &changed))
    return false;
  size_t n = 0;
  const char *why;
  char *text = ew_mfile_read(f, &n, &why);
  if (!text) {
    if (why && (changed || !f->fault_told))
      events->on_fault(arg, f->path, 0, why);
    f->fault_told = why != NULL;
    f->again = true;
    return false;
  }
  f->fault_told = false;
  uint64_t hash = ew_mfile_hash(text, n);
  if (!ew_mfile_just_emptied(f, n) && !(f->parsed && f->hash == hash)) {
    f->parsed = true;
    f->hash = hash;
    fresh = ew_mfile_parse(f, ew_slice(text, n), events, arg);
  }
  free(text);
  return fresh;
}
