/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/kubernetes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "injector/ca_bundle.h"
#include "injector/certificate_secret.h"
#include "injector/events.h"

/* Several API servers hear of a new root one after the other. */
#define SETTLE_MS 5000
#define NAME_MAX_LEN 600

enum write { WRITE_SECRET, WRITE_CA_BUNDLE, WRITES };

struct ew_injector_kube {
  struct ew_kube *kube;
  struct ew_certificate *own;
  struct ew_certificate_secret *secret;
  struct ew_ca_bundle *bundle;
  struct ew_events *events;
  char service[2][NAME_MAX_LEN];
  /* What is to be served once the API server has its root; NULL: that is what
   * is served already. */
  char *chain, *key;
  char *served; /* chain */
  struct ew_timer settle;
  struct ew_series *write_faults[WRITES], *api_faults, *in_place;
};

/* ---- from the Secret to the webhook ---- */

static void forget_waiting(struct ew_injector_kube *k) {
  if (k->key)
    explicit_bzero(k->key, strlen(k->key));
  free(k->key);
  free(k->chain);
  k->key = k->chain = NULL;
}

static void serve(struct ew_injector_kube *k) {
  if (ew_certificate_use(k->own, k->chain, k->key) == EW_OK) {
    free(k->served);
    k->served = ew_strdup(k->chain);
  }
  forget_waiting(k);
}

/* A certificate that can't be used any more is worth no wait. */
static void look(struct ew_injector_kube *k) {
  if (!k->chain || !ew_ca_bundle_in_place(k->bundle))
    ew_timer_stop(&k->settle);
  else if (!ew_certificate_good(k->own))
    serve(k);
  else if (!ew_timer_active(&k->settle))
    ew_timer_start(&k->settle, SETTLE_MS);
}

static void on_settled(struct ew_timer *t) {
  serve(EW_CONTAINER(t, struct ew_injector_kube, settle));
}

static void on_cert(void *arg, const struct ew_server_cert *c) {
  struct ew_injector_kube *k = arg;

  if (!k->chain || strcmp(k->chain, c->crt) != 0) {
    ew_timer_stop(&k->settle);
    forget_waiting(k);
    if (!k->served || strcmp(k->served, c->crt) != 0) {
      k->chain = ew_strdup(c->crt);
      k->key = ew_strdup(c->key);
    }
  }
  /* Looks too, by on_bundle. */
  ew_ca_bundle_want(k->bundle, c->roots);
}

static void on_unusable(void *arg, const char *why) {
  struct ew_injector_kube *k = arg;
  ew_certificate_fault(k->own, why);
}

static void on_secret_failed(void *arg) {
  struct ew_injector_kube *k = arg;
  ew_series_add(k->write_faults[WRITE_SECRET], 1);
}

static void on_bundle(void *arg) { look(arg); }

static void on_bundle_failed(void *arg) {
  struct ew_injector_kube *k = arg;
  ew_series_add(k->write_faults[WRITE_CA_BUNDLE], 1);
}

/* ---- Events ---- */

static void tell(struct ew_injector_kube *k, const struct ew_review *r,
                 const char *reason, const char *what) {
  const char *name = strchr(r->pod, '/');
  char text[900];

  snprintf(text, sizeof(text), "pod %s: %s", name ? name + 1 : "", what);
  ew_text_tame(text);
  ew_events_tell(k->events, &r->subject, reason, text);
}

void ew_injector_kube_tell(struct ew_injector_kube *k,
                           const struct ew_review *r) {
  if (!r->tell)
    return;
  if (r->verdict == EW_VERDICT_DENIED)
    tell(k, r, "InjectionRefused", r->why);
  if (r->verdict == EW_VERDICT_LEFT)
    tell(k, r, "NotInjected", r->why);
  for (size_t i = 0;
       r->verdict == EW_VERDICT_INJECTED && i < json_array_size(r->warnings);
       i++)
    tell(k, r, "InjectionWarning",
         json_string_value(json_array_get(r->warnings, i)));
}

/* ---- life ---- */

static void make_series(struct ew_injector_kube *k, struct ew_metrics *m) {
  static const char *const objects[] = {
      [WRITE_SECRET] = "secret", [WRITE_CA_BUNDLE] = "ca-bundle"};

  for (int i = 0; i < WRITES; i++) {
    const struct ew_label label = {"object", objects[i]};
    k->write_faults[i] =
        ew_series_ref(m, EW_COUNTER, "eastwest_injector_write_faults_total",
                      "Writes that the API server did not take.", &label, 1);
  }
  k->api_faults =
      ew_series_ref(m, EW_GAUGE, "eastwest_injector_api_faults",
                    "Failed answers of the API server to watches.", NULL, 0);
  k->in_place = ew_series_ref(
      m, EW_GAUGE, "eastwest_injector_ca_bundle_in_place",
      "1 if the API server has all roots of the certificate.", NULL, 0);
}

static void follow_certificate(struct ew_injector_kube *k, struct ew_loop *l,
                               const struct ew_injector_config *c) {
  static const struct ew_certificate_secret_events secret_events = {
      on_cert, on_unusable, on_secret_failed};
  static const struct ew_ca_bundle_events bundle_events = {on_bundle,
                                                           on_bundle_failed};

  snprintf(k->service[0], NAME_MAX_LEN, "%s.%s.svc", c->service, c->namespace_);
  snprintf(k->service[1], NAME_MAX_LEN, "%s.%s.svc.cluster.local", c->service,
           c->namespace_);
  k->bundle =
      ew_ca_bundle_new(k->kube, l, c->webhook_config, &bundle_events, k);
  k->secret =
      ew_certificate_secret_new(k->kube, l,
                                &(struct ew_certificate_secret_opts){
                                    .namespace_ = c->namespace_,
                                    .name = c->cert_secret,
                                    .dns = {k->service[0], k->service[1]},
                                    .dns_n = 2,
                                    .lifetime_s = c->certificate_lifetime_s},
                                &secret_events, k);
}

struct ew_injector_kube *
ew_injector_kube_new(struct ew_loop *l, const struct ew_injector_config *c,
                     struct ew_certificate *own, struct ew_metrics *m) {
  struct ew_injector_kube *k = ew_calloc(1, sizeof(*k));

  k->own = own;
  k->kube = ew_kube_new(l, &c->server);
  ew_timer_init(l, &k->settle, on_settled);
  make_series(k, m);
  k->events = ew_events_new(k->kube, l, m);
  if (own)
    follow_certificate(k, l, c);
  return k;
}

void ew_injector_kube_del(struct ew_injector_kube *k) {
  if (!k)
    return;
  ew_certificate_secret_del(k->secret);
  ew_ca_bundle_del(k->bundle);
  ew_events_del(k->events);
  ew_timer_stop(&k->settle);
  ew_kube_del(k->kube);
  forget_waiting(k);
  free(k->served);
  free(k);
}

const char *ew_injector_kube_unready(const struct ew_injector_kube *k) {
  if (!k->own || ew_ca_bundle_in_place(k->bundle))
    return NULL;
  return "the webhook's configuration does not have the roots yet\n";
}

void ew_injector_kube_measure(struct ew_injector_kube *k) {
  if (!k->own)
    return;
  ew_series_set(k->in_place, ew_ca_bundle_in_place(k->bundle));
  ew_series_set(k->api_faults,
                (int64_t)(ew_ca_bundle_faults(k->bundle) +
                          ew_certificate_secret_faults(k->secret)));
}
