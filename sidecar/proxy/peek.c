/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/peek.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/http/detect.h"
#include "eastwest/net/prefix.h"
#include "eastwest/net/tls.h"

struct ew_peek {
  struct ew_stream *s;
  struct ew_buf seen;
  struct ew_timer timer;
  unsigned more_ms;
  ew_peek_fn on_done;
  void *arg;
};

static void finish(struct ew_peek *p, enum ew_peeked what,
                   struct ew_slice sni) {
  ew_peek_fn on_done = p->on_done;
  void *arg = p->arg;
  struct ew_stream *s = p->s;
  char name[256];
  size_t n = sni.n < sizeof(name) ? sni.n : 0;

  /* The seen bytes move into the prefix stream; the name must outlive that. */
  if (n > 0)
    memcpy(name, sni.p, n);
  ew_timer_stop(&p->timer);
  ew_stream_want(s, 0);
  if (what == EW_PEEK_CLOSED) {
    ew_stream_close(s);
    s = NULL;
  } else if (ew_buf_len(&p->seen) > 0) {
    s = ew_prefix_stream_new(s, &p->seen);
  }
  ew_buf_fini(&p->seen);
  free(p);
  on_done(arg, what, s, ew_slice(name, n));
}

bool ew_peek_classify(struct ew_slice in, enum ew_peeked *what,
                      struct ew_slice *sni) {
  bool mesh = false;
  int tls = ew_tls_peek(in, &mesh, sni);

  *what = EW_PEEK_OPAQUE;
  if (tls == EW_OK) {
    *what = mesh ? EW_PEEK_MESH : EW_PEEK_TLS;
    return true;
  }
  *sni = (struct ew_slice){NULL, 0};
  switch (ew_detect(in)) {
  case EW_DETECT_HTTP1:
    *what = EW_PEEK_HTTP1;
    return true;
  case EW_DETECT_HTTP2:
    *what = EW_PEEK_HTTP2;
    return true;
  case EW_DETECT_MORE:
    return false;
  case EW_DETECT_OPAQUE:
    break;
  }
  return tls != EW_EAGAIN;
}

/* False: nothing was there, or it doesn't settle the matter. */
static bool look(struct ew_peek *p) {
  struct ew_slice sni = {NULL, 0};
  enum ew_peeked what = EW_PEEK_OPAQUE;
  size_t before = ew_buf_len(&p->seen);
  char *to = ew_buf_reserve(&p->seen, EW_PEEK_MAX - before);
  ptrdiff_t n;

  n = ew_stream_read(p->s, to, EW_PEEK_MAX - before);
  if (n == EW_EAGAIN)
    return false;
  if (n < 0) {
    /* What came before the end still goes to the server, and so does an end
     * alone: who has nothing to say may still listen. */
    if (before == 0)
      what = n == EW_EOF ? EW_PEEK_SILENT : EW_PEEK_CLOSED;
    finish(p, what, sni);
    return true;
  }
  ew_buf_commit(&p->seen, (size_t)n);
  if (ew_peek_classify(ew_buf_peek(&p->seen), &what, &sni) ||
      ew_buf_len(&p->seen) == EW_PEEK_MAX) {
    finish(p, what, sni);
    return true;
  }
  if (before == 0)
    ew_timer_start(&p->timer, p->more_ms);
  return false;
}

static void on_ready(void *arg, unsigned events) {
  (void)events;
  (void)look(arg);
}

/* A loop that was busy runs its timers before it sees what has come since: the
 * ClientHello of a sidecar must not be taken for silence. */
static void on_timer(struct ew_timer *t) {
  struct ew_peek *p = EW_CONTAINER(t, struct ew_peek, timer);
  bool began = ew_buf_len(&p->seen) > 0;
  struct ew_slice none = {NULL, 0};

  if (look(p))
    return;
  if (ew_buf_len(&p->seen) == 0)
    finish(p, EW_PEEK_SILENT, none);
  else if (began)
    finish(p, EW_PEEK_OPAQUE, none);
}

struct ew_peek *ew_peek_new(struct ew_stream *s, unsigned silent_ms,
                            unsigned more_ms, ew_peek_fn on_done, void *arg) {
  struct ew_peek *p = ew_calloc(1, sizeof(*p));

  p->s = s;
  p->more_ms = more_ms;
  p->on_done = on_done;
  p->arg = arg;
  ew_buf_init(&p->seen, EW_PEEK_MAX);
  ew_timer_init(s->loop, &p->timer, on_timer);
  ew_timer_start(&p->timer, silent_ms);
  ew_stream_set_user(s, on_ready, p);
  ew_stream_want(s, EW_READ);
  return p;
}

void ew_peek_del(struct ew_peek *p) {
  ew_timer_stop(&p->timer);
  ew_stream_close(p->s);
  ew_buf_fini(&p->seen);
  free(p);
}
