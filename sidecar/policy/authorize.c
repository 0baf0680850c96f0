/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/authorize.h"

enum ew_inbound_verdict
ew_authorize_connection(const struct ew_inbound_policy *p, const char *peer_id,
                        bool same_pod, uint16_t port, const char **why) {
  if (peer_id && *peer_id) {
    *why = "verified peer";
    return EW_INBOUND_ALLOW;
  }
  if (p->mode == EW_INBOUND_PERMISSIVE) {
    *why = "permissive mode";
    return EW_INBOUND_ALLOW;
  }
  if (same_pod) {
    *why = "own pod";
    return EW_INBOUND_ALLOW;
  }
  for (size_t i = 0; i < p->probes_n; i++) {
    if (p->probes[i].port != port)
      continue;
    *why = "port with a probe";
    return EW_INBOUND_PROBE_ONLY;
  }
  *why = "strict mode: the peer has no mesh identity";
  return EW_INBOUND_DENY;
}

bool ew_is_probe(const struct ew_inbound_policy *p, uint16_t port,
                 struct ew_slice method, struct ew_slice path) {
  if (!ew_slice_eq_str(method, "GET") && !ew_slice_eq_str(method, "HEAD"))
    return false;
  for (size_t i = 0; i < p->probes_n; i++)
    if (p->probes[i].port == port && p->probes[i].path &&
        ew_slice_eq_str(path, p->probes[i].path))
      return true;
  return false;
}

enum ew_inbound_verdict ew_authorize_request(const struct ew_inbound_policy *p,
                                             uint16_t port,
                                             struct ew_slice method,
                                             struct ew_slice path,
                                             const char **why) {
  if (ew_is_probe(p, port, method, path)) {
    *why = "probe";
    return EW_INBOUND_ALLOW;
  }
  *why = "strict mode: not a probe, and the peer has no mesh identity";
  return EW_INBOUND_DENY;
}
