/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_CERTIFICATE_H
#define EASTWEST_INJECTOR_CERTIFICATE_H

#include "eastwest/base/metrics.h"
#include "eastwest/net/loop.h"
#include "eastwest/net/tls.h"

/* The webhook's own certificate: two files that are followed. What can't be
 * used changes nothing, is counted and is named in the log. */
struct ew_certificate;

/* Never NULL; the files may come later. Paths must outlive it. */
struct ew_certificate *ew_certificate_new(struct ew_loop *loop,
                                          const char *cert, const char *key,
                                          struct ew_metrics *metrics);
void ew_certificate_del(struct ew_certificate *c); /* or NULL */
/* NULL: none yet. Not a reference of the caller's. */
struct ew_tls_ctx *ew_certificate_tls(const struct ew_certificate *c);

#endif
