/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/gate.h"
#include "lib/http/http1.h"
#include "lib/http/octets.h"

void ew_http1_client_goaway(struct ew_http1 *h) {
  if (!h->goaway_told)
    h->c.ev->on_goaway(h->c.arg);
  h->goaway_told = true;
}

static bool switch_ok(const struct ew_http1_stream *s,
                      const struct ew_http1_facts *f) {
  return s->upgrade[0] && f->upgrade_option && f->upgrades == 1 &&
         ew_slice_caseeq(f->upgrade, ew_slice_str(s->upgrade));
}

static int check(struct ew_http1 *h, struct ew_message *m,
                 struct ew_http1_facts *f) {
  const char *why = NULL;
  m->status = llhttp_get_status_code(&h->parser);
  m->version = llhttp_get_http_major(&h->parser) * 10 +
               llhttp_get_http_minor(&h->parser);
  if (m->version != 10 && m->version != 11)
    return ew_http1_fail(h, 502, "HTTP version not supported");
  int rc = ew_http1_strip(m, f, &why);
  if (rc == EW_OK)
    rc = ew_message_gate(m, &why);
  if (rc != EW_OK)
    return ew_http1_fail(h, rc, why);
  if (m->status == 101 && !switch_ok(h->st, f))
    return ew_http1_fail(h, 502, "protocol switch that was not asked for");
  if (m->status < 200 && m->status != 101 &&
      ++h->st->interim > EW_HTTP1_INTERIM_MAX)
    return ew_http1_fail(h, 502, "too many informational responses");
  return EW_OK;
}

/* Sets what the message says about its body; true: none follows. */
static bool body_of(struct ew_http1 *h, struct ew_message *m,
                    const struct ew_http1_facts *f) {
  bool bodyless = h->st->head_method || m->status == 304;
  if (m->status < 200 || m->status == 204)
    return true;
  if (f->chunked) {
    m->body = EW_BODY_STREAM;
  } else if (f->length) {
    m->body = EW_BODY_LENGTH;
    return bodyless || m->content_length == 0;
  } else if (!bodyless) {
    m->body = EW_BODY_STREAM;
    h->until_close = true;
  }
  return bodyless;
}

int ew_http1_client_head(struct ew_http1 *h) {
  struct ew_http1_stream *s = h->st;
  struct ew_message *m = h->msg ? h->msg : ew_message_new();
  struct ew_http1_facts f;
  h->msg = m;
  int rc = check(h, m, &f);
  if (rc != EW_OK)
    return rc;
  bool end = body_of(h, m, &f);
  if (m->status == 101) {
    m->upgrade = f.upgrade;
    s->final = s->switched = true;
    s->tx = TX_RAW;
    s->keep = s->tx_end = end = false;
  } else if (m->status < 200) {
    end = false;
  } else {
    s->final = true;
    s->no_on_end = end;
    s->keep = !f.close && !h->until_close && (m->version == 11 || f.keep_alive);
  }
  h->msg = NULL;
  h->head_size = 0;
  h->rx = RX_BODY;
  if (s->final && !s->keep)
    ew_http1_client_goaway(h);
  h->c.ev->on_head(h->c.arg, &s->st, m, end);
  return h->st == s ? EW_OK : EW_ECANCELED;
}

static bool method_has_body(struct ew_slice method) {
  return ew_slice_eq_str(method, "POST") || ew_slice_eq_str(method, "PUT") ||
         ew_slice_eq_str(method, "PATCH");
}

static bool target_ok(struct ew_slice path) {
  if (path.n == 0 || (path.p[0] != '/' && !ew_slice_eq_str(path, "*")))
    return false;
  for (size_t i = 0; i < path.n; i++)
    if (!ew_octet_is(path.p[i], EW_OCTET_TARGET))
      return false;
  return true;
}

static enum ew_http1_tx frame(const struct ew_message *m, bool end,
                              struct ew_http1_framing *f) {
  f->request = true;
  f->upgrade = m->upgrade;
  if (m->upgrade.n)
    return TX_HELD;
  if (end) {
    f->length = method_has_body(m->method);
    return TX_SKIP;
  }
  if (m->body == EW_BODY_LENGTH) {
    f->length = true;
    f->content_length = m->content_length;
    return TX_LENGTH;
  }
  f->chunked = true;
  return TX_CHUNKED;
}

struct ew_hstream *ew_http1_client_open(struct ew_codec *c,
                                        const struct ew_message *m, bool end,
                                        void *user) {
  struct ew_http1 *h = (struct ew_http1 *)(void *)c;
  if (ew_codec_capacity(c) == 0 || !ew_is_token(m->method) ||
      !target_ok(m->path) ||
      (m->authority.n > 0 && !ew_gate_authority(m->authority)) ||
      (m->upgrade.n > 0 && (!ew_is_field_value(m->upgrade) ||
                            m->upgrade.n >= EW_HTTP1_UPGRADE_MAX)))
    return NULL;
  struct ew_http1_framing f = {0};
  const struct ew_slice line[] = {m->method, EW_SLICE_LIT(" "), m->path,
                                  EW_SLICE_LIT(" HTTP/1.1")};
  enum ew_http1_tx tx = frame(m, end, &f);
  if (ew_http1_write_head(h, line, 4, m, &f) != EW_OK)
    return NULL;
  struct ew_http1_stream *s = ew_http1_stream_new(h);
  s->st.user = user;
  s->tx = tx;
  s->tx_left = f.content_length;
  s->tx_end = end;
  s->keep = true;
  s->head_method = ew_slice_eq_str(m->method, "HEAD");
  if (m->upgrade.n)
    memcpy(s->upgrade, m->upgrade.p, m->upgrade.n);
  return &s->st;
}
