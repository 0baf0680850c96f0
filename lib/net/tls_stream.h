/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_TLS_STREAM_H
#define EASTWEST_LIB_NET_TLS_STREAM_H

/* Shared by tls_stream.c (reading, writing, readiness) and tls_handshake.c. */

#include "lib/net/tls_bio.h"
#include "lib/net/tls_ctx.h"
#include "lib/net/tls_verify.h"
#include "lib/net/wrap.h"

struct ew_tls_stream {
  struct ew_wrap w; /* must be first */
  struct ew_tls_lower lower;
  struct ew_tls_ctx *ctx;
  SSL *ssl;
  struct ew_tls_verdict verdict;
  struct ew_task task;
  unsigned want;       /* what the user waits for */
  unsigned below_want; /* what was asked of the stream below */
  /* What the stream below must be ready for before the handshake, a read or a
   * write can go on. 0: it may go on now. */
  unsigned handshake_needs, read_needs;
  /* Bytes of the user in the records that |lower| holds, and in those that left
   * since: the user was not told of either, so it still has them and brings
   * them again. */
  size_t pending, ahead;
  int err;             /* what read and write answer from now on, or EW_OK */
  int write_err;       /* what write alone answers, or EW_OK */
  const char *failure; /* static, or |alert| */
  char *alpn;
  unsigned char *protos; /* ALPN list as on the wire, until done */
  unsigned protos_n;
  bool peer_optional;
  bool done;          /* the handshake */
  bool eof;           /* close_notify came */
  bool drained;       /* what OpenSSL holds is no whole record */
  bool notified_peer; /* close_notify was sent */
  bool closed;
};

/* After an SSL call that failed for good: sets |err| and |failure|. */
void ew_tls_fail(struct ew_tls_stream *t);
/* One step. Sets |done|, |err| or |handshake_needs|. */
void ew_tls_handshake_step(struct ew_tls_stream *t);
/* Frees what only the handshake needs. */
void ew_tls_handshake_fini(struct ew_tls_stream *t);
/* The ALPN list in the form of the wire. Returns EW_OK or EW_EINVAL. */
int ew_tls_set_protos(struct ew_tls_stream *t, const char *const *names,
                      size_t count);

#endif
