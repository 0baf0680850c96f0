/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_CA_SECRET_H
#define EASTWEST_CONTROLLER_CA_SECRET_H

#include "controller/ca.h"
#include "eastwest/kube/client.h"

/* The mesh's CA in a Secret in the shape that cert-manager writes: tls.crt and
 * tls.key sign, all of ca.crt is trusted too. Made if it is not there: of
 * several replicas that try, the API server lets one win, and the others take
 * what it made. Followed: a change is told at once. */
struct ew_ca_secret;

struct ew_ca_secret_opts {
  const char *namespace_, *name, *trust_domain;
};

/* |on_ca| gets a CA of its own, first and after each change. Strings are
 * copied. */
struct ew_ca_secret *
ew_ca_secret_new(struct ew_kube *k, struct ew_loop *l,
                 const struct ew_ca_secret_opts *opts,
                 void (*on_ca)(void *arg, struct ew_ca *ca), void *arg);
void ew_ca_secret_del(struct ew_ca_secret *s); /* NULL is allowed */

#endif
