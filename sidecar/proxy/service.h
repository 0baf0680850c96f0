/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_SERVICE_H
#define SIDECAR_PROXY_SERVICE_H

#include "eastwest/net/addr.h"
#include "sidecar/proxy/view.h"

/* What the sidecar knows of the addresses that its pod talks to: asked for on
 * first use, followed while in use, dropped when idle for the configured time.
 * While the controller is away, what it said is kept: it could not be asked
 * again. */

/* Addresses known at a time; beyond it the longest idle are dropped, and if
 * all are in use the connection is passed through as unknown. */
#define EW_SERVICES_MAX 8192
/* How long a first connection waits for the controller's answer. */
#define EW_SERVICE_WAIT_MS 1000

struct ew_service {
  struct ew_list node; /* private */
  struct ew_addr addr;
  /* The current version; NULL while nothing is known. */
  struct ew_view *view;
  /* Seen: on this address the server speaks first. */
  bool server_first;
  /* private */
  struct ew_services *owner;
  struct ew_watch *watch;
  struct ew_list waiters;
  struct ew_timer timer;
  bool gave_up; /* waited once in vain: do not wait again */
  unsigned users;
  uint64_t idle_since_ms;
};

struct ew_services *ew_services_new(struct ew_env *env);
void ew_services_del(struct ew_services *s);
size_t ew_services_count(const struct ew_services *s);
/* Each known service, for the admin page. */
void ew_services_each(struct ew_services *s,
                      void (*each)(void *arg, const struct ew_service *sv),
                      void *arg);

/* The service of |addr|, in use until ew_service_release. NULL when
 * EW_SERVICES_MAX are in use. */
struct ew_service *ew_services_use(struct ew_services *s,
                                   const struct ew_addr *addr);
void ew_service_release(struct ew_service *sv);

struct ew_service_waiter {
  struct ew_list node; /* private */
  /* The first version is there, or the wait was in vain (view is NULL). */
  void (*on_ready)(struct ew_service_waiter *w);
};

/* True: go on with |sv->view| (which may be NULL) now. False: |w| hears. */
bool ew_service_ready(struct ew_service *sv, struct ew_service_waiter *w);
void ew_service_cancel(struct ew_service_waiter *w);

#endif
