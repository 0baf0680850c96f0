/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_TCP_H
#define EASTWEST_NET_TCP_H

#include "eastwest/net/addr.h"
#include "eastwest/net/stream.h"

/* Takes a connected non-blocking socket (owns |fd| from now on). TCP_NODELAY
 * and keep-alive are set here. Never NULL. */
struct ew_stream *ew_tcp_stream_new(struct ew_loop *l, int fd);
/* This and ew_tcp_stream_abort_on_close may be given a tls or prefix stream;
 * they then mean the socket below. The local and the remote address. Returns
 * EW_OK or EW_ECONN. */
int ew_tcp_stream_peer(struct ew_stream *s, struct ew_addr *out);
int ew_tcp_stream_local(struct ew_stream *s, struct ew_addr *out);
/* Makes close send RST instead of FIN (SO_LINGER 0): how a truncated message
 * is shown to a peer that would otherwise take the end for complete. TLS then
 * sends no close_notify either. */
void ew_tcp_stream_abort_on_close(struct ew_stream *s);

/* Before NAT: the address the client asked for, by SO_ORIGINAL_DST or
 * IP6T_SO_ORIGINAL_DST. Returns EW_OK, or EW_ENOENT when the connection was not
 * redirected (then |out| is the local address). */
int ew_orig_dst(int fd, struct ew_addr *out);

/* One connect attempt. |on_done| is called exactly once, never from within
 * ew_connect: with the stream, or with NULL and EW_ECONNREFUSED, EW_ETIMEDOUT,
 * EW_EIO (no descriptor). After ew_connect_cancel it is not called. The object
 * is freed after the callback or by cancel. */
struct ew_connect;
typedef void (*ew_connect_fn)(void *arg, struct ew_stream *s, int err);
struct ew_connect *ew_connect(struct ew_loop *l, const struct ew_addr *to,
                              unsigned timeout_ms, ew_connect_fn on_done,
                              void *arg);
void ew_connect_cancel(struct ew_connect *c);

/* A listening socket (SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY off for "::").
 * |on_accept| owns the accepted non-blocking, close-on-exec |fd|. Accepts at
 * most 64 a turn. Returns NULL and sets |*err| to a positive errno if the
 * address can't be bound. */
struct ew_listener;
typedef void (*ew_accept_fn)(void *arg, int fd, const struct ew_addr *peer);
struct ew_listener *ew_listener_new(struct ew_loop *l, const struct ew_addr *at,
                                    ew_accept_fn on_accept, void *arg,
                                    int *err);
/* Paused: connections wait in the kernel's backlog. */
void ew_listener_pause(struct ew_listener *ls, bool paused);
/* The bound address (the port when 0 was asked for). */
void ew_listener_addr(const struct ew_listener *ls, struct ew_addr *out);
void ew_listener_close(struct ew_listener *ls);

#endif
