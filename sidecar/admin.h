/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_ADMIN_H
#define SIDECAR_ADMIN_H

#include "sidecar/worker.h"

/* Two small HTTP servers of our own.
 *
 * Status port, all addresses, read-only: GET /ready (200, or 503 with the
 * reason), /live, /metrics.
 * Admin port, loopback only, Host must be a loopback name (DNS rebinding): GET
 * /destinations (what is known of the addresses in use), POST
 * /log-level?level=debug, POST /drain. */
struct ew_admin;

/* NULL after it logged which address can't be bound and why. */
struct ew_admin *ew_admin_new(struct ew_worker *w);
void ew_admin_del(struct ew_admin *a);

#endif
