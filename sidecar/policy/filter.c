/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/filter.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/err.h"
#include "sidecar/policy/cors.h"
#include "sidecar/policy/match.h"
#include "sidecar/policy/pick.h"

void ew_filter_run_init(struct ew_filter_run *f, const struct ew_message *req,
                        const struct ew_match *match, uint16_t port,
                        uint64_t random) {
  *f = (struct ew_filter_run){.match = match, .port = port, .random = random};
  char buf[EW_HEAD_MAX];
  struct ew_slice origin;
  /* Kept apart: a filter may change the request's own. Several Origin lines
   * give a text with ",", which no origin fits. */
  if (ew_header_value(req, EW_SLICE_LIT("origin"), buf, sizeof buf, &origin) &&
      origin.n > 0) {
    f->origin = ew_strndup(origin.p, origin.n);
    f->origin_n = origin.n;
  }
}

void ew_filter_run_fini(struct ew_filter_run *f) {
  ew_message_del(f->reply);
  f->reply = NULL;
  free(f->origin);
  f->origin = NULL;
}

static enum ew_filter_verdict fail(struct ew_filter_run *f, const char *why) {
  f->why = why;
  return EW_FILTER_FAIL;
}

/* Fields that say how a message is framed or belong to one connection: the
 * codec that writes makes them. */
static bool is_framing(const char *name) {
  static const char *const names[] = {
      "connection", "content-length",   "host", "http2-settings",
      "keep-alive", "proxy-connection", "te",   "transfer-encoding",
      "upgrade"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (ew_slice_caseeq(ew_slice_str(name), ew_slice_str(names[i])))
      return true;
  return false;
}

static int set_authority(struct ew_message *m, const char *host) {
  const char *why;
  m->authority = ew_message_dup_slice(m, ew_slice_str(host));
  return ew_message_gate(m, &why);
}

static int change_line(struct ew_message *m, const struct ew_header_value *h,
                       bool add) {
  struct ew_slice name = ew_slice_str(h->name), value = ew_slice_str(h->value);
  /* A request has one authority: to add is to set. */
  if (m->status == 0 && ew_slice_caseeq(name, EW_SLICE_LIT("host")))
    return set_authority(m, h->value);
  if (is_framing(h->name))
    return EW_EINVAL;
  return add ? ew_message_add(m, name, value) : ew_message_set(m, name, value);
}

static enum ew_filter_verdict change_headers(struct ew_filter_run *f,
                                             const struct ew_filter *fl,
                                             struct ew_message *m) {
  int err = EW_OK;
  for (size_t i = 0; i < fl->u.headers.set_n && err == EW_OK; i++)
    err = change_line(m, &fl->u.headers.set[i], false);
  for (size_t i = 0; i < fl->u.headers.add_n && err == EW_OK; i++)
    err = change_line(m, &fl->u.headers.add[i], true);
  if (err == EW_ELIMIT)
    return fail(f, "header modifier: too many header fields");
  if (err != EW_OK)
    return fail(f, "header modifier: a field or value that can't be set");
  for (size_t i = 0; i < fl->u.headers.remove_n; i++)
    if (!is_framing(fl->u.headers.remove[i]))
      ew_message_remove(m, ew_slice_str(fl->u.headers.remove[i]));
  return EW_FILTER_CONTINUE;
}

/* The path's part behind the matched prefix. */
static bool after_prefix(const struct ew_filter_run *f, struct ew_slice path,
                         struct ew_slice *rest) {
  const struct ew_match *m = f->match;
  struct ew_slice prefix = {"", 0};
  if (!m || m->grpc_service || m->grpc_method)
    return false;
  /* Without a path everything matches, as with the prefix "/". */
  if (m->path) {
    if (m->path_type != EW_MATCH_PREFIX)
      return false;
    prefix = ew_slice_str(m->path);
  }
  if (!ew_path_has_prefix(path, prefix))
    return false;
  *rest = ew_slice(path.p + prefix.n, path.n - prefix.n);
  /* The prefix "/" covers the path "/" whole: nothing is left. */
  if (prefix.n == 0 && path.n == 1)
    rest->n = 0;
  return true;
}

/* |path| and |rest| joined with exactly one '/' between them, and the query of
 * before. */
static void set_path(struct ew_message *m, struct ew_slice path,
                     struct ew_slice rest) {
  struct ew_slice query = ew_message_query(m);
  if (rest.n > 0 && path.n > 0 && path.p[path.n - 1] == '/')
    path.n--;
  if (path.n + rest.n == 0)
    path = EW_SLICE_LIT("/");
  char *p = ew_arena_alloc(&m->arena, path.n + rest.n + 1 + query.n);
  size_t n = 0;
  if (path.n > 0)
    memcpy(p, path.p, path.n);
  n = path.n;
  if (rest.n > 0)
    memcpy(p + n, rest.p, rest.n);
  n += rest.n;
  if (query.p) {
    p[n++] = '?';
    if (query.n > 0)
      memcpy(p + n, query.p, query.n);
    n += query.n;
  }
  m->path = ew_slice(p, n);
}

/* Host and path of a redirect or rewrite, into the request itself. */
static enum ew_filter_verdict change_location(struct ew_filter_run *f,
                                              const struct ew_filter *fl,
                                              struct ew_message *m) {
  const char *why;
  struct ew_slice rest = {0}, path = ew_slice_str(fl->u.location.path);
  if (fl->u.location.hostname)
    m->authority =
        ew_message_dup_slice(m, ew_slice_str(fl->u.location.hostname));
  if (fl->u.location.path_modifier != EW_PATH_KEEP) {
    if (m->path.n == 0 || m->path.p[0] != '/')
      return fail(f, "path modifier: the request has no path");
    if (fl->u.location.path_modifier == EW_PATH_PREFIX &&
        !after_prefix(f, ew_message_path_only(m), &rest))
      return fail(f, "path modifier: the rule matched no path prefix");
    set_path(m, path, rest);
  }
  if (ew_message_gate(m, &why) != EW_OK)
    return fail(f, "host or path modifier: the result is malformed");
  return EW_FILTER_CONTINUE;
}

static struct ew_slice without_port(struct ew_slice authority) {
  ptrdiff_t end = ew_slice_chr(authority, ']');
  end = authority.n > 0 && authority.p[0] == '[' ? end + 1
                                                 : ew_slice_chr(authority, ':');
  return end > 0 ? ew_slice(authority.p, (size_t)end) : authority;
}

static uint16_t known_port(struct ew_slice scheme) {
  if (ew_slice_eq_str(scheme, "http"))
    return 80;
  return ew_slice_eq_str(scheme, "https") ? 443 : 0;
}

/* Location's scheme and port by GAMMA rule 24. The Service port is what the
 * API calls the listener's. */
static struct ew_message *make_redirect(const struct ew_filter_run *f,
                                        const struct ew_filter *fl,
                                        const struct ew_message *req) {
  struct ew_slice scheme = ew_slice_str(fl->u.location.scheme);
  uint16_t port = fl->u.location.port;
  if (scheme.n == 0)
    /* A client may claim any scheme; only the known ones are repeated. */
    scheme = known_port(req->scheme) ? req->scheme : EW_SLICE_LIT("http");
  else if (port == 0)
    port = known_port(scheme);
  if (port == 0)
    port = f->port;
  char port_text[8] = "";
  if (port != known_port(scheme))
    snprintf(port_text, sizeof port_text, ":%u", (unsigned)port);
  struct ew_slice host = without_port(req->authority);
  size_t cap = scheme.n + host.n + req->path.n + 16;
  struct ew_message *m = ew_message_new();
  char *text = ew_arena_alloc(&m->arena, cap);
  int n = snprintf(text, cap, "%.*s://%.*s%s%.*s", EW_SLICE_FMT(scheme),
                   EW_SLICE_FMT(host), port_text, EW_SLICE_FMT(req->path));
  m->status = fl->u.location.status ? fl->u.location.status : 302;
  if (ew_message_add(m, EW_SLICE_LIT("location"), ew_slice(text, (size_t)n)) ==
      EW_OK)
    return m;
  ew_message_del(m);
  return NULL;
}

static enum ew_filter_verdict redirect(struct ew_filter_run *f,
                                       const struct ew_filter *list, size_t i,
                                       struct ew_message *req) {
  enum ew_filter_verdict v = change_location(f, &list[i], req);
  if (v != EW_FILTER_CONTINUE)
    return v;
  if (req->authority.n == 0 || req->path.p[0] != '/')
    return fail(f, "redirect: the request has no host or no path");
  f->reply = make_redirect(f, &list[i], req);
  if (!f->reply)
    return fail(f, "redirect: the result is malformed");
  /* A browser follows a redirect to another origin only with CORS fields. */
  return ew_filter_response(f, list, i, f->reply) == EW_FILTER_CONTINUE
             ? EW_FILTER_REPLY
             : EW_FILTER_FAIL;
}

static enum ew_filter_verdict mirror(struct ew_filter_run *f,
                                     const struct ew_filter *fl) {
  if (fl->u.mirror.denominator == 0)
    return fail(f, "mirror: fraction of zero");
  if (ew_mix64(&f->random) % fl->u.mirror.denominator >= fl->u.mirror.numerator)
    return EW_FILTER_CONTINUE;
  if (f->mirrors_n == EW_MIRRORS_MAX)
    return fail(f, "mirror: too many of them");
  f->mirrors[f->mirrors_n++] = fl->u.mirror.backend;
  return EW_FILTER_CONTINUE;
}

static enum ew_filter_verdict cors(struct ew_filter_run *f,
                                   const struct ew_filter *fl,
                                   const struct ew_message *req) {
  struct ew_slice origin = ew_slice(f->origin, f->origin_n);
  if (!ew_cors_is_preflight(req, origin))
    return EW_FILTER_CONTINUE;
  f->reply = ew_cors_preflight(fl, req, origin);
  return f->reply ? EW_FILTER_REPLY : fail(f, "CORS: the result is too large");
}

enum ew_filter_verdict ew_filter_request(struct ew_filter_run *f,
                                         const struct ew_filter *list, size_t n,
                                         struct ew_message *req) {
  enum ew_filter_verdict v = EW_FILTER_CONTINUE;
  /* Before a redirect or a CORS answer could end the list. */
  for (size_t i = 0; i < n; i++)
    if (list[i].type == EW_FILTER_INVALID)
      return fail(f, list[i].u.invalid ? list[i].u.invalid : "invalid filter");
  for (size_t i = 0; i < n && v == EW_FILTER_CONTINUE; i++) {
    switch (list[i].type) {
    case EW_FILTER_REQUEST_HEADERS:
      v = change_headers(f, &list[i], req);
      break;
    case EW_FILTER_INVALID:
    case EW_FILTER_RESPONSE_HEADERS:
      break;
    case EW_FILTER_REDIRECT:
      v = redirect(f, list, i, req);
      break;
    case EW_FILTER_REWRITE:
      v = change_location(f, &list[i], req);
      break;
    case EW_FILTER_MIRROR:
      v = mirror(f, &list[i]);
      break;
    case EW_FILTER_CORS:
      v = cors(f, &list[i], req);
      break;
    }
  }
  return v;
}

enum ew_filter_verdict ew_filter_response(struct ew_filter_run *f,
                                          const struct ew_filter *list,
                                          size_t n, struct ew_message *resp) {
  struct ew_slice origin = ew_slice(f->origin, f->origin_n);
  enum ew_filter_verdict v = EW_FILTER_CONTINUE;
  for (size_t i = 0; i < n && v == EW_FILTER_CONTINUE; i++) {
    if (list[i].type == EW_FILTER_RESPONSE_HEADERS)
      v = change_headers(f, &list[i], resp);
    else if (list[i].type == EW_FILTER_CORS &&
             ew_cors_respond(&list[i], origin, resp) != EW_OK)
      v = fail(f, "CORS: too many header fields");
  }
  return v;
}
