/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_PREFIX_H
#define EASTWEST_NET_PREFIX_H

#include "eastwest/base/buf.h"
#include "eastwest/net/stream.h"

/* A stream that first gives back the bytes of |seen| (taken over; |seen| is
 * left empty), which were already read from |below| by peeking, and then reads
 * on from |below|. Takes over |below|. */
struct ew_stream *ew_prefix_stream_new(struct ew_stream *below,
                                       struct ew_buf *seen);

#endif
