/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/app_protocol.h"

#include <string.h>
#include <strings.h>

static const struct {
  const char *name;
  enum ew_protocol protocol;
} ew_app_protocols[] = {
    {"http", EW_PROTO_HTTP},
    {"kubernetes.io/ws", EW_PROTO_HTTP1},
    {"kubernetes.io/h2c", EW_PROTO_HTTP2},
    {"h2c", EW_PROTO_HTTP2},
    {"http2", EW_PROTO_HTTP2},
    {"grpc", EW_PROTO_HTTP2},
    {"kubernetes.io/wss", EW_PROTO_TLS},
    {"https", EW_PROTO_TLS},
    {"tls", EW_PROTO_TLS},
    {"grpcs", EW_PROTO_TLS},
    {"tcp", EW_PROTO_OPAQUE},
    {"mysql", EW_PROTO_OPAQUE},
    {"postgresql", EW_PROTO_OPAQUE},
    {"redis", EW_PROTO_OPAQUE},
    {"mongo", EW_PROTO_OPAQUE},
    {"amqp", EW_PROTO_OPAQUE},
    {"smtp", EW_PROTO_OPAQUE},
    {"ssh", EW_PROTO_OPAQUE},
};

enum ew_protocol ew_app_protocol(const char *app_protocol) {
  for (size_t i = 0;
       app_protocol && i < sizeof ew_app_protocols / sizeof *ew_app_protocols;
       i++)
    if (strcasecmp(app_protocol, ew_app_protocols[i].name) == 0)
      return ew_app_protocols[i].protocol;
  return EW_PROTO_DETECT;
}

enum ew_protocol ew_service_port_protocol(const struct ew_objects *o,
                                          const struct ew_object *service,
                                          const struct ew_service_port *port) {
  const struct ew_service *s = &service->u.service;
  const struct ew_object *ns;

  if (port->app_protocol)
    return ew_app_protocol(port->app_protocol);
  if (s->has_opaque)
    return ew_ports_have(&s->opaque, port->port) ? EW_PROTO_OPAQUE
                                                 : EW_PROTO_DETECT;
  ns = ew_objects_get(o, EW_KIND_NAMESPACE, "", service->namespace_);
  return ns && ew_ports_have(&ns->u.ns.opaque, port->port) ? EW_PROTO_OPAQUE
                                                           : EW_PROTO_DETECT;
}

bool ew_protocol_routable(enum ew_protocol p) { return p != EW_PROTO_TLS; }
