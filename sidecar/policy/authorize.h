/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_AUTHORIZE_H
#define EASTWEST_SIDECAR_POLICY_AUTHORIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/slice.h"

enum ew_inbound_mode {
  EW_INBOUND_PERMISSIVE, /* plaintext from outside the mesh is accepted */
  EW_INBOUND_STRICT      /* only verified peers, and the kubelet's probes */
};

/* A probe of the pod's containers, from the pod's own specification. */
struct ew_probe {
  uint16_t port;
  const char *path; /* HTTP: exact path with query; NULL: a TCP probe */
};

struct ew_inbound_policy {
  enum ew_inbound_mode mode;
  const struct ew_probe *probes;
  size_t probes_n;
};

enum ew_inbound_verdict {
  EW_INBOUND_ALLOW,
  EW_INBOUND_PROBE_ONLY, /* connection: look at each request */
  EW_INBOUND_DENY        /* 403 (EW_REFUSE_DENIED), or close */
};

/* Whether a connection to the pod's |port| may be read at all. |peer_id| is
 * the verified SPIFFE id, NULL or "" for plaintext. |same_pod|: the source is
 * one of the pod's own addresses (a call to itself). EW_INBOUND_PROBE_ONLY:
 * strict, plaintext, and the port has an HTTP probe; each request must pass
 * ew_authorize_request, and what is not HTTP is refused. A port with only a TCP
 * probe: such a connection may be accepted but nothing of it may reach the app:
 * also EW_INBOUND_PROBE_ONLY. |*why| gets a fixed reason (never NULL). */
enum ew_inbound_verdict
ew_authorize_connection(const struct ew_inbound_policy *p, const char *peer_id,
                        bool same_pod, uint16_t port, const char **why);

/* One request on a connection that is EW_INBOUND_PROBE_ONLY: GET or HEAD of a
 * probe's path. Allow or deny. |path| is with query. */
enum ew_inbound_verdict ew_authorize_request(const struct ew_inbound_policy *p,
                                             uint16_t port,
                                             struct ew_slice method,
                                             struct ew_slice path,
                                             const char **why);

/* Whether a request is one of the kubelet's probes. */
bool ew_is_probe(const struct ew_inbound_policy *p, uint16_t port,
                 struct ew_slice method, struct ew_slice path);

#endif
