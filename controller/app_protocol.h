/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_APP_PROTOCOL_H
#define EASTWEST_CONTROLLER_APP_PROTOCOL_H

#include "controller/objects.h"
#include "eastwest/model/destination.h"

/* What an appProtocol says (KEP-1422, GEP-1911); NULL and what is not known
 * say nothing: the first bytes tell then. */
enum ew_protocol ew_app_protocol(const char *app_protocol);

/* Of a Service port: its appProtocol, else eastwest.dev/opaque-ports on the
 * Service, else on its namespace. */
enum ew_protocol ew_service_port_protocol(const struct ew_objects *o,
                                          const struct ew_object *service,
                                          const struct ew_service_port *port);

/* Whether requests of an HTTPRoute or a GRPCRoute can be sent to such a port:
 * not where the app ends TLS itself, which a proxy that holds no policy for its
 * certificate must not open. */
bool ew_protocol_routable(enum ew_protocol p);

#endif
