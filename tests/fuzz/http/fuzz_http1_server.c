/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/http/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The received bytes in pieces, the answers by a script (the first bytes of
 * the input). Every request that is shown is written by a client codec and
 * read by a second server codec: that must see the same request, and nothing
 * else. */

struct fuzz {
  struct ew_slice script;
  struct ew_message *again; /* what the second server saw */
  unsigned heads;
};

static unsigned next(struct fuzz *f) {
  if (f->script.n == 0)
    return 0;
  unsigned c = (unsigned char)f->script.p[0];
  f->script = ew_slice(f->script.p + 1, f->script.n - 1);
  return c;
}

static void again_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                       bool end) {
  struct fuzz *f = arg;
  EW_BUG_ON(f->again != NULL);
  f->again = m;
}
static void no_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {}
static void no_end(void *arg, struct ew_hstream *st, struct ew_message *t) {
  ew_message_del(t);
}
static void no_reset(void *arg, struct ew_hstream *st, int err) {}
static void no_hstream(void *arg, struct ew_hstream *st) {}
static void no_goaway(void *arg) {}

static const struct ew_codec_events again_events = {
    .on_head = again_head,
    .on_data = no_data,
    .on_end = no_end,
    .on_reset = no_reset,
    .on_writable = no_hstream,
    .on_closed = no_hstream,
    .on_goaway = no_goaway,
};

static void check_same(const struct ew_message *a, const struct ew_message *b) {
  EW_BUG_ON(!ew_slice_eq(a->method, b->method));
  EW_BUG_ON(!ew_slice_eq(a->path, b->path));
  EW_BUG_ON(!ew_slice_eq(a->authority, b->authority));
  EW_BUG_ON(!ew_slice_eq(a->upgrade, b->upgrade));
  EW_BUG_ON(a->headers.n != b->headers.n);
  for (size_t i = 0; i < a->headers.n; i++) {
    const struct ew_field *x = &a->headers.v[i], *y = &b->headers.v[i];
    bool te = ew_slice_eq_str(x->name, "te"); /* always stands last */
    EW_BUG_ON(!ew_slice_eq(x->name, y->name) && !te);
    EW_BUG_ON(!ew_slice_eq(x->value, y->value) && !te);
  }
}

static void forward(struct fuzz *f, const struct ew_message *m, bool end) {
  struct ew_codec *client = ew_http1_client_new(&again_events, f);
  struct ew_codec *server = ew_http1_server_new(&again_events, f);
  struct ew_message *copy = ew_message_dup(m);
  if (copy->authority.n == 0)
    copy->authority = EW_SLICE_LIT("from-http10");
  /* Fields of ours come on top of what was received. */
  if (copy->headers.n < EW_FIELDS_MAX - 4) {
    EW_BUG_ON(!ew_codec_open(client, copy, end, NULL));
    struct ew_slice out = ew_buf_peek(&client->out);
    EW_BUG_ON(ew_codec_feed(server, out) != (ptrdiff_t)out.n);
    EW_BUG_ON(!f->again);
    check_same(copy, f->again);
    ew_message_del(f->again);
    f->again = NULL;
  }
  ew_message_del(copy);
  ew_codec_del(client);
  ew_codec_del(server);
}

static void answer(struct fuzz *f, struct ew_hstream *st) {
  struct ew_message *m = ew_message_new();
  unsigned how = next(f);
  static const int statuses[] = {200, 204, 304, 100, 101, 500, 200, 200};
  m->status = statuses[how & 7];
  m->body = (how & 8) ? EW_BODY_STREAM : EW_BODY_LENGTH;
  m->content_length = how >> 6;
  bool end = (how & 16) != 0;
  if (ew_hstream_send_head(st, m, end) == EW_OK && !end) {
    ew_hstream_send(st, ew_slice("abc", how >> 6));
    if (how & 32)
      ew_hstream_send_end(st, NULL);
  }
  ew_message_del(m);
}

static void act(struct fuzz *f, struct ew_hstream *st) {
  unsigned what = next(f);
  if (what == 255)
    ew_hstream_reset(st, EW_ECANCELED);
  else if (what & 1)
    answer(f, st);
}

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct fuzz *f = arg;
  const char *why;
  f->heads++;
  EW_BUG_ON(ew_message_gate(m, &why) != EW_OK);
  forward(f, m, end);
  ew_message_del(m);
  act(f, st);
}
static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  EW_BUG_ON(bytes.n == 0 || bytes.n > 65535);
  ew_hstream_consume(st, bytes.n);
  act(arg, st);
}
static void on_end(void *arg, struct ew_hstream *st, struct ew_message *t) {
  ew_message_del(t);
  act(arg, st);
}

static const struct ew_codec_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = no_reset,
    .on_writable = no_hstream,
    .on_closed = no_hstream,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz f = {0};
  size_t script = size < 16 ? size : 16;
  f.script = ew_slice((const char *)data, script);
  struct ew_slice in = ew_slice((const char *)data + script, size - script);
  struct ew_codec *c = ew_http1_server_new(&events, &f);
  while (in.n > 0) {
    size_t n = next(&f) + 1;
    if (n > in.n)
      n = in.n;
    ptrdiff_t used = ew_codec_feed(c, ew_slice(in.p, n));
    EW_BUG_ON(used > (ptrdiff_t)n);
    if (used < 0) {
      EW_BUG_ON(c->streams != 0 || !ew_codec_done(c));
      break;
    }
    ew_codec_pull(c);
    if (used == 0)
      break;
    in = ew_slice(in.p + used, in.n - (size_t)used);
    if (ew_buf_len(&c->out) > 1000)
      ew_buf_consume(&c->out, ew_buf_len(&c->out));
  }
  ew_codec_eof(c);
  ew_codec_pull(c);
  ew_codec_del(c);
  return 0;
}
