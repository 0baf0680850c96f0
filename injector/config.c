/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/config.h"

#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/net/tls.h"

static const char help_text[] =
    "Usage: eastwest-injector --image IMAGE --controller ADDRESS --kubernetes\n"
    "       eastwest-injector --image IMAGE --controller ADDRESS --tls-cert "
    "FILE\n"
    "                         --tls-key FILE [--kubernetes]\n"
    "Admission webhook: adds eastwest-init and the sidecar to pods.\n"
    "\n"
    "  --image IMAGE           of both containers\n"
    "  --controller ADDRESS    IP:PORT or NAME:PORT of the controller, for "
    "the\n"
    "                          sidecars; a name is looked up once, here\n"
    "  --controller-id ID      SPIFFE id that the controller must show, if it\n"
    "                          is not eastwest-controller in eastwest-system\n"
    "  --trust-domain NAME     of the SPIFFE ids (cluster.local)\n"
    "  --token-audience NAME   of the sidecars' tokens (eastwest)\n"
    "  --opt-in namespace|pod  namespace (default): whatever the API server\n"
    "                          asks for, but pods labelled\n"
    "                          eastwest.dev/inject: disabled; pod: only pods\n"
    "                          labelled eastwest.dev/inject: enabled\n"
    "  --default NAME=VALUE    for pods without annotation eastwest.dev/NAME;\n"
    "                          may be repeated\n"
    "Certificate of the webhook, from files that somebody else renews:\n"
    "  --tls-cert FILE         certificate chain, PEM\n"
    "  --tls-key FILE          its key; both are read again when they change\n"
    "or of our own, without the two:\n"
    "  --kubernetes            made, renewed and kept in a Secret, and its "
    "root in\n"
    "                          the webhook's configuration; with the files: "
    "only\n"
    "                          Events are written\n"
    "  --cert-secret NAME      tls.crt, tls.key, ca.crt "
    "(eastwest-injector-tls)\n"
    "  --service NAME          NAME.NAMESPACE.svc is what it is for\n"
    "                          (eastwest-injector)\n"
    "  --webhook-config NAME   MutatingWebhookConfiguration, all of whose "
    "webhooks\n"
    "                          are ours (eastwest-injector)\n"
    "  --certificate-lifetime SECONDS\n"
    "                          120 to 31536000 (7776000); renewed after two "
    "thirds\n"
    "  --kube-server URL       https://IP:PORT of the API server (that of the "
    "pod)\n"
    "  --kube-token-file FILE, --kube-ca-file FILE\n"
    "Always:\n"
    "  --namespace NAME        our own, of Secret and Service; its pods are "
    "never\n"
    "                          injected ([POD_NAMESPACE], eastwest-system)\n"
    "  --listen IP:PORT        POST /inject, HTTPS ([::]:15443)\n"
    "  --metrics-listen IP:PORT\n"
    "                          /metrics, /ready and /live ([::]:15020)\n"
    "  --log-level error|warn|info|debug\n"
    "                          JSON lines on stderr (info)\n"
    "  --help, --version\n";

enum {
  OPT_IMAGE = 256,
  OPT_CONTROLLER,
  OPT_CONTROLLER_ID,
  OPT_TRUST_DOMAIN,
  OPT_TOKEN_AUDIENCE,
  OPT_OPT_IN,
  OPT_DEFAULT,
  OPT_TLS_CERT,
  OPT_TLS_KEY,
  OPT_KUBERNETES,
  OPT_CERT_SECRET,
  OPT_SERVICE,
  OPT_WEBHOOK_CONFIG,
  OPT_LIFETIME,
  OPT_NAMESPACE,
  OPT_KUBE_SERVER,
  OPT_KUBE_TOKEN_FILE,
  OPT_KUBE_CA_FILE,
  OPT_LISTEN,
  OPT_METRICS_LISTEN,
  OPT_LOG_LEVEL,
  OPT_HELP,
  OPT_VERSION
};

static const struct option options[] = {
    {"image", required_argument, NULL, OPT_IMAGE},
    {"controller", required_argument, NULL, OPT_CONTROLLER},
    {"controller-id", required_argument, NULL, OPT_CONTROLLER_ID},
    {"trust-domain", required_argument, NULL, OPT_TRUST_DOMAIN},
    {"token-audience", required_argument, NULL, OPT_TOKEN_AUDIENCE},
    {"opt-in", required_argument, NULL, OPT_OPT_IN},
    {"default", required_argument, NULL, OPT_DEFAULT},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"kubernetes", no_argument, NULL, OPT_KUBERNETES},
    {"cert-secret", required_argument, NULL, OPT_CERT_SECRET},
    {"service", required_argument, NULL, OPT_SERVICE},
    {"webhook-config", required_argument, NULL, OPT_WEBHOOK_CONFIG},
    {"certificate-lifetime", required_argument, NULL, OPT_LIFETIME},
    {"namespace", required_argument, NULL, OPT_NAMESPACE},
    {"kube-server", required_argument, NULL, OPT_KUBE_SERVER},
    {"kube-token-file", required_argument, NULL, OPT_KUBE_TOKEN_FILE},
    {"kube-ca-file", required_argument, NULL, OPT_KUBE_CA_FILE},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"metrics-listen", required_argument, NULL, OPT_METRICS_LISTEN},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

_Noreturn static void bad(const char *option, const char *value,
                          const char *expected) {
  fprintf(stderr, "eastwest-injector: --%s: \"%s\": expected %s\n", option,
          value, expected);
  exit(2);
}

static void parse_addr(const char *option, const char *value,
                       struct ew_addr *out) {
  if (ew_addr_parse(out, value) != EW_OK)
    bad(option, value, "IP:PORT or [IPv6]:PORT");
}

/* The sidecars of pods may have no DNS yet when they start. */
static void look_up(const char *name, uint16_t port, char *out) {
  const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  struct ew_addr a;
  char ip[EW_ADDR_STR];
  int rc = getaddrinfo(name, NULL, &hints, &found);

  if (rc != 0 || !found) {
    fprintf(stderr, "eastwest-injector: --controller: \"%s\": %s\n", name,
            rc ? gai_strerror(rc) : "no address");
    exit(1);
  }
  ew_addr_from_sockaddr(&a, found->ai_addr);
  freeaddrinfo(found);
  EW_BUG_ON(ew_addr_set(&a, ew_addr_ip(&a, ip), port) != EW_OK);
  (void)ew_addr_str(&a, out);
}

static void parse_controller(struct ew_injector_config *c, const char *value) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  struct ew_slice port = ew_slice_str(value);
  struct ew_slice name = ew_slice_cut(&port, ':');
  struct ew_addr a;
  char text[254];
  uint64_t n;

  if (ew_addr_parse(&a, value) == EW_OK && ew_addr_port(&a) > 0) {
    (void)ew_addr_str(&a, c->controller);
    return;
  }
  if (ew_slice_u64(port, 65535, &n) != EW_OK || n == 0 || name.n == 0 ||
      name.n >= sizeof(text))
    bad("controller", value, "IP:PORT, [IPv6]:PORT or NAME:PORT");
  memcpy(text, name.p, name.n);
  text[name.n] = '\0';
  if (strspn(text, letters) != name.n)
    bad("controller", value, "IP:PORT, [IPv6]:PORT or NAME:PORT");
  look_up(text, (uint16_t)n, c->controller);
}

/* It becomes part of a JSON string and of an argument. */
static bool is_plain(const char *s) {
  size_t n = strlen(s);

  for (size_t i = 0; i < n; i++)
    if (s[i] <= ' ' || s[i] > '~')
      return false;
  return n > 0 && n <= 2048;
}

static void parse_default(struct ew_injector_config *c, const char *option,
                          const char *name, const char *value) {
  char why[320];

  switch (
      ew_pod_options_set(&c->inject.defaults, name, value, why, sizeof(why))) {
  case EW_OK:
    return;
  case EW_ENOENT:
    bad(option, name, "the name of an annotation without eastwest.dev/");
  default:
    fprintf(stderr, "eastwest-injector: --%s: %s: %s\n", option, name, why);
    exit(2);
  }
}

static void parse_default_pair(struct ew_injector_config *c,
                               const char *value) {
  struct ew_slice rest = ew_slice_str(value);
  struct ew_slice name = ew_slice_cut(&rest, '=');
  char *text;

  if (!rest.p)
    bad("default", value, "NAME=VALUE");
  text = ew_strndup(name.p, name.n);
  parse_default(c, "default", text, rest.p);
  free(text);
}

/* DNS labels, as names of Kubernetes' objects are: they become parts of paths
 * and of the names in the certificate. */
static const char *object_name(const char *option, const char *value) {
  size_t n = strlen(value);

  if (n == 0 || n > 253 || value[0] == '-' || value[0] == '.' ||
      strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-.") != n)
    bad(option, value, "a name of lowercase letters, digits, '-' and '.'");
  return value;
}

/* Those that concern Kubernetes; false: none of them. */
static bool apply_kubernetes(struct ew_injector_config *c, int id,
                             const char *value) {
  uint64_t n;

  switch (id) {
  case OPT_KUBERNETES:
    c->kubernetes = true;
    return true;
  case OPT_CERT_SECRET:
    c->cert_secret = object_name("cert-secret", value);
    return true;
  case OPT_SERVICE:
    c->service = object_name("service", value);
    return true;
  case OPT_WEBHOOK_CONFIG:
    c->webhook_config = object_name("webhook-config", value);
    return true;
  case OPT_LIFETIME:
    if (ew_slice_u64(ew_slice_str(value), 365 * 86400, &n) != EW_OK || n < 120)
      bad("certificate-lifetime", value, "a number from 120 to 31536000");
    c->certificate_lifetime_s = (uint32_t)n;
    return true;
  case OPT_NAMESPACE:
    c->namespace_ = object_name("namespace", value);
    return true;
  case OPT_KUBE_SERVER:
    c->server.server = value;
    return true;
  case OPT_KUBE_TOKEN_FILE:
    c->server.token_file = value;
    return true;
  case OPT_KUBE_CA_FILE:
    c->server.ca_file = value;
    return true;
  default:
    return false;
  }
}

static void apply(struct ew_injector_config *c, int id, const char *value) {
  if (apply_kubernetes(c, id, value))
    return;
  switch (id) {
  case OPT_IMAGE:
    parse_default(c, "image", "image", value);
    break;
  case OPT_CONTROLLER:
    parse_controller(c, value);
    break;
  case OPT_CONTROLLER_ID:
    if (strncmp(value, "spiffe://", 9) != 0 || !is_plain(value))
      bad("controller-id", value, "spiffe://TRUST-DOMAIN/PATH");
    c->inject.controller_id = value;
    break;
  case OPT_TRUST_DOMAIN:
    if (ew_spiffe_trust_domain_check(ew_slice_str(value)) != EW_OK)
      bad("trust-domain", value,
          "at most 255 lowercase letters, digits, '-', '.' and '_'");
    c->inject.trust_domain = value;
    break;
  case OPT_TOKEN_AUDIENCE:
    if (!is_plain(value))
      bad("token-audience", value, "printable ASCII without spaces");
    c->inject.token_audience = value;
    break;
  case OPT_OPT_IN:
    c->inject.by_pod_label = strcmp(value, "pod") == 0;
    if (!c->inject.by_pod_label && strcmp(value, "namespace") != 0)
      bad("opt-in", value, "namespace or pod");
    break;
  case OPT_DEFAULT:
    parse_default_pair(c, value);
    break;
  case OPT_TLS_CERT:
    c->tls_cert = value;
    break;
  case OPT_TLS_KEY:
    c->tls_key = value;
    break;
  case OPT_LISTEN:
    parse_addr("listen", value, &c->listen);
    break;
  case OPT_METRICS_LISTEN:
    parse_addr("metrics-listen", value, &c->metrics);
    break;
  case OPT_LOG_LEVEL:
    if (ew_log_set_level(value) != EW_OK)
      bad("log-level", value, "error, warn, info or debug");
    break;
  case OPT_HELP:
    fputs(help_text, stdout);
    exit(0);
  case OPT_VERSION:
    puts("eastwest-injector " EW_VERSION);
    exit(0);
  default:
    exit(2);
  }
}

static void need(const void *value, const char *option) {
  if (value)
    return;
  fprintf(stderr, "eastwest-injector: --%s is required (see --help)\n", option);
  exit(2);
}

static void set_namespace(struct ew_injector_config *c) {
  const char *env = getenv("POD_NAMESPACE");

  if (!c->namespace_ && env && env[0])
    c->namespace_ = object_name("namespace", env);
  if (!c->namespace_)
    c->namespace_ = "eastwest-system";
  c->inject.own_namespace = c->namespace_;
}

static void check_kubernetes(struct ew_injector_config *c) {
  char why[160] = "";

  if (!c->server.server && !ew_kube_in_cluster(&c->server, why, sizeof(why))) {
    fprintf(stderr, "eastwest-injector: --kube-server: not given, and %s\n",
            why);
    exit(2);
  }
}

static void check(struct ew_injector_config *c) {
  char why[320];

  need(c->inject.defaults.v[EW_POD_IMAGE][0] ? c : NULL, "image");
  need(c->controller[0] ? c : NULL, "controller");
  if (c->tls_key || !c->kubernetes)
    need(c->tls_cert, "tls-cert (or --kubernetes)");
  if (c->tls_cert)
    need(c->tls_key, "tls-key");
  set_namespace(c);
  if (c->kubernetes)
    check_kubernetes(c);
  if (ew_pod_options_check(&c->inject.defaults, why, sizeof(why)) == EW_OK)
    return;
  fprintf(stderr, "eastwest-injector: --default: %s\n", why);
  exit(2);
}

void ew_injector_config_parse(struct ew_injector_config *c, int argc,
                              char **argv) {
  int id;

  *c = (struct ew_injector_config){
      .inject = {.trust_domain = "cluster.local", .token_audience = "eastwest"},
      .cert_secret = "eastwest-injector-tls",
      .service = "eastwest-injector",
      .webhook_config = "eastwest-injector",
      .certificate_lifetime_s = 90 * 86400};
  c->inject.controller = c->controller;
  ew_pod_options_init(&c->inject.defaults);
  parse_addr("listen", "[::]:15443", &c->listen);
  parse_addr("metrics-listen", "[::]:15020", &c->metrics);
  while ((id = getopt_long(argc, argv, "", options, NULL)) != -1)
    apply(c, id, optarg);
  if (optind < argc) {
    fprintf(stderr, "eastwest-injector: \"%s\": expected an option\n",
            argv[optind]);
    exit(2);
  }
  check(c);
}

void ew_injector_config_fini(struct ew_injector_config *c) {
  ew_pod_options_fini(&c->inject.defaults);
}
