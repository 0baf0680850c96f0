/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_CERTIFICATE_H
#define EASTWEST_INJECTOR_CERTIFICATE_H

#include <stdbool.h>

#include "eastwest/base/metrics.h"
#include "eastwest/net/tls.h"

/* The certificate that the webhook serves with, wherever it comes from. What
 * can't be used changes nothing, is counted and is named in the log. */
struct ew_certificate;

struct ew_certificate *ew_certificate_new(struct ew_metrics *metrics);
void ew_certificate_del(struct ew_certificate *c); /* or NULL */
/* PEM texts, leaf first. EW_OK, or EW_EINVAL after ew_certificate_fault. */
int ew_certificate_use(struct ew_certificate *c, const char *chain,
                       const char *key);
/* Counts and logs why there is no better one. */
void ew_certificate_fault(struct ew_certificate *c, const char *why);
/* NULL: none yet. Not a reference of the caller's. */
struct ew_tls_ctx *ew_certificate_tls(const struct ew_certificate *c);
/* There is one, and it has not expired. */
bool ew_certificate_good(const struct ew_certificate *c);

#endif
