/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/net/tls.h"
#include "eastwest/base/slice.h"

#define OWN_NAMESPACE "eastwest-system"

static const char help_text[] =
    "Usage: eastwest-controller --kubernetes [OPTION]...\n"
    "       eastwest-controller --manifests DIR --ca-dir DIR --token-file FILE "
    "[OPTION]...\n"
    "Answers discovery, signs certificates, tells the status of routes.\n"
    "\n"
    "Without Kubernetes:\n"
    "  --manifests DIR         Kubernetes objects as YAML or JSON; followed.\n"
    "                          May be repeated: an object of a later folder\n"
    "                          replaces that of an earlier one\n"
    "  --status-dir DIR        where the status of each route is written\n"
    "  --ca-dir DIR            ca.crt and ca.key; made if neither is there\n"
    "  --token-file FILE       whose tokens buy which certificates\n"
    "With Kubernetes:\n"
    "  --kubernetes            objects from the API server, by default as a "
    "pod\n"
    "  --kube-server URL       https://IP:PORT of the API server\n"
    "  --kube-token-file FILE, --kube-ca-file FILE\n"
    "  --namespace NAME        of Secret, Lease and the controller's own "
    "identity\n"
    "                          ([POD_NAMESPACE], eastwest-system)\n"
    "  --pod NAME              of this replica ([POD_NAME], host name)\n"
    "  --ca-secret NAME        tls.crt, tls.key, ca.crt; made if missing\n"
    "                          (eastwest-ca)\n"
    "  --lease NAME            whose holder writes status "
    "(eastwest-controller)\n"
    "  --token-audience NAME   of the sidecars' tokens (eastwest)\n"
    "Always:\n"
    "  --listen IP:PORT        discovery and certificates ([::]:15010)\n"
    "  --metrics-listen IP:PORT\n"
    "                          /metrics, /ready and /live ([::]:15020)\n"
    "  --trust-domain NAME     of the SPIFFE ids (cluster.local)\n"
    "  --certificate-lifetime SECONDS\n"
    "                          60 to 7776000 (86400)\n"
    "  --log-level error|warn|info|debug\n"
    "                          JSON lines on stderr (info)\n"
    "  --help, --version\n";

enum {
  OPT_MANIFESTS = 256,
  OPT_STATUS_DIR,
  OPT_CA_DIR,
  OPT_TOKEN_FILE,
  OPT_KUBERNETES,
  OPT_KUBE_SERVER,
  OPT_KUBE_TOKEN_FILE,
  OPT_KUBE_CA_FILE,
  OPT_NAMESPACE,
  OPT_POD,
  OPT_CA_SECRET,
  OPT_LEASE,
  OPT_TOKEN_AUDIENCE,
  OPT_LISTEN,
  OPT_METRICS_LISTEN,
  OPT_TRUST_DOMAIN,
  OPT_LIFETIME,
  OPT_LOG_LEVEL,
  OPT_HELP,
  OPT_VERSION
};

static const struct option options[] = {
    {"manifests", required_argument, NULL, OPT_MANIFESTS},
    {"status-dir", required_argument, NULL, OPT_STATUS_DIR},
    {"ca-dir", required_argument, NULL, OPT_CA_DIR},
    {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
    {"kubernetes", no_argument, NULL, OPT_KUBERNETES},
    {"kube-server", required_argument, NULL, OPT_KUBE_SERVER},
    {"kube-token-file", required_argument, NULL, OPT_KUBE_TOKEN_FILE},
    {"kube-ca-file", required_argument, NULL, OPT_KUBE_CA_FILE},
    {"namespace", required_argument, NULL, OPT_NAMESPACE},
    {"pod", required_argument, NULL, OPT_POD},
    {"ca-secret", required_argument, NULL, OPT_CA_SECRET},
    {"lease", required_argument, NULL, OPT_LEASE},
    {"token-audience", required_argument, NULL, OPT_TOKEN_AUDIENCE},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"metrics-listen", required_argument, NULL, OPT_METRICS_LISTEN},
    {"trust-domain", required_argument, NULL, OPT_TRUST_DOMAIN},
    {"certificate-lifetime", required_argument, NULL, OPT_LIFETIME},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

_Noreturn static void bad(const char *option, const char *value,
                          const char *expected) {
  fprintf(stderr, "eastwest-controller: --%s: \"%s\": expected %s\n", option,
          value, expected);
  exit(2);
}

static void parse_addr(const char *option, const char *value,
                       struct ew_addr *out) {
  if (ew_addr_parse(out, value) != EW_OK)
    bad(option, value, "IP:PORT or [IPv6]:PORT");
}

static void apply(struct ew_controller_config *c, int id, const char *value) {
  uint64_t n;

  switch (id) {
  case OPT_MANIFESTS:
    if (c->manifests_n == EW_MANIFEST_DIRS_MAX)
      bad("manifests", value, "at most 16 folders");
    c->manifests[c->manifests_n++] = value;
    break;
  case OPT_STATUS_DIR:
    c->status_dir = value;
    break;
  case OPT_CA_DIR:
    c->ca_dir = value;
    break;
  case OPT_TOKEN_FILE:
    c->token_file = value;
    break;
  case OPT_KUBERNETES:
    c->kubernetes = true;
    break;
  case OPT_KUBE_SERVER:
    c->server.server = value;
    break;
  case OPT_KUBE_TOKEN_FILE:
    c->server.token_file = value;
    break;
  case OPT_KUBE_CA_FILE:
    c->server.ca_file = value;
    break;
  case OPT_NAMESPACE:
    c->namespace_ = value;
    break;
  case OPT_POD:
    c->pod = value;
    break;
  case OPT_CA_SECRET:
    c->ca_secret = value;
    break;
  case OPT_LEASE:
    c->lease = value;
    break;
  case OPT_TOKEN_AUDIENCE:
    c->token_audience = value;
    break;
  case OPT_LISTEN:
    parse_addr("listen", value, &c->listen);
    break;
  case OPT_METRICS_LISTEN:
    parse_addr("metrics-listen", value, &c->metrics);
    break;
  case OPT_TRUST_DOMAIN:
    if (ew_spiffe_trust_domain_check(ew_slice_str(value)) != EW_OK)
      bad("trust-domain", value,
          "at most 255 lowercase letters, digits, '-', '.' and '_'");
    c->trust_domain = value;
    break;
  case OPT_LIFETIME:
    if (ew_slice_u64(ew_slice_str(value), 90 * 86400, &n) != EW_OK || n < 60)
      bad("certificate-lifetime", value, "a number from 60 to 7776000");
    c->certificate_lifetime_s = (uint32_t)n;
    break;
  case OPT_LOG_LEVEL:
    if (ew_log_set_level(value) != EW_OK)
      bad("log-level", value, "error, warn, info or debug");
    break;
  case OPT_HELP:
    fputs(help_text, stdout);
    exit(0);
  case OPT_VERSION:
    puts("eastwest-controller " EW_VERSION);
    exit(0);
  default:
    exit(2);
  }
}

static void need(const void *value, const char *option) {
  if (value)
    return;
  fprintf(stderr, "eastwest-controller: --%s is required (see --help)\n",
          option);
  exit(2);
}

static void check_local(struct ew_controller_config *c) {
  c->namespace_ = OWN_NAMESPACE;
  need(c->manifests_n ? c : NULL, "manifests (or --kubernetes)");
  need(c->ca_dir, "ca-dir");
  need(c->token_file, "token-file");
}

static const char *or_else(const char *value, const char *variable,
                           const char *fallback) {
  const char *env = variable ? getenv(variable) : NULL;

  if (value)
    return value;
  return env && env[0] ? env : fallback;
}

static void check_kubernetes(struct ew_controller_config *c) {
  static char host[256];
  char why[160] = "";

  if (c->manifests_n || c->ca_dir || c->token_file || c->status_dir) {
    fprintf(stderr, "eastwest-controller: --kubernetes: expected none of "
                    "--manifests, --ca-dir, --token-file, --status-dir\n");
    exit(2);
  }
  if (!c->server.server && !ew_kube_in_cluster(&c->server, why, sizeof(why))) {
    fprintf(stderr, "eastwest-controller: --kube-server: not given, and %s\n",
            why);
    exit(2);
  }
  (void)gethostname(host, sizeof(host) - 1);
  c->namespace_ = or_else(c->namespace_, "POD_NAMESPACE", OWN_NAMESPACE);
  c->pod = or_else(c->pod, "POD_NAME", host);
  c->ca_secret = or_else(c->ca_secret, NULL, "eastwest-ca");
  c->lease = or_else(c->lease, NULL, "eastwest-controller");
  c->token_audience = or_else(c->token_audience, NULL, "eastwest");
}

void ew_controller_config_parse(struct ew_controller_config *c, int argc,
                                char **argv) {
  int id;

  *c = (struct ew_controller_config){.trust_domain = "cluster.local",
                                     .certificate_lifetime_s = 86400};
  parse_addr("listen", "[::]:15010", &c->listen);
  parse_addr("metrics-listen", "[::]:15020", &c->metrics);
  while ((id = getopt_long(argc, argv, "", options, NULL)) != -1)
    apply(c, id, optarg);
  if (optind < argc) {
    fprintf(stderr, "eastwest-controller: \"%s\": expected an option\n",
            argv[optind]);
    exit(2);
  }
  if (c->kubernetes)
    check_kubernetes(c);
  else
    check_local(c);
}
