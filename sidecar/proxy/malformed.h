/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_MALFORMED_H
#define SIDECAR_PROXY_MALFORMED_H

#include "eastwest/http/message.h"
#include "eastwest/net/addr.h"
#include "sidecar/proxy/env.h"

/* Requests that a codec answered itself, before they became exchanges. */

/* The codec's on_refused: counts it and logs it. |addr| is who sent it
 * ("inbound"), or whom it was for ("outbound"). */
void ew_malformed_refused(struct ew_env *env, const char *direction,
                          const struct ew_addr *addr, int status,
                          const char *why);
/* The codec's on_answer: says that the answer is the mesh's. */
void ew_malformed_answer(void *arg, struct ew_message *m);

#endif
