/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/route_read.h"

#include <stdarg.h>
#include <stdio.h>

static void ew_invalid(struct ew_route_reader *rd, struct ew_filter *f,
                       const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A filter must not be skipped (GAMMA rule 20): the rule will answer 500. */
static void ew_invalid(struct ew_route_reader *rd, struct ew_filter *f,
                       const char *reason, const char *fmt, ...) {
  char text[256];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  *f = (struct ew_filter){.type = EW_FILTER_INVALID};
  f->u.invalid = ew_route_keep(rd, text);
  ew_route_add_fault(rd, false, reason, "%s", text);
}

/* The member that belongs to the type of the filter. */
static struct ew_jv ew_config(struct ew_route_reader *rd, const struct ew_jv *v,
                              const char *name) {
  struct ew_jv c = ew_jr_obj(rd->r, v, name);
  if (!c.v)
    ew_jr_fail(rd->r, &c, "must be given with this type of filter");
  return c;
}

/* Fields that belong to the connection or frame the message: the proxy makes
 * them itself. */
static bool ew_is_framing(const char *name) {
  static const char *const fields[] = {
      "connection", "content-length", "keep-alive",        "proxy-connection",
      "te",         "trailer",        "transfer-encoding", "upgrade",
      NULL};
  for (size_t i = 0; fields[i]; i++)
    if (strcmp(fields[i], name) == 0)
      return true;
  return false;
}

/* NULL in *bad, or the text of the first value that can't be set. */
static struct ew_header_value *ew_read_headers(struct ew_route_reader *rd,
                                               const struct ew_jv *obj,
                                               const char *member, size_t *n,
                                               const char **bad) {
  struct ew_jv list = ew_jr_list(rd->r, obj, member, EW_ROUTE_NAMES_MAX, n);
  struct ew_header_value *out = ew_route_new(rd, *n, sizeof *out);
  for (size_t i = 0; i < *n; i++) {
    struct ew_jv v = ew_jr_item(rd->r, &list, i);
    const char *name = ew_jr_need(rd->r, &v, "name");
    struct ew_jv at = ew_jv_get(&v, "name");
    if (!ew_str_is_token(name))
      ew_jr_fail(rd->r, &at, "must be the name of a header");
    const char *value = ew_jr_str(rd->r, &v, "value");
    at = ew_jv_get(&v, "value");
    if (!value)
      ew_jr_fail(rd->r, &at, "must be a string");
    out[i].name = ew_route_lower(rd, name);
    out[i].value = ew_route_keep(rd, value ? value : "");
    if (!*bad && !ew_str_is_field_value(out[i].value))
      *bad = "has a control byte in its value";
    if (!*bad && ew_is_framing(out[i].name))
      *bad = "belongs to the connection and can't be set";
  }
  return out;
}

static void ew_read_modifier(struct ew_route_reader *rd, const struct ew_jv *c,
                             struct ew_filter *f) {
  const char *bad = NULL;
  f->u.headers.set = ew_read_headers(rd, c, "set", &f->u.headers.set_n, &bad);
  f->u.headers.add = ew_read_headers(rd, c, "add", &f->u.headers.add_n, &bad);
  struct ew_jv list = ew_jr_list(rd->r, c, "remove", EW_ROUTE_NAMES_MAX,
                                 &f->u.headers.remove_n);
  const char **names = ew_route_new(rd, f->u.headers.remove_n, sizeof *names);
  for (size_t i = 0; i < f->u.headers.remove_n; i++) {
    const char *name = ew_jr_item_str(rd->r, &list, i);
    struct ew_jv at = ew_jv_at(&list, i);
    if (!ew_str_is_token(name))
      ew_jr_fail(rd->r, &at, "must be the name of a header");
    names[i] = ew_route_lower(rd, name);
  }
  f->u.headers.remove = names;
  if (bad)
    ew_invalid(rd, f, "UnsupportedValue", "a header %s", bad);
}

static void ew_read_hostname(struct ew_route_reader *rd, const struct ew_jv *c,
                             struct ew_filter *f) {
  const char *s = ew_jr_str(rd->r, c, "hostname");
  struct ew_jv at = ew_jv_get(c, "hostname");
  if (s && (!*s || strlen(s) > 253 ||
            strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(s)))
    ew_jr_fail(rd->r, &at, "must be a lowercase host name");
  f->u.location.hostname = s ? ew_route_keep(rd, s) : NULL;
}

/* False if the filter became invalid. */
static bool ew_read_path_modifier(struct ew_route_reader *rd,
                                  const struct ew_jv *c, bool one_prefix,
                                  struct ew_filter *f) {
  struct ew_jv p = ew_jr_obj(rd->r, c, "path");
  if (!p.v)
    return true;
  const char *type = ew_jr_need(rd->r, &p, "type");
  const char *member = NULL;
  if (strcmp(type, "ReplaceFullPath") == 0) {
    f->u.location.path_modifier = EW_PATH_FULL;
    member = "replaceFullPath";
  } else if (strcmp(type, "ReplacePrefixMatch") == 0) {
    f->u.location.path_modifier = EW_PATH_PREFIX;
    member = "replacePrefixMatch";
  } else {
    ew_invalid(rd, f, "UnsupportedValue", "path modifier \"%s\" is not known",
               type);
    return false;
  }
  const char *s = ew_jr_str(rd->r, &p, member);
  struct ew_jv at = ew_jv_get(&p, member);
  if (!s)
    ew_jr_fail(rd->r, &at, "must be given with type %s", type);
  f->u.location.path = ew_route_keep(rd, s ? s : "");
  for (const char *q = f->u.location.path; *q; q++)
    if ((unsigned char)*q <= 0x20 || *q == 0x7f || *q == '#') {
      ew_invalid(rd, f, "UnsupportedValue", "\"%s\" is no URL path", s);
      return false;
    }
  if (f->u.location.path_modifier == EW_PATH_PREFIX && !one_prefix) {
    ew_invalid(rd, f, "IncompatibleFilters",
               "ReplacePrefixMatch needs a rule with exactly one match, of "
               "type PathPrefix");
    return false;
  }
  return true;
}

static void ew_read_redirect(struct ew_route_reader *rd, const struct ew_jv *c,
                             bool one_prefix, struct ew_filter *f) {
  const char *scheme = ew_jr_str(rd->r, c, "scheme");
  uint64_t code = ew_jr_u64(rd->r, c, "statusCode", 0, UINT16_MAX, 302);
  f->u.location.port = (uint16_t)ew_jr_u64(rd->r, c, "port", 1, UINT16_MAX, 0);
  f->u.location.status = (uint16_t)code;
  ew_read_hostname(rd, c, f);
  if (!ew_read_path_modifier(rd, c, one_prefix, f))
    return;
  if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308) {
    ew_invalid(rd, f, "UnsupportedValue",
               "RequestRedirect statusCode %u is not supported",
               (unsigned)code);
  } else if (scheme && strcmp(scheme, "http") != 0 &&
             strcmp(scheme, "https") != 0) {
    ew_invalid(rd, f, "UnsupportedValue",
               "RequestRedirect scheme \"%s\" is not supported", scheme);
  } else if (scheme) {
    f->u.location.scheme = ew_route_keep(rd, scheme);
  }
}

static void ew_read_mirror(struct ew_route_reader *rd, const struct ew_jv *c,
                           struct ew_filter *f) {
  struct ew_jv ref = ew_config(rd, c, "backendRef");
  f->u.mirror.backend = ew_route_read_ref(rd, &ref);
  f->u.mirror.numerator = f->u.mirror.denominator = 1;
  struct ew_jv percent = ew_jv_get(c, "percent");
  struct ew_jv fraction = ew_jr_obj(rd->r, c, "fraction");
  if (percent.v && fraction.v)
    ew_jr_fail(rd->r, &percent, "must not stand beside fraction");
  if (percent.v) {
    f->u.mirror.numerator = (uint32_t)ew_jr_u64(rd->r, c, "percent", 0, 100, 0);
    f->u.mirror.denominator = 100;
  } else if (fraction.v) {
    struct ew_jv num = ew_jv_get(&fraction, "numerator");
    if (!num.v)
      ew_jr_fail(rd->r, &num, "must be given");
    uint64_t den =
        ew_jr_u64(rd->r, &fraction, "denominator", 1, INT32_MAX, 100);
    f->u.mirror.denominator = (uint32_t)den;
    f->u.mirror.numerator =
        (uint32_t)ew_jr_u64(rd->r, &fraction, "numerator", 0, den, 0);
  }
}

static const char *const *ew_read_cors_list(struct ew_route_reader *rd,
                                            const struct ew_jv *c,
                                            const char *name, size_t *n,
                                            bool *bad) {
  struct ew_jv list = ew_jr_list(rd->r, c, name, EW_ROUTE_NAMES_MAX, n);
  const char **out = ew_route_new(rd, *n, sizeof *out);
  for (size_t i = 0; i < *n; i++) {
    out[i] = ew_route_keep(rd, ew_jr_item_str(rd->r, &list, i));
    if (!ew_str_is_field_value(out[i]) || !*out[i])
      *bad = true;
  }
  return out;
}

static void ew_read_cors(struct ew_route_reader *rd, const struct ew_jv *c,
                         struct ew_filter *f) {
  bool bad = false;
  f->u.cors.allow_origins = ew_read_cors_list(rd, c, "allowOrigins",
                                              &f->u.cors.allow_origins_n, &bad);
  f->u.cors.allow_methods = ew_read_cors_list(rd, c, "allowMethods",
                                              &f->u.cors.allow_methods_n, &bad);
  f->u.cors.allow_headers = ew_read_cors_list(rd, c, "allowHeaders",
                                              &f->u.cors.allow_headers_n, &bad);
  f->u.cors.expose_headers = ew_read_cors_list(
      rd, c, "exposeHeaders", &f->u.cors.expose_headers_n, &bad);
  f->u.cors.max_age_s =
      (uint32_t)ew_jr_u64(rd->r, c, "maxAge", 1, INT32_MAX, 5);
  f->u.cors.allow_credentials = ew_jr_bool(rd->r, c, "allowCredentials", false);
  if (bad)
    ew_invalid(rd, f, "UnsupportedValue",
               "CORS has a value that is empty or has a control byte");
}

static void ew_read_filter(struct ew_route_reader *rd, const struct ew_jv *v,
                           bool one_prefix, struct ew_filter *f) {
  const char *type = ew_jr_need(rd->r, v, "type");
  bool http = rd->out->type == EW_ROUTE_HTTP;
  struct ew_jv c;
  if (strcmp(type, "RequestHeaderModifier") == 0) {
    f->type = EW_FILTER_REQUEST_HEADERS;
    c = ew_config(rd, v, "requestHeaderModifier");
    ew_read_modifier(rd, &c, f);
  } else if (strcmp(type, "ResponseHeaderModifier") == 0) {
    f->type = EW_FILTER_RESPONSE_HEADERS;
    c = ew_config(rd, v, "responseHeaderModifier");
    ew_read_modifier(rd, &c, f);
  } else if (strcmp(type, "RequestMirror") == 0) {
    f->type = EW_FILTER_MIRROR;
    c = ew_config(rd, v, "requestMirror");
    ew_read_mirror(rd, &c, f);
  } else if (http && strcmp(type, "RequestRedirect") == 0) {
    f->type = EW_FILTER_REDIRECT;
    c = ew_config(rd, v, "requestRedirect");
    ew_read_redirect(rd, &c, one_prefix, f);
  } else if (http && strcmp(type, "URLRewrite") == 0) {
    f->type = EW_FILTER_REWRITE;
    c = ew_config(rd, v, "urlRewrite");
    ew_read_hostname(rd, &c, f);
    ew_read_path_modifier(rd, &c, one_prefix, f);
  } else if (http && strcmp(type, "CORS") == 0) {
    f->type = EW_FILTER_CORS;
    c = ew_config(rd, v, "cors");
    ew_read_cors(rd, &c, f);
  } else {
    ew_invalid(rd, f, "UnsupportedValue", "filter type \"%s\" is not supported",
               type);
  }
}

/* Each filter stands once, mirrors apart; a redirect leaves nothing to rewrite.
 */
static void ew_check_together(struct ew_route_reader *rd, struct ew_filter *f,
                              size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = i + 1; j < n; j++) {
      bool same = f[i].type == f[j].type && f[i].type != EW_FILTER_MIRROR &&
                  f[i].type != EW_FILTER_INVALID;
      bool both =
          (f[i].type == EW_FILTER_REDIRECT && f[j].type == EW_FILTER_REWRITE) ||
          (f[i].type == EW_FILTER_REWRITE && f[j].type == EW_FILTER_REDIRECT);
      if (both)
        ew_invalid(rd, &f[j], "IncompatibleFilters",
                   "RequestRedirect and URLRewrite can't be combined");
      else if (same)
        ew_invalid(rd, &f[j], "IncompatibleFilters",
                   "a filter of one type can stand only once");
    }
}

const struct ew_filter *ew_route_read_filters(struct ew_route_reader *rd,
                                              const struct ew_jv *obj,
                                              bool one_prefix, size_t *n) {
  struct ew_jv list =
      ew_jr_list(rd->r, obj, "filters", EW_ROUTE_FILTERS_MAX, n);
  struct ew_filter *out = ew_route_new(rd, *n, sizeof *out);
  for (size_t i = 0; i < *n; i++) {
    struct ew_jv v = ew_jr_item(rd->r, &list, i);
    ew_read_filter(rd, &v, one_prefix, &out[i]);
  }
  ew_check_together(rd, out, *n);
  return out;
}
