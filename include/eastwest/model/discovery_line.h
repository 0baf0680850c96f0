/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_MODEL_DISCOVERY_LINE_H
#define EASTWEST_MODEL_DISCOVERY_LINE_H

#include "eastwest/model/destination.h"

/* One line of a discovery stream (docs/discovery.md): a complete state, or a
 * heartbeat. Returns EW_OK and the destination in |*out| (the caller's; its
 * version is the line's); EW_EAGAIN for a heartbeat; EW_EINVAL and a reason in
 * |why| (at least 256 bytes) for anything else, also for a state that is not
 * marked complete. */
int ew_discovery_line_read(struct ew_slice line, struct ew_destination **out,
                           char *why, size_t why_len);

#endif
