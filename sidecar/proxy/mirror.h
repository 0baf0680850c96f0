/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_MIRROR_H
#define SIDECAR_PROXY_MIRROR_H

#include "eastwest/http/message.h"
#include "sidecar/proxy/view.h"

/* A copy of a request for another backend, whose response is dropped. It never
 * slows the request down: body bytes that its backend does not take in time are
 * bounded by EW_MIRROR_BUFFER; beyond it the copy is given up and counted. */
struct ew_mirror;

#define EW_MIRROR_BUFFER 65536
#define EW_MIRROR_TIMEOUT_MS 30000
/* Copies under way in one worker; further ones are not begun. */
#define EW_MIRRORS_OPEN_MAX 1024

/* |head| is copied. |http2|: the version the client spoke. The caller feeds
 * the body and then releases it; the mirror ends by itself. NULL if no copy is
 * begun. */
struct ew_mirror *ew_mirror_new(struct ew_env *env, struct ew_view *v,
                                size_t backend, const struct ew_message *head,
                                bool end);
void ew_mirror_data(struct ew_mirror *m, struct ew_slice bytes);
void ew_mirror_end(struct ew_mirror *m);
/* The request is over; a body that was not ended is cut off. */
void ew_mirror_release(struct ew_mirror *m);

#endif
