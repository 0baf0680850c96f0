/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_XMESH_H
#define EASTWEST_CONTROLLER_XMESH_H

#include "eastwest/kube/client.h"

/* The XMesh that stands for this mesh (GEP-3949): made if there is none with
 * our controllerName, its spec never changed, its status written: Accepted and
 * the features that the mesh supports. */
struct ew_xmesh;

#define EW_XMESH_NAME "eastwest"

struct ew_xmesh *ew_xmesh_new(struct ew_kube *k, struct ew_loop *l);
void ew_xmesh_del(struct ew_xmesh *x); /* NULL is allowed */
/* Nothing is written while false, which it is at first. */
void ew_xmesh_set_writing(struct ew_xmesh *x, bool writing);

#endif
