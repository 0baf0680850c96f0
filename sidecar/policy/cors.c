/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/cors.h"

#include <stdio.h>

#include "eastwest/base/err.h"

struct origin {
  struct ew_slice scheme, host;
  uint64_t port;
};

static bool host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c != '\0' && strchr(".-_[]:*", c));
}

/* "https://example.com:8443". Everything after the host is refused, so that a
 * pattern's end is the host's end. */
static bool parse_origin(struct ew_slice s, struct origin *o) {
  o->scheme = ew_slice_cut(&s, ':');
  if (o->scheme.n == 0 || s.n < 3 || s.p[0] != '/' || s.p[1] != '/')
    return false;
  o->host = ew_slice(s.p + 2, s.n - 2);
  o->port = ew_slice_caseeq(o->scheme, EW_SLICE_LIT("https"))  ? 443
            : ew_slice_caseeq(o->scheme, EW_SLICE_LIT("http")) ? 80
                                                               : 0;
  for (size_t i = 0; i < o->host.n; i++)
    if (!host_byte(o->host.p[i]))
      return false;
  for (size_t i = o->host.n; i-- > 0 && o->host.p[i] != ']';) {
    if (o->host.p[i] != ':')
      continue;
    struct ew_slice port = ew_slice(o->host.p + i + 1, o->host.n - i - 1);
    if (ew_slice_u64(port, 65535, &o->port) != EW_OK)
      return false;
    o->host.n = i;
    break;
  }
  return o->host.n > 0;
}

/* "*" in |pattern| takes as much as it can; on a mismatch only the last one
 * gives back, so the time is at most the product of the lengths. */
static bool host_fits(struct ew_slice pattern, struct ew_slice host) {
  size_t p = 0, h = 0, star = SIZE_MAX, from = 0;
  while (h < host.n) {
    if (p < pattern.n && pattern.p[p] == '*') {
      star = p++;
      from = h;
    } else if (p < pattern.n && ew_slice_caseeq(ew_slice(pattern.p + p, 1),
                                                ew_slice(host.p + h, 1))) {
      p++;
      h++;
    } else if (star != SIZE_MAX) {
      p = star + 1;
      h = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.n && pattern.p[p] == '*')
    p++;
  return p == pattern.n;
}

static bool origin_fits(const char *pattern, struct ew_slice origin) {
  struct origin want, got;
  if (ew_slice_eq_str(EW_SLICE_LIT("*"), pattern) ||
      ew_slice_eq_str(origin, pattern))
    return true;
  return parse_origin(ew_slice_str(pattern), &want) &&
         parse_origin(origin, &got) && want.port == got.port &&
         ew_slice_caseeq(want.scheme, got.scheme) &&
         ew_slice_chr(got.host, '*') < 0 && host_fits(want.host, got.host);
}

bool ew_cors_allows(const struct ew_filter *f, struct ew_slice origin) {
  for (size_t i = 0; i < f->u.cors.allow_origins_n; i++)
    if (origin_fits(f->u.cors.allow_origins[i], origin))
      return true;
  return false;
}

static bool has_star(const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (ew_slice_eq_str(EW_SLICE_LIT("*"), list[i]))
      return true;
  return false;
}

bool ew_cors_is_preflight(const struct ew_message *req,
                          struct ew_slice origin) {
  return ew_slice_eq_str(req->method, "OPTIONS") && origin.n > 0 &&
         ew_message_get(req, "access-control-request-method").n > 0;
}

/* Sets |name| to the list joined by ", ". A "*" must not stand in answers to
 * requests with credentials: then |asked| is given back; without it, nothing.
 */
static int set_list(struct ew_message *m, const char *name,
                    const char *const *list, size_t n, bool credentials,
                    struct ew_slice asked) {
  struct ew_slice field = ew_slice_str(name);
  if (n == 0)
    return EW_OK;
  if (has_star(list, n)) {
    if (!credentials)
      return ew_message_set(m, field, EW_SLICE_LIT("*"));
    return asked.n ? ew_message_set(m, field, asked) : EW_OK;
  }
  size_t len = 0, at = 0;
  for (size_t i = 0; i < n; i++)
    len += strlen(list[i]) + 2;
  char *text = ew_arena_alloc(&m->arena, len + 1);
  for (size_t i = 0; i < n; i++)
    at += (size_t)snprintf(text + at, len + 1 - at, "%s%s", i ? ", " : "",
                           list[i]);
  return ew_message_set(m, field, ew_slice(text, at));
}

static bool varies_by_origin(const struct ew_message *m) {
  for (size_t i = 0; i < m->headers.n; i++) {
    if (!ew_slice_eq_str(m->headers.v[i].name, "vary"))
      continue;
    for (struct ew_slice rest = m->headers.v[i].value; rest.n > 0;) {
      struct ew_slice name = ew_slice_trim(ew_slice_cut(&rest, ','));
      if (ew_slice_caseeq(name, EW_SLICE_LIT("origin")) ||
          ew_slice_eq_str(name, "*"))
        return true;
    }
  }
  return false;
}

/* The fields that preflight and actual responses share. */
static int set_origin(const struct ew_filter *f, struct ew_slice origin,
                      bool allowed, struct ew_message *m) {
  bool any = has_star(f->u.cors.allow_origins, f->u.cors.allow_origins_n) &&
             !f->u.cors.allow_credentials;
  int err = EW_OK;
  if (!any && !varies_by_origin(m))
    err = ew_message_add(m, EW_SLICE_LIT("vary"), EW_SLICE_LIT("Origin"));
  if (err != EW_OK || !allowed)
    return err;
  err = ew_message_set(m, EW_SLICE_LIT("access-control-allow-origin"),
                       any ? EW_SLICE_LIT("*") : origin);
  if (err == EW_OK && f->u.cors.allow_credentials)
    err = ew_message_set(m, EW_SLICE_LIT("access-control-allow-credentials"),
                         EW_SLICE_LIT("true"));
  return err;
}

static int fill_preflight(const struct ew_filter *f,
                          const struct ew_message *req, struct ew_slice origin,
                          struct ew_message *m) {
  bool allowed = ew_cors_allows(f, origin);
  bool credentials = f->u.cors.allow_credentials;
  int err = set_origin(f, origin, allowed, m);
  if (err != EW_OK || !allowed)
    return err;
  err = set_list(m, "access-control-allow-methods", f->u.cors.allow_methods,
                 f->u.cors.allow_methods_n, credentials,
                 ew_message_get(req, "access-control-request-method"));
  if (err == EW_OK)
    err = set_list(m, "access-control-allow-headers", f->u.cors.allow_headers,
                   f->u.cors.allow_headers_n, credentials,
                   ew_message_get(req, "access-control-request-headers"));
  /* Browsers read it on the actual response; the API's tests want it here. */
  if (err == EW_OK)
    err = set_list(m, "access-control-expose-headers", f->u.cors.expose_headers,
                   f->u.cors.expose_headers_n, credentials,
                   (struct ew_slice){NULL, 0});
  char age[16];
  int n = snprintf(age, sizeof age, "%u", (unsigned)f->u.cors.max_age_s);
  if (err == EW_OK)
    err = ew_message_set(m, EW_SLICE_LIT("access-control-max-age"),
                         ew_slice(age, (size_t)n));
  return err;
}

struct ew_message *ew_cors_preflight(const struct ew_filter *f,
                                     const struct ew_message *req,
                                     struct ew_slice origin) {
  struct ew_message *m = ew_message_new();
  m->status = 204;
  if (fill_preflight(f, req, origin, m) == EW_OK)
    return m;
  ew_message_del(m);
  return NULL;
}

int ew_cors_respond(const struct ew_filter *f, struct ew_slice origin,
                    struct ew_message *resp) {
  bool allowed = origin.n > 0 && ew_cors_allows(f, origin);
  if (origin.n > 0) {
    ew_message_remove(resp, EW_SLICE_LIT("access-control-allow-origin"));
    ew_message_remove(resp, EW_SLICE_LIT("access-control-allow-credentials"));
    ew_message_remove(resp, EW_SLICE_LIT("access-control-expose-headers"));
  }
  int err = set_origin(f, origin, allowed, resp);
  if (err != EW_OK || !allowed)
    return err;
  return set_list(resp, "access-control-expose-headers",
                  f->u.cors.expose_headers, f->u.cors.expose_headers_n,
                  f->u.cors.allow_credentials, (struct ew_slice){NULL, 0});
}
