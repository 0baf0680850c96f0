/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_CORS_H
#define EASTWEST_SIDECAR_POLICY_CORS_H

#include <stdbool.h>

#include "eastwest/base/slice.h"
#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

/* One CORS filter (GEP-1767). |f| is of type EW_FILTER_CORS; |origin| is the
 * request's Origin, empty without one. */

/* Scheme, host and port must agree; a port that is not given is the scheme's.
 * "*" in a host stands for any characters, also dots. */
bool ew_cors_allows(const struct ew_filter *f, struct ew_slice origin);

bool ew_cors_is_preflight(const struct ew_message *req, struct ew_slice origin);
/* The answer to a preflight request: 204, without CORS fields if the origin is
 * not allowed. NULL if it would be over the limits of a head. */
struct ew_message *ew_cors_preflight(const struct ew_filter *f,
                                     const struct ew_message *req,
                                     struct ew_slice origin);
/* Makes the CORS fields of a response what the filter says, whatever the
 * backend said. Returns EW_OK or EW_ELIMIT. */
int ew_cors_respond(const struct ew_filter *f, struct ew_slice origin,
                    struct ew_message *resp);

#endif
