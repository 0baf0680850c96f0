/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_CONFIG_H
#define EASTWEST_INJECTOR_CONFIG_H

#include "eastwest/kube/client.h"
#include "eastwest/net/addr.h"
#include "injector/template.h"

struct ew_injector_config {
  struct ew_inject_config inject; /* its controller points to |controller| */
  char controller[EW_ADDR_STR];
  const char *tls_cert, *tls_key; /* NULL: a certificate of our own */
  bool kubernetes;
  struct ew_kube_opts server;
  const char *namespace_, *cert_secret, *service, *webhook_config;
  uint32_t certificate_lifetime_s;
  struct ew_addr listen, metrics;
};

/* Ends the process: 2 after a message about a faulty option, 0 for --help and
 * --version, 1 if the controller's name has no address. */
void ew_injector_config_parse(struct ew_injector_config *c, int argc,
                              char **argv);
void ew_injector_config_fini(struct ew_injector_config *c);

#endif
