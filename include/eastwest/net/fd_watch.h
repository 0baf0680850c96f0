/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_FD_WATCH_H
#define EASTWEST_NET_FD_WATCH_H

#include "eastwest/net/loop.h"
#include "eastwest/net/stream.h"

/* Readiness of a descriptor that a library owns. */
struct ew_fd_watch;

/* |on_ready| gets EW_READ, EW_WRITE or both: both after an error of the socket.
 * NULL if the kernel can't poll |fd|. */
struct ew_fd_watch *ew_fd_watch_new(struct ew_loop *l, int fd,
                                    void (*on_ready)(void *arg, int fd,
                                                     unsigned events),
                                    void *arg);
/* 0: none. Level-triggered. */
void ew_fd_watch_want(struct ew_fd_watch *w, unsigned events);
/* |fd| stays open; it may be closed right after. Also from within |on_ready|.
 */
void ew_fd_watch_del(struct ew_fd_watch *w);

#endif
