/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_TOKEN_REVIEW_H
#define EASTWEST_CONTROLLER_TOKEN_REVIEW_H

#include "controller/authenticator.h"
#include "eastwest/kube/client.h"

/* Asks the API server whose a service account token is (TokenReview,
 * authentication.k8s.io/v1). Only a token made for |audience| is good: one that
 * another service was given can't be turned against the mesh. */
struct ew_token_review;

/* |audience| is copied. */
struct ew_token_review *ew_token_review_new(struct ew_kube *k,
                                            const char *audience);
/* Nobody may be waiting. NULL is allowed. */
void ew_token_review_del(struct ew_token_review *t);
/* Lives as long as |t|. */
struct ew_authenticator *
ew_token_review_authenticator(struct ew_token_review *t);

#endif
