/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONN_HTTPD_H
#define EASTWEST_CONN_HTTPD_H

#include "eastwest/base/buf.h"
#include "eastwest/http/message.h"
#include "eastwest/net/addr.h"
#include "eastwest/net/loop.h"
#include "eastwest/net/tls.h"

/* A small HTTP server for our own end points: admin, metrics, discovery,
 * webhook. HTTP/1.1, and HTTP/2 by prior knowledge or by ALPN "h2". The body of
 * a request is read whole, up to a maximum and for at most 30 s (408, or a
 * reset with HTTP/2); a response is sent whole, or streamed piece by piece. */
struct ew_httpd;
struct ew_httpd_request; /* one request until it is answered */

struct ew_httpd_opts {
  size_t body_max;   /* above it: 413 */
  size_t stream_max; /* bytes that a streamed response may have waiting */
  size_t conn_max;   /* connections; above it they wait in the backlog */
  /* Above |conn_max| the oldest connection goes instead: for answers that are
   * given at once, where who holds connections must not lock others out. */
  bool evict_oldest;
  /* A connection without a request, and a head that is not complete, are let
   * be for so long; 0: 60 s and 10 s. */
  unsigned idle_ms;
  /* NULL: plain text. Otherwise asked for each connection, so that a renewed
   * certificate is used for the next one; NULL answer: connection refused. */
  struct ew_tls_ctx *(*tls)(void *arg);
  bool tls_peer_optional;
  const char *const *alpn;
  size_t alpn_count; /* with TLS; "h2" and names that begin with "eastwest/"
                        mean HTTP/2 */
};

/* Called when a request is complete. It must be answered now or later, exactly
 * once, by reply or by stream_begin ... stream_end. The request (and its
 * slices) lives until then; if the client goes away before, on_gone (may be
 * NULL) is called instead and the request is no more. */
struct ew_httpd_handler {
  void (*on_request)(void *arg, struct ew_httpd_request *r);
  void (*on_gone)(void *arg, struct ew_httpd_request *r);
};

/* NULL and a positive errno in |*err| if the address can't be bound. */
struct ew_httpd *ew_httpd_new(struct ew_loop *l, const struct ew_addr *at,
                              const struct ew_httpd_opts *o,
                              const struct ew_httpd_handler *h, void *arg,
                              int *err);
void ew_httpd_addr(const struct ew_httpd *d, struct ew_addr *out);
/* Closes the listener and all connections; on_gone is called for open requests.
 */
void ew_httpd_del(struct ew_httpd *d);

const struct ew_message *ew_httpd_head(const struct ew_httpd_request *r);
struct ew_slice ew_httpd_body(const struct ew_httpd_request *r);
/* Verified SPIFFE id of the client, "" without. */
const char *ew_httpd_peer_id(const struct ew_httpd_request *r);
const struct ew_addr *ew_httpd_peer_addr(const struct ew_httpd_request *r);
/* For the handler's own use. */
void ew_httpd_set_user(struct ew_httpd_request *r, void *user);
void *ew_httpd_user(const struct ew_httpd_request *r);

/* Answers and ends the request. |type| is the content-type. */
void ew_httpd_reply(struct ew_httpd_request *r, int status, const char *type,
                    struct ew_slice body);
/* A streamed answer: any number of pieces. ew_httpd_stream_write takes all or
 * nothing: EW_EAGAIN when more than stream_max would wait (the client reads too
 * slowly; the caller normally ends the stream). */
void ew_httpd_stream_begin(struct ew_httpd_request *r, int status,
                           const char *type);
int ew_httpd_stream_write(struct ew_httpd_request *r, struct ew_slice piece);
/* Bytes that wait and were not yet taken by the transport. */
size_t ew_httpd_stream_waiting(const struct ew_httpd_request *r);
void ew_httpd_stream_end(struct ew_httpd_request *r);

#endif
