/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/kube/watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "lib/kube/names.h"

#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 30000
#define ABSENT_RETRY_MS 30000
/* A watch ends in order before its silence counts as a fault: of a kind that
 * nothing happened to since the server started there are no bookmarks. */
#define WATCH_MIN_S 90
#define WATCH_SPREAD_S 45
#define SILENCE_S 150
#define PATH_MAX_LEN 4096
#define VERSION_MAX 128
#define CONTINUE_MAX 3072
#define FILTER_MAX 600
/* A watch that ends sooner did not end because it was old. */
#define SHORT_WATCH_MS 1000

struct ew_kube_watch {
  struct ew_kube *kube;
  struct ew_loop *loop;
  struct ew_kube_watch_opts opts;
  char filter[FILTER_MAX]; /* "&..." or "" */
  const struct ew_kube_watch_events *ev;
  void *arg;
  struct ew_kube_request *request;
  struct ew_timer retry;
  uint64_t backoff_ms;
  struct ew_kube_names names;
  char version[VERSION_MAX];    /* "": a LIST is needed */
  char next_page[CONTINUE_MAX]; /* "": the LIST begins */
  struct ew_buf line;
  bool synced;
  bool relist; /* what happened since |version| is not known */
  uint64_t watching_since_ms;
  bool older;  /* |older_path| is in use */
  bool absent; /* the other of the two paths was answered by 404 */
  uint64_t faults;
};

static void next_step(struct ew_kube_watch *w);

/* ---- objects ---- */

static const char *member(const json_t *obj, const char *name) {
  const char *s = json_string_value(json_object_get(obj, name));
  return s ? s : "";
}

/* NUL is allowed: one annotation with it must not hide all objects. */
static json_t *parse(struct ew_slice text) {
  return json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL, NULL);
}

static void copy_text(char *out, size_t len, const char *s) {
  size_t n = strlen(s);

  /* What does not fit can't be used at all: a cut version is another one. */
  if (n >= len)
    n = 0;
  memcpy(out, s, n);
  out[n] = '\0';
}

static void take_object(struct ew_kube_watch *w, json_t *object) {
  json_t *meta = json_object_get(object, "metadata");
  const char *name = member(meta, "name");

  if (!name[0])
    return;
  json_object_set_new(
      object, "apiVersion",
      json_string(w->older ? w->opts.older_api_version : w->opts.api_version));
  json_object_set_new(object, "kind", json_string(w->opts.kind));
  json_object_del(meta, "managedFields");
  ew_kube_names_add(&w->names, member(meta, "namespace"), name);
  w->ev->on_object(w->arg, object);
}

static void drop_object(struct ew_kube_watch *w, const json_t *object) {
  const json_t *meta = json_object_get(object, "metadata");

  ew_kube_names_remove(&w->names, member(meta, "namespace"),
                       member(meta, "name"));
  w->ev->on_delete(w->arg, member(meta, "namespace"), member(meta, "name"));
}

static void on_gone(void *arg, const char *ns, const char *name) {
  struct ew_kube_watch *w = arg;
  w->ev->on_delete(w->arg, ns, name);
}

static void mark_synced(struct ew_kube_watch *w) {
  if (w->synced)
    return;
  w->synced = true;
  w->ev->on_synced(w->arg);
}

/* ---- failure ---- */

static void wait_then_go(struct ew_kube_watch *w, uint64_t at_least_ms) {
  uint64_t ms = w->backoff_ms ? w->backoff_ms * 2 : RETRY_MIN_MS;

  if (ms > RETRY_MAX_MS)
    ms = RETRY_MAX_MS;
  w->backoff_ms = ms;
  ms = ms / 2 + ew_clock_us() % (ms / 2 + 1);
  ew_timer_start(&w->retry, ms > at_least_ms ? ms : at_least_ms);
}

static void tell_fault(struct ew_kube_watch *w, const char *what,
                       const struct ew_kube_answer *a) {
  w->faults++;
  ew_log(EW_LOG_WARN, what, "kind=%s status=%d error=%s", w->opts.kind,
         a->status, a->error);
}

static void absent(struct ew_kube_watch *w) {
  w->version[0] = w->next_page[0] = '\0';
  if (w->opts.older_path)
    w->older = !w->older;
  if (w->opts.older_path && !w->absent) {
    w->absent = true;
    ew_timer_start(&w->retry, 1);
    return;
  }
  /* None is there any more. */
  w->absent = false;
  ew_kube_names_begin(&w->names);
  ew_kube_names_end(&w->names, on_gone, w);
  mark_synced(w);
  ew_timer_start(&w->retry, ABSENT_RETRY_MS);
}

static void failed(struct ew_kube_watch *w, const struct ew_kube_answer *a) {
  if (a->status == 404) {
    /* The definition is not installed; nothing is wrong with that. */
    absent(w);
    return;
  }
  if (a->status == 410)
    w->version[0] = w->next_page[0] = '\0';
  tell_fault(w, "the API server gives no objects", a);
  wait_then_go(w, 1000ull * a->retry_after_s);
}

/* ---- LIST ---- */

/* A page that can be used: not the end of a LIST without a version to go on
 * from, nor one whose continuation does not fit, which would look like the end.
 */
static bool is_page(const json_t *root) {
  const json_t *meta = json_object_get(root, "metadata");
  size_t version = strlen(member(meta, "resourceVersion"));

  return json_is_array(json_object_get(root, "items")) && version > 0 &&
         version < VERSION_MAX &&
         strlen(member(meta, "continue")) < CONTINUE_MAX;
}

static void take_page(struct ew_kube_watch *w, const json_t *root) {
  const json_t *meta = json_object_get(root, "metadata");
  const json_t *items = json_object_get(root, "items");

  if (!w->next_page[0])
    ew_kube_names_begin(&w->names);
  for (size_t i = 0; i < json_array_size(items); i++)
    take_object(w, json_array_get(items, i));
  copy_text(w->next_page, sizeof(w->next_page), member(meta, "continue"));
  w->backoff_ms = 0;
  w->absent = false;
  if (w->next_page[0])
    return;
  copy_text(w->version, sizeof(w->version), member(meta, "resourceVersion"));
  ew_kube_names_end(&w->names, on_gone, w);
  mark_synced(w);
}

static void list_done(void *arg, const struct ew_kube_answer *a) {
  struct ew_kube_watch *w = arg;
  json_t *root = a->status == 200 ? parse(a->body) : NULL;

  w->request = NULL;
  if (is_page(root)) {
    take_page(w, root);
    next_step(w);
  } else {
    failed(w, a);
  }
  json_decref(root);
}

static const char *path_of(const struct ew_kube_watch *w) {
  return w->older ? w->opts.older_path : w->opts.path;
}

static void list(struct ew_kube_watch *w) {
  static const struct ew_kube_events events = {.on_done = list_done};
  char path[PATH_MAX_LEN];
  int n = snprintf(path, sizeof(path), "%s?limit=%d%s%s%s", path_of(w),
                   EW_KUBE_PAGE, w->next_page[0] ? "&continue=" : "",
                   w->next_page, w->filter);

  EW_BUG_ON(n < 0 || (size_t)n >= sizeof(path));
  w->request = ew_kube_send(
      w->kube,
      &(struct ew_kube_call){.method = "GET", .path = path, .timeout_s = 60},
      &events, w);
}

/* ---- WATCH ---- */

static void give_up(struct ew_kube_watch *w, const char *why) {
  w->relist = true;
  w->faults++;
  ew_log(EW_LOG_INFO, "events can't be followed, all objects are listed again",
         "kind=%s reason=%s", w->opts.kind, why);
}

static void take_event(struct ew_kube_watch *w, struct ew_slice line) {
  json_t *root = parse(line);
  const char *type = member(root, "type");
  json_t *object = json_object_get(root, "object");
  const json_t *meta = json_object_get(object, "metadata");

  if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
    take_object(w, object);
  } else if (strcmp(type, "DELETED") == 0) {
    drop_object(w, object);
  } else if (strcmp(type, "BOOKMARK") != 0) {
    /* ERROR, most often 410. */
    give_up(w, member(object, "message"));
  }
  if (!w->relist && member(meta, "resourceVersion")[0])
    copy_text(w->version, sizeof(w->version), member(meta, "resourceVersion"));
  json_decref(root);
}

static void empty_line(struct ew_kube_watch *w) {
  ew_buf_consume(&w->line, ew_buf_len(&w->line));
  ew_buf_release(&w->line);
}

static void begin_again(struct ew_kube_watch *w) {
  ew_kube_cancel(w->request);
  w->request = NULL;
  w->relist = false;
  w->version[0] = '\0';
  empty_line(w);
  wait_then_go(w, 0);
}

static void take_lines(struct ew_kube_watch *w, struct ew_slice bytes) {
  while (bytes.n > 0 && !w->relist) {
    ptrdiff_t end = ew_slice_chr(bytes, '\n');
    struct ew_slice part = ew_slice(bytes.p, end < 0 ? bytes.n : (size_t)end);
    if (ew_buf_append(&w->line, part) != EW_OK)
      give_up(w, "longer than 16 MiB");
    if (end < 0)
      return;
    bytes = ew_slice(bytes.p + end + 1, bytes.n - (size_t)end - 1);
    if (!w->relist && ew_buf_len(&w->line) > 0)
      take_event(w, ew_buf_peek(&w->line));
    empty_line(w);
  }
}

static void watch_data(void *arg, struct ew_slice bytes) {
  struct ew_kube_watch *w = arg;

  w->backoff_ms = 0;
  take_lines(w, bytes);
  if (w->relist)
    begin_again(w);
}

static void watch_done(void *arg, const struct ew_kube_answer *a) {
  struct ew_kube_watch *w = arg;

  w->request = NULL;
  empty_line(w);
  if (a->status == 200 && !a->error[0]) {
    if (ew_loop_now_ms(w->loop) - w->watching_since_ms < SHORT_WATCH_MS)
      wait_then_go(w, 0);
    else
      next_step(w);
  } else if (a->status == 200) {
    tell_fault(w, "watch broke off", a);
    wait_then_go(w, 0);
  } else {
    failed(w, a);
  }
}

static void watch(struct ew_kube_watch *w) {
  static const struct ew_kube_events events = {watch_data, watch_done};
  unsigned seconds =
      WATCH_MIN_S + (unsigned)(ew_clock_us() % (WATCH_SPREAD_S + 1));
  char path[PATH_MAX_LEN];
  int n = snprintf(path, sizeof(path),
                   "%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s"
                   "&timeoutSeconds=%u%s",
                   path_of(w), w->version, seconds, w->filter);

  EW_BUG_ON(n < 0 || (size_t)n >= sizeof(path));
  w->watching_since_ms = ew_loop_now_ms(w->loop);
  w->request = ew_kube_send(w->kube,
                            &(struct ew_kube_call){.method = "GET",
                                                   .path = path,
                                                   .timeout_s = seconds + 30,
                                                   .silence_s = SILENCE_S},
                            &events, w);
}

static void next_step(struct ew_kube_watch *w) {
  if (w->version[0])
    watch(w);
  else
    list(w);
}

static void on_retry(struct ew_timer *t) {
  next_step(EW_CONTAINER(t, struct ew_kube_watch, retry));
}

/* ---- life ---- */

static void set_filter(struct ew_kube_watch *w) {
  const struct ew_kube_watch_opts *o = &w->opts;
  int n = snprintf(w->filter, sizeof(w->filter), "%s%s%s%s",
                   o->selector ? "&" : "", o->selector ? o->selector : "",
                   o->name ? "&fieldSelector=metadata.name%3D" : "",
                   o->name ? o->name : "");

  EW_BUG_ON(n < 0 || (size_t)n >= sizeof(w->filter));
}

struct ew_kube_watch *ew_kube_watch_new(struct ew_kube *k, struct ew_loop *l,
                                        const struct ew_kube_watch_opts *opts,
                                        const struct ew_kube_watch_events *ev,
                                        void *arg) {
  struct ew_kube_watch *w = ew_calloc(1, sizeof(*w));

  w->kube = k;
  w->loop = l;
  w->opts = *opts;
  set_filter(w);
  w->ev = ev;
  w->arg = arg;
  ew_timer_init(l, &w->retry, on_retry);
  ew_kube_names_init(&w->names);
  ew_buf_init(&w->line, EW_KUBE_EVENT_MAX);
  list(w);
  return w;
}

void ew_kube_watch_del(struct ew_kube_watch *w) {
  if (!w)
    return;
  if (w->request)
    ew_kube_cancel(w->request);
  ew_timer_stop(&w->retry);
  ew_kube_names_fini(&w->names);
  ew_buf_fini(&w->line);
  free(w);
}

uint64_t ew_kube_watch_faults(const struct ew_kube_watch *w) {
  return w->faults;
}
