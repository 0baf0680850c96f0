/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/discovery.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/model/discovery_line.h"
#include "sidecar/controller_conn.h"

/* The wait before a stream that the controller ended is asked for again. */
#define STREAM_RETRY_MS 1000

struct link {
  struct ew_list node; /* in discovery->links */
  struct ew_discovery *d;
  struct ew_controller_conn *conn;
  struct ew_timer silence;
  bool closing; /* takes no more requests */
};

struct ew_watch {
  struct ew_list node; /* in discovery->idle or ->open */
  struct ew_discovery *d;
  struct ew_addr addr;
  struct link *link;
  struct ew_hstream *st; /* NULL while idle */
  struct ew_buf line;
  int status;
  ew_watch_fn on_state;
  void *arg;
};

struct ew_discovery {
  struct ew_loop *loop;
  struct ew_discovery_opts opts;
  struct ew_list links;
  struct ew_list idle; /* watches without a stream */
  struct ew_list open; /* watches with one */
  struct ew_timer retry;
  struct ew_task work;
  uint64_t backoff_ms;
};

static void count_state(struct ew_discovery *d, const char *result) {
  const struct ew_label l = {"result", result};
  struct ew_series *s = ew_series_ref(
      d->opts.metrics, EW_COUNTER, "eastwest_discovery_states_total",
      "States of destinations that came from the controller.", &l, 1);

  ew_series_add(s, 1);
  ew_series_unref(d->opts.metrics, s);
}

/* ---- streams ---- */

static void detach(struct ew_watch *w) {
  w->st = NULL;
  w->link = NULL;
  ew_list_remove(&w->node);
  ew_list_push_back(&w->d->idle, &w->node);
  ew_buf_fini(&w->line);
  ew_buf_init(&w->line, EW_DEST_JSON_MAX);
}

static void read_line(struct ew_watch *w, struct ew_slice line) {
  struct ew_destination *dest = NULL;
  char why[256];
  char addr[EW_ADDR_STR];
  int err = ew_discovery_line_read(line, &dest, why, sizeof(why));

  if (err == EW_EAGAIN)
    return;
  if (err != EW_OK) {
    count_state(w->d, "refused");
    ew_log(EW_LOG_WARN, "state from the controller refused",
           "destination=%s reason=%s", ew_addr_str(&w->addr, addr), why);
    return;
  }
  count_state(w->d, "applied");
  w->on_state(w->arg, dest);
  ew_destination_unref(dest);
}

static void read_lines(struct ew_watch *w) {
  struct ew_slice in = ew_buf_peek(&w->line);
  size_t used = 0;

  for (;;) {
    struct ew_slice rest = ew_slice(in.p + used, in.n - used);
    ptrdiff_t end = ew_slice_chr(rest, '\n');
    if (end < 0)
      break;
    read_line(w, ew_slice(rest.p, (size_t)end));
    used += (size_t)end + 1;
  }
  ew_buf_consume(&w->line, used);
  ew_buf_release(&w->line);
}

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct ew_watch *w = st->user;
  char addr[EW_ADDR_STR];

  (void)arg;
  (void)end;
  w->status = m->status;
  if (m->status != 200)
    ew_log(EW_LOG_WARN, "discovery refused", "destination=%s status=%d",
           ew_addr_str(&w->addr, addr), m->status);
  ew_message_del(m);
}

static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  struct link *l = arg;
  struct ew_watch *w = st->user;

  ew_timer_start(&l->silence, EW_DISCOVERY_SILENCE_MS);
  ew_hstream_consume(st, bytes.n);
  ew_controller_conn_touch(l->conn);
  if (w->status != 200)
    return;
  if (ew_buf_append(&w->line, bytes) != EW_OK) {
    count_state(w->d, "refused");
    ew_buf_consume(&w->line, ew_buf_len(&w->line));
    return;
  }
  if (ew_slice_chr(bytes, '\n') >= 0)
    read_lines(w);
}

static void on_end(void *arg, struct ew_hstream *st,
                   struct ew_message *trailers) {
  (void)arg;
  (void)st;
  ew_message_del(trailers);
}

static void on_reset(void *arg, struct ew_hstream *st, int err) {
  (void)arg;
  (void)st;
  (void)err;
}

static void on_writable(void *arg, struct ew_hstream *st) {
  (void)arg;
  (void)st;
}

static void on_stream_closed(void *arg, struct ew_hstream *st) {
  struct link *l = arg;

  detach(st->user);
  if (!ew_timer_active(&l->d->retry))
    ew_timer_start(&l->d->retry, STREAM_RETRY_MS);
}

static void on_goaway(void *arg) {
  struct link *l = arg;
  l->closing = true;
}

static const struct ew_codec_events request_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_closed = on_stream_closed,
    .on_goaway = on_goaway,
};

/* ---- links ---- */

static void retry_later(struct ew_discovery *d, const char *why) {
  uint64_t ms = d->backoff_ms * 2;

  if (ms < EW_DISCOVERY_RETRY_MIN_MS)
    ms = EW_DISCOVERY_RETRY_MIN_MS;
  if (ms > EW_DISCOVERY_RETRY_MAX_MS)
    ms = EW_DISCOVERY_RETRY_MAX_MS;
  d->backoff_ms = ms;
  ew_log(EW_LOG_WARN, "no connection to the controller",
         "reason=%s retry_ms=%llu", why, (unsigned long long)ms);
  /* Many sidecars must not come back at the same moment. */
  ew_timer_start(&d->retry, ms / 2 + ew_clock_us() % (ms / 2 + 1));
}

/* Its watches become idle; the last states stay with their users. */
static void link_gone(struct link *l) {
  struct ew_discovery *d = l->d;
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &d->open) {
    struct ew_watch *w = EW_CONTAINER(it, struct ew_watch, node);
    if (w->link == l)
      detach(w);
  }
  ew_timer_stop(&l->silence);
  ew_list_remove(&l->node);
  free(l);
}

static void on_link_open(void *arg) {
  struct link *l = arg;

  l->d->backoff_ms = 0;
  ew_log(EW_LOG_INFO, "connected to the controller", NULL);
  ew_timer_start(&l->silence, EW_DISCOVERY_SILENCE_MS);
  ew_task_defer(l->d->loop, &l->d->work);
}

static void on_link_closed(void *arg, int err, const char *why) {
  struct link *l = arg;
  struct ew_discovery *d = l->d;
  /* A controller may end what nobody uses. */
  bool unused = err == EW_EOF && ew_list_empty(&d->open);

  link_gone(l);
  if (unused)
    ew_timer_start(&d->retry, EW_DISCOVERY_RETRY_MIN_MS);
  else
    retry_later(d, why[0] ? why : ew_strerror(err));
}

static const struct ew_controller_conn_events link_events = {on_link_open,
                                                             on_link_closed};

static void on_silence(struct ew_timer *t) {
  struct link *l = EW_CONTAINER(t, struct link, silence);
  struct ew_discovery *d = l->d;

  /* Without a stream nobody sends heartbeats. */
  if (ew_list_empty(&d->open)) {
    ew_timer_start(&l->silence, EW_DISCOVERY_SILENCE_MS);
    return;
  }
  ew_controller_conn_del(l->conn);
  link_gone(l);
  retry_later(d, "silent");
}

static void add_link(struct ew_discovery *d) {
  struct ew_tls_ctx *tls = ew_identity_ctx(d->opts.identity);
  struct link *l;

  if (!tls) {
    ew_timer_start(&d->retry, EW_DISCOVERY_RETRY_MIN_MS);
    return;
  }
  l = ew_calloc(1, sizeof(*l));
  l->d = d;
  ew_timer_init(d->loop, &l->silence, on_silence);
  ew_list_push_back(&d->links, &l->node);
  l->conn = ew_controller_conn_new(d->loop, &d->opts.controller,
                                   d->opts.controller_id, tls, &link_events,
                                   &request_events, l);
}

static bool open_watch(struct link *l, struct ew_watch *w) {
  struct ew_message *m = ew_message_new();
  char addr[EW_ADDR_STR];
  char path[EW_ADDR_STR + 32];
  int n = snprintf(path, sizeof(path), "/v1/destinations/%s",
                   ew_addr_str(&w->addr, addr));

  m->method = EW_SLICE_LIT("GET");
  m->path = ew_slice(path, (size_t)n);
  w->st = ew_controller_conn_request(l->conn, m, true, w);
  ew_message_del(m);
  if (!w->st)
    return false;
  w->link = l;
  w->status = 0;
  ew_list_remove(&w->node);
  ew_list_push_back(&l->d->open, &w->node);
  return true;
}

/* Gives streams to the idle as far as there is room, and sees to more room. */
static void on_work(struct ew_task *t) {
  struct ew_discovery *d = EW_CONTAINER(t, struct ew_discovery, work);
  bool dialing = false, usable = false;
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &d->links) {
    struct link *l = EW_CONTAINER(it, struct link, node);
    if (!ew_controller_conn_is_open(l->conn)) {
      dialing = true;
      continue;
    }
    usable |= !l->closing;
    while (!l->closing && !ew_list_empty(&d->idle))
      if (!open_watch(l, EW_CONTAINER(d->idle.next, struct ew_watch, node)))
        break;
  }
  if (!dialing && (!usable || !ew_list_empty(&d->idle)) &&
      !ew_timer_active(&d->retry))
    add_link(d);
}

static void on_retry(struct ew_timer *t) {
  struct ew_discovery *d = EW_CONTAINER(t, struct ew_discovery, retry);
  ew_task_defer(d->loop, &d->work);
}

/* ---- for users ---- */

struct ew_discovery *ew_discovery_new(struct ew_loop *l,
                                      const struct ew_discovery_opts *o) {
  struct ew_discovery *d = ew_calloc(1, sizeof(*d));

  d->loop = l;
  d->opts = *o;
  ew_list_init(&d->links);
  ew_list_init(&d->idle);
  ew_list_init(&d->open);
  ew_timer_init(l, &d->retry, on_retry);
  ew_task_init(&d->work, on_work);
  ew_task_defer(l, &d->work);
  return d;
}

void ew_discovery_del(struct ew_discovery *d) {
  EW_BUG_ON(!ew_list_empty(&d->idle) || !ew_list_empty(&d->open));
  while (!ew_list_empty(&d->links)) {
    struct link *l = EW_CONTAINER(d->links.next, struct link, node);
    ew_controller_conn_del(l->conn);
    link_gone(l);
  }
  ew_timer_stop(&d->retry);
  ew_task_cancel(&d->work);
  free(d);
}

bool ew_discovery_connected(const struct ew_discovery *d) {
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &d->links) {
    struct link *l = EW_CONTAINER(it, struct link, node);
    if (ew_controller_conn_is_open(l->conn))
      return true;
  }
  return false;
}

struct ew_watch *ew_discovery_watch(struct ew_discovery *d,
                                    const struct ew_addr *dst,
                                    ew_watch_fn on_state, void *arg) {
  struct ew_watch *w = ew_calloc(1, sizeof(*w));

  w->d = d;
  w->addr = *dst;
  w->on_state = on_state;
  w->arg = arg;
  ew_buf_init(&w->line, EW_DEST_JSON_MAX);
  ew_list_push_back(&d->idle, &w->node);
  ew_task_defer(d->loop, &d->work);
  return w;
}

void ew_discovery_unwatch(struct ew_watch *w) {
  if (w->st) {
    ew_hstream_reset(w->st, EW_ECANCELED);
    ew_controller_conn_touch(w->link->conn);
  }
  ew_list_remove(&w->node);
  ew_buf_fini(&w->line);
  free(w);
}
