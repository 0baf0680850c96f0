/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/route.h"

#include <stdarg.h>
#include <stdio.h>

#include "controller/route_read.h"

#define EW_WEIGHT_MAX 1000000
#define EW_HOSTNAMES_MAX 1024

void *ew_route_new(struct ew_route_reader *rd, size_t n, size_t size) {
  if (!n)
    return NULL;
  void *p = ew_arena_alloc(rd->arena, n * size);
  memset(p, 0, n * size);
  return p;
}

const char *ew_route_keep(struct ew_route_reader *rd, const char *s) {
  return ew_arena_dup(rd->arena, s, strlen(s));
}

const char *ew_route_lower(struct ew_route_reader *rd, const char *s) {
  char *p = ew_arena_dup(rd->arena, s, strlen(s));
  for (char *q = p; *q; q++)
    if (*q >= 'A' && *q <= 'Z')
      *q = (char)(*q - 'A' + 'a');
  return p;
}

/* The arena frees nothing, so what is left behind while growing adds up to no
 * more than the list itself. */
static void *ew_grow(struct ew_route_reader *rd, void *old, size_t n,
                     size_t *cap, size_t size) {
  if (n < *cap)
    return old;
  *cap = *cap ? *cap * 2 : 8;
  void *p = ew_route_new(rd, *cap, size);
  if (n)
    memcpy(p, old, n * size);
  return p;
}

struct ew_match *ew_route_add_match(struct ew_route_reader *rd) {
  struct ew_route *o = rd->out;
  o->matches = ew_grow(rd, o->matches, o->matches_n, &rd->matches_cap,
                       sizeof *o->matches);
  struct ew_match *m = &o->matches[o->matches_n++];
  *m = (struct ew_match){.rule = rd->rule};
  return m;
}

void ew_route_add_fault(struct ew_route_reader *rd, bool dropped,
                        const char *reason, const char *fmt, ...) {
  char text[384];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  struct ew_route_fault *f = ew_route_new(rd, 1, sizeof *f);
  f->rule = rd->rule;
  f->dropped = dropped;
  f->reason = reason;
  f->message = ew_route_keep(rd, text);
  if (rd->last_fault)
    rd->last_fault->next = f;
  else
    rd->out->faults = f;
  rd->last_fault = f;
}

static bool ew_is_name(const char *s) {
  size_t n = strlen(s);
  return n && n <= 253 &&
         strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

static const char *ew_read_name(struct ew_route_reader *rd,
                                const struct ew_jv *v) {
  const char *s = ew_jr_need(rd->r, v, "name");
  struct ew_jv at = ew_jv_get(v, "name");
  if (!ew_is_name(s))
    ew_jr_fail(rd->r, &at,
               "must be the name of an object (lowercase letters, "
               "digits, '-' and '.')");
  return ew_route_keep(rd, s);
}

static const char *ew_read_or(struct ew_route_reader *rd, const struct ew_jv *v,
                              const char *name, const char *or_else) {
  const char *s = ew_jr_str(rd->r, v, name);
  return s ? ew_route_keep(rd, s) : or_else;
}

size_t ew_route_read_ref(struct ew_route_reader *rd, const struct ew_jv *v) {
  struct ew_route *o = rd->out;
  o->refs = ew_grow(rd, o->refs, o->refs_n, &rd->refs_cap, sizeof *o->refs);
  struct ew_route_ref *ref = &o->refs[o->refs_n];
  ref->group = ew_read_or(rd, v, "group", "");
  ref->kind = ew_read_or(rd, v, "kind", "Service");
  ref->namespace_ = ew_read_or(rd, v, "namespace", rd->ns);
  ref->name = ew_read_name(rd, v);
  ref->port = (uint16_t)ew_jr_u64(rd->r, v, "port", 1, UINT16_MAX, 0);
  return o->refs_n++;
}

static void ew_read_parents(struct ew_route_reader *rd,
                            const struct ew_jv *spec) {
  struct ew_jv list = ew_jr_list(rd->r, spec, "parentRefs",
                                 EW_ROUTE_PARENTS_MAX, &rd->out->parents_n);
  struct ew_parent_ref *out = ew_route_new(rd, rd->out->parents_n, sizeof *out);
  for (size_t i = 0; i < rd->out->parents_n; i++) {
    struct ew_jv v = ew_jr_item(rd->r, &list, i);
    const char *group =
        ew_read_or(rd, &v, "group", "gateway.networking.k8s.io");
    const char *kind = ew_read_or(rd, &v, "kind", "Gateway");
    /* The specification wants ""; many tools write "core". */
    out[i].service =
        strcmp(kind, "Service") == 0 && (!*group || strcmp(group, "core") == 0);
    out[i].namespace_ = ew_read_or(rd, &v, "namespace", rd->ns);
    out[i].name = ew_read_name(rd, &v);
    out[i].section = ew_read_or(rd, &v, "sectionName", NULL);
    out[i].port = (uint16_t)ew_jr_u64(rd->r, &v, "port", 1, UINT16_MAX, 0);
  }
  rd->out->parents = out;
}

/* How long the unit at |p| is, 0 if there is none. */
static size_t ew_duration_unit(const char *p, uint64_t *ms) {
  if (p[0] == 'm' && p[1] == 's') {
    *ms = 1;
    return 2;
  }
  *ms = p[0] == 'h' ? 3600000 : p[0] == 'm' ? 60000 : 1000;
  return p[0] == 'h' || p[0] == 'm' || p[0] == 's';
}

uint32_t ew_route_read_duration(struct ew_route_reader *rd,
                                const struct ew_jv *obj, const char *name,
                                uint32_t or_else) {
  const char *s = ew_jr_str(rd->r, obj, name);
  struct ew_jv at = ew_jv_get(obj, name);
  if (!s)
    return or_else;
  uint64_t ms = 0;
  int parts = 0;
  const char *p = s;
  while (*p && parts < 4) {
    size_t digits = strspn(p, "0123456789");
    uint64_t n = 0, unit;
    size_t unit_len = ew_duration_unit(p + digits, &unit);
    if (digits == 0 || digits > 5 || unit_len == 0)
      break;
    ew_slice_u64(ew_slice(p, digits), 99999, &n);
    p += digits + unit_len;
    ms += n * unit;
    parts++;
  }
  if (*p || !parts)
    ew_jr_fail(rd->r, &at, "must be a duration like \"500ms\" or \"1m30s\"");
  return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void ew_read_backends(struct ew_route_reader *rd,
                             const struct ew_jv *rule, bool one_prefix,
                             struct ew_rule *out) {
  struct ew_jv list = ew_jr_list(rd->r, rule, "backendRefs",
                                 EW_ROUTE_BACKENDS_MAX, &out->backends_n);
  struct ew_backend_ref *refs = ew_route_new(rd, out->backends_n, sizeof *refs);
  bool filters = rd->out->type <= EW_ROUTE_HTTP;
  for (size_t i = 0; i < out->backends_n; i++) {
    struct ew_jv v = ew_jr_item(rd->r, &list, i);
    refs[i].backend = ew_route_read_ref(rd, &v);
    refs[i].weight =
        (uint32_t)ew_jr_u64(rd->r, &v, "weight", 0, EW_WEIGHT_MAX, 1);
    if (filters)
      refs[i].filters =
          ew_route_read_filters(rd, &v, one_prefix, &refs[i].filters_n);
  }
  out->backends = refs;
}

static void ew_read_timeouts(struct ew_route_reader *rd,
                             const struct ew_jv *rule, struct ew_rule *out) {
  struct ew_jv t = ew_jr_obj(rd->r, rule, "timeouts");
  out->request_timeout_ms = ew_route_read_duration(rd, &t, "request", 0);
  out->backend_timeout_ms = ew_route_read_duration(rd, &t, "backendRequest", 0);
  struct ew_jv at = ew_jv_get(&t, "backendRequest");
  if (out->request_timeout_ms &&
      out->backend_timeout_ms > out->request_timeout_ms)
    ew_jr_fail(rd->r, &at, "must not be longer than request");
}

static void ew_read_retry(struct ew_route_reader *rd, const struct ew_jv *rule,
                          struct ew_rule *out) {
  struct ew_jv v = ew_jr_obj(rd->r, rule, "retry");
  out->has_retry = v.v != NULL;
  if (!v.v)
    return;
  struct ew_retry *retry = &out->retry;
  struct ew_jv list = ew_jr_list(rd->r, &v, "codes", 200, &retry->codes_n);
  uint16_t *codes = ew_route_new(rd, retry->codes_n, sizeof *codes);
  for (size_t i = 0; i < retry->codes_n; i++) {
    struct ew_jv at = ew_jv_at(&list, i);
    json_int_t code = json_integer_value(at.v);
    if (!json_is_integer(at.v) || code < 400 || code > 599)
      ew_jr_fail(rd->r, &at, "must be an integer from 400 to 599");
    else
      codes[i] = (uint16_t)code;
  }
  retry->codes = codes;
  retry->attempts = (uint32_t)ew_jr_u64(rd->r, &v, "attempts", 0, 1000, 1);
  retry->backoff_ms = ew_route_read_duration(rd, &v, "backoff", 0);
}

static void ew_read_snis(struct ew_route_reader *rd, const struct ew_jv *spec,
                         struct ew_rule *out) {
  struct ew_jv list =
      ew_jr_list(rd->r, spec, "hostnames", EW_HOSTNAMES_MAX, &out->snis_n);
  const char **names = ew_route_new(rd, out->snis_n, sizeof *names);
  for (size_t i = 0; i < out->snis_n; i++) {
    const char *s = ew_jr_item_str(rd->r, &list, i);
    struct ew_jv at = ew_jv_at(&list, i);
    if (!ew_is_name(strncmp(s, "*.", 2) == 0 ? s + 2 : s))
      ew_jr_fail(rd->r, &at, "must be a host name, or one after \"*.\"");
    names[i] = ew_route_keep(rd, s);
  }
  out->snis = names;
}

/* Whether the matches from |first| on are exactly one path prefix. */
static bool ew_one_prefix(const struct ew_route *o, size_t first) {
  return o->matches_n == first + 1 &&
         o->matches[first].path_type == EW_MATCH_PREFIX;
}

static void ew_read_rule(struct ew_route_reader *rd, const struct ew_jv *spec,
                         const struct ew_jv *v, struct ew_rule *out) {
  struct ew_route *o = rd->out;
  size_t first = o->matches_n;
  out->index = (uint32_t)rd->rule;
  out->name = ew_read_or(rd, v, "name", NULL);
  if (o->type == EW_ROUTE_HTTP)
    ew_route_read_http_matches(rd, v);
  else if (o->type == EW_ROUTE_GRPC)
    ew_route_read_grpc_matches(rd, v);
  bool one_prefix = ew_one_prefix(o, first);
  ew_read_backends(rd, v, one_prefix, out);
  if (o->type <= EW_ROUTE_HTTP) {
    out->filters = ew_route_read_filters(rd, v, one_prefix, &out->filters_n);
    ew_read_timeouts(rd, v, out);
    ew_read_retry(rd, v, out);
  } else if (o->type == EW_ROUTE_TLS) {
    ew_read_snis(rd, spec, out);
  }
}

static void ew_check_rule_names(struct ew_route_reader *rd) {
  struct ew_route *o = rd->out;
  for (size_t i = 0; i < o->rules_n; i++)
    for (size_t j = i + 1; o->rules[i].name && j < o->rules_n; j++)
      if (o->rules[j].name && !strcmp(o->rules[i].name, o->rules[j].name)) {
        char text[320];
        snprintf(text, sizeof text,
                 "rules %zu and %zu have the same name \"%.200s\": rule names "
                 "must be unique",
                 i, j, o->rules[i].name);
        o->rejected = ew_route_keep(rd, text);
        return;
      }
}

static const char *ew_route_kind(enum ew_route_type t) {
  static const char *const names[] = {"GRPCRoute", "HTTPRoute", "TLSRoute",
                                      "TCPRoute"};
  return names[t];
}

void ew_route_read(struct ew_jr *r, const struct ew_jv *root,
                   struct ew_arena *arena, enum ew_route_type type,
                   const char *ns, const char *name, struct ew_route *out) {
  *out = (struct ew_route){.type = type};
  struct ew_route_reader rd = {.r = r, .arena = arena, .ns = ns, .out = out};
  struct ew_jv spec = ew_jr_obj(r, root, "spec");
  if (!spec.v)
    ew_jr_fail(r, &spec, "must be an object");
  ew_read_parents(&rd, &spec);
  struct ew_jv list =
      ew_jr_list(r, &spec, "rules", EW_ROUTE_RULES_MAX, &out->rules_n);
  /* An HTTPRoute without rules has one that matches everything. */
  struct ew_jv none = {.up = &spec, .name = "rules"};
  bool implied = out->rules_n == 0 && type == EW_ROUTE_HTTP;
  if (implied)
    out->rules_n = 1;
  out->rules = ew_route_new(&rd, out->rules_n, sizeof *out->rules);
  for (size_t i = 0; i < out->rules_n && !r->failed; i++) {
    struct ew_jv v = implied ? none : ew_jr_item(r, &list, i);
    rd.rule = i;
    out->rules[i].route_kind = ew_route_kind(type);
    out->rules[i].route_namespace = ns;
    out->rules[i].route_name = name;
    ew_read_rule(&rd, &spec, &v, &out->rules[i]);
  }
  ew_check_rule_names(&rd);
}
