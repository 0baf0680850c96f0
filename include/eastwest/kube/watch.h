/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_KUBE_WATCH_H
#define EASTWEST_KUBE_WATCH_H

#include <jansson.h>

#include "eastwest/kube/client.h"

/* Follows all objects of one resource: a LIST in pages, then a WATCH from
 * there with bookmarks; a new LIST when the server no longer knows the version
 * (410, as a status and as an event). What vanished between two LISTs is told
 * as deleted. Without the API server everything stays as it was; it is tried
 * again with growing waits and jitter, and as late as the server asks for
 * (429, Retry-After). */
struct ew_kube_watch;

#define EW_KUBE_PAGE 500
#define EW_KUBE_EVENT_MAX (16u << 20) /* bytes of one event */

struct ew_kube_watch_opts {
  const char *path;        /* "/apis/discovery.k8s.io/v1/endpointslices" */
  const char *api_version; /* of its objects: lists leave both out */
  const char *kind;
  /* Where an older server has them; used when |path| is answered by 404. NULL:
   * nowhere. */
  const char *older_path, *older_api_version;
  const char *selector; /* label selector as "labelSelector=...", URL encoded,
                           or NULL */
  /* Only objects of that name, by a field selector, so that a Role can be
   * limited to it by resourceNames. NULL: all. */
  const char *name;
};

struct ew_kube_watch_events {
  /* New or changed; borrowed. */
  void (*on_object)(void *arg, json_t *object);
  void (*on_delete)(void *arg, const char *ns, const char *name);
  /* The first LIST is complete, or the server has no such resource. Once. */
  void (*on_synced)(void *arg);
};

/* |opts|' strings and |events| must outlive it. */
struct ew_kube_watch *ew_kube_watch_new(struct ew_kube *k, struct ew_loop *l,
                                        const struct ew_kube_watch_opts *opts,
                                        const struct ew_kube_watch_events *ev,
                                        void *arg);
void ew_kube_watch_del(struct ew_kube_watch *w); /* NULL is allowed */
/* Faults so far, for metrics: answers other than 200, broken connections. */
uint64_t ew_kube_watch_faults(const struct ew_kube_watch *w);

#endif
