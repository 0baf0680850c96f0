/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_INBOUND_H
#define SIDECAR_PROXY_INBOUND_H

#include "sidecar/proxy/conns.h"
#include "sidecar/proxy/env.h"
#include "sidecar/proxy/local.h"

/* A connection that came to this pod: accept, original destination, peek,
 * authenticate, authorize, and then requests or a tunnel to the app at the
 * pod's own address and the port that was asked for. Takes over |fd|. */
void ew_inbound_accept(struct ew_env *env, struct ew_conns *conns,
                       struct ew_locals *locals, int fd,
                       const struct ew_addr *peer);

#endif
