/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_AUTHENTICATOR_H
#define EASTWEST_CONTROLLER_AUTHENTICATOR_H

#include "eastwest/base/slice.h"

/* Who a token belongs to: asked of a file or of the API server. */
struct ew_token_owner {
  const char *namespace_, *service_account;
  const char *pod; /* "" if not told */
};

enum ew_token_verdict {
  EW_TOKEN_GOOD,
  EW_TOKEN_BAD,    /* not known, expired, for another audience */
  EW_TOKEN_UNKNOWN /* nobody could be asked: try again later */
};

/* |owner| is valid during the call, NULL unless the verdict is good. */
typedef void ew_token_done_fn(void *arg, enum ew_token_verdict verdict,
                              const struct ew_token_owner *owner);

/* Embedded in an implementation. */
struct ew_authenticator {
  /* Calls |done| once: before it returns, or later. |token| is copied. */
  void (*check)(struct ew_authenticator *a, struct ew_slice token,
                ew_token_done_fn *done, void *arg);
  /* |done| is not to be called with |arg| any more. */
  void (*forget)(struct ew_authenticator *a, void *arg);
};

#endif
