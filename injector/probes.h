/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_PROBES_H
#define EASTWEST_INJECTOR_PROBES_H

#include "eastwest/base/buf.h"
#include "injector/pod_options.h"

/* What the kubelet will ask a pod over the network: probes and handlers of its
 * containers. The sidecar gets a list of them, so that they pass in strict
 * mode, where plain text of others does not. */

#define EW_PROBES_MAX 32u /* what the sidecar takes */
#define EW_PROBE_PATH_MAX 1024u

struct ew_probes {
  struct ew_buf list; /* for EASTWEST_PROBES: 8080/ready,9000 */
  size_t n;
};

/* Told of each that can't pass in strict mode. */
typedef void (*ew_probe_warn_fn)(void *arg, const char *warning);

/* The number that a probe's |target| names: a number, the name of a port of
 * |container|, or a number as text, as the kubelet has it. 0: none of these,
 * and the kubelet asks nothing either. */
uint16_t ew_probe_port(struct ew_jr *r, const struct ew_jv *container,
                       const struct ew_jv *target);

void ew_probes_init(struct ew_probes *p);
void ew_probes_fini(struct ew_probes *p);
/* Adds those of one container. Faults of the pod go to |r|. Ports in
 * |skipped| do not pass the sidecar. */
void ew_probes_add(struct ew_probes *p, struct ew_jr *r,
                   const struct ew_jv *container, const char *skipped,
                   ew_probe_warn_fn warn, void *arg);
bool ew_probes_has_tcp(const struct ew_probes *p, uint16_t port);

#endif
