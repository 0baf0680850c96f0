/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_WRAP_H
#define EASTWEST_LIB_NET_WRAP_H

#include "eastwest/net/stream.h"

/* The beginning of every stream that stands on another one, so that the socket
 * below can be found from the top. */
struct ew_wrap {
  struct ew_stream s;
  struct ew_stream *below;
  bool abort; /* close must look like a failure to the peer */
};

extern const struct ew_stream_ops ew_tls_stream_ops;
extern const struct ew_stream_ops ew_prefix_stream_ops;

static inline struct ew_wrap *ew_wrap_of(struct ew_stream *s) {
  return s->ops == &ew_tls_stream_ops || s->ops == &ew_prefix_stream_ops
             ? EW_CONTAINER(s, struct ew_wrap, s)
             : NULL;
}

#endif
