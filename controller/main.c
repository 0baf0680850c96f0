/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "controller/admin.h"
#include "controller/config.h"
#include "controller/kubernetes.h"
#include "controller/local.h"
#include "controller/server.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

#define SERIES_MAX 1000

/* Where the parts meet: objects come from one of two sources, and what follows
 * from them goes to discovery. */
struct controller {
  struct ew_controller_config config;
  struct ew_loop *loop;
  struct ew_metrics *metrics;
  struct ew_objects *objects;
  struct ew_local *local;           /* one of the two, */
  struct ew_kubernetes *kubernetes; /* by configuration */
  struct ew_ca *ca;
  struct ew_issuer *issuer;
  struct ew_discovery *discovery;
  struct ew_server *server;
  struct ew_controller_admin *admin;
  struct ew_series *faults, *known[EW_KINDS];
};

static struct controller controller;

/* Nobody is answered before all is known: what is not known yet would be called
 * unknown, and pass around the routes. */
static bool serve(struct controller *c) {
  const struct ew_controller_config *o = &c->config;
  struct ew_authenticator *tokens =
      c->local ? ew_local_authenticator(c->local)
               : ew_kubernetes_authenticator(c->kubernetes);

  c->issuer = ew_issuer_new(c->loop, c->ca, tokens, o->trust_domain,
                            o->certificate_lifetime_s, c->metrics);
  c->server = ew_server_new(c->loop, &o->listen, o->trust_domain, o->namespace_,
                            c->ca, c->issuer, c->discovery);
  if (!c->server)
    return false;
  ew_controller_admin_ready(c->admin);
  ew_log(EW_LOG_INFO, "serving", NULL);
  return true;
}

static void on_objects(void *arg) {
  struct controller *c = arg;

  ew_discovery_changed(c->discovery);
  if (c->kubernetes && c->ca && !c->server &&
      ew_kubernetes_synced(c->kubernetes) && !serve(c))
    ew_loop_stop(c->loop);
}

static void on_fault(void *arg, const char *why) {
  struct controller *c = arg;

  ew_series_add(c->faults, 1);
  ew_log(EW_LOG_ERROR, "object refused", "error=%s", why);
}

static void on_ca(void *arg, struct ew_ca *ca) {
  struct controller *c = arg;

  if (c->ca)
    ew_ca_replace(c->ca, ca);
  else
    c->ca = ca;
  if (c->server)
    ew_server_renew(c->server);
  if (!c->kubernetes)
    return;
  ew_kubernetes_set_roots(c->kubernetes, ew_ca_roots(c->ca));
  on_objects(c);
}

static void measure(void *arg) {
  struct controller *c = arg;

  for (int k = 0; k < EW_KINDS; k++) {
    int64_t n = 0;
    struct ew_list *it, *tmp;
    EW_LIST_EACH(it, tmp, &c->objects->kinds[k])
    n++;
    ew_series_set(c->known[k], n);
  }
  ew_discovery_measure(c->discovery);
  if (c->kubernetes)
    ew_kubernetes_measure(c->kubernetes, c->metrics);
  else
    ew_local_measure(c->local, c->metrics);
}

static void make_series(struct controller *c) {
  c->metrics = ew_metrics_new(SERIES_MAX);
  c->faults = ew_series_ref(c->metrics, EW_COUNTER,
                            "eastwest_controller_object_faults_total",
                            "Faulty objects that were refused.", NULL, 0);
  for (int k = 0; k < EW_KINDS; k++) {
    const struct ew_label label = {"kind", ew_kind_name((enum ew_kind)k)};
    c->known[k] =
        ew_series_ref(c->metrics, EW_GAUGE, "eastwest_controller_objects",
                      "Objects that are in force.", &label, 1);
  }
}

static const struct ew_source_events source_events = {on_objects, on_fault,
                                                      on_ca};

static bool start_local(struct controller *c) {
  const struct ew_controller_config *o = &c->config;
  char why[512] = "";

  c->local = ew_local_new(
      c->loop,
      &(struct ew_local_opts){o->manifests, o->manifests_n, o->status_dir,
                              o->ca_dir, o->token_file, o->trust_domain},
      c->objects, &source_events, c, why, sizeof(why));
  if (c->local)
    return serve(c);
  fprintf(stderr, "eastwest-controller: --ca-dir: %s\n", why);
  return false;
}

static void start_kubernetes(struct controller *c) {
  const struct ew_controller_config *o = &c->config;

  c->kubernetes = ew_kubernetes_new(
      c->loop,
      &(struct ew_kubernetes_opts){.server = o->server,
                                   .namespace_ = o->namespace_,
                                   .pod = o->pod,
                                   .ca_secret = o->ca_secret,
                                   .lease = o->lease,
                                   .trust_domain = o->trust_domain,
                                   .token_audience = o->token_audience},
      c->objects, &source_events, c);
}

static bool start(struct controller *c) {
  const struct ew_controller_config *o = &c->config;

  make_series(c);
  c->objects = ew_objects_new();
  c->discovery =
      ew_discovery_new(c->loop, c->objects, o->trust_domain, c->metrics);
  c->admin =
      ew_controller_admin_new(c->loop, &o->metrics, c->metrics, measure, c);
  if (!c->admin)
    return false;
  if (!o->kubernetes)
    return start_local(c);
  start_kubernetes(c);
  return true;
}

static void stop(struct controller *c) {
  ew_server_del(c->server);
  ew_controller_admin_del(c->admin);
  ew_discovery_del(c->discovery);
  ew_issuer_del(c->issuer);
  ew_local_del(c->local);
  ew_kubernetes_del(c->kubernetes);
  ew_objects_del(c->objects);
  ew_ca_del(c->ca);
  ew_metrics_del(c->metrics);
}

static void on_signal(void *arg, int signum) {
  (void)signum;
  ew_loop_stop(((struct controller *)arg)->loop);
}

static void raise_descriptor_limit(void) {
  struct rlimit r;

  if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
  }
}

int main(int argc, char **argv) {
  struct controller *c = &controller;
  bool good;

  ew_controller_config_parse(&c->config, argc, argv);
  signal(SIGPIPE, SIG_IGN);
#ifndef __SANITIZE_ADDRESS__
  /* The key of the CA stays out of core dumps. The leak checker needs the
   * reach that this takes away. */
  prctl(PR_SET_DUMPABLE, 0);
#endif
  raise_descriptor_limit();
  c->loop = ew_loop_new();
  if (!c->loop) {
    fprintf(stderr, "eastwest-controller: no event loop: out of descriptors\n");
    return 1;
  }
  ew_loop_signal(c->loop, SIGTERM, on_signal, c);
  ew_loop_signal(c->loop, SIGINT, on_signal, c);
  good = start(c);
  if (good) {
    ew_log(EW_LOG_INFO, "controller started", "version=%s", EW_VERSION);
    ew_loop_run(c->loop);
  }
  stop(c);
  ew_loop_del(c->loop);
  return good ? 0 : 1;
}
