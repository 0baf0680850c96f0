/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/http/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A hostile back end. Bytes: how the request is made, then the size of the
 * pieces, then the response. A response shown is never more than the request
 * asked for; the exchange ends exactly once. */

struct fuzz {
  struct ew_codec *c;
  unsigned char how;
  bool open, final, ended;
};

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct fuzz *f = arg;
  const char *why;
  EW_BUG_ON(!f->open || f->final);
  EW_BUG_ON(ew_message_gate(m, &why) != EW_OK);
  f->final = m->status >= 200 || m->status == 101;
  f->ended = end;
  EW_BUG_ON(m->status == 101 && !(f->how & 4));
  EW_BUG_ON(f->final && (f->how & 1) && !end && m->status != 101);
  ew_message_del(m);
  if ((f->how & 0x30) == 0x30) {
    ew_hstream_reset(st, EW_ECANCELED);
    f->open = false;
  }
}
static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  struct fuzz *f = arg;
  EW_BUG_ON(!f->open || !f->final || f->ended || bytes.n == 0);
  ew_hstream_consume(st, bytes.n);
  if ((f->how & 0x30) == 0x20) {
    ew_hstream_reset(st, EW_ECANCELED);
    f->open = false;
  }
}
static void on_end(void *arg, struct ew_hstream *st, struct ew_message *t) {
  struct fuzz *f = arg;
  EW_BUG_ON(!f->open || !f->final || f->ended);
  f->ended = true;
  ew_message_del(t);
  if (f->how & 8)
    ew_hstream_send_end(st, NULL);
}
static void on_reset(void *arg, struct ew_hstream *st, int err) {
  struct fuzz *f = arg;
  EW_BUG_ON(!f->open || err >= 0);
}
static void on_closed(void *arg, struct ew_hstream *st) {
  struct fuzz *f = arg;
  EW_BUG_ON(!f->open);
  f->open = false;
}
static void on_writable(void *arg, struct ew_hstream *st) {
  ew_hstream_send(st, EW_SLICE_LIT("more"));
}
static void on_goaway(void *arg) {}

static const struct ew_codec_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_goaway = on_goaway,
};

static void ask(struct fuzz *f) {
  struct ew_message *m = ew_message_new();
  m->method = (f->how & 1) ? EW_SLICE_LIT("HEAD") : EW_SLICE_LIT("POST");
  m->authority = EW_SLICE_LIT("a");
  m->path = EW_SLICE_LIT("/");
  m->body = EW_BODY_STREAM;
  if (f->how & 4)
    m->upgrade = EW_SLICE_LIT("websocket");
  struct ew_hstream *st = ew_codec_open(f->c, m, (f->how & 2) != 0, NULL);
  EW_BUG_ON(!st);
  ew_message_del(m);
  f->open = true;
  f->final = f->ended = false;
  if (!(f->how & 2))
    ew_hstream_send(st, EW_SLICE_LIT("body"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  struct fuzz f = {.how = data[0]};
  size_t piece = (size_t)data[1] + 1;
  struct ew_slice in = ew_slice((const char *)data + 2, size - 2);
  f.c = ew_http1_client_new(&events, &f);
  while (in.n > 0) {
    if (!f.open && ew_codec_capacity(f.c) > 0)
      ask(&f);
    size_t n = in.n < piece ? in.n : piece;
    ptrdiff_t used = ew_codec_feed(f.c, ew_slice(in.p, n));
    EW_BUG_ON(used > (ptrdiff_t)n);
    if (used <= 0) {
      EW_BUG_ON(used < 0 && (f.open || !ew_codec_done(f.c)));
      break;
    }
    ew_codec_pull(f.c);
    in = ew_slice(in.p + used, in.n - (size_t)used);
    ew_buf_consume(&f.c->out, ew_buf_len(&f.c->out));
  }
  ew_codec_eof(f.c);
  ew_codec_pull(f.c);
  EW_BUG_ON(!f.open && f.c->streams != 0);
  ew_codec_del(f.c);
  return 0;
}
