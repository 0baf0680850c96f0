/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_REFS_H
#define EASTWEST_CONTROLLER_REFS_H

#include "controller/objects.h"

/* Resolves |ref|, a backendRef or the target of a mirror in |route|. NULL if it
 * is good: |*service| and |*port| are then set, and valid until |o| changes.
 * Else the reason for the condition ResolvedRefs (a literal): "InvalidKind",
 * "BackendNotFound" or "UnsupportedProtocol"; |message| says which reference
 * and why (cut to |message_len|; may be NULL with 0), |*service| and |*port|
 * are NULL. A reference to another namespace needs no ReferenceGrant: a mesh
 * gives a client nothing that it could not reach by itself (GEP-1294). */
const char *ew_ref_fault(const struct ew_objects *o,
                         const struct ew_object *route,
                         const struct ew_route_ref *ref,
                         const struct ew_object **service,
                         const struct ew_service_port **port, char *message,
                         size_t message_len);

#endif
