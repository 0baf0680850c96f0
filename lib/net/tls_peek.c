/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "eastwest/net/tls.h"

#define MAX_PEEK 16384
#define MAX_RECORD 16384
#define RECORD_HEADER 5
#define HELLO_HEADER 4
#define EXT_SERVER_NAME 0
#define EXT_ALPN 16

/* The handshake bytes of all records, one after the other, and what is left of
 * the ClientHello. */
struct hello {
  unsigned char bytes[MAX_PEEK];
  size_t n;
  size_t need; /* of |bytes|, once known; 0 before */
};

struct cursor {
  const unsigned char *p;
  size_t n;
};

static bool take_u(struct cursor *c, size_t width, size_t *out) {
  if (c->n < width)
    return false;
  *out = 0;
  for (size_t i = 0; i < width; i++)
    *out = *out << 8 | c->p[i];
  c->p += width;
  c->n -= width;
  return true;
}

static bool take(struct cursor *c, size_t n, struct cursor *out) {
  if (c->n < n)
    return false;
  *out = (struct cursor){c->p, n};
  c->p += n;
  c->n -= n;
  return true;
}

/* A vector with a length of |width| bytes before it. */
static bool take_vec(struct cursor *c, size_t width, struct cursor *out) {
  size_t n;
  return take_u(c, width, &n) && take(c, n, out);
}

static int find_need(struct hello *h) {
  if (h->n > 0 && h->bytes[0] != 1) /* client_hello */
    return EW_EINVAL;
  if (h->n < HELLO_HEADER)
    return EW_EAGAIN;
  h->need = HELLO_HEADER + ((size_t)h->bytes[1] << 16 |
                            (size_t)h->bytes[2] << 8 | h->bytes[3]);
  if (h->need > MAX_PEEK - RECORD_HEADER)
    return EW_EINVAL;
  return h->n < h->need ? EW_EAGAIN : EW_OK;
}

/* Joins the records of |in|. Refuses as early as it can tell. */
static int join(struct cursor in, struct hello *h) {
  int rc = EW_EAGAIN;
  while (rc == EW_EAGAIN && in.n > 0) {
    if (in.p[0] != 22 || (in.n > 1 && in.p[1] != 3)) /* handshake, 3.x */
      return EW_EINVAL;
    if (in.n < RECORD_HEADER)
      return EW_EAGAIN;
    size_t len = (size_t)in.p[3] << 8 | in.p[4];
    if (len == 0 || len > MAX_RECORD)
      return EW_EINVAL;
    in.p += RECORD_HEADER;
    in.n -= RECORD_HEADER;
    size_t n = len < in.n ? len : in.n;
    if (n > sizeof(h->bytes) - h->n)
      n = sizeof(h->bytes) - h->n;
    memcpy(h->bytes + h->n, in.p, n);
    h->n += n;
    rc = find_need(h);
    if (n < len) /* an incomplete record: the end of what there is */
      return rc;
    in.p += n;
    in.n -= n;
  }
  return rc;
}

/* Where the handshake bytes [off, off + n) stand in |in|; empty when a record
 * boundary divides them. */
static struct ew_slice locate(struct ew_slice in, size_t off, size_t n) {
  size_t at = 0;
  for (;;) {
    size_t len =
        (size_t)(unsigned char)in.p[at + 3] << 8 | (unsigned char)in.p[at + 4];
    at += RECORD_HEADER;
    if (off < len)
      return off + n <= len ? ew_slice(in.p + at + off, n) : ew_slice(NULL, 0);
    off -= len;
    at += len;
  }
}

static bool name_ok(struct cursor name) {
  if (name.n == 0 || name.n > 255)
    return false;
  for (size_t i = 0; i < name.n; i++) {
    unsigned char c = name.p[i];
    bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9');
    if (!alnum && c != '-' && c != '.' && c != '_')
      return false;
  }
  return true;
}

static bool parse_sni(struct cursor ext, struct cursor *name) {
  struct cursor list;
  size_t type;
  /* RFC 6066: one name of each type, and there is one type only. */
  return take_vec(&ext, 2, &list) && ext.n == 0 && take_u(&list, 1, &type) &&
         type == 0 && take_vec(&list, 2, name) && list.n == 0 && name_ok(*name);
}

static bool parse_alpn(struct cursor ext, bool *mesh) {
  static const char prefix[] = "eastwest/";
  struct cursor list, proto;
  if (!take_vec(&ext, 2, &list) || ext.n != 0 || list.n == 0)
    return false;
  while (list.n > 0) {
    if (!take_vec(&list, 1, &proto) || proto.n == 0)
      return false;
    if (proto.n >= sizeof(prefix) - 1 &&
        memcmp(proto.p, prefix, sizeof(prefix) - 1) == 0)
      *mesh = true;
  }
  return true;
}

static bool parse_extensions(struct cursor all, bool *mesh,
                             struct cursor *name) {
  bool seen_sni = false, seen_alpn = false;
  struct cursor ext;
  size_t type;
  while (all.n > 0) {
    if (!take_u(&all, 2, &type) || !take_vec(&all, 2, &ext))
      return false;
    if (type == EXT_SERVER_NAME) {
      if (seen_sni || !parse_sni(ext, name))
        return false;
      seen_sni = true;
    } else if (type == EXT_ALPN) {
      if (seen_alpn || !parse_alpn(ext, mesh))
        return false;
      seen_alpn = true;
    }
  }
  return true;
}

static bool parse_hello(struct cursor c, bool *mesh, struct cursor *name) {
  struct cursor skip, ciphers, extensions;
  if (!take(&c, 2 + 32, &skip) ||               /* version, random */
      !take_vec(&c, 1, &skip) || skip.n > 32 || /* session id */
      !take_vec(&c, 2, &ciphers) || ciphers.n < 2 || ciphers.n % 2 != 0 ||
      !take_vec(&c, 1, &skip) || skip.n < 1) /* compression */
    return false;
  if (c.n == 0) /* TLS 1.2 without extensions */
    return true;
  return take_vec(&c, 2, &extensions) && c.n == 0 &&
         parse_extensions(extensions, mesh, name);
}

int ew_tls_peek(struct ew_slice in, bool *mesh, struct ew_slice *sni) {
  struct hello h;
  struct cursor name = {NULL, 0};
  h.n = h.need = 0;
  *mesh = false;
  *sni = ew_slice(NULL, 0);
  if (in.n > MAX_PEEK)
    in.n = MAX_PEEK;
  int rc = join((struct cursor){(const unsigned char *)in.p, in.n}, &h);
  if (rc == EW_EAGAIN && in.n == MAX_PEEK)
    return EW_EINVAL;
  if (rc != EW_OK)
    return rc;
  struct cursor body = {h.bytes + HELLO_HEADER, h.need - HELLO_HEADER};
  if (!parse_hello(body, mesh, &name)) {
    *mesh = false;
    return EW_EINVAL;
  }
  if (name.n > 0)
    *sni = locate(in, (size_t)(name.p - h.bytes), name.n);
  return EW_OK;
}
