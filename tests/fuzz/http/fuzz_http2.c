/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "eastwest/base/list.h"
#include "eastwest/http/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A hostile peer of either role. Bytes: what the user does, then the size of
 * the pieces and, in its lowest bit, whether bodies go to a transport at once,
 * then what the peer sends behind its first words. Every exchange is told in
 * order, never within a send, holds no more than its window, and ends exactly
 * once. */
enum {
  CLIENT = 1,
  HOLD = 2,       /* consumes nothing before the end of a message */
  RESET_HEAD = 4, /* gives up within on_head */
  RESET_DATA = 8,
  EARLY = 16,  /* answers a head at once, and with much */
  LEAVE = 32,  /* pings and drains halfway */
  UNREAD = 64, /* nothing is taken from |out| */
  NO_WORDS = 128
};

/* An exchange as the user knows it. */
struct seen {
  struct fuzz *f;
  struct ew_list node;
  struct ew_hstream *st;
  size_t held;
  bool final, ended, sent, lost;
};

struct fuzz {
  struct ew_codec *c;
  int how;
  size_t open;
  struct ew_list all; /* that are open */
  bool sending;
  unsigned writes;
};

static struct seen *seen_new(struct fuzz *f, struct ew_hstream *st) {
  struct seen *s = calloc(1, sizeof(*s));
  EW_BUG_ON(!s);
  s->f = f;
  s->st = st;
  f->open++;
  ew_list_push_back(&f->all, &s->node);
  return s;
}

static void seen_del(struct seen *s) {
  s->f->open--;
  ew_list_remove(&s->node);
  free(s);
}

static void give_up(struct seen *s) {
  ew_hstream_reset(s->st, EW_ECANCELED);
  seen_del(s);
}

static void send_rest(struct seen *s) {
  static const char zeros[70000];
  struct ew_message *m = ew_message_new();
  if (s->sent)
    goto out;
  s->sent = true;
  m->status = 200;
  m->body = EW_BODY_STREAM;
  if (!s->f->c->client) {
    EW_BUG_ON(ew_hstream_send_head(s->st, m, false) != EW_OK);
    EW_BUG_ON(ew_hstream_send_head(s->st, m, false) != EW_EINVAL);
  }
  /* The body then comes from outside of the codec's events. */
  if (s->f->c->write_through && s->f->how & EARLY)
    goto out;
  size_t n = ew_hstream_send(s->st, ew_slice(zeros, sizeof(zeros)));
  EW_BUG_ON(n > sizeof(zeros));
  ew_message_add(m, EW_SLICE_LIT("x"), EW_SLICE_LIT("y"));
  if (n == sizeof(zeros) || !(s->f->how & EARLY))
    ew_hstream_send_end(s->st, m);
out:
  ew_message_del(m);
}

static void check_head(struct fuzz *f, const struct ew_message *m, bool end) {
  EW_BUG_ON((m->status == 0) == f->c->client || m->status == 101);
  EW_BUG_ON(m->version != 20 || m->upgrade.n > 0);
  EW_BUG_ON(end && !f->c->client && m->body != EW_BODY_NONE);
}

/* Fields that are the codec's own are in no head and in no trailers. */
static void check_fields(struct ew_message *m) {
  static const char *const own[] = {
      "host", "connection", "content-length", "transfer-encoding", "upgrade",
  };
  const char *why;
  for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
    EW_BUG_ON(ew_message_get(m, own[i]).p);
  for (size_t i = 0; i < m->headers.n; i++)
    EW_BUG_ON(!ew_is_token(m->headers.v[i].name) ||
              !ew_is_field_value(m->headers.v[i].value));
  EW_BUG_ON((m->method.n || m->status) && ew_message_gate(m, &why) != EW_OK);
}

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct fuzz *f = arg;
  struct seen *s = st->user;
  EW_BUG_ON(f->sending);
  if (!s)
    s = st->user = seen_new(f, st);
  EW_BUG_ON(s->final || s->lost);
  check_head(f, m, end);
  check_fields(m);
  s->final = m->status == 0 || m->status >= 200;
  s->ended = end;
  EW_BUG_ON(end && !s->final);
  ew_message_del(m);
  if (f->how & RESET_HEAD)
    give_up(s);
  else if (end || f->how & EARLY)
    send_rest(s);
}
static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  struct fuzz *f = arg;
  struct seen *s = st->user;
  EW_BUG_ON(f->sending || !s->final || s->ended || s->lost || bytes.n == 0);
  s->held += bytes.n;
  EW_BUG_ON(s->held > 65535);
  if (f->how & RESET_DATA) {
    give_up(s);
  } else if (!(f->how & HOLD)) {
    ew_hstream_consume(st, bytes.n);
    s->held = 0;
  }
}
static void on_end(void *arg, struct ew_hstream *st, struct ew_message *t) {
  struct seen *s = st->user;
  EW_BUG_ON(s->f->sending || !s->final || s->ended || s->lost);
  s->ended = true;
  if (t)
    check_fields(t);
  ew_message_del(t);
  ew_hstream_consume(st, s->held);
  send_rest(s);
}
static void on_reset(void *arg, struct ew_hstream *st, int err) {
  struct seen *s = st->user;
  EW_BUG_ON(s->f->sending || s->lost || err >= 0);
  s->lost = true;
}
static void on_closed(void *arg, struct ew_hstream *st) {
  struct seen *s = st->user;
  EW_BUG_ON(s->f->sending || (!s->lost && !s->ended));
  seen_del(s);
}
static void on_writable(void *arg, struct ew_hstream *st) {
  EW_BUG_ON(((struct fuzz *)arg)->sending);
  ew_hstream_send(st, EW_SLICE_LIT("more"));
  ew_hstream_send_end(st, NULL);
}
static void on_goaway(void *arg) {
  EW_BUG_ON(!((struct fuzz *)arg)->c->client);
}
static void on_refused(void *arg, int status, const char *why) {
  EW_BUG_ON(status < 400 || !why[0]);
}

static const struct ew_codec_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_closed = on_closed,
    .on_writable = on_writable,
    .on_goaway = on_goaway,
    .on_refused = on_refused,
};

static void ask(struct fuzz *f) {
  struct ew_message *m = ew_message_new();
  m->method = f->c->served % 3 ? EW_SLICE_LIT("POST") : EW_SLICE_LIT("HEAD");
  m->authority = EW_SLICE_LIT("a");
  m->path = EW_SLICE_LIT("/");
  m->body = EW_BODY_STREAM;
  struct seen *s = seen_new(f, NULL);
  s->st = ew_codec_open(f->c, m, f->c->served % 3 == 0, s);
  EW_BUG_ON(!s->st);
  s->sent = f->c->served % 3 == 1;
  ew_message_del(m);
}

static void check(struct fuzz *f) {
  EW_BUG_ON(f->c->streams != f->open);
  EW_BUG_ON(ew_buf_len(&f->c->out) > EW_CODEC_OUT_MAX);
  EW_BUG_ON(f->open > 256);
  if (f->c->error)
    EW_BUG_ON(f->open > 0 || !ew_codec_done(f->c) || ew_codec_want_read(f->c));
}

/* A transport that takes all, a part, or nothing. */
static size_t write_through(void *arg, struct ew_slice big) {
  struct fuzz *f = arg;
  static const size_t takes[] = {SIZE_MAX, 0, 100, 30000, 1};
  size_t room = takes[f->writes++ % 5], n = ew_buf_len(&f->c->out);
  if (n > room)
    n = room;
  ew_buf_consume(&f->c->out, n);
  room -= n;
  if (ew_buf_len(&f->c->out) > 0)
    return 0;
  return big.n < room ? big.n : room;
}

static void send_large(struct fuzz *f) {
  static const char zeros[40000];
  struct ew_list *it, *tmp;
  f->sending = true;
  EW_LIST_EACH(it, tmp, &f->all) {
    struct seen *s = EW_CONTAINER(it, struct seen, node);
    if (f->c->client ? !s->sent : s->sent)
      ew_hstream_send(s->st, ew_slice(zeros, sizeof(zeros)));
  }
  f->sending = false;
}

static ptrdiff_t feed(struct fuzz *f, struct ew_slice in) {
  ptrdiff_t used = ew_codec_feed(f->c, in);
  EW_BUG_ON(used >= 0 && (size_t)used != in.n);
  if (f->c->write_through)
    send_large(f);
  ew_codec_pull(f->c);
  if (!(f->how & UNREAD))
    ew_buf_consume(&f->c->out, ew_buf_len(&f->c->out));
  check(f);
  return used;
}

static void first_words(struct fuzz *f) {
  if (f->how & NO_WORDS)
    return;
  if (!f->c->client)
    feed(f, EW_SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  feed(f, EW_SLICE_LIT("\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  struct fuzz f = {.how = data[0]};
  size_t piece = data[1] > 1 ? (size_t)data[1] * 8 : 1;
  struct ew_slice in = ew_slice((const char *)data + 2, size - 2);
  f.c =
      (f.how & CLIENT ? ew_http2_client_new : ew_http2_server_new)(&events, &f);
  ew_list_init(&f.all);
  if (data[1] & 1) {
    f.c->write_through = write_through;
    f.c->write_through_arg = &f;
    ew_http2_set_patient(f.c);
  }
  first_words(&f);
  while (in.n > 0 && ew_codec_want_read(f.c)) {
    while (f.open < 4 && ew_codec_capacity(f.c) > 0)
      ask(&f);
    ew_codec_pull(f.c);
    size_t n = in.n < piece ? in.n : piece;
    if (feed(&f, ew_slice(in.p, n)) < 0)
      break;
    in = ew_slice(in.p + n, in.n - n);
    if (f.how & LEAVE && in.n < size / 2) {
      ew_codec_ping(f.c);
      ew_codec_drain(f.c);
    }
  }
  ew_codec_eof(f.c);
  EW_BUG_ON(f.open > 0);
  ew_codec_pull(f.c);
  ew_codec_del(f.c);
  return 0;
}
