/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_POD_OPTIONS_H
#define EASTWEST_INJECTOR_POD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "eastwest/base/alloc.h"
#include "eastwest/model/json_read.h"

/* What a pod may say by annotations eastwest.dev/NAME, and what holds for pods
 * that say nothing. Both are checked by the same rules, so that neither
 * eastwest-init nor the sidecar can refuse what was accepted here. */

#define EW_ANNOTATION_PREFIX "eastwest.dev/"
#define EW_INJECT_LABEL "eastwest.dev/inject"
#define EW_INJECTED_ANNOTATION "eastwest.dev/injected"

enum ew_pod_option {
  EW_POD_SKIP_INBOUND_PORTS,
  EW_POD_SKIP_OUTBOUND_PORTS,
  EW_POD_SKIP_INBOUND_CIDRS,
  EW_POD_SKIP_OUTBOUND_CIDRS,
  EW_POD_OPAQUE_PORTS,
  EW_POD_STRICT,
  EW_POD_ACCESS_LOG,
  EW_POD_LOG_LEVEL,
  EW_POD_DRAIN_SECONDS,
  EW_POD_DESTINATION_IDLE_SECONDS,
  EW_POD_CPU_REQUEST,
  EW_POD_MEMORY_REQUEST,
  EW_POD_CPU_LIMIT,
  EW_POD_MEMORY_LIMIT,
  EW_POD_IMAGE,
  EW_POD_IMAGE_PULL_POLICY,
  EW_POD_IMAGE_PULL_SECRETS,
  EW_POD_OPTIONS
};

struct ew_pod_options {
  /* As eastwest-init, the sidecar and Kubernetes read them: lists without
   * spaces and empty items. "": an empty list, no limit, no image yet. */
  const char *v[EW_POD_OPTIONS];
  struct ew_arena mem;
};

/* With our own defaults: no image. */
void ew_pod_options_init(struct ew_pod_options *o);
/* With |defaults|, whose strings must outlive |o|. */
void ew_pod_options_init_from(struct ew_pod_options *o,
                              const struct ew_pod_options *defaults);
void ew_pod_options_fini(struct ew_pod_options *o);

/* The part of the annotation behind the prefix. */
const char *ew_pod_option_name(enum ew_pod_option option);
/* EW_OK; EW_ENOENT: no such option; EW_EINVAL: |why| has the value and what was
 * expected. */
int ew_pod_options_set(struct ew_pod_options *o, const char *name,
                       const char *value, char *why, size_t why_len);
/* What must hold between options: no request above its limit. EW_OK or
 * EW_EINVAL with |why|. */
int ew_pod_options_check(const struct ew_pod_options *o, char *why,
                         size_t why_len);
/* All annotations of a pod, then the check. EW_OK or EW_EINVAL, where |why|
 * names the annotation, its value and what was expected. */
int ew_pod_options_read(struct ew_pod_options *o,
                        const struct ew_jv *annotations, char *why,
                        size_t why_len);
static inline bool ew_pod_options_strict(const struct ew_pod_options *o) {
  return strcmp(o->v[EW_POD_STRICT], "true") == 0;
}
/* Whether |port| is in a list of ports that was accepted. */
bool ew_ports_include(const char *list, uint16_t port);

#endif
