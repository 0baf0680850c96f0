/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_IDENTITY_H
#define SIDECAR_IDENTITY_H

#include "eastwest/base/metrics.h"
#include "eastwest/net/addr.h"
#include "eastwest/net/tls.h"

/* The pod's certificate: bought from the controller with the pod's token, or
 * read from files that somebody else renews. The key is made in memory and
 * never leaves it. The last valid certificate is kept until it expires. */
struct ew_identity;

#define EW_IDENTITY_FILES_MS 5000
#define EW_IDENTITY_FETCH_TIMEOUT_MS 10000

struct ew_identity_opts {
  struct ew_addr controller;
  const char *controller_id; /* SPIFFE id the controller must show */
  const char *trust_domain;
  const char *token_file, *roots_file; /* controller */
  const char *identity_dir; /* files: tls.crt, tls.key, ca.crt; else NULL */
  struct ew_metrics *metrics;
};

/* Strings of |o| must live as long as the identity. Starts at once. */
struct ew_identity *ew_identity_new(struct ew_loop *l,
                                    const struct ew_identity_opts *o);
void ew_identity_del(struct ew_identity *id);
/* Borrowed: take a reference to keep it. NULL before the first certificate and
 * after the last one has expired. */
struct ew_tls_ctx *ew_identity_ctx(struct ew_identity *id);

#endif
