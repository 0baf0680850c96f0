/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_PEEK_H
#define SIDECAR_PROXY_PEEK_H

#include "eastwest/base/buf.h"
#include "eastwest/net/stream.h"

/* Reads the first bytes of a connection to learn what it carries, and gives
 * the stream back with those bytes in front of it. */
enum ew_peeked {
  EW_PEEK_HTTP1,
  EW_PEEK_HTTP2,
  EW_PEEK_MESH,   /* a TLS ClientHello that offers a protocol of the mesh */
  EW_PEEK_TLS,    /* any other ClientHello */
  EW_PEEK_OPAQUE, /* none of these */
  EW_PEEK_SILENT, /* no byte within the time, or an end without one: perhaps the
                   * server speaks first */
  EW_PEEK_CLOSED  /* failed without a byte; no stream */
};

#define EW_PEEK_MAX 16384

/* What a client's first bytes are. False: more are needed to tell; then |*what|
 * is what they are if no more come. |sni| is the server name
 * of a ClientHello, inside |in|, else empty. */
bool ew_peek_classify(struct ew_slice in, enum ew_peeked *what,
                      struct ew_slice *sni);

struct ew_peek;

/* |s| is the stream with the seen bytes in front, owned by the callee (NULL
 * with EW_PEEK_CLOSED). |sni| is the server name of a ClientHello, else empty;
 * valid during the call. The peek is freed after the call. */
typedef void (*ew_peek_fn)(void *arg, enum ew_peeked what, struct ew_stream *s,
                           struct ew_slice sni);

/* Takes over |s|. |silent_ms|: how long to wait for a first byte; afterwards
 * it waits for at most |more_ms| until the bytes settle the protocol, and
 * says EW_PEEK_OPAQUE then. |on_done| is never called from within. */
struct ew_peek *ew_peek_new(struct ew_stream *s, unsigned silent_ms,
                            unsigned more_ms, ew_peek_fn on_done, void *arg);
/* Closes the stream; no callback. */
void ew_peek_del(struct ew_peek *p);

#endif
