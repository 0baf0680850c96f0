/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/base/ports.h"
#include "eastwest/base/slice.h"

enum option_id {
  OPT_CONTROLLER = 256,
  OPT_CONTROLLER_ID,
  OPT_TRUST_DOMAIN,
  OPT_NAMESPACE,
  OPT_POD,
  OPT_SERVICE_ACCOUNT,
  OPT_ZONE,
  OPT_TOKEN_FILE,
  OPT_ROOTS_FILE,
  OPT_IDENTITY_DIR,
  OPT_POD_IP,
  OPT_OPAQUE_PORTS,
  OPT_STRICT,
  OPT_PROBE,
  OPT_ACCESS_LOG,
  OPT_LOG_LEVEL,
  OPT_DRAIN_SECONDS,
  OPT_DESTINATION_IDLE_SECONDS,
  OPT_OUTBOUND_PORT,
  OPT_INBOUND_PORT,
  OPT_STATUS_PORT,
  OPT_ADMIN_PORT,
  OPT_GET,
  OPT_WAIT,
  OPT_HELP,
  OPT_VERSION
};

struct option_row {
  enum option_id id;
  const char *name, *value, *env, *help;
};

static const struct option_row rows[] = {
    {OPT_CONTROLLER, "controller", "IP:PORT", "EASTWEST_CONTROLLER",
     "where discovery and certificates come from"},
    {OPT_CONTROLLER_ID, "controller-id", "SPIFFE-ID", "EASTWEST_CONTROLLER_ID",
     "identity the controller must show (default: service account "
     "eastwest-controller in eastwest-system)"},
    {OPT_TRUST_DOMAIN, "trust-domain", "NAME", "EASTWEST_TRUST_DOMAIN",
     "default cluster.local"},
    {OPT_NAMESPACE, "namespace", "NAME", "EASTWEST_NAMESPACE",
     "the pod's namespace (required)"},
    {OPT_POD, "pod", "NAME", "EASTWEST_POD", "the pod's name, for logs"},
    {OPT_SERVICE_ACCOUNT, "service-account", "NAME", "EASTWEST_SERVICE_ACCOUNT",
     "the pod's service account (default default)"},
    {OPT_ZONE, "zone", "NAME", "EASTWEST_ZONE", "the node's zone"},
    {OPT_TOKEN_FILE, "token-file", "FILE", "EASTWEST_TOKEN_FILE",
     "service account token that buys a certificate"},
    {OPT_ROOTS_FILE, "roots-file", "FILE", "EASTWEST_ROOTS_FILE",
     "root certificates that the controller's is checked against"},
    {OPT_IDENTITY_DIR, "identity-dir", "DIR", "EASTWEST_IDENTITY_DIR",
     "tls.crt, tls.key and ca.crt instead of the controller's certificates"},
    {OPT_POD_IP, "pod-ip", "IP", "EASTWEST_POD_IPS",
     "an address of the pod; may be repeated or comma-separated (required)"},
    {OPT_OPAQUE_PORTS, "opaque-ports", "LIST", "EASTWEST_OPAQUE_PORTS",
     "inbound ports whose bytes are not looked at: 3306,6000-6100"},
    {OPT_STRICT, "strict", NULL, "EASTWEST_STRICT",
     "refuse plain text from outside the mesh, and unknown destinations while "
     "the controller is away"},
    {OPT_PROBE, "probe", "PORT[/PATH]", "EASTWEST_PROBES",
     "a probe of the kubelet that passes in strict mode: 8080/healthz, or a "
     "port alone for tcpSocket; may be repeated or comma-separated"},
    {OPT_ACCESS_LOG, "access-log", "off|errors|all", "EASTWEST_ACCESS_LOG",
     "JSON lines on stdout (default off)"},
    {OPT_LOG_LEVEL, "log-level", "error|warn|info|debug", "EASTWEST_LOG_LEVEL",
     "JSON lines on stderr (default info)"},
    {OPT_DRAIN_SECONDS, "drain-seconds", "N", "EASTWEST_DRAIN_SECONDS",
     "longest wait for open requests after SIGTERM (default 28)"},
    {OPT_DESTINATION_IDLE_SECONDS, "destination-idle-seconds", "N",
     "EASTWEST_DESTINATION_IDLE_SECONDS",
     "an address that nobody used for this long is forgotten (default 300)"},
    {OPT_OUTBOUND_PORT, "outbound-port", "PORT", NULL, "default 15001"},
    {OPT_INBOUND_PORT, "inbound-port", "PORT", NULL, "default 15006"},
    {OPT_STATUS_PORT, "status-port", "PORT", NULL,
     "/ready, /live and /metrics (default 15020)"},
    {OPT_ADMIN_PORT, "admin-port", "PORT", NULL,
     "administration, loopback only (default 15000)"},
    {OPT_GET, "get", "URL", NULL,
     "be no proxy: ask http://IP[:PORT]/PATH, such as "
     "http://localhost:15000/destinations, print the answer and end, with "
     "status 0 if it is a success (2xx)"},
    {OPT_WAIT, "wait", "SECONDS", NULL,
     "with --get: ask again for so long until it is (default 0)"},
    {OPT_HELP, "help", NULL, NULL, "this text"},
    {OPT_VERSION, "version", NULL, NULL, "print the version"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

_Noreturn static void bad(const struct option_row *row, const char *value,
                          const char *expected) {
  fprintf(stderr, "eastwest-sidecar: --%s: \"%s\": expected %s\n", row->name,
          value, expected);
  exit(2);
}

static uint64_t number(const struct option_row *row, const char *value,
                       uint64_t max) {
  uint64_t n;
  char expected[64];

  if (ew_slice_u64(ew_slice_str(value), max, &n) != EW_OK) {
    snprintf(expected, sizeof(expected), "a number from 0 to %llu",
             (unsigned long long)max);
    bad(row, value, expected);
  }
  return n;
}

static void add_pod_ips(struct ew_config *c, const struct option_row *row,
                        const char *value) {
  struct ew_slice rest = ew_slice_str(value);

  while (rest.n > 0) {
    struct ew_slice item = ew_slice_trim(ew_slice_cut(&rest, ','));
    char *text = ew_strndup(item.p, item.n);
    if (c->pod_ips_n == EW_POD_IPS_MAX)
      bad(row, value, "at most 8 addresses");
    if (ew_addr_set(&c->pod_ips[c->pod_ips_n], text, 0) != EW_OK)
      bad(row, value, "an IP address");
    c->pod_ips_n++;
    free(text);
  }
}

static void add_opaque(struct ew_config *c, const struct option_row *row,
                       const char *value) {
  struct ew_slice rest = ew_slice_str(value);

  while (rest.n > 0) {
    struct ew_slice to = ew_slice_trim(ew_slice_cut(&rest, ','));
    struct ew_slice from = ew_slice_cut(&to, '-');
    uint64_t a, b;
    if (to.n == 0)
      to = from;
    if (c->opaque_n == EW_PORT_RANGES_MAX)
      bad(row, value, "at most 64 ports or ranges");
    if (ew_slice_u64(from, 65535, &a) != EW_OK ||
        ew_slice_u64(to, 65535, &b) != EW_OK || a == 0 || b < a)
      bad(row, value, "ports or ranges such as 3306,6000-6100");
    c->opaque[c->opaque_n++] =
        (struct ew_opaque_range){(uint16_t)a, (uint16_t)b};
  }
}

static void add_probes(struct ew_config *c, const struct option_row *row,
                       const char *value) {
  struct ew_slice rest = ew_slice_str(value);

  while (rest.n > 0) {
    struct ew_slice item = ew_slice_trim(ew_slice_cut(&rest, ','));
    ptrdiff_t slash = ew_slice_chr(item, '/');
    struct ew_slice port = ew_slice(item.p, slash < 0 ? item.n : (size_t)slash);
    uint64_t n;
    if (c->probes_n == EW_PROBES_MAX)
      bad(row, value, "at most 32 probes");
    if (ew_slice_u64(port, 65535, &n) != EW_OK || n == 0)
      bad(row, value, "PORT or PORT/PATH");
    c->probes[c->probes_n++] = (struct ew_probe){
        (uint16_t)n,
        slash < 0 ? NULL : ew_strndup(item.p + slash, item.n - (size_t)slash)};
  }
}

static bool boolean(const struct option_row *row, const char *value) {
  if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
    return true;
  if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0 || !value[0])
    return false;
  bad(row, value, "true or false");
}

static void help(void) {
  puts("Usage: eastwest-sidecar [options]\n\n"
       "The transparent proxy of one pod. An option overrides its variable.\n");
  for (size_t i = 0; i < ROWS; i++)
    printf("  --%s%s%s\n        %s%s%s%s\n", rows[i].name,
           rows[i].value ? " " : "", rows[i].value ? rows[i].value : "",
           rows[i].help, rows[i].env ? " [" : "",
           rows[i].env ? rows[i].env : "", rows[i].env ? "]" : "");
  exit(0);
}

static void apply(struct ew_config *c, const struct option_row *row,
                  const char *value) {
  switch (row->id) {
  case OPT_CONTROLLER:
    if (ew_addr_parse(&c->controller, value) != EW_OK)
      bad(row, value, "IP:PORT or [IPv6]:PORT");
    c->has_controller = true;
    break;
  case OPT_CONTROLLER_ID:
    c->controller_id = value;
    break;
  case OPT_TRUST_DOMAIN:
    c->trust_domain = value;
    break;
  case OPT_NAMESPACE:
    c->namespace_ = value;
    break;
  case OPT_POD:
    c->pod = value;
    break;
  case OPT_SERVICE_ACCOUNT:
    c->service_account = value;
    break;
  case OPT_ZONE:
    c->zone = value[0] ? value : NULL;
    break;
  case OPT_TOKEN_FILE:
    c->token_file = value;
    break;
  case OPT_ROOTS_FILE:
    c->roots_file = value;
    break;
  case OPT_IDENTITY_DIR:
    c->identity_dir = value;
    break;
  case OPT_POD_IP:
    add_pod_ips(c, row, value);
    break;
  case OPT_OPAQUE_PORTS:
    add_opaque(c, row, value);
    break;
  case OPT_STRICT:
    c->strict = boolean(row, value);
    break;
  case OPT_PROBE:
    add_probes(c, row, value);
    break;
  case OPT_ACCESS_LOG:
    if (strcmp(value, "off") == 0)
      c->access_log = EW_ACCESS_OFF;
    else if (strcmp(value, "errors") == 0)
      c->access_log = EW_ACCESS_ERRORS;
    else if (strcmp(value, "all") == 0)
      c->access_log = EW_ACCESS_ALL;
    else
      bad(row, value, "off, errors or all");
    break;
  case OPT_LOG_LEVEL:
    if (ew_log_set_level(value) != EW_OK)
      bad(row, value, "error, warn, info or debug");
    break;
  case OPT_DRAIN_SECONDS:
    c->drain_s = (uint32_t)number(row, value, 86400);
    break;
  case OPT_DESTINATION_IDLE_SECONDS:
    c->destination_idle_s = (uint32_t)number(row, value, 86400);
    if (c->destination_idle_s == 0)
      bad(row, value, "a number from 1 to 86400");
    break;
  case OPT_OUTBOUND_PORT:
    c->outbound_port = (uint16_t)number(row, value, 65535);
    break;
  case OPT_INBOUND_PORT:
    c->inbound_port = (uint16_t)number(row, value, 65535);
    break;
  case OPT_STATUS_PORT:
    c->status_port = (uint16_t)number(row, value, 65535);
    break;
  case OPT_ADMIN_PORT:
    c->admin_port = (uint16_t)number(row, value, 65535);
    break;
  case OPT_GET:
    if (ew_get_parse(&c->get, value) != EW_OK)
      bad(row, value, "http://IP[:PORT]/PATH, or localhost as IP");
    c->has_get = true;
    break;
  case OPT_WAIT:
    c->wait_s = (uint32_t)number(row, value, 86400);
    break;
  case OPT_HELP:
    help();
    break;
  case OPT_VERSION:
    puts("eastwest-sidecar " EW_VERSION);
    exit(0);
  }
}

static void from_environment(struct ew_config *c) {
  for (size_t i = 0; i < ROWS; i++) {
    const char *value = rows[i].env ? getenv(rows[i].env) : NULL;
    if (value)
      apply(c, &rows[i], value);
  }
}

static void need(const void *value, const char *what) {
  if (value)
    return;
  fprintf(stderr, "eastwest-sidecar: %s is required (see --help)\n", what);
  exit(2);
}

static void check(struct ew_config *c) {
  char id[256];

  need(c->namespace_, "--namespace");
  need(c->pod_ips_n > 0 ? c : NULL, "--pod-ip");
  if (!c->identity_dir && c->has_controller) {
    need(c->token_file, "--token-file or --identity-dir");
    need(c->roots_file, "--roots-file");
  }
  if (!c->controller_id) {
    snprintf(id, sizeof(id),
             "spiffe://%s/ns/eastwest-system/sa/eastwest-controller",
             c->trust_domain);
    c->controller_id = ew_strdup(id);
  }
}

void ew_config_parse(struct ew_config *c, int argc, char **argv) {
  struct option longopts[ROWS + 1];
  bool own_ips = false;
  int id;

  *c = (struct ew_config){
      .trust_domain = "cluster.local",
      .service_account = "default",
      .pod = "",
      .outbound_port = EW_PORT_OUTBOUND,
      .inbound_port = EW_PORT_INBOUND,
      .status_port = EW_PORT_STATUS,
      .admin_port = EW_PORT_ADMIN,
      .drain_s = 28,
      .destination_idle_s = 300,
  };
  memset(longopts, 0, sizeof(longopts));
  for (size_t i = 0; i < ROWS; i++)
    longopts[i] = (struct option){
        rows[i].name, rows[i].value ? required_argument : no_argument, NULL,
        (int)rows[i].id};
  from_environment(c);
  while ((id = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
    if (id == '?')
      exit(2);
    if (id == OPT_POD_IP && !own_ips) {
      c->pod_ips_n = 0;
      own_ips = true;
    }
    for (size_t i = 0; i < ROWS; i++)
      if ((int)rows[i].id == id)
        apply(c, &rows[i], optarg);
  }
  if (optind < argc) {
    fprintf(stderr, "eastwest-sidecar: \"%s\": expected an option\n",
            argv[optind]);
    exit(2);
  }
  if (!c->has_get)
    check(c);
}

bool ew_config_is_opaque(const struct ew_config *c, uint16_t port) {
  for (size_t i = 0; i < c->opaque_n; i++)
    if (port >= c->opaque[i].from && port <= c->opaque[i].to)
      return true;
  return false;
}

bool ew_config_is_own(const struct ew_config *c, const struct ew_addr *a) {
  for (size_t i = 0; i < c->pod_ips_n; i++)
    if (ew_addr_same_ip(a, &c->pod_ips[i]))
      return true;
  return false;
}
