/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_EXCHANGE_PARTS_H
#define SIDECAR_PROXY_EXCHANGE_PARTS_H

#include "sidecar/proxy/exchange.h"

/* What the parts of the exchange need of each other. */

/* ---- exchange.c ---- */

/* The last thing that is done with |x|: its role frees it. */
void ew_exchange_finish(struct ew_exchange *x);
/* The response began and can't go on: the client must see that it is not
 * complete. */
void ew_exchange_cut(struct ew_exchange *x, int err);

/* ---- exchange_request.c ---- */

/* Sends what waits for the server, and the end behind it. */
void ew_exchange_flush_up(struct ew_exchange *x);
/* Reads on and drops what the client still sends. */
void ew_exchange_discard_request(struct ew_exchange *x);
/* Puts what was sent before what waits, for the next try. */
void ew_exchange_restart_request(struct ew_exchange *x);

/* ---- exchange_response.c ---- */

extern const struct ew_pool_events ew_exchange_up_events;

/* ---- exchange_try.c ---- */

void ew_exchange_try_init(struct ew_exchange *x);
/* Tells the role, if a try is on. */
void ew_exchange_try_over(struct ew_exchange *x, enum ew_try_end end,
                          int status);
/* Leaves the server's side: what is open there is reset with |err|. */
void ew_exchange_drop_up(struct ew_exchange *x, int err);
/* Asks the role whether to try again, after |*backoff_ms|. |told|: the other
 * side says so, over a connection that is sound. */
bool ew_exchange_again(struct ew_exchange *x, enum ew_try_end end, int status,
                       bool told, uint64_t *backoff_ms);
/* A try failed before anything went to the client: again, or the answer
 * |otherwise|. */
void ew_exchange_give_up_try(struct ew_exchange *x, enum ew_try_end end,
                             bool told, enum ew_refusal otherwise,
                             const char *why);

#endif
