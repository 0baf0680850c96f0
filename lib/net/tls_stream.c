/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "lib/net/loop_uv.h"
#include "lib/net/tls_stream.h"

#define MAX_RECORD EW_GATHER_SIZE
#define MAX_DRAIN 4
/* What may stand around a piece so that it stays one segment. */
#define FRAMING_MAX 128

static struct ew_tls_stream *tls_of(struct ew_stream *s) {
  return EW_CONTAINER(s, struct ew_tls_stream, w.s);
}

static const struct ew_tls_stream *tls_of_const(const struct ew_stream *s) {
  EW_BUG_ON(s->ops != &ew_tls_stream_ops);
  return EW_CONTAINER(s, const struct ew_tls_stream, w.s);
}

/* What is waited for, above and below */

static unsigned ready_now(const struct ew_tls_stream *t) {
  if (t->err != EW_OK)
    return t->want;
  if (!t->done || !(t->want & EW_READ))
    return 0;
  return t->eof || (!t->drained && SSL_has_pending(t->ssl)) ? EW_READ : 0;
}

static void apply_want(struct ew_tls_stream *t) {
  unsigned below = 0;
  if (t->err == EW_OK && !t->done) {
    below = t->want ? t->handshake_needs : 0;
  } else if (t->err == EW_OK) {
    below |= t->want & EW_READ ? t->read_needs : 0;
    below |= t->want & EW_WRITE;
  }
  if (below != t->below_want) {
    t->below_want = below;
    ew_stream_want(t->w.below, below);
  }
  if (ready_now(t))
    ew_task_defer(t->w.s.loop, &t->task);
}

static void tell(struct ew_tls_stream *t, unsigned events) {
  if (events)
    t->w.s.on_ready(t->w.s.arg, events);
  if (!t->closed)
    apply_want(t);
}

static void handshake(struct ew_tls_stream *t) {
  ew_tls_handshake_step(t);
  tell(t, t->done ? EW_WRITE | ready_now(t) : ready_now(t));
}

/* Reading and writing */

/* SSL_get_error looks into the queue, so what others left there has to go. To
 * empty it costs 32 calls even when it is empty. */
static void clear_errors(void) {
  if (ERR_peek_error() != 0)
    ERR_clear_error();
}

static int read_failed(struct ew_tls_stream *t, int r) {
  switch (SSL_get_error(t->ssl, r)) {
  case SSL_ERROR_WANT_READ:
    t->drained = true;
    t->read_needs = EW_READ;
    return EW_EAGAIN;
  case SSL_ERROR_WANT_WRITE:
    t->drained = true;
    t->read_needs = EW_WRITE;
    return EW_EAGAIN;
  case SSL_ERROR_ZERO_RETURN:
    t->eof = true;
    return EW_EOF;
  default:
    ew_tls_fail(t);
    return t->err;
  }
}

static ptrdiff_t tls_read(struct ew_stream *s, char *p, size_t n) {
  struct ew_tls_stream *t = tls_of(s);
  size_t got = 0, k;
  int err = EW_OK;
  if (t->err != EW_OK)
    return t->err;
  if (!t->done)
    return EW_EAGAIN;
  if (t->eof)
    return EW_EOF;
  clear_errors();
  while (got < n) {
    int r = SSL_read_ex(t->ssl, p + got, n - got, &k);
    if (r != 1) {
      err = read_failed(t, r);
      break;
    }
    got += k;
    t->read_needs = EW_READ;
    t->drained = !SSL_has_pending(t->ssl);
    if (t->drained)
      break;
  }
  apply_want(t);
  return got > 0 ? (ptrdiff_t)got : err;
}

/* A peer that refuses us sends an alert and closes, so our next write may fail
 * before we read why. One that closes after its last words may fail it before
 * we read those: then only writing is over. Returns the error of the write. */
static int write_failed(struct ew_tls_stream *t) {
  char c;
  size_t n;
  if (t->lower.err != EW_OK) {
    int err = t->lower.err;
    t->lower.err = EW_OK;
    ERR_clear_error();
    int r = SSL_peek_ex(t->ssl, &c, 1, &n);
    if (r == 1) {
      t->write_err = EW_ECONN;
      return t->write_err;
    }
    if (SSL_get_error(t->ssl, r) != SSL_ERROR_SSL)
      t->lower.err = err;
  }
  ew_tls_fail(t);
  return t->err;
}

/* EW_OK, EW_EAGAIN before the handshake is done, or why nothing can be
 * written. */
static int may_write(const struct ew_tls_stream *t) {
  if (t->err != EW_OK)
    return t->err;
  if (t->write_err != EW_OK)
    return t->write_err;
  return t->done ? EW_OK : EW_EAGAIN;
}

/* Writes the records that are held. EW_OK, EW_EAGAIN or a failure. */
static int flush_held(struct ew_tls_stream *t) {
  int rc = ew_tls_lower_flush(&t->lower);
  if (rc == EW_OK) {
    t->ahead += t->pending;
    t->pending = 0;
  } else if (rc != EW_EAGAIN) {
    return write_failed(t);
  }
  return rc;
}

struct source {
  const struct ew_slice *v;
  size_t count;
  size_t i, off; /* first byte that was not used yet */
};

static size_t source_skip(struct source *s, size_t n) {
  size_t skipped = 0;
  while (s->i < s->count && skipped < n) {
    size_t k = s->v[s->i].n - s->off;
    if (k > n - skipped)
      k = n - skipped;
    skipped += k;
    s->off += k;
    if (s->off == s->v[s->i].n) {
      s->i++;
      s->off = 0;
    }
  }
  return skipped;
}

/* Whether no more than |n| bytes are left. */
static bool source_fits(const struct source *s, size_t n) {
  size_t off = s->off, all = 0;
  for (size_t i = s->i; i < s->count && all <= n; i++, off = 0)
    all += s->v[i].n - off;
  return all <= n;
}

static bool source_is_empty(const struct source *s) {
  return source_fits(s, 0);
}

/* The bytes of the next record: in place when one slice fills it, else copied
 * together, because each record costs 22 bytes and an AEAD call. */
static struct ew_slice next_record(struct source s, size_t max, char *gather) {
  size_t n = 0;
  while (s.i < s.count && s.v[s.i].n == s.off) {
    s.i++;
    s.off = 0;
  }
  if (s.i < s.count && (s.v[s.i].n - s.off >= max || s.i + 1 == s.count)) {
    n = s.v[s.i].n - s.off;
    return ew_slice(s.v[s.i].p + s.off, n < max ? n : max);
  }
  for (; s.i < s.count && n < max; s.i++, s.off = 0) {
    size_t k = s.v[s.i].n - s.off;
    if (k > max - n)
      k = max - n;
    if (k > 0)
      memcpy(gather + n, s.v[s.i].p + s.off, k);
    n += k;
  }
  return ew_slice(gather, n);
}

/* A few records for one system call. Adds to |*taken| what has left. EW_OK,
 * EW_EAGAIN or a failure. */
static int write_records(struct ew_tls_stream *t, struct source *src,
                         size_t *taken) {
  size_t plain[EW_CIPHER_RECORDS], end[EW_CIPHER_RECORDS], n = 0, done;
  size_t room = EW_PIECE_SIZE + FRAMING_MAX;

  clear_errors();
  ew_tls_lower_cork(&t->lower, source_fits(src, MAX_RECORD));
  while (room > 0) {
    size_t max = room < MAX_RECORD ? room : MAX_RECORD;
    struct ew_slice rec = next_record(*src, max, ew_loop_gather(t->w.s.loop));
    if (rec.n == 0 || SSL_write_ex(t->ssl, rec.p, rec.n, &done) != 1)
      break;
    plain[n] = source_skip(src, rec.n);
    end[n++] = t->lower.corked;
    room -= rec.n;
  }
  ptrdiff_t left = ew_tls_lower_uncork(&t->lower);
  if (left < 0 || (room > 0 && !source_is_empty(src))) {
    return write_failed(t);
  }
  for (size_t i = 0; i < n; i++) {
    if (end[i] <= (size_t)left)
      *taken += plain[i];
    else
      t->pending += plain[i];
  }
  return ew_tls_lower_holds(&t->lower) ? EW_EAGAIN : EW_OK;
}

static ptrdiff_t tls_write(struct ew_stream *s, const struct ew_slice *v,
                           size_t count) {
  struct ew_tls_stream *t = tls_of(s);
  struct source src = {v, count, 0, 0};
  int rc = may_write(t);
  if (rc != EW_OK)
    return rc;
  rc = flush_held(t);
  size_t taken = source_skip(&src, t->ahead);
  t->ahead -= taken;
  while (rc == EW_OK && !source_is_empty(&src))
    rc = write_records(t, &src, &taken);
  apply_want(t);
  return taken > 0 || rc == EW_OK ? (ptrdiff_t)taken : rc;
}

static int tls_shutdown(struct ew_stream *s) {
  struct ew_tls_stream *t = tls_of(s);
  int rc = may_write(t);
  if (rc == EW_OK)
    rc = flush_held(t);
  if (rc != EW_OK)
    return rc;
  if (!t->notified_peer) {
    ERR_clear_error();
    int r = SSL_shutdown(t->ssl);
    if (r < 0 && SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_WRITE)
      return EW_EAGAIN;
    if (r < 0) {
      ew_tls_fail(t);
      return t->err;
    }
    t->notified_peer = true;
  }
  return ew_stream_shutdown(t->w.below);
}

static void tls_want(struct ew_stream *s, unsigned events) {
  struct ew_tls_stream *t = tls_of(s);
  t->want = events;
  if (events && t->err == EW_OK && !t->done && t->handshake_needs == 0)
    ew_task_defer(s->loop, &t->task);
  apply_want(t);
}

static void below_ready(void *arg, unsigned events) {
  struct ew_tls_stream *t = arg;
  unsigned out = 0;
  if (!t->done && t->err == EW_OK) {
    handshake(t);
    return;
  }
  if (events & t->read_needs) {
    t->drained = false;
    out |= EW_READ;
  }
  out |= events & EW_WRITE;
  tell(t, out & t->want);
}

static void tls_free(struct ew_tls_stream *t) {
  ew_tls_handshake_fini(t);
  ew_tls_verdict_fini(&t->verdict);
  SSL_free(t->ssl);
  ew_tls_lower_fini(&t->lower);
  ew_tls_ctx_unref(t->ctx);
  free(t->alpn);
  free(t);
}

static void task_run(struct ew_task *task) {
  struct ew_tls_stream *t = EW_CONTAINER(task, struct ew_tls_stream, task);
  if (t->closed)
    tls_free(t);
  else if (t->err == EW_OK && !t->done && t->want)
    handshake(t);
  else
    tell(t, ready_now(t));
}

/* The alert that says why is on its way; bytes left unread would make the
 * kernel send a reset, which may overtake it. */
static void let_alert_through(struct ew_tls_stream *t) {
  char *p = ew_loop_gather(t->w.s.loop);
  ew_stream_shutdown(t->w.below);
  for (int i = 0; i < MAX_DRAIN; i++) {
    if (ew_stream_read(t->w.below, p, EW_GATHER_SIZE) <= 0)
      return;
  }
}

static void tls_close(struct ew_stream *s) {
  struct ew_tls_stream *t = tls_of(s);
  t->closed = true;
  if (t->w.abort) {
    /* neither close_notify nor FIN: the end must not look orderly */
  } else if (t->err != EW_OK && t->err != EW_ECONN) {
    let_alert_through(t);
  } else if (t->err == EW_OK && t->done && !ew_tls_lower_holds(&t->lower) &&
             !t->notified_peer) {
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
  }
  ew_stream_close(t->w.below);
  ew_task_defer(s->loop, &t->task);
}

const struct ew_stream_ops ew_tls_stream_ops = {
    .name = "tls",
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .want = tls_want,
    .close = tls_close,
};

/* Making one */

static struct ew_tls_stream *tls_new(struct ew_tls_ctx *c,
                                     struct ew_stream *below) {
  struct ew_tls_stream *t = ew_calloc(1, sizeof(*t));
  t->w.s.ops = &ew_tls_stream_ops;
  t->w.s.loop = below->loop;
  t->w.below = below;
  ew_tls_lower_init(&t->lower, below);
  t->read_needs = EW_READ;
  t->failure = "";
  t->ctx = ew_tls_ctx_ref(c);
  t->verdict.trust_domain = c->trust_domain;
  t->ssl = SSL_new(c->ssl);
  EW_BUG_ON(!t->ssl);
  SSL_set_app_data(t->ssl, &t->verdict);
  BIO *b = ew_tls_bio_new(&t->lower);
  SSL_set_bio(t->ssl, b, b);
  ew_task_init(&t->task, task_run);
  ew_stream_want(below, 0);
  ew_stream_set_user(below, below_ready, t);
  return t;
}

static struct ew_stream *refuse(struct ew_tls_stream *t) {
  ew_stream_close(t->w.below);
  tls_free(t);
  return NULL;
}

struct ew_stream *ew_tls_client_new(struct ew_tls_ctx *c,
                                    struct ew_stream *below,
                                    const char *const *expected, size_t n,
                                    const char *alpn) {
  struct ew_tls_stream *t = tls_new(c, below);
  if (n == 0 || c->plain || ew_tls_set_protos(t, &alpn, 1) != EW_OK ||
      SSL_set_alpn_protos(t->ssl, t->protos, t->protos_n) != 0)
    return refuse(t);
  t->verdict.peer_is_server = true;
  t->verdict.expected = ew_calloc(n, sizeof(char *));
  t->verdict.expected_n = n;
  for (size_t i = 0; i < n; i++)
    t->verdict.expected[i] = ew_strdup(expected[i]);
  SSL_set_verify(t->ssl, SSL_VERIFY_PEER, ew_tls_verify_cb);
  SSL_set_connect_state(t->ssl);
  return &t->w.s;
}

struct ew_stream *ew_tls_server_new(struct ew_tls_ctx *c,
                                    struct ew_stream *below,
                                    const struct ew_tls_server_opts *o) {
  struct ew_tls_stream *t = tls_new(c, below);
  int mode = c->plain ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
  if ((c->id[0] == '\0' && !c->plain) ||
      ew_tls_set_protos(t, o->alpn, o->alpn_count) != EW_OK)
    return refuse(t);
  t->peer_optional = o->peer_optional || c->plain;
  if (!t->peer_optional)
    mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_set_verify(t->ssl, mode, ew_tls_verify_cb);
  SSL_set_accept_state(t->ssl);
  return &t->w.s;
}

bool ew_tls_stream_done(const struct ew_stream *s) {
  return tls_of_const(s)->done;
}

const char *ew_tls_stream_peer_id(const struct ew_stream *s) {
  const struct ew_tls_stream *t = tls_of_const(s);
  return t->done && t->verdict.id ? t->verdict.id : "";
}

const char *ew_tls_stream_alpn(const struct ew_stream *s) {
  const struct ew_tls_stream *t = tls_of_const(s);
  return t->alpn ? t->alpn : "";
}

const char *ew_tls_stream_failure(const struct ew_stream *s) {
  return tls_of_const(s)->failure;
}
