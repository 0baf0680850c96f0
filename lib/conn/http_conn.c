/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/conn/http_conn.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"

/* Bytes that HTTP/1 left for later: at most one read. */
#define REST_MAX EW_SCRATCH_SIZE
/* Rounds of pulling and writing in one turn, so that one connection can't hold
 * the loop. */
#define ROUNDS_MAX 16
/* After an error answer: read on and drop, so that the peer sees the answer
 * and not a reset. */
#define LINGER_MS 1000
#define LINGER_MAX 65536
/* A codec with less than this to write has held nothing back for want of
 * room. */
#define PULL_AGAIN 8192
/* The last bytes must be taken within this. */
#define FLUSH_MS 10000
/* A client that ended its direction and takes nothing of the answer for this
 * long has gone away. TCP can't tell it from one that only has no more to
 * say, before bytes go there. */
#define GONE_MS 5000
/* Body bytes that are flushed before other sockets are looked at. */
#define HURRY 32768
/* A peer must answer the PING of a drain within this. */
#define DRAIN_MS 10000

enum phase {
  OPEN,     /* reading and writing */
  FLUSHING, /* no more reading; what is in |out| still goes out */
  LINGER,   /* our direction has ended; the peer's is read and dropped */
  CLOSED    /* the user is told at the end of the turn */
};

enum wait {
  WAIT_NONE,
  WAIT_HEAD,
  WAIT_IDLE,
  WAIT_DRAIN,
  WAIT_PING,
  WAIT_GONE,
  WAIT_FLUSH,
  WAIT_LINGER
};

struct ew_http_conn {
  struct ew_stream *s;
  struct ew_codec *codec;
  struct ew_http_conn_opts opts;
  ew_http_conn_closed_fn on_closed;
  void *arg;
  struct ew_buf rest;
  struct ew_task flush;
  struct ew_timer timer;
  enum wait waiting;
  uint64_t waiting_served; /* the codec's |served| when |waiting| began */
  uint64_t last_read_ms;
  size_t lingered;
  size_t unflushed; /* body bytes that came since the last flush */
  enum phase phase;
  int err;
  bool http1;
  bool eof;     /* the peer's direction has ended */
  bool blocked; /* the transport takes nothing now */
  bool deaf;    /* the peer takes nothing any more; what it said is read */
  bool wrote;   /* so much in this round that there may be more */
  bool in_head; /* HTTP/1: bytes came since the last hstream, none is open */
  bool idled;   /* the idle time has passed: draining */
};

void ew_http_conn_touch(struct ew_http_conn *c) {
  ew_task_defer(c->s->loop, &c->flush);
}

void ew_http_conn_touch_body(struct ew_http_conn *c, size_t n) {
  ew_http_conn_touch(c);
  c->unflushed += n;
  if (c->unflushed >= HURRY)
    ew_loop_hurry(c->s->loop);
}

/* The peer must not take it for an orderly end: a body without a length ends
 * with the connection. */
static bool cut_off(const struct ew_http_conn *c) {
  return c->codec->error == EW_ERESET || c->codec->streams > 0 ||
         ew_buf_len(&c->codec->out) > 0;
}

static void destroy(struct ew_http_conn *c, bool abort_it) {
  ew_task_cancel(&c->flush);
  ew_timer_stop(&c->timer);
  if (abort_it)
    ew_tcp_stream_abort_on_close(c->s);
  ew_stream_close(c->s);
  ew_codec_del(c->codec);
  ew_buf_fini(&c->rest);
  free(c);
}

/* The user hears it from the flush task: never within a call of its own. */
static void close_soon(struct ew_http_conn *c, int err) {
  if (c->phase == CLOSED)
    return;
  c->phase = CLOSED;
  c->err = err;
  ew_http_conn_touch(c);
}

/* What is in |out| still goes out. */
static void begin_close(struct ew_http_conn *c, int err) {
  if (c->phase != OPEN)
    return;
  c->phase = FLUSHING;
  c->err = err;
}

/* ---- timers ---- */

/* An hstream that came and went within one turn has ended the idle time. A
 * timer that nobody waits for is left to run out: it will be put off before. */
static void wait_for(struct ew_http_conn *c, enum wait what, unsigned ms) {
  if (c->waiting == what &&
      (what != WAIT_IDLE || c->waiting_served == c->codec->served))
    return;
  c->waiting = what;
  c->waiting_served = c->codec->served;
  if (what != WAIT_NONE)
    ew_timer_start(&c->timer, ms);
}

static void update_timer(struct ew_http_conn *c) {
  const struct ew_http_conn_opts *o = &c->opts;

  if (c->phase == LINGER)
    wait_for(c, WAIT_LINGER, LINGER_MS);
  else if (c->phase == FLUSHING)
    wait_for(c, WAIT_FLUSH, FLUSH_MS);
  else if (c->codec->streams > 0 && o->ping_ms)
    wait_for(c, WAIT_PING, o->ping_ms);
  else if (c->eof && ew_codec_owes(c->codec))
    wait_for(c, WAIT_GONE, GONE_MS);
  else if (c->codec->streams > 0)
    wait_for(c, WAIT_NONE, 0);
  else if (c->idled)
    wait_for(c, WAIT_DRAIN, DRAIN_MS);
  else if (o->head_timeout_ms && (c->in_head || c->codec->served == 0))
    wait_for(c, WAIT_HEAD, o->head_timeout_ms);
  else if (o->idle_timeout_ms)
    wait_for(c, WAIT_IDLE, o->idle_timeout_ms);
  else
    wait_for(c, WAIT_NONE, 0);
}

static void head_timeout(struct ew_http_conn *c) {
  if (!c->in_head) {
    close_soon(c, EW_ETIMEDOUT);
    return;
  }
  ew_codec_refuse(c->codec, 408, "the head did not come in time");
  c->phase = FLUSHING;
  c->err = EW_ETIMEDOUT;
  ew_http_conn_touch(c);
}

static void on_timer(struct ew_timer *t) {
  struct ew_http_conn *c = EW_CONTAINER(t, struct ew_http_conn, timer);
  enum wait what = c->waiting;

  c->waiting = WAIT_NONE;
  switch (what) {
  case WAIT_NONE:
    return;
  case WAIT_HEAD:
    head_timeout(c);
    return;
  case WAIT_IDLE:
    /* It closes when the drain is done: a request that crosses it on its way
     * is still answered. */
    c->idled = true;
    ew_http_conn_drain(c);
    return;
  case WAIT_DRAIN:
    begin_close(c, EW_EOF);
    ew_http_conn_touch(c);
    return;
  case WAIT_FLUSH:
  case WAIT_LINGER:
    close_soon(c, c->err);
    return;
  case WAIT_GONE:
    close_soon(c, EW_ECONN);
    return;
  case WAIT_PING:
    if (ew_loop_now_ms(c->s->loop) - c->last_read_ms >= c->opts.ping_ms &&
        ew_codec_ping(c->codec) != EW_OK)
      close_soon(c, EW_ETIMEDOUT);
    ew_http_conn_touch(c);
    return;
  }
}

/* ---- reading ---- */

/* Returns the bytes used; all of them if the connection is lost. HTTP/2 has
 * frames between heads, so what comes there does not begin a head. */
static size_t feed(struct ew_http_conn *c, struct ew_slice in) {
  uint64_t served = c->codec->served;
  ptrdiff_t used = ew_codec_feed(c->codec, in);

  if (used != 0)
    c->in_head =
        c->http1 && c->codec->streams == 0 && c->codec->served == served;
  if (used < 0) {
    begin_close(c, (int)used);
    return in.n;
  }
  return (size_t)used;
}

/* What was left, as soon as the codec wants it. */
static void feed_rest(struct ew_http_conn *c) {
  if (!ew_codec_want_read(c->codec))
    return;
  ew_buf_consume(&c->rest, feed(c, ew_buf_peek(&c->rest)));
  ew_buf_release(&c->rest);
}

static void linger_read(struct ew_http_conn *c) {
  ptrdiff_t n =
      ew_stream_read(c->s, ew_loop_scratch(c->s->loop), EW_SCRATCH_SIZE);

  if (n == EW_EAGAIN)
    return;
  if (n > 0)
    c->lingered += (size_t)n;
  if (n < 0 || c->lingered > LINGER_MAX)
    close_soon(c, c->err);
}

static void feed_new(struct ew_http_conn *c, struct ew_slice in) {
  size_t used = feed(c, in);

  EW_BUG_ON(ew_buf_append(&c->rest, ew_slice(in.p + used, in.n - used)) !=
            EW_OK);
}

static bool may_read(const struct ew_http_conn *c) {
  return c->phase == OPEN && !c->eof && ew_buf_len(&c->rest) == 0 &&
         (ew_codec_want_read(c->codec) || ew_codec_owes(c->codec));
}

/* Whether there was something. */
static bool read_some(struct ew_http_conn *c) {
  char *scratch = ew_loop_scratch(c->s->loop);
  ptrdiff_t n;

  if (!may_read(c))
    return false;
  n = ew_stream_read(c->s, scratch, c->http1 ? EW_PIECE_SIZE : EW_SCRATCH_SIZE);
  if (n == EW_EAGAIN)
    return false;
  if (n > 0) {
    c->last_read_ms = ew_loop_now_ms(c->s->loop);
    feed_new(c, ew_slice(scratch, (size_t)n));
  } else if (n == EW_EOF) {
    c->eof = true;
    ew_codec_eof(c->codec);
  } else {
    close_soon(c, (int)n);
  }
  return true;
}

/* ---- writing ---- */

/* A peer that closes while we still write has often said why: an answer before
 * the end of a body, or the last message of an upgraded protocol. That is read
 * first; reading then tells the end. */
static void write_failed(struct ew_http_conn *c, int err) {
  if (err != EW_ECONN || c->phase != OPEN || c->eof) {
    close_soon(c, err);
    return;
  }
  c->deaf = true;
  ew_http_conn_touch(c);
}

/* Writes |out| and then |big|. Returns how many bytes were taken, of both. */
static size_t write_both(struct ew_http_conn *c, struct ew_slice big) {
  const struct ew_slice v[] = {ew_buf_peek(&c->codec->out), big};
  ptrdiff_t n;

  if (c->blocked || c->deaf || v[0].n + v[1].n == 0)
    return 0;
  n = ew_stream_write(c->s, v, big.n > 0 ? 2 : 1);
  if (n == EW_EAGAIN) {
    c->blocked = true;
    return 0;
  }
  if (n < 0) {
    write_failed(c, (int)n);
    return 0;
  }
  c->wrote |= n >= PULL_AGAIN;
  ew_buf_consume(&c->codec->out, (size_t)n < v[0].n ? (size_t)n : v[0].n);
  if (c->waiting == WAIT_GONE)
    wait_for(c, WAIT_NONE, 0);
  return (size_t)n;
}

static size_t write_through(void *arg, struct ew_slice big) {
  struct ew_http_conn *c = arg;
  size_t before = ew_buf_len(&c->codec->out);
  size_t n = c->phase <= FLUSHING ? write_both(c, big) : 0;

  ew_http_conn_touch(c);
  return n > before ? n - before : 0;
}

static void end_writing(struct ew_http_conn *c) {
  int err;

  if (c->codec->error == EW_ERESET) {
    close_soon(c, EW_ERESET);
    return;
  }
  err = ew_stream_shutdown(c->s);
  if (err == EW_EAGAIN) {
    c->blocked = true;
    return;
  }
  if (err != EW_OK || c->eof || c->codec->client)
    close_soon(c, c->err);
  else
    c->phase = LINGER;
}

static void move(struct ew_http_conn *c) {
  bool progress = true;

  for (int i = 0; i < ROUNDS_MAX && progress && c->phase <= FLUSHING; i++) {
    c->wrote = false;
    int err = ew_codec_pull(c->codec);
    write_both(c, ew_slice(NULL, 0));
    progress = c->wrote;
    if (err != EW_OK)
      begin_close(c, err);
    if (c->phase == OPEN && ew_buf_len(&c->rest) > 0) {
      size_t before = ew_buf_len(&c->rest);
      feed_rest(c);
      progress |= ew_buf_len(&c->rest) < before;
    }
  }
  if (progress && c->phase <= FLUSHING)
    ew_http_conn_touch(c);
  if (c->phase == OPEN && ew_codec_done(c->codec))
    begin_close(c, c->codec->error ? c->codec->error : EW_EOF);
  if (c->phase == FLUSHING && ew_buf_len(&c->codec->out) == 0)
    end_writing(c);
  if (ew_buf_len(&c->codec->out) == 0)
    ew_buf_release(&c->codec->out);
}

static void update_wants(struct ew_http_conn *c) {
  unsigned want = 0;

  if (c->phase == LINGER || may_read(c))
    want |= EW_READ;
  if (c->blocked)
    want |= EW_WRITE;
  ew_stream_want(c->s, want);
}

static void closed(struct ew_http_conn *c) {
  ew_http_conn_closed_fn on_closed = c->on_closed;
  void *arg = c->arg;
  int err = c->err;
  bool abort_it = cut_off(c);

  ew_stream_want(c->s, 0);
  ew_codec_lost(c->codec, err == EW_EOF ? EW_ECONN : err);
  destroy(c, abort_it);
  on_closed(arg, err);
}

/* What the peer sent before it closed is there already, and its end behind it:
 * where nothing is, nothing comes. A server's answer may have to wait until
 * there is room for it; what a client said has lost its meaning. */
static void read_last_words(struct ew_http_conn *c) {
  bool any = false, more = true;

  for (int i = 0; i < ROUNDS_MAX && more && c->phase == OPEN && !c->eof; i++) {
    more = read_some(c);
    any |= more;
  }
  if (c->phase == OPEN && !c->eof && any)
    ew_http_conn_touch(c); /* what was read may be the whole answer */
  else if (c->phase != OPEN || c->eof || may_read(c) || !c->codec->client)
    close_soon(c, EW_ECONN);
}

static void on_flush(struct ew_task *t) {
  struct ew_http_conn *c = EW_CONTAINER(t, struct ew_http_conn, flush);

  c->unflushed = 0;
  if (c->phase <= FLUSHING)
    move(c);
  if (c->deaf)
    read_last_words(c);
  if (c->phase == CLOSED) {
    closed(c);
    return;
  }
  update_timer(c);
  update_wants(c);
}

static void on_ready(void *arg, unsigned events) {
  struct ew_http_conn *c = arg;

  if (events & EW_WRITE)
    c->blocked = false;
  if (events & EW_READ) {
    if (c->phase == LINGER)
      linger_read(c);
    else
      read_some(c);
  }
  ew_http_conn_touch(c);
}

/* ---- life ---- */

struct ew_http_conn *ew_http_conn_new(struct ew_stream *s,
                                      struct ew_codec *codec,
                                      const struct ew_http_conn_opts *o,
                                      ew_http_conn_closed_fn on_closed,
                                      void *arg) {
  struct ew_http_conn *c = ew_calloc(1, sizeof(*c));

  c->s = s;
  c->codec = codec;
  c->http1 = strcmp(codec->ops->name, "http/1.1") == 0;
  codec->write_through = write_through;
  codec->write_through_arg = c;
  c->opts = *o;
  c->on_closed = on_closed;
  c->arg = arg;
  c->last_read_ms = ew_loop_now_ms(s->loop);
  ew_buf_init(&c->rest, REST_MAX);
  ew_task_init(&c->flush, on_flush);
  ew_timer_init(s->loop, &c->timer, on_timer);
  ew_stream_set_user(s, on_ready, c);
  ew_stream_want(s, EW_READ);
  ew_http_conn_touch(c);
  return c;
}

struct ew_codec *ew_http_conn_codec(struct ew_http_conn *c) {
  return c->codec;
}

struct ew_stream *ew_http_conn_stream(struct ew_http_conn *c) {
  return c->s;
}

void ew_http_conn_drain(struct ew_http_conn *c) {
  ew_codec_drain(c->codec);
  ew_http_conn_touch(c);
}

void ew_http_conn_del(struct ew_http_conn *c) { destroy(c, cut_off(c)); }
