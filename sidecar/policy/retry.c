/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/retry.h"

static bool is_idempotent(struct ew_slice method) {
  static const char *const names[] = {"GET", "HEAD",  "OPTIONS",
                                      "PUT", "TRACE", "DELETE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (ew_slice_eq_str(method, names[i]))
      return true;
  return false;
}

static bool has_code(const struct ew_retry *policy, int status) {
  for (size_t i = 0; i < policy->codes_n; i++)
    if (policy->codes[i] == status)
      return true;
  return false;
}

static bool implicit(const struct ew_message *req, const struct ew_try *t) {
  if (t->retries >= EW_RETRY_IMPLICIT_MAX)
    return false;
  switch (t->end) {
  case EW_TRY_CONNECT_FAILED:
  case EW_TRY_REFUSED:
    return true;
  case EW_TRY_RESET:
    /* The end of a kept connection races with its next request (RFC 9112
     * section 9.3.1); on a fresh one it is the application's doing. */
    return !t->sent || (t->reused && is_idempotent(req->method));
  case EW_TRY_STATUS:
  case EW_TRY_TIMEOUT:
    return false;
  }
  return false;
}

bool ew_retry_wanted(const struct ew_retry *policy,
                     const struct ew_message *req, const struct ew_try *t) {
  if (!t->replayable)
    return false;
  if (!policy)
    return implicit(req, t);
  if (t->retries >= policy->attempts)
    return false;
  switch (t->end) {
  case EW_TRY_CONNECT_FAILED:
  case EW_TRY_REFUSED:
    return true;
  case EW_TRY_RESET:
    return !t->sent || is_idempotent(req->method);
  case EW_TRY_TIMEOUT:
    return has_code(policy, 504) || is_idempotent(req->method);
  case EW_TRY_STATUS:
    return has_code(policy, t->status);
  }
  return false;
}

uint64_t ew_retry_backoff_us(const struct ew_retry *policy, unsigned n,
                             uint64_t random) {
  if (!policy)
    return 0;
  uint64_t base = policy->backoff_ms ? (uint64_t)policy->backoff_ms * 1000
                                     : EW_RETRY_BACKOFF_BASE_US;
  uint64_t limit =
      base > EW_RETRY_BACKOFF_MAX_US ? base : EW_RETRY_BACKOFF_MAX_US;
  uint64_t most = base;
  /* The window for retry n is base .. base * 2^n. */
  for (unsigned i = 0; i < n && most < limit; i++)
    most *= 2;
  if (most > limit)
    most = limit;
  return base + random % (most - base + 1);
}
