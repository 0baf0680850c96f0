/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_OUTBOUND_REQUEST_H
#define SIDECAR_PROXY_OUTBOUND_REQUEST_H

#include "sidecar/proxy/exchange.h"
#include "sidecar/proxy/view.h"

/* Tells the sidecar of the server which HTTP version its app shall get: "1" or
 * "2". Between sidecars only: removed from what apps send, and never shown to
 * them. */
#define EW_APP_HTTP_HEADER "eastwest-app-http"

/* One request of the pod's app: route, filters, mirrors, balance, tries.
 * |dst| is the address that the app asked for. Takes over |m|; |st|'s user is
 * the exchange from now on. */
void ew_outbound_request(struct ew_env *env, const struct ew_addr *dst,
                         struct ew_view *v, struct ew_http_conn *conn,
                         struct ew_hstream *st, struct ew_message *m, bool end);

#endif
