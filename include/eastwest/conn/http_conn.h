/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONN_HTTP_CONN_H
#define EASTWEST_CONN_HTTP_CONN_H

#include "eastwest/http/codec.h"
#include "eastwest/net/stream.h"

/* A codec driven by a stream: reads, feeds, flushes, times out. The codec's
 * events go to the codec's user; this adds only the life of the connection. */
struct ew_http_conn;

struct ew_http_conn_opts {
  /* Server: a head that began must be complete within this; the first one
   * counts from accept. 0 = none. Answers 408 when bytes of a head came, else
   * closes. */
  unsigned head_timeout_ms;
  /* No hstream open for this long: closed (server: after a drain). 0 = none. */
  unsigned idle_timeout_ms;
  /* HTTP/2: PING after this long without a byte from the peer while hstreams
   * are open; the connection is lost when another such time passes. 0 = none.
   */
  unsigned ping_ms;
};

/* The connection has ended: err is EW_EOF for an orderly end. All hstreams
 * have had their on_closed. The conn frees itself after this call; the callee
 * clears its pointer. Called exactly once, never from within new, flush or
 * another call of the user (but then at the end of the loop turn), and not
 * after ew_http_conn_del. */
typedef void (*ew_http_conn_closed_fn)(void *arg, int err);

/* Takes over |s| and |codec|. */
struct ew_http_conn *ew_http_conn_new(struct ew_stream *s,
                                      struct ew_codec *codec,
                                      const struct ew_http_conn_opts *o,
                                      ew_http_conn_closed_fn on_closed,
                                      void *arg);
struct ew_codec *ew_http_conn_codec(struct ew_http_conn *c);
struct ew_stream *ew_http_conn_stream(struct ew_http_conn *c);
/* Something was sent or consumed on the codec: flush at the end of this loop
 * turn. Cheap; call it freely. */
void ew_http_conn_touch(struct ew_http_conn *c);
/* The same after |n| bytes of a body were sent: many are flushed earlier. */
void ew_http_conn_touch_body(struct ew_http_conn *c, size_t n);
/* Finish what is open, then close. */
void ew_http_conn_drain(struct ew_http_conn *c);
/* Closes now, without callbacks; hstreams vanish silently. */
void ew_http_conn_del(struct ew_http_conn *c);

#endif
