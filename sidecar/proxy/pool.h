/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_POOL_H
#define SIDECAR_PROXY_POOL_H

#include "eastwest/base/list.h"
#include "eastwest/conn/http_conn.h"
#include "sidecar/proxy/dial.h"

/* The HTTP connections to one endpoint in one form. HTTP/2 connections are
 * shared by requests, HTTP/1 ones are lent to one request at a time and kept
 * for the next. */

/* Most connections of one pool; further requests wait for one. */
#define EW_POOL_CONNS_MAX 1024
/* Most requests that wait for a connection; further ones are refused. */
#define EW_POOL_WAITERS_MAX 4096
/* Most idle HTTP/1 connections kept. */
#define EW_POOL_IDLE_MAX 64
#define EW_POOL_IDLE_MS 60000
#define EW_POOL_PING_MS 10000

enum ew_wire {
  EW_WIRE_HTTP1,      /* plain HTTP/1.1 */
  EW_WIRE_HTTP2,      /* plain HTTP/2, prior knowledge */
  EW_WIRE_MESH_HTTP2, /* mesh TLS, ALPN eastwest/http2 */
  EW_WIRE_MESH_HTTP1, /* mesh TLS, ALPN eastwest/http1 (protocol upgrades) */
  EW_WIRES
};

struct ew_pool;

/* What the user of one upstream request hears; see struct ew_codec_events. */
struct ew_pool_events {
  void (*on_head)(void *user, struct ew_message *m, bool end);
  void (*on_data)(void *user, struct ew_slice bytes);
  void (*on_end)(void *user, struct ew_message *trailers);
  void (*on_reset)(void *user, int err);
  void (*on_writable)(void *user);
  /* The hstream is gone. */
  void (*on_closed)(void *user);
};

/* Embedded in a request that wants a connection. */
struct ew_pool_ticket {
  struct ew_pool *pool; /* private: where it waits */
  struct ew_list node;  /* private */
  bool fresh;           /* private */
  /* A connection has room, or err < 0: none could be made. Never from within
   * ew_pool_open. Call ew_pool_open again, now, on EW_OK. */
  void (*on_ready)(struct ew_pool_ticket *t, int err, const char *why);
};

/* |identity|: of the endpoint, for the wires of the mesh; else NULL. */
struct ew_pool *ew_pool_new(struct ew_env *env, const struct ew_addr *to,
                            enum ew_wire wire, const char *identity);
/* Nobody may be waiting. Open requests go on; their connections close when
 * they are done. */
void ew_pool_del(struct ew_pool *p);

/* One upstream request. |st| is the hstream to send on; |reused|: the
 * connection had carried a request before. */
struct ew_pool_stream {
  struct ew_hstream *st;
  struct ew_http_conn *conn;
  bool reused;
  const struct ew_pool_events *ev; /* set by the user before open */
  void *user;                      /* set by the user before open */
};

/* Sends the head on a connection with room. Returns EW_OK and fills |ps|, or
 * EW_EAGAIN: |t| is queued and will hear; or EW_ELIMIT: too many wait. |fresh|
 * asks for a connection that has not been used before. */
int ew_pool_open(struct ew_pool *p, struct ew_pool_ticket *t,
                 struct ew_pool_stream *ps, const struct ew_message *m,
                 bool end, bool fresh);
/* Gives up waiting. Harmless if |t| does not wait. */
void ew_pool_cancel(struct ew_pool_ticket *t);
void ew_pool_ticket_init(struct ew_pool_ticket *t,
                         void (*on_ready)(struct ew_pool_ticket *, int,
                                          const char *));
/* Gives up waiting, and the stream if there is one: it is reset with |err|. */
void ew_pool_leave(struct ew_pool_ticket *t, struct ew_pool_stream *ps,
                   int err);
/* After any send or consume on the stream. */
static inline void ew_pool_touch(struct ew_pool_stream *ps) {
  ew_http_conn_touch(ps->conn);
}

/* Connections that are open or being made, for the admin page. */
size_t ew_pool_conns(const struct ew_pool *p);

#endif
