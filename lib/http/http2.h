/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_HTTP_HTTP2_H
#define EASTWEST_LIB_HTTP_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "eastwest/base/bucket.h"
#include "eastwest/base/list.h"
#include "eastwest/http/codec.h"

/* Bytes of a stream that wait for the peer's windows. */
#define EW_H2_PENDING_MAX 65535
/* The same where the peer is patient: with a frame's head and TLS around them
 * they are one segment for the kernel (EW_PIECE_SIZE). */
#define EW_H2_PENDING_PIECE 64000
/* A sender that was held up is woken when this little waits. */
#define EW_H2_PENDING_LOW 32768
/* |out| is filled up to about this. */
#define EW_H2_OUT_MARK 32768
#define EW_H2_STREAM_WINDOW 65535
/* A stream's whole window in one frame: the smaller the frames, the smaller the
 * pieces in which many streams of one connection reach their other sides. */
#define EW_H2_FRAME_MAX 65536
/* Fewer bytes are not sent where a window ends and more are to follow. */
#define EW_H2_SPLINTER 16384
/* Of the connection: all streams can fill theirs. */
#define EW_H2_CONN_WINDOW (EW_H2_MAX_STREAMS * 65536)
/* Of a head that we send; what other codecs let through stays below it. */
#define EW_H2_HEAD_BLOCK_MAX (4 * EW_HEAD_MAX)
/* Frames other than DATA that wait behind a full |out|. */
#define EW_H2_QUEUE_MAX 2000
#define EW_H2_RESETS_BURST 1000
#define EW_H2_RESETS_PER_S 33
/* Informational responses to one request. */
#define EW_H2_INTERIM_MAX 32
/* Streams a client opens before the server has named its limit. */
#define EW_H2_FIRST_STREAMS 100

struct ew_h2_stream {
  struct ew_hstream st;
  struct ew_list node;    /* in h2->streams */
  struct ew_list blocked; /* in h2->blocked while on_writable is owed */
  int32_t id;
  struct ew_message *msg; /* the head or the trailers at hand */
  size_t head_size;       /* as EW_HEAD_MAX counts */
  size_t head_fields;
  unsigned interim;
  size_t unconsumed; /* bytes of data that the user has not passed on */
  const char *fault; /* of the head: a fixed text */
  struct ew_buf pending;
  struct ew_slice direct;      /* the same, the user's, during a send */
  struct ew_message *trailers; /* to be sent behind |pending| */
  int gone_err;                /* what the user is to hear, if |gone| */
  bool gone;                   /* nghttp2 has closed it */
  bool too_large;
  bool final;    /* the final head was shown */
  bool shown;    /* the user knows it */
  bool detached; /* the user has reset it */
  bool rx_end, rx_reset, tx_head, tx_end;
  bool tx_direct; /* the last bytes of the user's went without a copy */
};

struct ew_h2 {
  struct ew_codec c;
  nghttp2_session *session;
  struct ew_list streams, blocked;
  struct ew_list gone;         /* streams that ended while |sending| */
  struct ew_h2_stream *recent; /* the last one looked up, or NULL */
  struct ew_bucket resets, glitches;
  unsigned window_credit; /* WINDOW_UPDATEs that our DATA has earned the peer */
  unsigned depth;         /* inside feed or pull */
  bool sending;           /* inside a send of the user's */
  size_t passed;          /* by |out|, since it is being filled */
  bool patient;           /* ew_http2_set_patient */
  bool goaway;            /* client: the peer takes nothing new */
  bool eof;
  bool ping_out;
  int failed;    /* the connection's error, before the hstreams know it */
  bool lost_all; /* the hstreams are gone */
  enum { RUNNING, DRAIN_NOTICE, DRAIN_FINAL } drain;
};

static inline struct ew_h2 *ew_h2_of(struct ew_codec *c) {
  return (struct ew_h2 *)(void *)c;
}

/* The user knows it and has not given it up. */
static inline bool ew_h2_is_live(const struct ew_h2_stream *s) {
  return s->shown && !s->detached;
}

static inline struct ew_h2_stream *ew_h2_stream_of(struct ew_hstream *st) {
  return (struct ew_h2_stream *)(void *)st;
}

/* ---- http2_send.c ---- */

/* Fills |out| with what may go now, up to EW_H2_OUT_MARK, and the transport if
 * it takes bodies at once. EW_OK, or a connection error. */
int ew_h2_fill_out(struct ew_h2 *h);
/* on_writable for those whose bytes have left. */
void ew_h2_wake_writers(struct ew_h2 *h);
int ew_h2_send_head(struct ew_hstream *st, const struct ew_message *m,
                    bool end);
size_t ew_h2_send(struct ew_hstream *st, struct ew_slice bytes);
bool ew_h2_await_window(struct ew_hstream *st);
int ew_h2_send_end(struct ew_hstream *st, const struct ew_message *trailers);
void ew_h2_send_callbacks(nghttp2_session_callbacks *cb);
/* Where nghttp2 gets the body of |s| from. */
nghttp2_data_provider ew_h2_body(struct ew_h2_stream *s);
/* A response head, with a body source behind it unless |end|. */
void ew_h2_submit_head(struct ew_h2 *h, struct ew_h2_stream *s,
                       const struct ew_message *m, bool end);

/* ---- http2_receive.c ---- */

extern const uint8_t ew_h2_drain_text[8];
struct ew_h2_stream *ew_h2_stream_new(struct ew_h2 *h, int32_t id);
void ew_h2_stream_free(struct ew_h2_stream *s);
/* Tells the user of the streams that ended while it was sending. */
void ew_h2_tell_gone(struct ew_h2 *h);
/* Every hstream hears |err| and is closed; the codec stays to be deleted. */
void ew_h2_lose_all(struct ew_h2 *h, int err);
void ew_h2_receive_callbacks(nghttp2_session_callbacks *cb);

/* ---- http2_limits.c ---- */

/* Each of these ends the connection when it was once too often. */
void ew_h2_count_reset(struct ew_h2 *h);
/* Frames that cost us work and bring nothing. */
void ew_h2_count_glitch(struct ew_h2 *h);
void ew_h2_count_window_update(struct ew_h2 *h);
/* |n| bytes of data were sent: the peer will give windows back. */
void ew_h2_earn_credit(struct ew_h2 *h, size_t n);

/* ---- http2_head.c ---- */

/* One received field of a head or of trailers. Too large heads are counted on,
 * not kept. */
void ew_h2_head_add(struct ew_h2_stream *s, struct ew_slice name,
                    struct ew_slice value);
/* All fields are there: completes s->msg and checks it. Returns EW_OK, or an
 * HTTP status with |*why| (requests: answer it; responses: EW_EMESSAGE). */
int ew_h2_head_done(struct ew_h2_stream *s, bool client, bool end,
                    const char **why);

/* A head for nghttp2; names and values point into |m|. */
struct ew_h2_fields {
  nghttp2_nv nv[EW_FIELDS_MAX + 8];
  size_t n;
  char number[EW_DECIMAL_MAX];
  char status[EW_DECIMAL_MAX];
};
void ew_h2_fields_request(struct ew_h2_fields *f, const struct ew_message *m);
void ew_h2_fields_response(struct ew_h2_fields *f, const struct ew_message *m);
void ew_h2_fields_trailers(struct ew_h2_fields *f, const struct ew_message *m);

#endif
