/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_KUBE_NAMES_H
#define EASTWEST_LIB_KUBE_NAMES_H

#include <jansson.h>
#include <stdint.h>

/* The names of the objects that are there, so that those which a new LIST no
 * longer has can be told. */
struct ew_kube_names {
  json_t *seen; /* "namespace/name": number of the LIST */
  json_int_t list;
};

void ew_kube_names_init(struct ew_kube_names *n);
void ew_kube_names_fini(struct ew_kube_names *n);
/* A LIST begins. */
void ew_kube_names_begin(struct ew_kube_names *n);
void ew_kube_names_add(struct ew_kube_names *n, const char *ns,
                       const char *name);
void ew_kube_names_remove(struct ew_kube_names *n, const char *ns,
                          const char *name);
/* A LIST is complete: forgets those not added since begin and calls |on_gone|
 * for each. */
void ew_kube_names_end(struct ew_kube_names *n,
                       void (*on_gone)(void *arg, const char *ns,
                                       const char *name),
                       void *arg);

#endif
