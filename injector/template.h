/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_TEMPLATE_H
#define EASTWEST_INJECTOR_TEMPLATE_H

#include "eastwest/base/ports.h"
#include "injector/pod_options.h"

/* What a pod gets, as Kubernetes' objects. Pure functions. */

#define EW_NAME_INIT "eastwest-init"
#define EW_NAME_SIDECAR "eastwest-sidecar"
/* Volumes. */
#define EW_NAME_TOKEN "eastwest-token"
#define EW_NAME_ROOTS "eastwest-roots"
#define EW_NAME_RUN "eastwest-run"
#define EW_SIDECAR_UID 2140
#define EW_ZONE_LABEL "topology.kubernetes.io/zone"

/* What is the same for all pods. Strings belong to whoever filled it in. */
struct ew_inject_config {
  const char *controller;    /* IP:PORT or [IPv6]:PORT */
  const char *controller_id; /* SPIFFE id; NULL: the sidecar's own default */
  const char *trust_domain;
  const char *token_audience;
  /* Pods are in only by their own label. Otherwise the API server asks only
   * for namespaces that are in (namespaceSelector), and a pod's label can only
   * take it out. */
  bool by_pod_label;
  const char *own_namespace;      /* never injected, as kube-system; or NULL */
  struct ew_pod_options defaults; /* with an image */
};

/* Each is the caller's. */
json_t *ew_template_init(const struct ew_pod_options *o);
/* |zone|: NULL if not known. |probes|: for EASTWEST_PROBES, may be "". */
json_t *ew_template_sidecar(const struct ew_inject_config *c,
                            const struct ew_pod_options *o, const char *zone,
                            const char *probes);
/* A list of volumes. */
json_t *ew_template_volumes(const struct ew_inject_config *c);
/* Whether |name| is the name of one of these volumes. */
bool ew_template_is_volume(const char *name);

#endif
