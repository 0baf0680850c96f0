/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_SERVER_H
#define EASTWEST_CONTROLLER_SERVER_H

#include "controller/ca.h"
#include "controller/discovery.h"
#include "controller/issuer.h"

/* What sidecars talk to: TLS 1.3 and HTTP/2, with the paths of
 * docs/discovery.md. Its own certificate comes from the mesh's CA and is
 * renewed when two thirds of its life are over. */
struct ew_server;

/* All must outlive it; |namespace_| is in our own identity. NULL after an error
 * in the log. */
struct ew_server *ew_server_new(struct ew_loop *loop, const struct ew_addr *at,
                                const char *trust_domain,
                                const char *namespace_, struct ew_ca *ca,
                                struct ew_issuer *issuer,
                                struct ew_discovery *discovery);
/* The CA signs with another root: so does our own certificate from now on. */
void ew_server_renew(struct ew_server *s);
void ew_server_del(struct ew_server *s); /* NULL is allowed */

#endif
