/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_CONFIG_H
#define EASTWEST_CONTROLLER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/kube/client.h"
#include "eastwest/net/addr.h"

#define EW_MANIFEST_DIRS_MAX 16

struct ew_controller_config {
  bool kubernetes; /* else manifests */
  const char *manifests[EW_MANIFEST_DIRS_MAX];
  size_t manifests_n;
  const char *status_dir; /* NULL: log only */
  const char *ca_dir, *token_file, *trust_domain;
  uint32_t certificate_lifetime_s;
  /* With Kubernetes. */
  struct ew_kube_opts server;
  const char *namespace_, *pod, *ca_secret, *lease, *token_audience;
  struct ew_addr listen, metrics;
};

/* Ends the process: 2 after a message about a faulty option, 0 for --help and
 * --version. */
void ew_controller_config_parse(struct ew_controller_config *c, int argc,
                                char **argv);

#endif
