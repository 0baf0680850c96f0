/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_BACKENDS_H
#define EASTWEST_CONTROLLER_BACKENDS_H

#include "controller/objects.h"
#include "controller/strmap.h"
#include "eastwest/model/destination.h"

/* The backends of one destination while it is put together: each Service port
 * is there once, however many rules name it. Strings are borrowed from the
 * objects. */
struct ew_backends {
  const struct ew_objects *objects;
  struct ew_arena *arena; /* of the destination */
  const char *trust_domain;
  bool ipv6; /* family of the address that the client called */
  struct ew_backend *list;
  size_t n, cap;
  struct ew_strmap index; /* private: key to place in the list, plus 1 */
};

/* Frees the index; the list lives on in the arena. */
void ew_backends_fini(struct ew_backends *b);
/* Both return the index of the backend. */
size_t ew_backends_add_service(struct ew_backends *b,
                               const struct ew_object *service,
                               const struct ew_service_port *port);
/* A reference that can't be followed becomes a backend with |invalid| set. */
size_t ew_backends_add_ref(struct ew_backends *b, const struct ew_object *route,
                           const struct ew_route_ref *ref);
/* A pod's own address as the only endpoint. */
size_t ew_backends_add_pod(struct ew_backends *b, const struct ew_object *pod,
                           const char *ip, uint16_t port,
                           enum ew_protocol protocol);

#endif
