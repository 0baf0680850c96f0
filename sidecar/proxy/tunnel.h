/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_TUNNEL_H
#define SIDECAR_PROXY_TUNNEL_H

#include "eastwest/net/stream.h"
#include "sidecar/proxy/peek.h"

/* Two streams spliced: bytes go both ways, an end of one direction is passed
 * on while the other goes on (half-close). At most EW_TUNNEL_CHUNK bytes wait
 * in each direction; a slow reader stops the far writer. */
#define EW_TUNNEL_CHUNK EW_PIECE_SIZE
/* With one direction ended, the other may be silent for this long. */
#define EW_TUNNEL_HALF_OPEN_MS 60000
/* First bytes of a that do not tell yet what they are wait this long. */
#define EW_TUNNEL_LOOK_MS 1000

struct ew_tunnel;

enum ew_tunnel_verdict {
  EW_TUNNEL_PASS,
  EW_TUNNEL_TAKE,  /* not when it is late */
  EW_TUNNEL_REFUSE /* ends the tunnel with EW_EPROTO */
};

/* The tunnel must not be deleted within a callback but on_done and on_taken. */
struct ew_tunnel_events {
  /* b has sent the first bytes of all, and they are none of HTTP: a server of
   * HTTP/2 greets with SETTINGS, and one of HTTP/1 that lost patience with a
   * 408. Called at most once. */
  void (*on_b_first)(void *arg);
  /* What the first bytes of a are: who was silent when it was peeked at may
   * still turn out to speak HTTP. |late|: bytes have been passed on already.
   * Not called when b has spoken before and not HTTP. NULL: nobody looks. */
  enum ew_tunnel_verdict (*on_a_first)(void *arg, enum ew_peeked what,
                                       bool late);
  /* After EW_TUNNEL_TAKE: |a| gives its bytes from the first on and belongs to
   * the callee, b is closed without having seen any, the tunnel is gone. */
  void (*on_taken)(void *arg, struct ew_stream *a);
  /* Called once when both ended (err 0) or one failed (err < 0): the streams
   * are closed already, after a failure both by a reset, and the tunnel is
   * freed after the call. Not called after ew_tunnel_del. */
  void (*on_done)(void *arg, int err);
};

/* Takes over both streams. Never NULL. */
struct ew_tunnel *ew_tunnel_new(struct ew_stream *a, struct ew_stream *b,
                                const struct ew_tunnel_events *ev, void *arg);
/* Resets both at once. */
void ew_tunnel_del(struct ew_tunnel *t);

#endif
