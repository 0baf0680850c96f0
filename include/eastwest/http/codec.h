/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_HTTP_CODEC_H
#define EASTWEST_HTTP_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"
#include "eastwest/http/message.h"

/* One end of one HTTP connection without any I/O: bytes in by feed, events
 * out by callbacks; messages in by send_*, bytes out in |out|. HTTP/1 and
 * HTTP/2, server and client, behind one table.
 *
 * Callbacks come only from feed, eof and pull (and on_writable from those).
 * Within a callback the user may call everything on an hstream (send_*,
 * consume, reset, detach), but not feed, eof, pull or del of the same codec. */
struct ew_codec;

/* One request with its response. Made by the codec (server) or by ew_codec_open
 * (client). It lives until both directions have ended or it was reset, or
 * detached; in all of these cases the codec frees it when it is back from the
 * callback at hand, and on_closed is the last word about it. */
struct ew_hstream {
  struct ew_codec *codec;
  void *user; /* the user's; NULL at first */
};

struct ew_codec_events {
  /* Server: a request. Client: a response, or an informational one (status
   * 100..199, never 101 here unless it switches protocols), then another
   * follows. |m| belongs to the callee. |end|: no body, no trailers follow.
   * A request with |upgrade| has |end|; a 101 opens both directions again, as
   * raw bytes, until on_end and ew_hstream_send_end. */
  void (*on_head)(void *arg, struct ew_hstream *st, struct ew_message *m,
                  bool end);
  /* Body bytes, valid during the call; the callee takes all of them, and calls
   * ew_hstream_consume when it has passed them on. Never more than 65,535
   * bytes are unconsumed on one hstream. After a protocol switch: raw bytes. */
  void (*on_data)(void *arg, struct ew_hstream *st, struct ew_slice bytes);
  /* The peer's direction ended in an orderly way. |trailers| belongs to the
   * callee, NULL if there are none. Not called when on_head had |end|. */
  void (*on_end)(void *arg, struct ew_hstream *st, struct ew_message *trailers);
  /* The exchange is lost: reset by the peer (EW_ERESET), refused before
   * processing (EW_EREFUSED), malformed (EW_EMESSAGE), connection lost
   * (EW_ECONN, EW_EPROTO, ...). on_closed follows. */
  void (*on_reset)(void *arg, struct ew_hstream *st, int err);
  /* After ew_hstream_send took less than it was given, or
   * ew_hstream_await_window was true: it takes some again. */
  void (*on_writable)(void *arg, struct ew_hstream *st);
  /* |st| is freed after this call; clear every pointer to it. Comes for every
   * hstream exactly once, unless it was detached. */
  void (*on_closed)(void *arg, struct ew_hstream *st);
  /* Client only: the peer takes no new hstreams (GOAWAY, Connection: close). */
  void (*on_goaway)(void *arg);
  /* Server only, may be NULL: a request was answered by the codec itself,
   * before any hstream was shown: a malformed or oversized head. |why| is a
   * fixed short text ("two host fields"). */
  void (*on_refused)(void *arg, int status, const char *why);
  /* Server only, may be NULL: the head of an answer of the codec's own, to
   * which the user may add fields. |answer| stays the codec's. */
  void (*on_answer)(void *arg, struct ew_message *answer);
};

struct ew_codec_ops {
  const char *name; /* "http/1.1", "h2" */
  ptrdiff_t (*feed)(struct ew_codec *c, struct ew_slice in);
  void (*eof)(struct ew_codec *c);
  int (*pull)(struct ew_codec *c);
  bool (*want_read)(const struct ew_codec *c);
  bool (*owes)(const struct ew_codec *c); /* may be NULL: never */
  void (*refuse)(struct ew_codec *c, int status, const char *why); /* HTTP/1 */
  bool (*done)(const struct ew_codec *c);
  void (*drain)(struct ew_codec *c);
  size_t (*capacity)(const struct ew_codec *c);
  struct ew_hstream *(*open)(struct ew_codec *c, const struct ew_message *m,
                             bool end, void *user);
  int (*send_head)(struct ew_hstream *st, const struct ew_message *m, bool end);
  size_t (*send)(struct ew_hstream *st, struct ew_slice bytes);
  bool (*await_window)(struct ew_hstream *st); /* may be NULL: never */
  int (*send_end)(struct ew_hstream *st, const struct ew_message *trailers);
  void (*consume)(struct ew_hstream *st, size_t n);
  void (*reset)(struct ew_hstream *st, int err);
  int (*ping)(struct ew_codec *c);
  void (*lost)(struct ew_codec *c, int err);
  void (*del)(struct ew_codec *c);
};

struct ew_codec {
  const struct ew_codec_ops *ops;
  const struct ew_codec_events *ev;
  void *arg;
  bool client;
  size_t streams;    /* read-only: hstreams that are open now */
  uint64_t served;   /* read-only: hstreams that were ever opened */
  int error;         /* read-only: why feed or pull failed, 0 before */
  const char *why;   /* read-only: a fixed text for it, or NULL */
  struct ew_buf out; /* bytes for the transport, at most EW_CODEC_OUT_MAX */
  /* Set by who writes |out| to a transport; NULL: everything goes by |out|.
   * Writes |out| and then |big| now, as far as the transport takes them:
   * consumes from |out|, and returns how many bytes of |big| have left. */
  size_t (*write_through)(void *arg, struct ew_slice big);
  void *write_through_arg;
};

/* One full body chunk, a head, and framing. */
#define EW_CODEC_OUT_MAX (2 * 65536 + EW_HEAD_MAX)
/* Concurrent streams that an HTTP/2 server of ours allows its client. */
#define EW_H2_MAX_STREAMS 256

struct ew_codec *ew_http1_server_new(const struct ew_codec_events *ev,
                                     void *arg);
struct ew_codec *ew_http1_client_new(const struct ew_codec_events *ev,
                                     void *arg);
struct ew_codec *ew_http2_server_new(const struct ew_codec_events *ev,
                                     void *arg);
struct ew_codec *ew_http2_client_new(const struct ew_codec_events *ev,
                                     void *arg);
/* The peer is an ew_http2 codec too, which gives its windows back whatever the
 * app beyond it waits for: where a window ends, no short DATA frame fills it.
 * An app could wait for just those bytes. */
void ew_http2_set_patient(struct ew_codec *c);

/* Feeds received bytes. Returns how many were used: fewer than given only from
 * HTTP/1, which leaves the next pipelined request until the one at hand is
 * answered (feed the rest again when want_read is true again); or < 0, then the
 * connection must be closed after what is in |out| was written (it may hold a
 * 400 or a GOAWAY). All hstreams are then gone, each with on_reset and
 * on_closed. */
static inline ptrdiff_t ew_codec_feed(struct ew_codec *c, struct ew_slice in) {
  return c->ops->feed(c, in);
}
/* The transport has ended or failed for reading: ends or resets hstreams. */
static inline void ew_codec_eof(struct ew_codec *c) { c->ops->eof(c); }
/* The transport is gone for both directions: every hstream gets on_reset with
 * |err| and on_closed. Nothing but del may follow. */
static inline void ew_codec_lost(struct ew_codec *c, int err) {
  c->ops->lost(c, err);
}
/* Fills |out| with what may be sent now, as far as there is room, and calls
 * on_writable for those that have room again. Call after feed, after any
 * send, and whenever |out| was written. Returns EW_OK or a connection error. */
static inline int ew_codec_pull(struct ew_codec *c) { return c->ops->pull(c); }
/* False: do not read from the transport now (back-pressure, pipelining). */
static inline bool ew_codec_want_read(const struct ew_codec *c) {
  return c->ops->want_read(c);
}
/* HTTP/1 server: a request is complete and its response is not. Bytes that come
 * now are not taken, but the end of the client's direction tells that it may
 * have gone away. */
static inline bool ew_codec_owes(const struct ew_codec *c) {
  return c->ops->owes && c->ops->owes(c);
}
/* HTTP/1 server, while a head comes in: answers it with |status|. The
 * connection must be closed after what is in |out| was written. */
static inline void ew_codec_refuse(struct ew_codec *c, int status,
                                   const char *why) {
  if (c->ops->refuse)
    c->ops->refuse(c, status, why);
}
/* True: nothing is left to do on this connection; close it when |out| is
 * empty. */
static inline bool ew_codec_done(const struct ew_codec *c) {
  return c->ops->done(c);
}
/* Finishes what is open and takes nothing new: GOAWAY, twice as RFC 9113
 * section 6.8 asks, or Connection: close on the next response. Idempotent. */
static inline void ew_codec_drain(struct ew_codec *c) { c->ops->drain(c); }
/* Client: how many further hstreams can be opened right now (0 or 1 with
 * HTTP/1, the peer's limit with HTTP/2; 0 after a GOAWAY). */
static inline size_t ew_codec_capacity(const struct ew_codec *c) {
  return c->ops->capacity(c);
}
/* Client: sends a request. |m| stays the caller's and is not needed after the
 * call. NULL when capacity is 0. */
static inline struct ew_hstream *ew_codec_open(struct ew_codec *c,
                                               const struct ew_message *m,
                                               bool end, void *user) {
  return c->ops->open(c, m, end, user);
}
/* HTTP/2: sends a PING; EW_EAGAIN while one is unanswered. HTTP/1: EW_OK. */
static inline int ew_codec_ping(struct ew_codec *c) { return c->ops->ping(c); }
/* Frees the codec and all its hstreams without any callback. */
static inline void ew_codec_del(struct ew_codec *c) { c->ops->del(c); }

/* Server: sends a response head; several, as long as they are informational.
 * |end|: no body. Returns EW_OK, or EW_EINVAL if a head was already sent. */
static inline int ew_hstream_send_head(struct ew_hstream *st,
                                       const struct ew_message *m, bool end) {
  return st->codec->ops->send_head(st, m, end);
}
/* Sends body bytes, both roles. Returns how many were taken (0..n); fewer than
 * n: on_writable will be called. */
static inline size_t ew_hstream_send(struct ew_hstream *st,
                                     struct ew_slice bytes) {
  return st->codec->ops->send(st, bytes);
}
/* True: further bytes would be copied, to wait for the peer's window, and
 * on_writable will be called when it opens. Who can leave them where they are,
 * by calling ew_hstream_consume for those that were taken only then, spares
 * the copy. False: nothing is to be waited for. */
static inline bool ew_hstream_await_window(struct ew_hstream *st) {
  return st->codec->ops->await_window && st->codec->ops->await_window(st);
}
/* Ends our direction, |trailers| may be NULL. */
static inline int ew_hstream_send_end(struct ew_hstream *st,
                                      const struct ew_message *trailers) {
  return st->codec->ops->send_end(st, trailers);
}
/* |n| bytes of on_data have left on the other side: the peer may send more. */
static inline void ew_hstream_consume(struct ew_hstream *st, size_t n) {
  st->codec->ops->consume(st, n);
}
/* Gives the exchange up: RST_STREAM (err: EW_ECANCELED -> CANCEL, EW_EREFUSED
 * -> REFUSED_STREAM, EW_EMESSAGE -> PROTOCOL_ERROR, others -> INTERNAL_ERROR);
 * HTTP/1 ends the connection, in a way that the peer can't take for a complete
 * message. No further event comes for |st|, not even on_closed; the user
 * forgets it now. */
static inline void ew_hstream_reset(struct ew_hstream *st, int err) {
  st->codec->ops->reset(st, err);
}

#endif
