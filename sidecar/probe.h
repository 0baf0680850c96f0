/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROBE_H
#define SIDECAR_PROBE_H

#include "eastwest/conn/httpd.h"
#include "sidecar/config.h"

/* GET /probe/PORT: whether the app accepts connections on one of its ports that
 * has a tcpSocket probe. The kubelet can't find that out by itself: the sidecar
 * accepts what is redirected to it before it knows whether the app would. */

/* Answers |r| now or later: 200, 503 if the app does not accept within a
 * second, 404 for a port without such a probe (nobody may scan the pod). */
void ew_probe_serve(struct ew_loop *l, const struct ew_config *c,
                    struct ew_httpd_request *r, struct ew_slice port);
/* The client has gone before the answer. */
void ew_probe_gone(struct ew_httpd_request *r);

#endif
