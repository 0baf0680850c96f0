/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_DIAL_H
#define SIDECAR_PROXY_DIAL_H

#include "eastwest/net/addr.h"
#include "eastwest/net/stream.h"
#include "eastwest/net/tls.h"
#include "sidecar/proxy/env.h"

/* One attempt to reach an endpoint: TCP connect, then mesh TLS if the endpoint
 * has an identity. A known mesh endpoint is never spoken to in plain text. */
#define EW_CONNECT_TIMEOUT_MS 1000
#define EW_HANDSHAKE_TIMEOUT_MS 10000

struct ew_dial_spec {
  struct ew_addr to;
  struct ew_tls_ctx *tls; /* borrowed during the call; NULL: plain */
  const char *identity;   /* with tls: the one id accepted; borrowed */
  const char *alpn;       /* with tls: a literal */
  unsigned timeout_ms;    /* to connect; 0: EW_CONNECT_TIMEOUT_MS */
  struct ew_env *env;     /* where failed handshakes are counted, or NULL */
};

struct ew_dial;

/* Called once, never from within ew_dial_new: the stream, or NULL and
 * EW_ECONNREFUSED, EW_ETIMEDOUT, EW_EIO, EW_ETLS or EW_EIDENTITY; |why| is then
 * the reason of a failed handshake (a fixed word, see ew_tls_stream_failure) or
 * "". The dial is freed after the call. */
typedef void (*ew_dial_fn)(void *arg, struct ew_stream *s, int err,
                           const char *why);

struct ew_dial *ew_dial_new(struct ew_loop *l, const struct ew_dial_spec *spec,
                            ew_dial_fn on_done, void *arg);
void ew_dial_cancel(struct ew_dial *d);

#endif
