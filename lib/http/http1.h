/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_HTTP_HTTP1_H
#define EASTWEST_LIB_HTTP_HTTP1_H

#include <llhttp.h>

#include "eastwest/http/codec.h"

#if LLHTTP_VERSION_MAJOR < 9 || \
    (LLHTTP_VERSION_MAJOR == 9 && LLHTTP_VERSION_MINOR < 3)
#error "llhttp below 9.3 lets smuggled requests through"
#endif

/* Body bytes stop here, so that a head or trailers still fit behind them. */
#define EW_HTTP1_BODY_MAX 65536
/* A sender that was held up is woken when this little is left. */
#define EW_HTTP1_BODY_LOW 32768
#define EW_HTTP1_UNCONSUMED_MAX 65535
#define EW_HTTP1_UNCONSUMED_STOP 16384
#define EW_HTTP1_LINE_MAX (EW_TARGET_MAX + 64)
/* Bytes of a head as received, with the white space that is not kept. */
#define EW_HTTP1_RAW_MAX (2 * EW_HEAD_MAX)
#define EW_HTTP1_EXTENSION_MAX 256
#define EW_HTTP1_INTERIM_MAX 32
#define EW_HTTP1_UPGRADE_MAX 64

enum ew_http1_rx {
  RX_IDLE,   /* between two messages */
  RX_LINE,   /* server: bytes of a request line came */
  RX_HEAD,   /* in a head */
  RX_BODY,   /* in a body or its trailers */
  RX_WAIT,   /* server: the request is complete, its response is not */
  RX_SWITCH, /* as RX_WAIT, and what follows may be another protocol */
  RX_RAW,    /* after 101 */
  RX_CLOSED  /* takes nothing more */
};

enum ew_http1_tx {
  TX_HEAD,    /* server: the final head was not sent yet */
  TX_LENGTH,  /* |tx_left| bytes are missing */
  TX_CHUNKED, /* */
  TX_CLOSE,   /* the end of the connection ends the body */
  TX_SKIP,    /* a body is not allowed: what is sent is dropped */
  TX_HELD,    /* client: nothing goes out before the upgrade is answered */
  TX_RAW      /* after 101 */
};

struct ew_http1_stream {
  struct ew_hstream st;
  enum ew_http1_tx tx;
  uint64_t tx_left;
  size_t unconsumed;
  unsigned interim; /* client: informational responses so far */
  bool head_method; /* the request is HEAD */
  bool v10;         /* server: the request is HTTP/1.0 */
  bool keep;        /* the connection may outlive this exchange */
  bool expect;      /* server: the client waits for a 100 to send its body */
  bool final;       /* the final response head was sent or received */
  bool no_on_end;   /* on_head said that nothing follows */
  bool rx_end;      /* the peer's direction has ended */
  bool tx_end;      /* ours has */
  bool blocked;     /* on_writable is owed */
  bool switched;    /* 101 was sent or received */
  char upgrade[EW_HTTP1_UPGRADE_MAX]; /* the protocol asked for, or "" */
};

/* One name or value. Borrowed from the input while it is in one piece. */
struct ew_http1_span {
  struct ew_slice s;
  struct ew_buf held;
};

struct ew_http1 {
  struct ew_codec c;
  llhttp_t parser;
  enum ew_http1_rx rx;
  unsigned depth; /* inside feed, eof or pull */
  struct ew_http1_stream *st;
  struct ew_http1_stream *dead; /* reset within a callback */
  struct ew_message *msg;       /* the head or the trailers at hand */
  struct ew_http1_span name, value;
  struct ew_buf line; /* server: a request line that came in pieces */
  struct ew_buf tail; /* trailers that found no room in |out| */
  size_t head_size;   /* as EW_HEAD_MAX counts */
  size_t head_raw;
  size_t extension_bytes;
  int fail_status; /* why a callback stopped the parser */
  const char *fail_why;
  bool blank;    /* server: the one empty line before a request came */
  bool trailing; /* the last chunk came */
  bool complete; /* the message at hand is complete */
  bool until_close;
  bool eof;
  bool draining;
  bool goaway_told;
  bool surplus; /* client: bytes came behind the response */
  bool broken;  /* our own message went wrong: reset the exchange */
};

static inline struct ew_http1 *ew_http1_of(const struct ew_hstream *st) {
  return (struct ew_http1 *)(void *)st->codec;
}

/* What the fields of a head say about the connection and the body. */
struct ew_http1_facts {
  struct ew_slice host;
  size_t hosts;
  bool length; /* content-length, in message.content_length */
  bool chunked;
  bool close, keep_alive;
  bool upgrade_option;     /* Connection has it */
  struct ew_slice upgrade; /* protocol */
  size_t upgrades;         /* how many protocols were named */
};

/* http1_fields.c */

enum ew_http1_field {
  FIELD_OTHER,
  FIELD_HOST,
  FIELD_CONTENT_LENGTH,
  FIELD_TRANSFER_ENCODING,
  FIELD_CONNECTION,
  FIELD_UPGRADE,
  FIELD_TE,
  FIELD_HOP /* any other field of one hop */
};
/* |name| is lowercase. */
enum ew_http1_field ew_http1_field(struct ew_slice name);
/* Takes out of |m| what a codec must not show. EW_OK or an HTTP status. */
int ew_http1_strip(struct ew_message *m, struct ew_http1_facts *f,
                   const char **why);

/* http1_parse.c */

void ew_http1_parser_init(struct ew_http1 *h);
void ew_http1_parser_fini(struct ew_http1 *h);
/* Forgets the message at hand; the parser waits for a start line. */
void ew_http1_parser_reset(struct ew_http1 *h);
/* Returns the bytes used, or EW_EPROTO with fail_status and fail_why. */
ptrdiff_t ew_http1_parse(struct ew_http1 *h, struct ew_slice in);
int ew_http1_fail(struct ew_http1 *h, int status, const char *why);

/* http1.c */

struct ew_http1_stream *ew_http1_stream_new(struct ew_http1 *h);
/* Body or raw bytes. False: the exchange is gone. */
bool ew_http1_deliver(struct ew_http1 *h, struct ew_slice bytes);

/* http1_server.c: each answers EW_OK, or a status by ew_http1_fail. */

ptrdiff_t ew_http1_server_line(struct ew_http1 *h, struct ew_slice in);
int ew_http1_server_head(struct ew_http1 *h);
/* Answers what could not be parsed. */
void ew_http1_server_refuse(struct ew_http1 *h);
int ew_http1_server_send_head(struct ew_hstream *st, const struct ew_message *m,
                              bool end);

/* http1_client.c */

int ew_http1_client_head(struct ew_http1 *h);
struct ew_hstream *ew_http1_client_open(struct ew_codec *c,
                                        const struct ew_message *m, bool end,
                                        void *user);
void ew_http1_client_goaway(struct ew_http1 *h);

/* http1_write.c */

struct ew_http1_framing {
  bool request; /* write the authority as host */
  bool close, keep_alive;
  struct ew_slice upgrade; /* not empty: ask for or agree to it */
  bool chunked;
  bool length;
  uint64_t content_length;
};
/* Writes a head whose start line is the |n| pieces of |line| one after another.
 * EW_OK; EW_EINVAL when a field would not be well-formed, EW_ELIMIT when there
 * is no room: then nothing was written. |m| may be NULL: no fields. */
int ew_http1_write_head(struct ew_http1 *h, const struct ew_slice *line,
                        size_t n, const struct ew_message *m,
                        const struct ew_http1_framing *f);
size_t ew_http1_send(struct ew_hstream *st, struct ew_slice bytes);
int ew_http1_send_end(struct ew_hstream *st, const struct ew_message *trailers);
/* Moves pending trailers on; owed on_writable. Only from pull. */
void ew_http1_write_more(struct ew_http1 *h);

#endif
