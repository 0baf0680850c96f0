/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/gate.h"
#include "lib/http/http1.h"
#include "lib/http/octets.h"

/* The request line is read here and not by llhttp: that accepts HTTP/0.9,
 * runs of spaces and '#', and knows a fixed set of methods. llhttp gets this
 * line in its place and then the fields and the body as they came. */
static const char line_v10[] = "POST / HTTP/1.0\r\n";
static const char line_v11[] = "POST / HTTP/1.1\r\n";

static int absolute_form(struct ew_message *m, struct ew_slice target) {
  ptrdiff_t colon = ew_slice_chr(target, ':');
  if (colon < 0)
    return EW_EINVAL;
  struct ew_slice scheme = ew_slice(target.p, (size_t)colon);
  struct ew_slice rest = ew_slice(target.p + colon, target.n - (size_t)colon);
  if (!ew_slice_starts(rest, EW_SLICE_LIT("://")))
    return EW_EINVAL;
  if (ew_slice_caseeq(scheme, EW_SLICE_LIT("http")))
    m->scheme = EW_SLICE_LIT("http");
  else if (ew_slice_caseeq(scheme, EW_SLICE_LIT("https")))
    m->scheme = EW_SLICE_LIT("https");
  else
    return EW_EINVAL;
  rest = ew_slice(rest.p + 3, rest.n - 3);
  size_t n = 0;
  while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
    n++;
  m->authority = ew_message_dup_slice(m, ew_slice(rest.p, n));
  if (m->authority.n == 0)
    return EW_EINVAL;
  if (n == rest.n) {
    bool options = ew_slice_eq_str(m->method, "OPTIONS");
    m->path = options ? EW_SLICE_LIT("*") : EW_SLICE_LIT("/");
    return EW_OK;
  }
  /* "http://a?b" has the path "/" */
  size_t slash = rest.p[n] == '?' ? 1 : 0;
  char *p = ew_arena_alloc(&m->arena, rest.n - n + slash);
  p[0] = '/';
  memcpy(p + slash, rest.p + n, rest.n - n);
  m->path = ew_slice(p, rest.n - n + slash);
  return EW_OK;
}

static int version_of(struct ew_http1 *h, const struct ew_message *m,
                      struct ew_slice v, int *version) {
  *version = 11;
  if (ew_slice_eq_str(v, "HTTP/1.1"))
    return EW_OK;
  *version = 10;
  if (ew_slice_eq_str(v, "HTTP/1.0"))
    return EW_OK;
  if (v.n != 8 || !ew_slice_starts(v, EW_SLICE_LIT("HTTP/")) ||
      !ew_octet_digit(v.p[5]) || v.p[6] != '.' || !ew_octet_digit(v.p[7]))
    return ew_http1_fail(h, 400, "malformed request line");
  if (ew_slice_eq_str(m->method, "PRI"))
    return ew_http1_fail(h, 400, "HTTP/2 preface on an HTTP/1 connection");
  return ew_http1_fail(h, 505, "HTTP version not supported");
}

static int request_line(struct ew_http1 *h, struct ew_slice line) {
  if (line.n < 2 || line.p[line.n - 2] != '\r')
    return ew_http1_fail(h, 400, "line without CR");
  line.n -= 2;
  if (ew_slice_chr(line, '\r') >= 0)
    return ew_http1_fail(h, 400, "CR within a line");
  struct ew_message *m = h->msg = ew_message_new();
  struct ew_slice method = ew_slice_cut(&line, ' ');
  struct ew_slice target = ew_slice_cut(&line, ' ');
  if (!ew_is_token(method) || target.n == 0)
    return ew_http1_fail(h, 400, "malformed request line");
  m->method = ew_message_dup_slice(m, method);
  int rc = version_of(h, m, line, &m->version);
  if (rc != EW_OK)
    return rc;
  if (target.n > EW_TARGET_MAX)
    return ew_http1_fail(h, 414, "request target too long");
  if (ew_slice_eq_str(m->method, "CONNECT"))
    return ew_http1_fail(h, 400, "CONNECT is not served");
  if (target.p[0] == '/' || ew_slice_eq_str(target, "*")) {
    m->scheme = EW_SLICE_LIT("http");
    m->path = ew_message_dup_slice(m, target);
  } else if (absolute_form(m, target) != EW_OK) {
    return ew_http1_fail(h, 400, "malformed request target");
  }
  const char *stand_in = m->version == 10 ? line_v10 : line_v11;
  llhttp_execute(&h->parser, stand_in, sizeof(line_v11) - 1);
  h->rx = RX_HEAD;
  return EW_OK;
}

/* Garbage (a TLS handshake, for example) is told from a slow client early. */
static bool line_bytes_ok(struct ew_slice s) {
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if ((c < ' ' || c > '~') && c != '\r' && c != '\n')
      return false;
  }
  return true;
}

static int whole_line(struct ew_http1 *h, struct ew_slice line) {
  if (ew_slice_eq_str(line, "\r\n") && !h->blank) {
    /* RFC 9112 section 2.2: one is allowed before a request. */
    h->blank = true;
    h->rx = RX_IDLE;
    return EW_OK;
  }
  return request_line(h, line);
}

ptrdiff_t ew_http1_server_line(struct ew_http1 *h, struct ew_slice in) {
  ptrdiff_t lf = ew_slice_chr(in, '\n');
  struct ew_slice piece = ew_slice(in.p, lf < 0 ? in.n : (size_t)lf + 1);
  h->rx = RX_LINE;
  if (ew_buf_len(&h->line) + piece.n > EW_HTTP1_LINE_MAX) {
    ew_http1_fail(h, 414, "request line too long");
    return EW_EPROTO;
  }
  if (!line_bytes_ok(piece)) {
    ew_http1_fail(h, 400, "forbidden byte in the request line");
    return EW_EPROTO;
  }
  if (lf < 0 || ew_buf_len(&h->line) > 0)
    EW_BUG_ON(ew_buf_append(&h->line, piece) != EW_OK);
  if (lf < 0)
    return (ptrdiff_t)piece.n;
  struct ew_slice line = ew_buf_len(&h->line) ? ew_buf_peek(&h->line) : piece;
  int rc = whole_line(h, line);
  ew_buf_consume(&h->line, ew_buf_len(&h->line));
  ew_buf_release(&h->line);
  return rc == EW_OK ? (ptrdiff_t)piece.n : EW_EPROTO;
}

static int host_check(struct ew_http1 *h, struct ew_message *m,
                      const struct ew_http1_facts *f) {
  if (f->hosts > 1)
    return ew_http1_fail(h, 400, "several host fields");
  if (f->hosts == 0 && m->version == 11)
    return ew_http1_fail(h, 400, "no host");
  if (f->host.n > 0 && !ew_gate_authority(f->host))
    return ew_http1_fail(h, 400, "malformed host");
  if (m->authority.n == 0) /* else the URI wins: RFC 9112 section 3.2.2 */
    m->authority = f->host;
  return EW_OK;
}

static void body_of(struct ew_message *m, const struct ew_http1_facts *f) {
  if (f->chunked)
    m->body = EW_BODY_STREAM;
  else if (f->length)
    m->body = EW_BODY_LENGTH;
}

/* RFC 9110 section 7.8: a server may ignore the wish, and does so for what
 * this proxy can't relay as bytes. */
static struct ew_slice upgrade_of(const struct ew_message *m,
                                  const struct ew_http1_facts *f, bool end) {
  struct ew_slice rest = f->upgrade;
  if (!f->upgrade_option || f->upgrades != 1 || m->version == 10 || !end ||
      rest.n >= EW_HTTP1_UPGRADE_MAX ||
      ew_slice_caseeq(rest, EW_SLICE_LIT("h2c")))
    return ew_slice(NULL, 0);
  bool versioned = ew_slice_chr(rest, '/') >= 0;
  if (!ew_is_token(ew_slice_cut(&rest, '/')) ||
      (versioned && !ew_is_token(rest)))
    return ew_slice(NULL, 0);
  return f->upgrade;
}

static struct ew_http1_stream *stream_for(struct ew_http1 *h,
                                          const struct ew_message *m,
                                          const struct ew_http1_facts *f,
                                          bool end) {
  struct ew_http1_stream *s = ew_http1_stream_new(h);
  s->tx = TX_HEAD;
  s->v10 = m->version == 10;
  s->keep = !f->close && (!s->v10 || f->keep_alive);
  s->head_method = ew_slice_eq_str(m->method, "HEAD");
  s->expect = !end && ew_message_get(m, "expect").n > 0;
  s->no_on_end = end;
  if (m->upgrade.n)
    memcpy(s->upgrade, m->upgrade.p, m->upgrade.n);
  return s;
}

int ew_http1_server_head(struct ew_http1 *h) {
  struct ew_message *m = h->msg;
  struct ew_http1_facts f;
  const char *why = NULL;
  int rc = ew_http1_strip(m, &f, &why);
  if (rc != EW_OK)
    return ew_http1_fail(h, rc, why);
  rc = host_check(h, m, &f);
  if (rc != EW_OK)
    return rc;
  rc = ew_message_gate(m, &why);
  if (rc != EW_OK)
    return ew_http1_fail(h, rc, why);
  body_of(m, &f);
  bool end = !f.chunked && m->content_length == 0;
  m->upgrade = upgrade_of(m, &f, end);
  struct ew_http1_stream *s = stream_for(h, m, &f, end);
  h->msg = NULL;
  h->head_size = 0;
  h->rx = RX_BODY;
  h->c.ev->on_head(h->c.arg, &s->st, m, end);
  return h->st == s ? EW_OK : EW_ECANCELED;
}

static struct ew_slice reason_of(int status) {
  static const struct {
    int status;
    const char *text;
  } reasons[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {103, "Early Hints"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
    if (reasons[i].status == status)
      return ew_slice_str(reasons[i].text);
  return ew_slice("", 0); /* optional: RFC 9112 section 4 */
}

static int write_status(struct ew_http1 *h, int status,
                        const struct ew_message *m,
                        const struct ew_http1_framing *f) {
  char line[] = "HTTP/1.1 000 ";
  for (int i = 11, v = status; i >= 9; i--, v /= 10)
    line[i] = (char)('0' + v % 10);
  const struct ew_slice parts[] = {ew_slice(line, sizeof(line) - 1),
                                   reason_of(status)};
  return ew_http1_write_head(h, parts, 2, m, f);
}

void ew_http1_server_refuse(struct ew_http1 *h) {
  struct ew_slice why = ew_slice_str(h->fail_why);
  struct ew_http1_framing f = {
      .close = true, .length = true, .content_length = why.n + 1};
  struct ew_message *m = ew_message_new();
  m->status = h->fail_status;
  ew_message_add(m, EW_SLICE_LIT("content-type"), EW_SLICE_LIT("text/plain"));
  if (h->c.ev->on_answer)
    h->c.ev->on_answer(h->c.arg, m);
  if (write_status(h, h->fail_status, m, &f) == EW_OK) {
    ew_buf_append(&h->c.out, why);
    ew_buf_append_str(&h->c.out, "\n");
  }
  ew_message_del(m);
}

static int send_switch(struct ew_http1 *h, struct ew_http1_stream *s,
                       const struct ew_message *m) {
  if (s->upgrade[0] == '\0')
    return EW_EINVAL;
  struct ew_http1_framing f = {
      .upgrade = m->upgrade.n ? m->upgrade : ew_slice_str(s->upgrade)};
  if (!ew_is_field_value(f.upgrade))
    return EW_EINVAL;
  int rc = write_status(h, 101, m, &f);
  if (rc != EW_OK)
    return rc;
  s->final = s->switched = true;
  s->keep = s->rx_end = s->no_on_end = false;
  s->tx = TX_RAW;
  if (h->rx == RX_SWITCH)
    h->rx = RX_RAW;
  return EW_OK;
}

static int send_interim(struct ew_http1 *h, struct ew_http1_stream *s,
                        const struct ew_message *m) {
  struct ew_http1_framing f = {0};
  if (s->v10) /* which does not know them: RFC 9110 section 15.2 */
    return EW_OK;
  /* The peer can do without; a final head must find room. */
  if (ew_buf_len(&h->c.out) > EW_HTTP1_BODY_MAX / 2)
    return EW_OK;
  if (m->status == 100)
    s->expect = false;
  return write_status(h, m->status, m, &f);
}

/* How a final response is framed; sets |tx|. */
static void frame(struct ew_http1_stream *s, const struct ew_message *m,
                  bool end, struct ew_http1_framing *f) {
  bool bodyless = s->head_method || m->status == 204 || m->status == 304;
  f->length = m->body == EW_BODY_LENGTH && m->status != 204;
  f->content_length = m->content_length;
  s->tx = TX_SKIP;
  if (bodyless)
    return;
  if (end) {
    f->length = true;
    f->content_length = 0;
  } else if (f->length) {
    s->tx = TX_LENGTH;
    s->tx_left = m->content_length;
  } else if (!s->v10) {
    f->chunked = true;
    s->tx = TX_CHUNKED;
  } else {
    s->keep = false;
    s->tx = TX_CLOSE;
  }
}

int ew_http1_server_send_head(struct ew_hstream *st, const struct ew_message *m,
                              bool end) {
  struct ew_http1 *h = ew_http1_of(st);
  struct ew_http1_stream *s = (struct ew_http1_stream *)(void *)st;
  if (s->final || m->status < 100 || m->status > 599)
    return EW_EINVAL;
  if (m->status == 101)
    return send_switch(h, s, m);
  if (m->status < 200)
    return send_interim(h, s, m);
  struct ew_http1_framing f = {0};
  /* Who waits for a 100 may send the body or may not: don't guess. A client
   * that asked for another protocol may have begun to speak it. */
  if ((s->expect && !s->rx_end) || s->upgrade[0] || h->draining || h->eof)
    s->keep = false;
  struct ew_http1_stream before = *s;
  frame(s, m, end, &f);
  f.close = !s->keep;
  f.keep_alive = s->keep && s->v10;
  int rc = write_status(h, m->status, m, &f);
  if (rc != EW_OK) {
    *s = before;
    return rc;
  }
  s->final = true;
  s->tx_end = end;
  return EW_OK;
}
