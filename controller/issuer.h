/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_ISSUER_H
#define EASTWEST_CONTROLLER_ISSUER_H

#include "controller/authenticator.h"
#include "controller/ca.h"
#include "eastwest/base/metrics.h"
#include "eastwest/conn/httpd.h"

/* POST /v1/certificates: a certificate for the service account that a token
 * belongs to (docs/discovery.md). */
struct ew_issuer;

#define EW_CERTIFICATE_REQUEST_MAX 65536

/* All arguments must outlive it. |lifetime_s| is that of a certificate. */
struct ew_issuer *ew_issuer_new(struct ew_loop *loop, struct ew_ca *ca,
                                struct ew_authenticator *tokens,
                                const char *trust_domain, uint32_t lifetime_s,
                                struct ew_metrics *metrics);
/* All requests must be gone. NULL is allowed. */
void ew_issuer_del(struct ew_issuer *i);
/* Answers |r|, at once or when it is known whose token it is.
 * ew_issuer_gone is to be called if the client leaves before. */
void ew_issuer_serve(struct ew_issuer *i, struct ew_httpd_request *r);
void ew_issuer_gone(struct ew_issuer *i, struct ew_httpd_request *r);

#endif
