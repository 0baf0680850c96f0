/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_STREAM_H
#define EASTWEST_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "eastwest/base/slice.h"
#include "eastwest/net/loop.h"

/* A two-way byte stream: tcp_stream, tls_stream over another stream,
 * prefix_stream over another stream. It is readiness-based: the user says what
 * it waits for, is told when that may work, and then reads into or writes from
 * memory of its own. A stream queues nothing for its user: what was not taken
 * stays with the user, so back-pressure needs no code.
 *
 * Lifetime: exactly one owner, which calls ew_stream_close once. After that
 * the stream calls nobody back, and frees itself (and the stream below it) at
 * the end of the loop turn. A wrapping stream owns the stream it wraps. */
struct ew_stream;

#define EW_READ 1u
#define EW_WRITE 2u

struct ew_stream_ops {
  const char *name; /* "tcp", "tls", "prefix" */
  /* Reads at most |n| (> 0) bytes. Returns the count (> 0), EW_EAGAIN, EW_EOF
   * (orderly end; writing may go on), or EW_ECONN / EW_ETLS / EW_EIDENTITY. */
  ptrdiff_t (*read)(struct ew_stream *s, char *p, size_t n);
  /* Writes |count| slices in order. Returns bytes taken (> 0, may be fewer),
   * EW_EAGAIN when none could be taken, or an error as above. After EW_EAGAIN
   * the next write must begin with the same bytes and be at least as long. */
  ptrdiff_t (*write)(struct ew_stream *s, const struct ew_slice *v,
                     size_t count);
  /* Ends our direction (FIN, or close_notify then FIN). Call it only when
   * everything was written. Returns EW_OK, EW_EAGAIN (call again when
   * writable), or an error. */
  int (*shutdown)(struct ew_stream *s);
  /* Sets what is waited for: EW_READ | EW_WRITE; 0 waits for nothing. While
   * nothing is waited for, an error is not reported either. Readiness is level
   * triggered: on_ready comes again in each loop turn while it lasts and is
   * wanted. EW_WRITE is only asked for after an EW_EAGAIN. */
  void (*want)(struct ew_stream *s, unsigned events);
  void (*close)(struct ew_stream *s);
};

/* |events| says what may work now. An error shows by the read or write that
 * follows. Within the callback the user may do anything, also close. */
typedef void (*ew_stream_ready_fn)(void *arg, unsigned events);

struct ew_stream {
  const struct ew_stream_ops *ops;
  struct ew_loop *loop;
  ew_stream_ready_fn on_ready;
  void *arg;
};

static inline void ew_stream_set_user(struct ew_stream *s,
                                      ew_stream_ready_fn on_ready, void *arg) {
  s->on_ready = on_ready;
  s->arg = arg;
}
static inline ptrdiff_t ew_stream_read(struct ew_stream *s, char *p, size_t n) {
  return s->ops->read(s, p, n);
}
static inline ptrdiff_t
ew_stream_write(struct ew_stream *s, const struct ew_slice *v, size_t count) {
  return s->ops->write(s, v, count);
}
static inline int ew_stream_shutdown(struct ew_stream *s) {
  return s->ops->shutdown(s);
}
static inline void ew_stream_want(struct ew_stream *s, unsigned events) {
  s->ops->want(s, events);
}
static inline void ew_stream_close(struct ew_stream *s) { s->ops->close(s); }

#endif
