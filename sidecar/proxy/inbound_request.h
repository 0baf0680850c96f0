/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_INBOUND_REQUEST_H
#define SIDECAR_PROXY_INBOUND_REQUEST_H

#include "sidecar/proxy/exchange.h"
#include "sidecar/proxy/local.h"

/* Who called, from the verified certificate; set at every inbound edge, so an
 * app can trust it: Envoy's name and form, "URI=spiffe://...". */
#define EW_PEER_HEADER "x-forwarded-client-cert"

/* One request to the pod's app. |peer_id| is NULL for plain text. |denied| is
 * NULL, or why it is answered 403 (a literal). Takes over |m|; |st|'s user is
 * the exchange from now on. */
void ew_inbound_request(struct ew_env *env, struct ew_local *local,
                        const char *peer_id, const char *denied,
                        struct ew_http_conn *conn, struct ew_hstream *st,
                        struct ew_message *m, bool end);

#endif
