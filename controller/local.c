/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/local.h"

#include <stdlib.h>

#include "controller/status.h"
#include "controller/tokens.h"
#include "eastwest/base/err.h"
#include "eastwest/manifests/manifests.h"

#define POLL_MS 200
#define POLLS_A_STATUS 50

struct ew_local {
  struct ew_objects *objects;
  struct ew_manifests *manifests;
  struct ew_status *status;
  struct ew_tokens *tokens;
  struct ew_timer poll;
  uint64_t polls;
  const struct ew_source_events *ev;
  void *arg;
};

static void on_upsert(void *arg, json_t *object, const char *where) {
  struct ew_local *m = arg;
  char why[768] = "";

  if (ew_objects_upsert(m->objects, object, where, why, sizeof(why)) ==
      EW_EINVAL)
    m->ev->on_fault(m->arg, why);
}

static void on_delete(void *arg, const char *kind, const char *ns,
                      const char *name) {
  struct ew_local *m = arg;

  (void)ew_objects_delete(m->objects, kind, ns, name);
}

static void on_error(void *arg, const char *text) {
  struct ew_local *m = arg;
  m->ev->on_fault(m->arg, text);
}

static void on_poll(struct ew_timer *t) {
  struct ew_local *m = EW_CONTAINER(t, struct ew_local, poll);
  uint64_t before = m->objects->changes;
  bool changed;

  (void)ew_manifests_poll(m->manifests);
  changed = m->objects->changes != before;
  if (changed)
    m->ev->on_objects(m->arg);
  /* Without a change too, now and then: a file could not be written, or
   * another run left one whose route is gone. */
  if (changed || m->polls % POLLS_A_STATUS == 0)
    ew_status_update(m->status, m->objects);
  m->polls++;
  ew_timer_start(&m->poll, POLL_MS);
}

struct ew_local *ew_local_new(struct ew_loop *l,
                              const struct ew_local_opts *opts,
                              struct ew_objects *o,
                              const struct ew_source_events *ev, void *arg,
                              char *why, size_t why_len) {
  static const struct ew_manifests_events events = {on_upsert, on_delete,
                                                    on_error};
  struct ew_ca *ca = ew_ca_open(opts->ca_dir, opts->trust_domain, why, why_len);
  struct ew_local *m;

  if (!ca)
    return NULL;
  m = ew_calloc(1, sizeof(*m));
  m->objects = o;
  m->ev = ev;
  m->arg = arg;
  m->manifests =
      ew_manifests_new(opts->manifests, opts->manifests_n, &events, m);
  m->status = ew_status_new(opts->status_dir);
  m->tokens = ew_tokens_new(opts->token_file);
  ew_timer_init(l, &m->poll, on_poll);
  on_poll(&m->poll);
  ev->on_ca(arg, ca);
  return m;
}

void ew_local_del(struct ew_local *m) {
  if (!m)
    return;
  ew_timer_stop(&m->poll);
  ew_tokens_del(m->tokens);
  ew_status_del(m->status);
  ew_manifests_del(m->manifests);
  free(m);
}

void ew_local_measure(struct ew_local *m, struct ew_metrics *metrics) {
  struct ew_series *looks =
      ew_series_ref(metrics, EW_COUNTER, "eastwest_controller_looks_total",
                    "Looks at the folders of manifests.", NULL, 0);

  ew_series_set(looks, (int64_t)m->polls);
  ew_series_unref(metrics, looks);
}

struct ew_authenticator *ew_local_authenticator(struct ew_local *m) {
  return ew_tokens_authenticator(m->tokens);
}
