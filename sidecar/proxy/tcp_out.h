/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_TCP_OUT_H
#define SIDECAR_PROXY_TCP_OUT_H

#include "sidecar/proxy/dial.h"
#include "sidecar/proxy/view.h"

/* Opens the far side of a tunnel: one of a backend's endpoints, another one if
 * that fails, or a plain address. */
struct ew_tcp_out;

#define EW_TCP_TRIES_MAX 3
/* For addresses outside the mesh's world. */
#define EW_PASSTHROUGH_TIMEOUT_MS 10000

/* The stream, or NULL and why. |e| is the endpoint used (NULL for a plain
 * address): referenced for the callee, who calls ew_bal_cancel on it when the
 * tunnel ends. Never from within new. Freed after the call. */
typedef void (*ew_tcp_out_fn)(void *arg, struct ew_stream *s,
                              struct ew_bal_endpoint *e, int err,
                              const char *why);

struct ew_tcp_out *ew_tcp_out_backend(struct ew_env *env, struct ew_upstream *u,
                                      ew_tcp_out_fn on_done, void *arg);
struct ew_tcp_out *ew_tcp_out_address(struct ew_env *env,
                                      const struct ew_addr *to,
                                      ew_tcp_out_fn on_done, void *arg);
void ew_tcp_out_cancel(struct ew_tcp_out *t);

#endif
