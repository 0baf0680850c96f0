/* SPDX-License-Identifier: Apache-2.0 */
#include "init/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <string.h>

#include "eastwest/base/err.h"
#include "eastwest/base/ports.h"

const char ew_options_help[] =
    "Usage: eastwest-init [OPTION]...\n"
    "Redirects the TCP traffic of this network namespace to the sidecar.\n"
    "\n"
    "  --inbound-port PORT          where connections to the pod go (15006)\n"
    "  --outbound-port PORT         where connections of the pod go (15001)\n"
    "  --uid UID                    the sidecar's user, not redirected (2140)\n"
    "  --skip-uids LIST             further users that are not redirected\n"
    "  --skip-inbound-ports LIST    ports of the pod that stay direct\n"
    "  --skip-outbound-ports LIST   destination ports that stay direct\n"
    "  --skip-inbound-cidrs LIST    sources that stay direct\n"
    "  --skip-outbound-cidrs LIST   destinations that stay direct\n"
    "  --ipv6 auto|on|off           auto (default): where the pod has IPv6\n"
    "  --dry-run                    print the input for iptables-restore\n"
    "  --verify                     compare the rules in force; exit 1 if "
    "they\n"
    "                               differ\n"
    "  --cleanup                    remove our rules, leave those of others\n"
    "  --help, --version\n"
    "\n"
    "LIST is comma-separated; ports are 80 or 1000-2000; CIDRs of both "
    "families\n"
    "may be mixed. Lists may be given more than once. Port 15020 (ready and\n"
    "metrics) is never redirected. Exit status: 0 done, 1 failed, 2 usage.\n";

enum {
  EW_OPT_INBOUND_PORT = 256,
  EW_OPT_OUTBOUND_PORT,
  EW_OPT_UID,
  EW_OPT_SKIP_UIDS,
  EW_OPT_SKIP_INBOUND_PORTS,
  EW_OPT_SKIP_OUTBOUND_PORTS,
  EW_OPT_SKIP_INBOUND_CIDRS,
  EW_OPT_SKIP_OUTBOUND_CIDRS,
  EW_OPT_IPV6,
  EW_OPT_DRY_RUN,
  EW_OPT_VERIFY,
  EW_OPT_CLEANUP,
  EW_OPT_HELP,
  EW_OPT_VERSION
};

static const struct option ew_long_options[] = {
    {"inbound-port", required_argument, NULL, EW_OPT_INBOUND_PORT},
    {"outbound-port", required_argument, NULL, EW_OPT_OUTBOUND_PORT},
    {"uid", required_argument, NULL, EW_OPT_UID},
    {"skip-uids", required_argument, NULL, EW_OPT_SKIP_UIDS},
    {"skip-inbound-ports", required_argument, NULL, EW_OPT_SKIP_INBOUND_PORTS},
    {"skip-outbound-ports", required_argument, NULL,
     EW_OPT_SKIP_OUTBOUND_PORTS},
    {"skip-inbound-cidrs", required_argument, NULL, EW_OPT_SKIP_INBOUND_CIDRS},
    {"skip-outbound-cidrs", required_argument, NULL,
     EW_OPT_SKIP_OUTBOUND_CIDRS},
    {"ipv6", required_argument, NULL, EW_OPT_IPV6},
    {"dry-run", no_argument, NULL, EW_OPT_DRY_RUN},
    {"verify", no_argument, NULL, EW_OPT_VERIFY},
    {"cleanup", no_argument, NULL, EW_OPT_CLEANUP},
    {"help", no_argument, NULL, EW_OPT_HELP},
    {"version", no_argument, NULL, EW_OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int ew_parse_port(struct ew_slice s, uint16_t *out) {
  uint64_t v;
  if (ew_slice_u64(s, 65535, &v) != EW_OK || v == 0)
    return EW_EINVAL;
  *out = (uint16_t)v;
  return EW_OK;
}

static int ew_parse_uid(struct ew_slice s, uint32_t *out) {
  uint64_t v;
  if (ew_slice_u64(s, UINT32_MAX - 1, &v) != EW_OK)
    return EW_EINVAL;
  *out = (uint32_t)v;
  return EW_OK;
}

static int ew_add_uid(struct ew_slice s, void *list) {
  struct ew_uid_list *l = list;
  if (l->n == EW_INIT_UIDS_MAX)
    return EW_ELIMIT;
  int rc = ew_parse_uid(s, &l->v[l->n]);
  l->n += rc == EW_OK;
  return rc;
}

static int ew_add_ports(struct ew_slice s, void *list) {
  struct ew_port_list *l = list;
  struct ew_port_range r;
  if (l->n == EW_INIT_PORTS_MAX)
    return EW_ELIMIT;
  bool range = ew_slice_chr(s, '-') >= 0;
  if (ew_parse_port(ew_slice_cut(&s, '-'), &r.low) != EW_OK)
    return EW_EINVAL;
  r.high = r.low;
  if (range && (ew_parse_port(s, &r.high) != EW_OK || r.high < r.low))
    return EW_EINVAL;
  l->v[l->n++] = r;
  return EW_OK;
}

static int ew_add_cidr(struct ew_slice s, void *list) {
  struct ew_cidr_list *l = list;
  struct ew_cidr c = {.ip = EW_IPV4};
  char text[INET6_ADDRSTRLEN];
  if (l->n == EW_INIT_CIDRS_MAX)
    return EW_ELIMIT;
  bool slash = ew_slice_chr(s, '/') >= 0;
  struct ew_slice addr = ew_slice_cut(&s, '/');
  if (addr.n >= sizeof(text) || ew_slice_chr(addr, '\0') >= 0)
    return EW_EINVAL;
  memcpy(text, addr.p, addr.n);
  text[addr.n] = '\0';
  uint64_t bits = 32;
  if (inet_pton(AF_INET, text, c.addr) != 1) {
    if (inet_pton(AF_INET6, text, c.addr) != 1)
      return EW_EINVAL;
    c.ip = EW_IPV6;
    bits = 128;
  }
  if (slash && ew_slice_u64(s, bits, &bits) != EW_OK)
    return EW_EINVAL;
  c.bits = (unsigned)bits;
  for (size_t i = 0; i < sizeof(c.addr); i++) {
    unsigned left = c.bits > i * 8 ? c.bits - (unsigned)i * 8 : 0;
    if (left < 8)
      c.addr[i] &= (unsigned char)(0xff00u >> left);
  }
  l->v[l->n++] = c;
  return EW_OK;
}

static int ew_bad(struct ew_buf *why, const char *option, const char *value,
                  const char *expected) {
  ew_buf_printf(why, "--%s \"%.200s\": expected %s", option, value, expected);
  return EW_EINVAL;
}

/* An empty value is an empty list: annotations and templates give that. */
static int ew_parse_list(const char *option, const char *value,
                         int (*add)(struct ew_slice, void *), void *list,
                         const char *expected, struct ew_buf *why) {
  struct ew_slice rest = ew_slice_trim(ew_slice_str(value));
  while (value[0] != '\0' && rest.p) {
    struct ew_slice item = ew_slice_trim(ew_slice_cut(&rest, ','));
    int rc = add(item, list);
    if (rc == EW_ELIMIT)
      return ew_bad(why, option, value, "fewer items");
    if (rc != EW_OK) {
      ew_buf_printf(why, "--%s \"%.200s\": item \"%.*s\": expected %s", option,
                    value, item.n > 60 ? 60 : (int)item.n, item.p ? item.p : "",
                    expected);
      return EW_EINVAL;
    }
  }
  return EW_OK;
}

static int ew_set_mode(struct ew_options *o, enum ew_init_mode mode,
                       struct ew_buf *why) {
  if (o->mode != EW_MODE_APPLY && o->mode != mode) {
    ew_buf_append_str(why,
                      "expected only one of --dry-run, --verify and --cleanup");
    return EW_EINVAL;
  }
  o->mode = mode;
  return EW_OK;
}

static int ew_parse_one(struct ew_options *o, int c, const char *name,
                        const char *v, struct ew_buf *why) {
  static const char ports[] = "ports from 1 to 65535 or ranges low-high, "
                              "comma-separated";
  static const char cidrs[] = "IPv4 or IPv6 addresses or CIDRs, "
                              "comma-separated";
  struct ew_rules *r = &o->rules;
  switch (c) {
  case EW_OPT_INBOUND_PORT:
  case EW_OPT_OUTBOUND_PORT:
    if (ew_parse_port(ew_slice_str(v), c == EW_OPT_INBOUND_PORT
                                           ? &r->inbound_port
                                           : &r->outbound_port) != EW_OK)
      return ew_bad(why, name, v, "a port from 1 to 65535");
    return EW_OK;
  case EW_OPT_UID:
    if (ew_parse_uid(ew_slice_str(v), &r->uid) != EW_OK)
      return ew_bad(why, name, v, "a user id from 0 to 4294967294");
    return EW_OK;
  case EW_OPT_SKIP_UIDS:
    return ew_parse_list(name, v, ew_add_uid, &r->skip_uids,
                         "user ids from 0 to 4294967294, comma-separated", why);
  case EW_OPT_SKIP_INBOUND_PORTS:
    return ew_parse_list(name, v, ew_add_ports, &r->skip_inbound_ports, ports,
                         why);
  case EW_OPT_SKIP_OUTBOUND_PORTS:
    return ew_parse_list(name, v, ew_add_ports, &r->skip_outbound_ports, ports,
                         why);
  case EW_OPT_SKIP_INBOUND_CIDRS:
    return ew_parse_list(name, v, ew_add_cidr, &r->skip_inbound_cidrs, cidrs,
                         why);
  case EW_OPT_SKIP_OUTBOUND_CIDRS:
    return ew_parse_list(name, v, ew_add_cidr, &r->skip_outbound_cidrs, cidrs,
                         why);
  case EW_OPT_IPV6:
    if (strcmp(v, "auto") == 0)
      o->ipv6 = EW_IPV6_AUTO;
    else if (strcmp(v, "on") == 0)
      o->ipv6 = EW_IPV6_ON;
    else if (strcmp(v, "off") == 0)
      o->ipv6 = EW_IPV6_OFF;
    else
      return ew_bad(why, name, v, "auto, on or off");
    return EW_OK;
  case EW_OPT_DRY_RUN:
    return ew_set_mode(o, EW_MODE_DRY_RUN, why);
  case EW_OPT_VERIFY:
    return ew_set_mode(o, EW_MODE_VERIFY, why);
  default:
    return ew_set_mode(o, EW_MODE_CLEANUP, why);
  }
}

static int ew_check_ports(const struct ew_rules *r, struct ew_buf *why) {
  char value[8];
  snprintf(value, sizeof(value), "%u", r->inbound_port);
  if (r->inbound_port == r->outbound_port)
    return ew_bad(why, "inbound-port", value,
                  "another port than --outbound-port");
  if (r->inbound_port == EW_PORT_STATUS)
    return ew_bad(why, "inbound-port", value,
                  "another port than 15020 (ready and metrics)");
  if (r->outbound_port == EW_PORT_STATUS)
    return ew_bad(why, "outbound-port", "15020",
                  "another port than 15020 (ready and metrics)");
  return EW_OK;
}

int ew_options_parse(struct ew_options *o, int argc, char **argv,
                     struct ew_buf *why) {
  *o = (struct ew_options){.mode = EW_MODE_APPLY, .ipv6 = EW_IPV6_AUTO};
  o->rules.inbound_port = EW_PORT_INBOUND;
  o->rules.outbound_port = EW_PORT_OUTBOUND;
  o->rules.uid = 2140;
  optind = 0; /* glibc: start anew, so that it can be called twice */
  opterr = 0;
  for (;;) {
    int index = -1;
    int at = optind ? optind : 1;
    int c = getopt_long(argc, argv, "+:", ew_long_options, &index);
    if (c == -1)
      break;
    if (c == ':' || c == '?') {
      ew_buf_printf(why, "%.200s: %s (see --help)", argv[at],
                    c == ':' ? "expected a value"
                             : "expected an option that there is");
      return EW_EINVAL;
    }
    if (c == EW_OPT_HELP || c == EW_OPT_VERSION) {
      o->mode = c == EW_OPT_HELP ? EW_MODE_HELP : EW_MODE_VERSION;
      return EW_OK;
    }
    int rc = ew_parse_one(o, c, ew_long_options[index].name, optarg, why);
    if (rc != EW_OK)
      return rc;
  }
  if (optind < argc) {
    ew_buf_printf(why, "\"%.200s\": expected no further arguments (see --help)",
                  argv[optind]);
    return EW_EINVAL;
  }
  return ew_check_ports(&o->rules, why);
}
