/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "eastwest/http/message.h"
#include "lib/http/gate.h"
#include "lib/http/octets.h"

static bool port_ok(struct ew_slice s) {
  uint64_t port;
  return s.n <= 5 && ew_slice_u64(s, 65535, &port) == EW_OK;
}

static bool ip_literal_ok(struct ew_slice s) {
  if (s.n < 2)
    return false;
  for (size_t i = 0; i < s.n; i++) {
    char c = ew_octet_lower(s.p[i]);
    if (!ew_octet_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.')
      return false;
  }
  return true;
}

bool ew_gate_authority(struct ew_slice s) {
  struct ew_slice host = s, port = {NULL, 0};
  bool has_port = false;
  if (s.n > 0 && s.p[0] == '[') {
    ptrdiff_t close = ew_slice_chr(s, ']');
    if (close < 0 || !ip_literal_ok(ew_slice(s.p + 1, (size_t)close - 1)))
      return false;
    struct ew_slice rest = ew_slice(s.p + close + 1, s.n - (size_t)close - 1);
    if (rest.n == 0)
      return true;
    return rest.p[0] == ':' && port_ok(ew_slice(rest.p + 1, rest.n - 1));
  }
  ptrdiff_t colon = ew_slice_chr(s, ':');
  if (colon >= 0) {
    has_port = true;
    host.n = (size_t)colon;
    port = ew_slice(s.p + colon + 1, s.n - (size_t)colon - 1);
  }
  if (host.n == 0 || !ew_octets_all(host, EW_OCTET_HOST))
    return false;
  return !has_port || port_ok(port);
}

static void lowercase(struct ew_message *m, struct ew_slice *s) {
  size_t i = 0;
  while (i < s->n && ew_octet_lower(s->p[i]) == s->p[i])
    i++;
  if (i == s->n)
    return;
  /* The bytes may be a constant. */
  char *p = ew_arena_dup(&m->arena, s->p, s->n);
  for (; i < s->n; i++)
    p[i] = ew_octet_lower(p[i]);
  s->p = p;
}

/* Bytes that |s| begins with and that decode to one '.', or 0. */
static size_t dot_at(const char *p, size_t n) {
  if (n >= 1 && p[0] == '.')
    return 1;
  if (n >= 3 && p[0] == '%' && p[1] == '2' && (p[2] == 'e' || p[2] == 'E'))
    return 3;
  return 0;
}

static bool dot_segment(struct ew_slice s) {
  size_t first = dot_at(s.p, s.n);
  if (first == 0)
    return false;
  if (first == s.n)
    return true;
  size_t second = dot_at(s.p + first, s.n - first);
  return second > 0 && first + second == s.n;
}

static const char *path_fault(struct ew_slice path) {
  for (size_t i = 0; i + 2 < path.n; i++)
    if (path.p[i] == '%' && path.p[i + 1] == '0' && path.p[i + 2] == '0')
      return "encoded NUL in the path";
  struct ew_slice rest = ew_slice(path.p + 1, path.n - 1);
  while (rest.p) {
    if (dot_segment(ew_slice_cut(&rest, '/')))
      return "dot segment in the path";
  }
  return NULL;
}

static int bad(const char **why, const char *text) {
  *why = text;
  return 400;
}

static int target_check(struct ew_message *m, const char **why) {
  if (m->path.n > EW_TARGET_MAX) {
    *why = "request target too long";
    return 414;
  }
  if (ew_slice_eq_str(m->path, "*")) {
    if (ew_slice_eq_str(m->method, "OPTIONS"))
      return EW_OK;
    return bad(why, "target * is for OPTIONS only");
  }
  if (m->path.n == 0 || m->path.p[0] != '/')
    return bad(why, "malformed request target");
  if (!ew_octets_all(m->path, EW_OCTET_TARGET))
    return bad(why, "forbidden byte in the request target");
  const char *fault = path_fault(ew_message_path_only(m));
  return fault ? bad(why, fault) : EW_OK;
}

static int request_check(struct ew_message *m, const char **why) {
  if (!ew_is_token(m->method))
    return bad(why, "malformed method");
  if (ew_slice_eq_str(m->method, "CONNECT"))
    return bad(why, "CONNECT is not served");
  bool none_allowed = m->version == 10 && m->authority.n == 0;
  if (!none_allowed && !ew_gate_authority(m->authority))
    return bad(why, m->authority.n ? "malformed host" : "no host");
  lowercase(m, &m->authority);
  return target_check(m, why);
}

static int size_check(const struct ew_message *m, const char **why) {
  size_t total = 0;
  for (size_t i = 0; i < m->headers.n; i++)
    total += m->headers.v[i].name.n + m->headers.v[i].value.n + 32;
  if (m->headers.n <= EW_FIELDS_MAX && total <= EW_HEAD_MAX)
    return EW_OK;
  *why = "header fields too large";
  return 431;
}

/* RFC 9110 section 6.5.1: what frames, routes, authenticates or describes a
 * message has no meaning after its body, and must not gain one. */
bool ew_gate_trailer(struct ew_slice name) {
  static const char *const forbidden[] = {
      "age",
      "authorization",
      "cache-control",
      "connection",
      "content-encoding",
      "content-length",
      "content-range",
      "content-type",
      "cookie",
      "date",
      "expect",
      "expires",
      "forwarded",
      "host",
      "http2-settings",
      "if-match",
      "if-modified-since",
      "if-none-match",
      "if-range",
      "if-unmodified-since",
      "keep-alive",
      "location",
      "max-forwards",
      "pragma",
      "proxy-authenticate",
      "proxy-authorization",
      "proxy-connection",
      "range",
      "retry-after",
      "set-cookie",
      "te",
      "trailer",
      "transfer-encoding",
      "upgrade",
      "vary",
      "www-authenticate",
  };
  if (ew_slice_starts(name, EW_SLICE_LIT("x-forwarded-")) ||
      ew_slice_starts(name, EW_SLICE_LIT("eastwest-")))
    return false;
  for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
    if (ew_slice_eq_str(name, forbidden[i]))
      return false;
  return true;
}

void ew_gate_trailers(struct ew_message *m) {
  struct ew_headers *f = &m->headers;
  size_t n = 0;
  for (size_t i = 0; i < f->n; i++)
    if (ew_gate_trailer(f->v[i].name))
      f->v[n++] = f->v[i];
  f->n = n;
}

int ew_message_gate(struct ew_message *m, const char **why) {
  *why = NULL;
  int status = size_check(m, why);
  if (status != EW_OK)
    return status;
  if (m->status == 0)
    return request_check(m, why);
  if (m->status < 100 || m->status > 599)
    return bad(why, "status outside 100 to 599");
  return EW_OK;
}
