/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/refs.h"

#include <stdio.h>

#include "controller/app_protocol.h"

static const struct ew_service_port *ew_find_port(const struct ew_service *s,
                                                  uint16_t port) {
  for (size_t i = 0; i < s->ports_n; i++)
    if (s->ports[i].port == port && s->ports[i].tcp)
      return &s->ports[i];
  return NULL;
}

const char *ew_ref_fault(const struct ew_objects *o,
                         const struct ew_object *route,
                         const struct ew_route_ref *ref,
                         const struct ew_object **service,
                         const struct ew_service_port **port, char *message,
                         size_t message_len) {
  *service = NULL;
  *port = NULL;
  if ((*ref->group && strcmp(ref->group, "core") != 0) ||
      strcmp(ref->kind, "Service") != 0) {
    snprintf(message, message_len,
             "Backend %s/%s is of group \"%s\" and kind \"%s\"; only Services "
             "of the core group are supported",
             ref->namespace_, ref->name, ref->group, ref->kind);
    return "InvalidKind";
  }
  const struct ew_object *s =
      ew_objects_get(o, EW_KIND_SERVICE, ref->namespace_, ref->name);
  const char *why = NULL;
  if (!s)
    why = "does not exist";
  else if (s->u.service.type == EW_SERVICE_EXTERNAL_NAME)
    why = "is of type ExternalName, which is not supported";
  else if (!ref->port)
    why = "is named without a port";
  if (why) {
    snprintf(message, message_len, "Service %s/%s %s", ref->namespace_,
             ref->name, why);
    return "BackendNotFound";
  }
  *port = ew_find_port(&s->u.service, ref->port);
  if (!*port) {
    snprintf(message, message_len, "Service %s/%s has no TCP port %u",
             ref->namespace_, ref->name, ref->port);
    return "BackendNotFound";
  }
  if (route->u.route.type <= EW_ROUTE_HTTP &&
      !ew_protocol_routable(ew_app_protocol((*port)->app_protocol))) {
    snprintf(message, message_len,
             "Port %u of Service %s/%s has the appProtocol \"%s\": the app "
             "ends TLS itself, so requests can't be sent to it",
             ref->port, ref->namespace_, ref->name, (*port)->app_protocol);
    *port = NULL;
    return "UnsupportedProtocol";
  }
  *service = s;
  return NULL;
}
