/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_RETRY_H
#define EASTWEST_SIDECAR_POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

/* How one try ended. */
enum ew_try_end {
  EW_TRY_STATUS,         /* a response head came: |status| */
  EW_TRY_CONNECT_FAILED, /* no connection, or its TLS handshake failed */
  EW_TRY_REFUSED,        /* REFUSED_STREAM or above GOAWAY's last stream */
  EW_TRY_RESET,          /* the connection or stream ended without a response */
  EW_TRY_TIMEOUT         /* the time of one try was up (would be 504) */
};

struct ew_try {
  enum ew_try_end end;
  int status;
  unsigned retries; /* retries made before this one; 0 after the first try */
  bool sent;        /* a byte of the request was written to the upstream */
  bool reused;      /* on a connection that had served a request before */
  bool replayable;  /* the body can be sent again from its first byte */
};

/* Without a policy (NULL) a try that the upstream can't have acted on is made
 * again on another endpoint, at most so many times: not connected, refused, or
 * an idempotent request that met a kept connection's end. */
#define EW_RETRY_IMPLICIT_MAX 2
/* No back-off is longer than this, unless the base is. */
#define EW_RETRY_BACKOFF_MAX_US 10000000u
/* Base of the back-off if the policy gives none. */
#define EW_RETRY_BACKOFF_BASE_US 25000u

/* Whether to try again. Nothing is retried that is not replayable or when
 * |policy->attempts| are spent (0: no retry of any kind). A status is retried
 * if it is in |policy->codes|, a timeout also if 504 is. Without that a timeout
 * or a reset, which the API wants retried too, is retried only where that is
 * safe: nothing was sent, or the method is idempotent (RFC 9110 section 9.2.2).
 * The request timeout is the caller's to watch: it covers all tries and
 * back-offs.
 */
bool ew_retry_wanted(const struct ew_retry *policy,
                     const struct ew_message *req, const struct ew_try *t);
/* How long to wait before retry number |n| (from 1): at least the base,
 * growing by doubling, with jitter above the base. Without a policy 0. */
uint64_t ew_retry_backoff_us(const struct ew_retry *policy, unsigned n,
                             uint64_t random);

#endif
