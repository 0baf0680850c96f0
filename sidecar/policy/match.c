/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/regex/regex.h"

/* One header or query parameter. */
struct ew_check {
  struct ew_match_key key;
  bool is_regex;          /* else the value must be equal */
  struct ew_regex *regex; /* NULL: did not compile, so anything fits */
};

static int hex(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* The decoded byte at |*i|, which moves on. A '%' without two hex digits
 * stands for itself. */
static char decode_at(struct ew_slice s, size_t *i) {
  char c = s.p[(*i)++];
  if (c == '+')
    return ' ';
  if (c != '%' || s.n - *i < 2)
    return c;
  int hi = hex(s.p[*i]), lo = hex(s.p[*i + 1]);
  if (hi < 0 || lo < 0)
    return c;
  *i += 2;
  return (char)(hi * 16 + lo);
}

static bool decoded_eq(struct ew_slice encoded, struct ew_slice plain) {
  size_t i = 0, k = 0;
  while (i < encoded.n && k < plain.n)
    if (decode_at(encoded, &i) != plain.p[k++])
      return false;
  return i == encoded.n && k == plain.n;
}

bool ew_query_value(struct ew_slice query, struct ew_slice name, char *buf,
                    size_t cap, struct ew_slice *value) {
  while (query.n > 0) {
    struct ew_slice rest = ew_slice_cut(&query, '&');
    struct ew_slice key = ew_slice_cut(&rest, '=');
    if (!decoded_eq(key, name))
      continue;
    size_t n = 0;
    for (size_t i = 0; i < rest.n; n++) {
      if (n == cap)
        return false;
      buf[n] = decode_at(rest, &i);
    }
    *value = ew_slice(buf, n);
    return true;
  }
  return false;
}

bool ew_header_value(const struct ew_message *m, struct ew_slice name,
                     char *buf, size_t cap, struct ew_slice *value) {
  if (ew_slice_eq_str(name, "host")) {
    *value = m->authority;
    return m->authority.n > 0;
  }
  size_t lines = 0, n = 0;
  for (size_t i = 0; i < m->headers.n; i++) {
    if (!ew_slice_eq(m->headers.v[i].name, name))
      continue;
    struct ew_slice v = m->headers.v[i].value;
    if (lines++ == 0) {
      *value = v;
      continue;
    }
    /* The second line: now the first one moves to the buffer. */
    if (lines == 2) {
      if (value->n > cap)
        return false;
      if (value->n > 0)
        memcpy(buf, value->p, value->n);
      n = value->n;
    }
    if (cap - n < v.n + 1)
      return false;
    buf[n++] = ',';
    if (v.n > 0)
      memcpy(buf + n, v.p, v.n);
    n += v.n;
    *value = ew_slice(buf, n);
  }
  return lines > 0;
}

bool ew_path_has_prefix(struct ew_slice path, struct ew_slice prefix) {
  return ew_slice_starts(path, prefix) &&
         (prefix.n == 0 || path.n == prefix.n || path.p[prefix.n] == '/');
}

bool ew_grpc_split(struct ew_slice path, struct ew_slice *service,
                   struct ew_slice *method) {
  if (path.n == 0 || path.p[0] != '/')
    return false;
  struct ew_slice rest = ew_slice(path.p + 1, path.n - 1);
  ptrdiff_t slash = ew_slice_chr(rest, '/');
  if (slash <= 0 || (size_t)slash + 1 == rest.n)
    return false;
  *service = ew_slice_cut(&rest, '/');
  *method = rest;
  return ew_slice_chr(rest, '/') < 0;
}

/* Compiles |pattern|; the first failure is kept in |m->invalid|. */
static struct ew_regex *compile(struct ew_matcher *m, size_t *left,
                                const char *what, const char *pattern) {
  char why[128] = "too many in this destination", text[512];
  struct ew_regex *re = NULL;
  if (!left || *left > 0)
    re = ew_regex_new(pattern, why, sizeof why);
  if (left && *left > 0)
    (*left)--;
  if (!re && !m->invalid) {
    snprintf(text, sizeof text, "%.100s: regular expression '%.200s': %s", what,
             pattern, why);
    m->invalid = ew_strdup(text);
  }
  return re;
}

static void add_checks(struct ew_matcher *m, size_t *left, bool query,
                       const struct ew_value_match *v, size_t n) {
  size_t first = m->checks_n;
  for (size_t i = 0; i < n; i++) {
    struct ew_slice name = ew_slice_str(v[i].name);
    bool repeated = false;
    for (size_t k = first; k < m->checks_n && !repeated; k++)
      repeated = ew_slice_eq(m->checks[k].key.name, name);
    if (repeated)
      continue;
    struct ew_check c = {{query, name, ew_slice_str(v[i].value)}, false, NULL};
    c.is_regex = v[i].type == EW_MATCH_REGEX;
    if (c.is_regex)
      c.regex = compile(m, left, v[i].name, v[i].value);
    m->checks[m->checks_n++] = c;
  }
}

void ew_matcher_init(struct ew_matcher *out, const struct ew_match *m,
                     size_t *left) {
  *out = (struct ew_matcher){.match = m};
  if (m->path && m->path_type == EW_MATCH_REGEX)
    out->path = compile(out, left, "path", m->path);
  if (m->grpc_type == EW_MATCH_REGEX && m->grpc_service)
    out->grpc_service = compile(out, left, "gRPC service", m->grpc_service);
  if (m->grpc_type == EW_MATCH_REGEX && m->grpc_method)
    out->grpc_method = compile(out, left, "gRPC method", m->grpc_method);
  if (m->headers_n + m->query_n == 0)
    return;
  out->checks = ew_calloc(m->headers_n + m->query_n, sizeof *out->checks);
  add_checks(out, left, false, m->headers, m->headers_n);
  add_checks(out, left, true, m->query, m->query_n);
}

void ew_matcher_fini(struct ew_matcher *m) {
  for (size_t i = 0; i < m->checks_n; i++)
    ew_regex_del(m->checks[i].regex);
  free(m->checks);
  ew_regex_del(m->path);
  ew_regex_del(m->grpc_service);
  ew_regex_del(m->grpc_method);
  free(m->invalid);
  *m = (struct ew_matcher){0};
}

static bool path_fits(const struct ew_matcher *mr, struct ew_slice path) {
  const struct ew_match *m = mr->match;
  if (!m->path)
    return true;
  switch (m->path_type) {
  case EW_MATCH_EXACT:
    return ew_slice_eq_str(path, m->path);
  case EW_MATCH_PREFIX:
    return ew_path_has_prefix(path, ew_slice_str(m->path));
  case EW_MATCH_REGEX:
    return !mr->path || ew_regex_match(mr->path, path);
  }
  return false;
}

static bool name_fits(const char *want, enum ew_match_type type,
                      const struct ew_regex *re, struct ew_slice got) {
  if (!want)
    return true;
  if (type == EW_MATCH_REGEX)
    return !re || ew_regex_match(re, got);
  return ew_slice_eq_str(got, want);
}

static bool grpc_fits(const struct ew_matcher *mr, struct ew_slice path) {
  const struct ew_match *m = mr->match;
  if (!m->grpc_service && !m->grpc_method)
    return true;
  struct ew_slice service, method;
  return ew_grpc_split(path, &service, &method) &&
         name_fits(m->grpc_service, m->grpc_type, mr->grpc_service, service) &&
         name_fits(m->grpc_method, m->grpc_type, mr->grpc_method, method);
}

bool ew_matcher_next_key(const struct ew_matcher *m, size_t *i,
                         struct ew_match_key *out) {
  while (*i < m->checks_n) {
    const struct ew_check *c = &m->checks[(*i)++];
    if (c->is_regex)
      continue;
    *out = c->key;
    return true;
  }
  return false;
}

static bool check_fits(const struct ew_check *c, const struct ew_message *req) {
  /* A head is never longer, so what does not fit does not exist. */
  char buf[EW_HEAD_MAX];
  struct ew_slice got;
  if (c->is_regex && !c->regex)
    return true;
  bool found = c->key.query
                   ? ew_query_value(ew_message_query(req), c->key.name, buf,
                                    sizeof buf, &got)
                   : ew_header_value(req, c->key.name, buf, sizeof buf, &got);
  if (!found)
    return false;
  return c->is_regex ? ew_regex_match(c->regex, got)
                     : ew_slice_eq(got, c->key.value);
}

bool ew_matcher_test(const struct ew_matcher *m, const struct ew_message *req) {
  struct ew_slice path = ew_message_path_only(req);
  if (!path_fits(m, path) || !grpc_fits(m, path))
    return false;
  if (m->match->method && !ew_slice_eq_str(req->method, m->match->method))
    return false;
  for (size_t i = 0; i < m->checks_n; i++)
    if (!check_fits(&m->checks[i], req))
      return false;
  return true;
}
