/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "eastwest/base/err.h"
#include "eastwest/model/destination.h"
#include "lib/model/destination_names.h"

/* Members that have their default value are left out. jansson fails only for
 * want of memory or for bytes that are not UTF-8; no such string can come out
 * of JSON or YAML, so both are bugs. */
static void ew_put(json_t *o, const char *name, json_t *v) {
  EW_BUG_ON(!v || json_object_set_new_nocheck(o, name, v) != 0);
}

static void ew_put_str(json_t *o, const char *name, const char *s) {
  if (s)
    ew_put(o, name, json_string(s));
}

static void ew_put_u64(json_t *o, const char *name, uint64_t v,
                       uint64_t absent) {
  if (v != absent)
    ew_put(o, name, json_integer((json_int_t)v));
}

static void ew_push(json_t *list, json_t *v) {
  EW_BUG_ON(!v || json_array_append_new(list, v) != 0);
}

static void ew_put_list(json_t *o, const char *name, json_t *list) {
  if (json_array_size(list))
    ew_put(o, name, list);
  else
    json_decref(list);
}

static void ew_put_strings(json_t *o, const char *name, const char *const *list,
                           size_t n) {
  json_t *out = json_array();
  for (size_t i = 0; i < n; i++)
    ew_push(out, json_string(list[i]));
  ew_put_list(o, name, out);
}

static void ew_put_headers(json_t *o, const char *name,
                           const struct ew_header_value *list, size_t n) {
  json_t *out = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *h = json_object();
    ew_put_str(h, "name", list[i].name);
    ew_put_str(h, "value", list[i].value);
    ew_push(out, h);
  }
  ew_put_list(o, name, out);
}

static void ew_encode_location(json_t *o, const struct ew_filter *f) {
  ew_put_str(o, "hostname", f->u.location.hostname);
  if (f->type == EW_FILTER_REDIRECT) {
    ew_put_str(o, "scheme", f->u.location.scheme);
    ew_put_u64(o, "port", f->u.location.port, 0);
    ew_put_u64(o, "status", f->u.location.status, 302);
  }
  if (f->u.location.path_modifier == EW_PATH_FULL)
    ew_put_str(o, "fullPath", f->u.location.path);
  else if (f->u.location.path_modifier == EW_PATH_PREFIX)
    ew_put_str(o, "prefixPath", f->u.location.path);
}

static void ew_encode_cors(json_t *o, const struct ew_filter *f) {
  ew_put_strings(o, "allowOrigins", f->u.cors.allow_origins,
                 f->u.cors.allow_origins_n);
  ew_put_strings(o, "allowMethods", f->u.cors.allow_methods,
                 f->u.cors.allow_methods_n);
  ew_put_strings(o, "allowHeaders", f->u.cors.allow_headers,
                 f->u.cors.allow_headers_n);
  ew_put_strings(o, "exposeHeaders", f->u.cors.expose_headers,
                 f->u.cors.expose_headers_n);
  ew_put_u64(o, "maxAge", f->u.cors.max_age_s, 5);
  if (f->u.cors.allow_credentials)
    ew_put(o, "allowCredentials", json_true());
}

static json_t *ew_encode_filter(const struct ew_filter *f) {
  json_t *o = json_object();
  ew_put_str(o, "type", ew_filter_type_names[f->type]);
  switch (f->type) {
  case EW_FILTER_REQUEST_HEADERS:
  case EW_FILTER_RESPONSE_HEADERS:
    ew_put_headers(o, "set", f->u.headers.set, f->u.headers.set_n);
    ew_put_headers(o, "add", f->u.headers.add, f->u.headers.add_n);
    ew_put_strings(o, "remove", f->u.headers.remove, f->u.headers.remove_n);
    break;
  case EW_FILTER_REDIRECT:
  case EW_FILTER_REWRITE:
    ew_encode_location(o, f);
    break;
  case EW_FILTER_MIRROR:
    ew_put(o, "backend", json_integer((json_int_t)f->u.mirror.backend));
    ew_put_u64(o, "numerator", f->u.mirror.numerator, 1);
    ew_put_u64(o, "denominator", f->u.mirror.denominator, 1);
    break;
  case EW_FILTER_CORS:
    ew_encode_cors(o, f);
    break;
  case EW_FILTER_INVALID:
    ew_put_str(o, "reason", f->u.invalid);
    break;
  }
  return o;
}

static void ew_put_filters(json_t *o, const struct ew_filter *f, size_t n) {
  json_t *out = json_array();
  for (size_t i = 0; i < n; i++)
    ew_push(out, ew_encode_filter(&f[i]));
  ew_put_list(o, "filters", out);
}

static void ew_put_retry(json_t *o, const struct ew_retry *r) {
  json_t *out = json_object(), *codes = json_array();
  for (size_t i = 0; i < r->codes_n; i++)
    ew_push(codes, json_integer(r->codes[i]));
  ew_put_list(out, "codes", codes);
  ew_put_u64(out, "attempts", r->attempts, 1);
  ew_put_u64(out, "backoffMs", r->backoff_ms, 0);
  ew_put(o, "retry", out);
}

static json_t *ew_encode_rule(const struct ew_rule *r) {
  json_t *o = json_object(), *route = json_object(), *refs = json_array();
  ew_put_str(route, "kind", r->route_kind);
  ew_put_str(route, "namespace", r->route_namespace);
  ew_put_str(route, "name", r->route_name);
  ew_put(o, "route", route);
  ew_put_str(o, "name", r->name);
  ew_put_u64(o, "index", r->index, 0);
  ew_put_filters(o, r->filters, r->filters_n);
  for (size_t i = 0; i < r->backends_n; i++) {
    const struct ew_backend_ref *b = &r->backends[i];
    json_t *ref = json_object();
    ew_put(ref, "backend", json_integer((json_int_t)b->backend));
    ew_put_u64(ref, "weight", b->weight, 1);
    ew_put_filters(ref, b->filters, b->filters_n);
    ew_push(refs, ref);
  }
  ew_put_list(o, "backends", refs);
  ew_put_u64(o, "requestTimeoutMs", r->request_timeout_ms, 0);
  ew_put_u64(o, "backendTimeoutMs", r->backend_timeout_ms, 0);
  if (r->has_retry)
    ew_put_retry(o, &r->retry);
  ew_put_strings(o, "snis", r->snis, r->snis_n);
  return o;
}

static void ew_put_rules(json_t *o, const char *name, const struct ew_rule *r,
                         size_t n) {
  json_t *out = json_array();
  for (size_t i = 0; i < n; i++)
    ew_push(out, ew_encode_rule(&r[i]));
  ew_put_list(o, name, out);
}

static void ew_put_type(json_t *o, enum ew_match_type t) {
  if (t != EW_MATCH_EXACT)
    ew_put_str(o, "type", ew_match_type_names[t]);
}

static void ew_put_values(json_t *o, const char *name,
                          const struct ew_value_match *list, size_t n) {
  json_t *out = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *v = json_object();
    ew_put_type(v, list[i].type);
    ew_put_str(v, "name", list[i].name);
    ew_put_str(v, "value", list[i].value);
    ew_push(out, v);
  }
  ew_put_list(o, name, out);
}

static json_t *ew_encode_match(const struct ew_match *m) {
  json_t *o = json_object();
  ew_put(o, "rule", json_integer((json_int_t)m->rule));
  if (m->path) {
    json_t *path = json_object();
    ew_put_type(path, m->path_type);
    ew_put_str(path, "value", m->path);
    ew_put(o, "path", path);
  }
  ew_put_str(o, "method", m->method);
  if (m->grpc_service || m->grpc_method) {
    json_t *grpc = json_object();
    ew_put_type(grpc, m->grpc_type);
    ew_put_str(grpc, "service", m->grpc_service);
    ew_put_str(grpc, "method", m->grpc_method);
    ew_put(o, "grpc", grpc);
  }
  ew_put_values(o, "headers", m->headers, m->headers_n);
  ew_put_values(o, "query", m->query, m->query_n);
  return o;
}

static json_t *ew_encode_backend(const struct ew_backend *b) {
  json_t *o = json_object(), *list = json_array();
  if (b->kind && strcmp(b->kind, "Service") != 0)
    ew_put_str(o, "kind", b->kind);
  ew_put_str(o, "namespace", b->namespace_);
  ew_put_str(o, "name", b->name);
  ew_put_u64(o, "port", b->port, 0);
  ew_put_str(o, "invalid", b->invalid);
  if (b->protocol != EW_PROTO_DETECT)
    ew_put_str(o, "protocol", ew_protocol_name(b->protocol));
  for (size_t i = 0; i < b->endpoints_n; i++) {
    const struct ew_endpoint *e = &b->endpoints[i];
    json_t *out = json_object();
    ew_put_str(out, "address", e->address);
    ew_put(out, "port", json_integer(e->port));
    ew_put_str(out, "identity", e->identity);
    ew_put_str(out, "zone", e->zone);
    ew_put_str(out, "pod", e->pod);
    ew_push(list, out);
  }
  ew_put_list(o, "endpoints", list);
  return o;
}

char *ew_destination_to_json(const struct ew_destination *d, size_t *len) {
  json_t *o = json_object();
  ew_put_u64(o, "version", d->version, 0);
  ew_put_str(o, "kind", ew_dest_kind_names[d->kind]);
  ew_put_str(o, "namespace", d->namespace_);
  ew_put_str(o, "name", d->name);
  ew_put_u64(o, "port", d->port, 0);
  ew_put_str(o, "portName", d->port_name);
  if (d->protocol != EW_PROTO_DETECT)
    ew_put_str(o, "protocol", ew_protocol_name(d->protocol));
  ew_put_rules(o, "rules", d->rules, d->rules_n);
  json_t *matches = json_array(), *backends = json_array();
  for (size_t i = 0; i < d->matches_n; i++)
    ew_push(matches, ew_encode_match(&d->matches[i]));
  ew_put_list(o, "matches", matches);
  ew_put_rules(o, "l4Rules", d->l4_rules, d->l4_rules_n);
  for (size_t i = 0; i < d->backends_n; i++)
    ew_push(backends, ew_encode_backend(&d->backends[i]));
  ew_put_list(o, "backends", backends);
  ew_put_u64(o, "defaultBackend", d->default_backend, EW_NO_BACKEND);
  char *text = json_dumps(o, JSON_COMPACT);
  json_decref(o);
  EW_BUG_ON(!text);
  *len = strlen(text);
  return text;
}
