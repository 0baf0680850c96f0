/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>

#include "eastwest/model/destination.h"
#include "eastwest/model/json_read.h"
#include "lib/model/destination_names.h"
#include "lib/model/destination_value.h"

/* Bounds of lists inside one rule or filter. */
#define EW_DEST_LIST_MAX 1024
#define EW_DEST_MS_MAX UINT32_MAX

struct ew_decode {
  struct ew_jr r;
  struct ew_destination *d;
};

static void *ew_new(struct ew_decode *c, size_t count, size_t size) {
  if (!count)
    return NULL;
  void *p = ew_arena_alloc(&c->d->arena, count * size);
  memset(p, 0, count * size);
  return p;
}

static const char *ew_keep(struct ew_decode *c, const char *s) {
  return s ? ew_arena_dup(&c->d->arena, s, strlen(s)) : NULL;
}

static const char *ew_keep_lower(struct ew_decode *c, const char *s) {
  char *p = ew_arena_dup(&c->d->arena, s, strlen(s));
  for (char *q = p; *q; q++)
    if (*q >= 'A' && *q <= 'Z')
      *q = (char)(*q - 'A' + 'a');
  return p;
}

static const char *ew_str(struct ew_decode *c, const struct ew_jv *obj,
                          const char *name) {
  return ew_keep(c, ew_jr_str(&c->r, obj, name));
}

/* A string that will stand in a message head. */
static const char *ew_head_str(struct ew_decode *c, const struct ew_jv *obj,
                               const char *name) {
  const char *s = ew_jr_str(&c->r, obj, name);
  struct ew_jv v = ew_jv_get(obj, name);
  if (s && !ew_str_is_field_value(s))
    ew_jr_fail(&c->r, &v, "must not have control bytes");
  return ew_keep(c, s);
}

static const char *ew_field_name(struct ew_decode *c, const struct ew_jv *obj) {
  const char *s = ew_jr_need(&c->r, obj, "name");
  struct ew_jv v = ew_jv_get(obj, "name");
  if (!ew_str_is_token(s))
    ew_jr_fail(&c->r, &v, "must be a field name");
  return ew_keep_lower(c, s);
}

static const char *const *ew_strings(struct ew_decode *c,
                                     const struct ew_jv *obj, const char *name,
                                     bool fields, size_t *n) {
  struct ew_jv list = ew_jr_list(&c->r, obj, name, EW_DEST_LIST_MAX, n);
  const char **out = ew_new(c, *n, sizeof *out);
  for (size_t i = 0; i < *n; i++) {
    const char *s = ew_jr_item_str(&c->r, &list, i);
    struct ew_jv v = ew_jv_at(&list, i);
    if (fields ? !ew_str_is_token(s) : !ew_str_is_field_value(s))
      ew_jr_fail(&c->r, &v,
                 fields ? "must be a field name"
                        : "must not have control bytes");
    out[i] = fields ? ew_keep_lower(c, s) : ew_keep(c, s);
  }
  return out;
}

static const struct ew_header_value *ew_header_values(struct ew_decode *c,
                                                      const struct ew_jv *obj,
                                                      const char *name,
                                                      size_t *n) {
  struct ew_jv list = ew_jr_list(&c->r, obj, name, EW_DEST_LIST_MAX, n);
  struct ew_header_value *out = ew_new(c, *n, sizeof *out);
  for (size_t i = 0; i < *n; i++) {
    struct ew_jv v = ew_jr_item(&c->r, &list, i);
    out[i].name = ew_field_name(c, &v);
    out[i].value = ew_head_str(c, &v, "value");
    if (!out[i].value)
      out[i].value = "";
  }
  return out;
}

static size_t ew_backend_index(struct ew_decode *c, const struct ew_jv *obj) {
  struct ew_jv v = ew_jv_get(obj, "backend");
  size_t n = c->d->backends_n;
  if (!v.v || !n)
    ew_jr_fail(&c->r, &v, "must be an index into backends");
  return (size_t)ew_jr_u64(&c->r, obj, "backend", 0, n ? n - 1 : 0, 0);
}

static void ew_decode_location(struct ew_decode *c, const struct ew_jv *v,
                               struct ew_filter *f) {
  bool redirect = f->type == EW_FILTER_REDIRECT;
  f->u.location.hostname = ew_head_str(c, v, "hostname");
  if (redirect) {
    static const char *const schemes[] = {"http", "https", NULL};
    int scheme = ew_jr_enum(&c->r, v, "scheme", schemes, -1);
    f->u.location.scheme = scheme < 0 ? NULL : schemes[scheme];
    f->u.location.port =
        (uint16_t)ew_jr_u64(&c->r, v, "port", 1, UINT16_MAX, 0);
    uint64_t status = ew_jr_u64(&c->r, v, "status", 301, 308, 302);
    struct ew_jv at = ew_jv_get(v, "status");
    if (status != 301 && status != 302 && status != 303 && status != 307 &&
        status != 308)
      ew_jr_fail(&c->r, &at, "must be 301, 302, 303, 307 or 308");
    f->u.location.status = (uint16_t)status;
  }
  const char *full = ew_head_str(c, v, "fullPath");
  const char *prefix = ew_head_str(c, v, "prefixPath");
  struct ew_jv at = ew_jv_get(v, "prefixPath");
  if (full && prefix)
    ew_jr_fail(&c->r, &at, "must not stand beside fullPath");
  f->u.location.path_modifier = full     ? EW_PATH_FULL
                                : prefix ? EW_PATH_PREFIX
                                         : EW_PATH_KEEP;
  f->u.location.path = full ? full : prefix;
}

static void ew_decode_mirror(struct ew_decode *c, const struct ew_jv *v,
                             struct ew_filter *f) {
  f->u.mirror.backend = ew_backend_index(c, v);
  f->u.mirror.denominator =
      (uint32_t)ew_jr_u64(&c->r, v, "denominator", 1, INT32_MAX, 1);
  f->u.mirror.numerator =
      (uint32_t)ew_jr_u64(&c->r, v, "numerator", 0, f->u.mirror.denominator, 1);
}

static void ew_decode_cors(struct ew_decode *c, const struct ew_jv *v,
                           struct ew_filter *f) {
  f->u.cors.allow_origins =
      ew_strings(c, v, "allowOrigins", false, &f->u.cors.allow_origins_n);
  f->u.cors.allow_methods =
      ew_strings(c, v, "allowMethods", false, &f->u.cors.allow_methods_n);
  f->u.cors.allow_headers =
      ew_strings(c, v, "allowHeaders", false, &f->u.cors.allow_headers_n);
  f->u.cors.expose_headers =
      ew_strings(c, v, "exposeHeaders", false, &f->u.cors.expose_headers_n);
  f->u.cors.max_age_s =
      (uint32_t)ew_jr_u64(&c->r, v, "maxAge", 0, INT32_MAX, 5);
  f->u.cors.allow_credentials = ew_jr_bool(&c->r, v, "allowCredentials", false);
}

static void ew_decode_filter(struct ew_decode *c, const struct ew_jv *v,
                             struct ew_filter *f) {
  ew_jr_need(&c->r, v, "type");
  f->type = (enum ew_filter_type)ew_jr_enum(
      &c->r, v, "type", ew_filter_type_names, EW_FILTER_INVALID);
  switch (f->type) {
  case EW_FILTER_REQUEST_HEADERS:
  case EW_FILTER_RESPONSE_HEADERS:
    f->u.headers.set = ew_header_values(c, v, "set", &f->u.headers.set_n);
    f->u.headers.add = ew_header_values(c, v, "add", &f->u.headers.add_n);
    f->u.headers.remove =
        ew_strings(c, v, "remove", true, &f->u.headers.remove_n);
    break;
  case EW_FILTER_REDIRECT:
  case EW_FILTER_REWRITE:
    ew_decode_location(c, v, f);
    break;
  case EW_FILTER_MIRROR:
    ew_decode_mirror(c, v, f);
    break;
  case EW_FILTER_CORS:
    ew_decode_cors(c, v, f);
    break;
  case EW_FILTER_INVALID:
    f->u.invalid = ew_str(c, v, "reason");
    if (!f->u.invalid)
      f->u.invalid = "no reason given";
    break;
  }
}

static const struct ew_filter *
ew_decode_filters(struct ew_decode *c, const struct ew_jv *obj, size_t *n) {
  struct ew_jv list = ew_jr_list(&c->r, obj, "filters", EW_DEST_LIST_MAX, n);
  struct ew_filter *out = ew_new(c, *n, sizeof *out);
  for (size_t i = 0; i < *n && !c->r.failed; i++) {
    struct ew_jv v = ew_jr_item(&c->r, &list, i);
    ew_decode_filter(c, &v, &out[i]);
  }
  return out;
}

static void ew_decode_retry(struct ew_decode *c, const struct ew_jv *v,
                            struct ew_retry *out) {
  struct ew_jv list =
      ew_jr_list(&c->r, v, "codes", EW_DEST_LIST_MAX, &out->codes_n);
  uint16_t *codes = ew_new(c, out->codes_n, sizeof *codes);
  for (size_t i = 0; i < out->codes_n; i++) {
    struct ew_jv at = ew_jv_at(&list, i);
    json_int_t code = json_integer_value(at.v);
    if (!json_is_integer(at.v) || code < 400 || code > 599)
      ew_jr_fail(&c->r, &at, "must be an integer from 400 to 599");
    else
      codes[i] = (uint16_t)code;
  }
  out->codes = codes;
  out->attempts = (uint32_t)ew_jr_u64(&c->r, v, "attempts", 0, INT32_MAX, 1);
  out->backoff_ms =
      (uint32_t)ew_jr_u64(&c->r, v, "backoffMs", 0, EW_DEST_MS_MAX, 0);
}

static void ew_decode_rule(struct ew_decode *c, const struct ew_jv *v,
                           struct ew_rule *out) {
  struct ew_jv route = ew_jr_obj(&c->r, v, "route");
  out->route_kind = ew_keep(c, ew_jr_need(&c->r, &route, "kind"));
  out->route_namespace = ew_keep(c, ew_jr_need(&c->r, &route, "namespace"));
  out->route_name = ew_keep(c, ew_jr_need(&c->r, &route, "name"));
  out->name = ew_str(c, v, "name");
  out->index = (uint32_t)ew_jr_u64(&c->r, v, "index", 0, EW_DEST_RULES_MAX, 0);
  out->filters = ew_decode_filters(c, v, &out->filters_n);
  struct ew_jv list =
      ew_jr_list(&c->r, v, "backends", EW_DEST_LIST_MAX, &out->backends_n);
  struct ew_backend_ref *refs = ew_new(c, out->backends_n, sizeof *refs);
  for (size_t i = 0; i < out->backends_n && !c->r.failed; i++) {
    struct ew_jv b = ew_jr_item(&c->r, &list, i);
    refs[i].backend = ew_backend_index(c, &b);
    refs[i].weight = (uint32_t)ew_jr_u64(&c->r, &b, "weight", 0, 1000000, 1);
    refs[i].filters = ew_decode_filters(c, &b, &refs[i].filters_n);
  }
  out->backends = refs;
  out->request_timeout_ms =
      (uint32_t)ew_jr_u64(&c->r, v, "requestTimeoutMs", 0, EW_DEST_MS_MAX, 0);
  out->backend_timeout_ms =
      (uint32_t)ew_jr_u64(&c->r, v, "backendTimeoutMs", 0, EW_DEST_MS_MAX, 0);
  struct ew_jv retry = ew_jr_obj(&c->r, v, "retry");
  out->has_retry = retry.v != NULL;
  if (retry.v)
    ew_decode_retry(c, &retry, &out->retry);
  out->snis = ew_strings(c, v, "snis", false, &out->snis_n);
}

static const struct ew_rule *ew_decode_rules(struct ew_decode *c,
                                             const struct ew_jv *root,
                                             const char *name, size_t *n) {
  struct ew_jv list = ew_jr_list(&c->r, root, name, EW_DEST_RULES_MAX, n);
  struct ew_rule *out = ew_new(c, *n, sizeof *out);
  for (size_t i = 0; i < *n && !c->r.failed; i++) {
    struct ew_jv v = ew_jr_item(&c->r, &list, i);
    ew_decode_rule(c, &v, &out[i]);
  }
  return out;
}

static int ew_decode_match_type(struct ew_decode *c, const struct ew_jv *v,
                                bool prefix) {
  int t = ew_jr_enum(&c->r, v, "type", ew_match_type_names, EW_MATCH_EXACT);
  struct ew_jv at = ew_jv_get(v, "type");
  if (t == EW_MATCH_PREFIX && !prefix)
    ew_jr_fail(&c->r, &at, "must be one of Exact, RegularExpression");
  return t;
}

static const struct ew_value_match *ew_decode_values(struct ew_decode *c,
                                                     const struct ew_jv *obj,
                                                     const char *name,
                                                     bool header, size_t *n) {
  struct ew_jv list = ew_jr_list(&c->r, obj, name, EW_DEST_LIST_MAX, n);
  struct ew_value_match *out = ew_new(c, *n, sizeof *out);
  for (size_t i = 0; i < *n && !c->r.failed; i++) {
    struct ew_jv v = ew_jr_item(&c->r, &list, i);
    out[i].type = (enum ew_match_type)ew_decode_match_type(c, &v, false);
    out[i].name = header ? ew_field_name(c, &v)
                         : ew_keep(c, ew_jr_need(&c->r, &v, "name"));
    out[i].value = ew_str(c, &v, "value");
    if (!out[i].value)
      out[i].value = "";
  }
  return out;
}

static void ew_decode_path(struct ew_decode *c, const struct ew_jv *v,
                           struct ew_match *m) {
  m->path_type = (enum ew_match_type)ew_decode_match_type(c, v, true);
  const char *s = ew_jr_str(&c->r, v, "value");
  struct ew_jv at = ew_jv_get(v, "value");
  if (!s) {
    ew_jr_fail(&c->r, &at, "must be a string");
    return;
  }
  size_t n = strlen(s);
  if (m->path_type != EW_MATCH_REGEX && n && s[0] != '/')
    ew_jr_fail(&c->r, &at, "must begin with '/'");
  if (m->path_type == EW_MATCH_EXACT && !n)
    ew_jr_fail(&c->r, &at, "must begin with '/'");
  if (m->path_type == EW_MATCH_PREFIX)
    while (n && s[n - 1] == '/')
      n--;
  m->path = ew_arena_dup(&c->d->arena, s, n);
}

static void ew_decode_match(struct ew_decode *c, const struct ew_jv *v,
                            struct ew_match *m) {
  size_t n = c->d->rules_n;
  struct ew_jv at = ew_jv_get(v, "rule");
  if (!at.v || !n)
    ew_jr_fail(&c->r, &at, "must be an index into rules");
  m->rule = (size_t)ew_jr_u64(&c->r, v, "rule", 0, n ? n - 1 : 0, 0);
  struct ew_jv path = ew_jr_obj(&c->r, v, "path");
  if (path.v)
    ew_decode_path(c, &path, m);
  m->method = ew_str(c, v, "method");
  struct ew_jv grpc = ew_jr_obj(&c->r, v, "grpc");
  if (grpc.v) {
    m->grpc_type = (enum ew_match_type)ew_decode_match_type(c, &grpc, false);
    m->grpc_service = ew_str(c, &grpc, "service");
    m->grpc_method = ew_str(c, &grpc, "method");
  }
  m->headers = ew_decode_values(c, v, "headers", true, &m->headers_n);
  m->query = ew_decode_values(c, v, "query", false, &m->query_n);
}

static void ew_decode_endpoint(struct ew_decode *c, const struct ew_jv *v,
                               struct ew_endpoint *e) {
  const char *s = ew_jr_need(&c->r, v, "address");
  struct ew_jv at = ew_jv_get(v, "address");
  unsigned char addr[16];
  if (inet_pton(AF_INET, s, addr) != 1 && inet_pton(AF_INET6, s, addr) != 1)
    ew_jr_fail(&c->r, &at, "must be an IP address");
  e->address = ew_keep(c, s);
  at = ew_jv_get(v, "port");
  if (!at.v)
    ew_jr_fail(&c->r, &at, "must be a port");
  e->port = (uint16_t)ew_jr_u64(&c->r, v, "port", 1, UINT16_MAX, 0);
  e->identity = ew_str(c, v, "identity");
  at = ew_jv_get(v, "identity");
  /* An empty or foreign identity must never be read as "none": that would
   * turn mutual TLS off. */
  if (e->identity && strncmp(e->identity, "spiffe://", 9) != 0)
    ew_jr_fail(&c->r, &at, "must begin with \"spiffe://\"");
  e->zone = ew_str(c, v, "zone");
  e->pod = ew_str(c, v, "pod");
}

static void ew_decode_backend(struct ew_decode *c, const struct ew_jv *v,
                              struct ew_backend *b, size_t *total) {
  b->kind = ew_str(c, v, "kind");
  if (!b->kind)
    b->kind = "Service";
  b->namespace_ = ew_str(c, v, "namespace");
  b->name = ew_str(c, v, "name");
  b->port = (uint16_t)ew_jr_u64(&c->r, v, "port", 0, UINT16_MAX, 0);
  b->invalid = ew_str(c, v, "invalid");
  b->protocol = (enum ew_protocol)ew_jr_enum(
      &c->r, v, "protocol", ew_protocol_names, EW_PROTO_DETECT);
  struct ew_jv list = ew_jr_list(
      &c->r, v, "endpoints", EW_DEST_ENDPOINTS_MAX - *total, &b->endpoints_n);
  *total += b->endpoints_n;
  struct ew_endpoint *out = ew_new(c, b->endpoints_n, sizeof *out);
  for (size_t i = 0; i < b->endpoints_n && !c->r.failed; i++) {
    struct ew_jv e = ew_jr_item(&c->r, &list, i);
    ew_decode_endpoint(c, &e, &out[i]);
  }
  b->endpoints = out;
}

static void ew_decode_backends(struct ew_decode *c, const struct ew_jv *root) {
  struct ew_destination *d = c->d;
  struct ew_jv list =
      ew_jr_list(&c->r, root, "backends", EW_DEST_BACKENDS_MAX, &d->backends_n);
  struct ew_backend *out = ew_new(c, d->backends_n, sizeof *out);
  size_t total = 0;
  for (size_t i = 0; i < d->backends_n && !c->r.failed; i++) {
    struct ew_jv v = ew_jr_item(&c->r, &list, i);
    ew_decode_backend(c, &v, &out[i], &total);
  }
  d->backends = out;
}

static void ew_decode_root(struct ew_decode *c, const struct ew_jv *root) {
  struct ew_destination *d = c->d;
  d->version = ew_jr_u64(&c->r, root, "version", 0, INT64_MAX, 0);
  ew_jr_need(&c->r, root, "kind");
  d->kind =
      (enum ew_dest_kind)ew_jr_enum(&c->r, root, "kind", ew_dest_kind_names, 0);
  bool named = d->kind != EW_DEST_UNKNOWN;
  d->namespace_ = ew_keep(c, named ? ew_jr_need(&c->r, root, "namespace")
                                   : ew_jr_str(&c->r, root, "namespace"));
  d->name = ew_keep(c, named ? ew_jr_need(&c->r, root, "name")
                             : ew_jr_str(&c->r, root, "name"));
  d->port = (uint16_t)ew_jr_u64(&c->r, root, "port", 0, UINT16_MAX, 0);
  d->port_name = ew_str(c, root, "portName");
  d->protocol = (enum ew_protocol)ew_jr_enum(
      &c->r, root, "protocol", ew_protocol_names, EW_PROTO_DETECT);
  ew_decode_backends(c, root);
  d->rules = ew_decode_rules(c, root, "rules", &d->rules_n);
  d->l4_rules = ew_decode_rules(c, root, "l4Rules", &d->l4_rules_n);
  struct ew_jv list =
      ew_jr_list(&c->r, root, "matches", EW_DEST_MATCHES_MAX, &d->matches_n);
  struct ew_match *m = ew_new(c, d->matches_n, sizeof *m);
  for (size_t i = 0; i < d->matches_n && !c->r.failed; i++) {
    struct ew_jv v = ew_jr_item(&c->r, &list, i);
    ew_decode_match(c, &v, &m[i]);
  }
  d->matches = m;
  struct ew_jv at = ew_jv_get(root, "defaultBackend");
  if (at.v && !d->backends_n)
    ew_jr_fail(&c->r, &at, "must be an index into backends");
  if (at.v)
    d->default_backend =
        (size_t)ew_jr_u64(&c->r, root, "defaultBackend", 0,
                          d->backends_n ? d->backends_n - 1 : 0, EW_NO_BACKEND);
}

struct ew_destination *ew_destination_from_value(const json_t *value, char *why,
                                                 size_t why_len) {
  struct ew_decode c = {.r = {.why = why, .why_len = why_len},
                        .d = ew_destination_new()};
  struct ew_jv v = ew_jv_root(value);
  ew_decode_root(&c, &v);
  if (c.r.failed) {
    ew_destination_unref(c.d);
    return NULL;
  }
  return c.d;
}

struct ew_destination *ew_destination_from_json(struct ew_slice json, char *why,
                                                size_t why_len) {
  if (why_len)
    why[0] = '\0';
  if (json.n > EW_DEST_JSON_MAX) {
    snprintf(why, why_len, "longer than %u bytes", EW_DEST_JSON_MAX);
    return NULL;
  }
  json_t *root = ew_json_parse(json, why, why_len);
  if (!root)
    return NULL;
  struct ew_destination *d = ew_destination_from_value(root, why, why_len);
  json_decref(root);
  return d;
}
