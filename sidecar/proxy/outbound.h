/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_OUTBOUND_H
#define SIDECAR_PROXY_OUTBOUND_H

#include "sidecar/proxy/conns.h"
#include "sidecar/proxy/env.h"

/* A connection that an app of this pod opened: accept, original destination,
 * discovery, protocol, and then requests or a tunnel. The only file that knows
 * the order of these steps. Takes over |fd|. */
void ew_outbound_accept(struct ew_env *env, struct ew_conns *conns, int fd,
                        const struct ew_addr *peer);

#endif
