/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_TCP_PROBES_H
#define EASTWEST_INJECTOR_TCP_PROBES_H

#include "injector/probes.h"

/* Appends to |ops| (a JSON Patch) what lets the sidecar answer the tcpSocket
 * probes of |container|, which stands at |path|. It accepts every connection
 * that is redirected to it, so the kubelet would take a pod for ready before
 * its app listens. Only probes that are in |probes| are moved. */
void ew_tcp_probes_move(json_t *ops, struct ew_jr *r,
                        const struct ew_probes *probes, const char *path,
                        const struct ew_jv *container, const char *skipped);

#endif
