/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_CONFIG_H
#define SIDECAR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/net/addr.h"
#include "sidecar/get.h"
#include "sidecar/policy/authorize.h"

enum ew_access_mode { EW_ACCESS_OFF, EW_ACCESS_ERRORS, EW_ACCESS_ALL };

#define EW_POD_IPS_MAX 8
#define EW_PORT_RANGES_MAX 64
#define EW_PROBES_MAX 32

struct ew_opaque_range {
  uint16_t from, to; /* both included */
};

/* What the command line said. Strings live as long as the process. */
struct ew_config {
  struct ew_addr controller;
  bool has_controller;
  const char *controller_id; /* SPIFFE id the controller must show */
  const char *trust_domain;
  const char *namespace_, *pod, *service_account, *zone;
  const char *token_file, *roots_file, *identity_dir;
  struct ew_addr pod_ips[EW_POD_IPS_MAX]; /* port 0 */
  size_t pod_ips_n;
  struct ew_opaque_range opaque[EW_PORT_RANGES_MAX];
  size_t opaque_n;
  bool strict;
  /* The kubelet's probes of the pod, which pass in strict mode too. */
  struct ew_probe probes[EW_PROBES_MAX];
  size_t probes_n;
  enum ew_access_mode access_log;
  uint16_t outbound_port, inbound_port, status_port, admin_port;
  uint32_t drain_s;
  uint32_t destination_idle_s;
  /* Instead of all that: one request. */
  bool has_get;
  struct ew_get get;
  uint32_t wait_s;
};

/* Reads the options (and EASTWEST_* variables, which an option overrides).
 * Prints what is wrong, or the help, and exits: 2 for bad usage, 0 for help. */
void ew_config_parse(struct ew_config *c, int argc, char **argv);
bool ew_config_is_opaque(const struct ew_config *c, uint16_t port);
/* Whether |a|'s IP is one of the pod's own. */
bool ew_config_is_own(const struct ew_config *c, const struct ew_addr *a);

#endif
