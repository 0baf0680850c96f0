/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/tcp_probes.h"

#include <stdio.h>

#include "eastwest/base/err.h"
#include "injector/template.h"

static void append_op(json_t *ops, json_t *op) {
  EW_BUG_ON(!op || json_array_append_new(ops, op) != 0);
}

static void move(json_t *ops, const char *path, const char *kind,
                 unsigned port) {
  char at[128], to[32];

  snprintf(at, sizeof(at), "%s/%s/tcpSocket", path, kind);
  append_op(ops, json_pack("{s:s, s:s}", "op", "remove", "path", at));
  snprintf(at, sizeof(at), "%s/%s/httpGet", path, kind);
  snprintf(to, sizeof(to), "/probe/%u", port);
  append_op(ops, json_pack("{s:s, s:s, s:{s:s, s:i, s:s}}", "op", "add", "path",
                           at, "value", "path", to, "port", EW_PORT_STATUS,
                           "scheme", "HTTP"));
}

void ew_tcp_probes_move(json_t *ops, struct ew_jr *r,
                        const struct ew_probes *probes, const char *path,
                        const struct ew_jv *container, const char *skipped) {
  static const char *const kinds[] = {"startupProbe", "readinessProbe",
                                      "livenessProbe"};

  for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
    struct ew_jv probe = ew_jr_obj(r, container, kinds[i]);
    struct ew_jv tcp = ew_jr_obj(r, &probe, "tcpSocket");
    const char *host = tcp.v ? ew_jr_str(r, &tcp, "host") : NULL;
    uint16_t port = tcp.v ? ew_probe_port(r, container, &tcp) : 0;

    if (port && !(host && host[0]) && !ew_ports_include(skipped, port) &&
        ew_probes_has_tcp(probes, port))
      move(ops, path, kinds[i], port);
  }
}
