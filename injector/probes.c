/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/probes.h"

#include <stdio.h>

#include "eastwest/base/err.h"

#define EW_CONTAINER_PORTS_MAX 1000u

struct probe_reader {
  struct ew_probes *p;
  struct ew_jr *r;
  const struct ew_jv *container;
  const char *kind, *skipped;
  ew_probe_warn_fn warn;
  void *arg;
};

void ew_probes_init(struct ew_probes *p) {
  *p = (struct ew_probes){.n = 0};
  ew_buf_init(&p->list, EW_PROBES_MAX * (EW_PROBE_PATH_MAX + 16));
}

void ew_probes_fini(struct ew_probes *p) { ew_buf_fini(&p->list); }

/* Of the container's ports; 0: none has that name. */
static uint16_t port_by_name(struct ew_jr *r, const struct ew_jv *container,
                             const char *name) {
  size_t n;
  uint16_t found = 0;
  struct ew_jv ports =
      ew_jr_list(r, container, "ports", EW_CONTAINER_PORTS_MAX, &n);

  for (size_t i = 0; i < n; i++) {
    struct ew_jv port = ew_jr_item(r, &ports, i);
    const char *s = ew_jr_str(r, &port, "name");
    uint64_t v = ew_jr_u64(r, &port, "containerPort", 1, 65535, 0);
    if (!found && s && strcmp(s, name) == 0)
      found = (uint16_t)v;
  }
  return found;
}

uint16_t ew_probe_port(struct ew_jr *r, const struct ew_jv *container,
                       const struct ew_jv *target) {
  struct ew_jv at = ew_jv_get(target, "port");
  uint64_t v = 0;

  if (!json_is_string(at.v))
    return (uint16_t)ew_jr_u64(r, target, "port", 1, 65535, 0);
  v = port_by_name(r, container, json_string_value(at.v));
  if (!v)
    (void)ew_slice_u64(ew_slice_str(json_string_value(at.v)), 65535, &v);
  return (uint16_t)v;
}

static void warn_of_port(struct probe_reader *pr, uint16_t port,
                         const char *what) {
  const char *name = ew_jr_str(pr->r, pr->container, "name");
  char text[320];

  if (ew_ports_include(pr->skipped, port))
    return;
  snprintf(text, sizeof(text),
           "container %.64s: %s: %s does not pass in strict mode; add port %u "
           "to " EW_ANNOTATION_PREFIX "skip-inbound-ports",
           name ? name : "", pr->kind, what, port);
  pr->warn(pr->arg, text);
}

static bool has(const struct ew_probes *p, const char *item) {
  struct ew_slice rest = ew_buf_peek(&p->list);

  while (rest.n > 0)
    if (ew_slice_eq_str(ew_slice_cut(&rest, ','), item))
      return true;
  return false;
}

bool ew_probes_has_tcp(const struct ew_probes *p, uint16_t port) {
  char item[8];

  snprintf(item, sizeof(item), "%u", port);
  return has(p, item);
}

static void add_item(struct probe_reader *pr, uint16_t port, const char *path) {
  struct ew_probes *p = pr->p;
  char item[EW_PROBE_PATH_MAX + 16];

  snprintf(item, sizeof(item), "%u%s", port, path);
  if (has(p, item))
    return;
  if (p->n == EW_PROBES_MAX) {
    warn_of_port(pr, port, "more than 32 different probes: this one");
    return;
  }
  EW_BUG_ON(ew_buf_printf(&p->list, "%s%s", p->n ? "," : "", item) != EW_OK);
  p->n++;
}

/* What the kubelet sends unchanged, and what a list with commas can hold. */
static bool is_plain_path(const char *s) {
  static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789-._~!$&'()*+;=:@/?%";
  size_t n = strlen(s);

  return n < EW_PROBE_PATH_MAX && strspn(s, good) == n;
}

static void add_http(struct probe_reader *pr, const struct ew_jv *target) {
  const char *scheme = ew_jr_str(pr->r, target, "scheme");
  const char *path = ew_jr_str(pr->r, target, "path");
  const char *host = ew_jr_str(pr->r, target, "host");
  uint16_t port = ew_probe_port(pr->r, pr->container, target);
  char full[EW_PROBE_PATH_MAX + 1];

  if (!port || (host && host[0])) /* of another host than the pod */
    return;
  if (scheme && strcmp(scheme, "HTTPS") == 0) {
    warn_of_port(pr, port, "HTTPS");
    return;
  }
  if (path && !is_plain_path(path)) {
    warn_of_port(pr, port, "such a path");
    return;
  }
  snprintf(full, sizeof(full), "%s%s", path && path[0] == '/' ? "" : "/",
           path ? path : "");
  add_item(pr, port, full);
}

static void add_tcp(struct probe_reader *pr, const struct ew_jv *target) {
  const char *host = ew_jr_str(pr->r, target, "host");
  uint16_t port = ew_probe_port(pr->r, pr->container, target);

  if (port && !(host && host[0]))
    add_item(pr, port, "");
}

static void add_one(struct probe_reader *pr, const struct ew_jv *of) {
  struct ew_jv probe = ew_jr_obj(pr->r, of, pr->kind);
  struct ew_jv http = ew_jr_obj(pr->r, &probe, "httpGet");
  struct ew_jv tcp = ew_jr_obj(pr->r, &probe, "tcpSocket");
  struct ew_jv grpc = ew_jr_obj(pr->r, &probe, "grpc");
  uint16_t port;

  if (http.v) {
    add_http(pr, &http);
  } else if (tcp.v) {
    add_tcp(pr, &tcp);
  } else if (grpc.v) {
    port = ew_probe_port(pr->r, pr->container, &grpc);
    if (port)
      warn_of_port(pr, port, "gRPC");
  }
}

void ew_probes_add(struct ew_probes *p, struct ew_jr *r,
                   const struct ew_jv *container, const char *skipped,
                   ew_probe_warn_fn on_warning, void *arg) {
  static const char *const probes[] = {"startupProbe", "readinessProbe",
                                       "livenessProbe"};
  static const char *const handlers[] = {"postStart", "preStop"};
  struct probe_reader pr = {p, r, container, NULL, skipped, on_warning, arg};
  struct ew_jv lifecycle = ew_jr_obj(r, container, "lifecycle");

  for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
    pr.kind = probes[i];
    add_one(&pr, container);
  }
  for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++) {
    pr.kind = handlers[i];
    add_one(&pr, &lifecycle);
  }
}
