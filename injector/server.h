/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_SERVER_H
#define EASTWEST_INJECTOR_SERVER_H

#include "eastwest/base/metrics.h"
#include "eastwest/net/loop.h"
#include "injector/config.h"

/* POST /inject by HTTPS for the API server, and GET /ready, /live and /metrics
 * in plain text on a port of their own. Ready as soon as there is a certificate
 * and, where it is our own, the API server has its root. */
struct ew_injector;

/* NULL after an error in the log. */
struct ew_injector *ew_injector_new(struct ew_loop *loop,
                                    const struct ew_injector_config *c);
void ew_injector_del(struct ew_injector *i); /* or NULL */

#endif
