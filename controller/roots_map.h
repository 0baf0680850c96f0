/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_ROOTS_MAP_H
#define EASTWEST_CONTROLLER_ROOTS_MAP_H

#include "controller/objects.h"
#include "eastwest/kube/client.h"

/* The roots of the mesh as a ConfigMap in each namespace that has pods in the
 * mesh: a sidecar checks the controller's certificate by them before it has one
 * of its own. */
struct ew_roots_map;

#define EW_ROOTS_MAP_NAME "eastwest-roots"
#define EW_ROOTS_MAP_KEY "roots.pem"

struct ew_roots_map *ew_roots_map_new(struct ew_kube *k, struct ew_loop *l,
                                      const struct ew_objects *o);
void ew_roots_map_del(struct ew_roots_map *r); /* NULL is allowed */

/* PEM; copied. */
void ew_roots_map_set(struct ew_roots_map *r, const char *roots);
/* |o| changed: there may be another namespace. */
void ew_roots_map_changed(struct ew_roots_map *r);
/* Nothing is written while false, which it is at first. */
void ew_roots_map_set_writing(struct ew_roots_map *r, bool writing);

#endif
