/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/route_read.h"

#include <strings.h>

#include "eastwest/regex/regex.h"

#define EW_PATH_MAX 1024

/* -1 and a fault if the type is not one of them: a newer version of the API may
 * know more types than this one, so that is no schema fault. */
static int ew_match_type_of(struct ew_route_reader *rd, const struct ew_jv *v,
                            enum ew_match_type or_else, bool prefix) {
  const char *s = ew_jr_str(rd->r, v, "type");
  if (!s)
    return (int)or_else;
  if (strcmp(s, "Exact") == 0)
    return EW_MATCH_EXACT;
  if (strcmp(s, "RegularExpression") == 0)
    return EW_MATCH_REGEX;
  if (strcmp(s, "PathPrefix") == 0 && prefix)
    return EW_MATCH_PREFIX;
  ew_route_add_fault(rd, true, "UnsupportedValue",
                     "match type \"%s\" is not known", s);
  return -1;
}

static bool ew_regex_good(struct ew_route_reader *rd, const char *pattern) {
  char why[160];
  struct ew_regex *re = ew_regex_new(pattern, why, sizeof why);
  if (!re) {
    ew_route_add_fault(rd, true, "UnsupportedValue",
                       "\"%.80s\" is no regular expression (RE2): %s", pattern,
                       why);
    return false;
  }
  ew_regex_del(re);
  return true;
}

static void ew_check_path(struct ew_route_reader *rd, const struct ew_jv *at,
                          const char *s) {
  size_t n = strlen(s);
  if (s[0] != '/') {
    ew_jr_fail(rd->r, at, "must begin with '/'");
    return;
  }
  static const char *const not [] = {"//",  "/./", "/../", "%2f",
                                     "%2F", "#",   NULL};
  for (size_t i = 0; not [i]; i++)
    if (strstr(s, not [i]))
      ew_jr_fail(rd->r, at, "must not contain \"%s\"", not [i]);
  if ((n >= 2 && strcmp(s + n - 2, "/.") == 0) ||
      (n >= 3 && strcmp(s + n - 3, "/..") == 0))
    ew_jr_fail(rd->r, at, "must not end with \"/.\" or \"/..\"");
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c <= 0x20 || c >= 0x7f || strchr("\"<>[]\\^`{|}?", c))
      ew_jr_fail(rd->r, at, "must only have characters of a URL path");
    if (c == '%' &&
        (i + 2 >= n || strspn(s + i + 1, "0123456789abcdefABCDEF") < 2))
      ew_jr_fail(rd->r, at, "must have two hexadecimal digits after '%%'");
  }
  if (n > EW_PATH_MAX)
    ew_jr_fail(rd->r, at, "must have at most %d characters", EW_PATH_MAX);
}

static bool ew_read_path(struct ew_route_reader *rd, const struct ew_jv *match,
                         struct ew_match *m) {
  struct ew_jv path = ew_jr_obj(rd->r, match, "path");
  int type = ew_match_type_of(rd, &path, EW_MATCH_PREFIX, true);
  const char *s = ew_jr_str(rd->r, &path, "value");
  struct ew_jv at = ew_jv_get(&path, "value");
  if (!s)
    s = "/";
  if (type < 0)
    return false;
  m->path_type = (enum ew_match_type)type;
  if (type == EW_MATCH_REGEX) {
    m->path = ew_route_keep(rd, s);
    return ew_regex_good(rd, s);
  }
  ew_check_path(rd, &at, s);
  size_t n = strlen(s);
  if (type == EW_MATCH_PREFIX)
    while (n && s[n - 1] == '/')
      n--;
  m->path = ew_arena_dup(rd->arena, s, n);
  return true;
}

/* Of names that are given twice only the first one counts (GAMMA rule 21). */
static bool ew_seen(const struct ew_value_match *list, size_t n,
                    const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(list[i].name, name) == 0)
      return true;
  return false;
}

static bool ew_read_values(struct ew_route_reader *rd,
                           const struct ew_jv *match, const char *member,
                           bool lower, const struct ew_value_match **out,
                           size_t *out_n) {
  size_t n, kept = 0;
  struct ew_jv list = ew_jr_list(rd->r, match, member, EW_ROUTE_NAMES_MAX, &n);
  struct ew_value_match *values = ew_route_new(rd, n, sizeof *values);
  *out = values;
  *out_n = 0;
  for (size_t i = 0; i < n; i++) {
    struct ew_jv v = ew_jr_item(rd->r, &list, i);
    const char *name = ew_jr_need(rd->r, &v, "name");
    struct ew_jv at = ew_jv_get(&v, "name");
    if (!ew_str_is_token(name))
      ew_jr_fail(rd->r, &at,
                 "must be a name of letters, digits and "
                 "!#$%%&'*+-.^_`|~");
    name = lower ? ew_route_lower(rd, name) : ew_route_keep(rd, name);
    const char *value = ew_jr_str(rd->r, &v, "value");
    at = ew_jv_get(&v, "value");
    if (!value || !*value)
      ew_jr_fail(rd->r, &at, "must be a string that is not empty");
    int type = ew_match_type_of(rd, &v, EW_MATCH_EXACT, false);
    if (rd->r->failed || type < 0 ||
        (type == EW_MATCH_REGEX && !ew_regex_good(rd, value)))
      return false;
    if (ew_seen(values, kept, name))
      continue;
    values[kept].type = (enum ew_match_type)type;
    values[kept].name = name;
    values[kept++].value = ew_route_keep(rd, value);
  }
  *out_n = kept;
  return true;
}

static bool ew_read_method(struct ew_route_reader *rd,
                           const struct ew_jv *match, struct ew_match *m) {
  static const char *const known[] = {"GET",    "HEAD",    "POST",    "PUT",
                                      "DELETE", "CONNECT", "OPTIONS", "TRACE",
                                      "PATCH",  NULL};
  const char *s = ew_jr_str(rd->r, match, "method");
  if (!s)
    return true;
  for (size_t i = 0; known[i]; i++)
    if (strcmp(s, known[i]) == 0) {
      m->method = known[i];
      return true;
    }
  ew_route_add_fault(rd, true, "UnsupportedValue", "method \"%s\" is not known",
                     s);
  return false;
}

typedef bool ew_read_match_fn(struct ew_route_reader *rd, const struct ew_jv *v,
                              struct ew_match *m);

static bool ew_read_http_match(struct ew_route_reader *rd,
                               const struct ew_jv *v, struct ew_match *m) {
  bool path = ew_read_path(rd, v, m);
  bool method = ew_read_method(rd, v, m);
  bool headers =
      ew_read_values(rd, v, "headers", true, &m->headers, &m->headers_n);
  bool query =
      ew_read_values(rd, v, "queryParams", false, &m->query, &m->query_n);
  return path && method && headers && query;
}

static bool ew_read_grpc_match(struct ew_route_reader *rd,
                               const struct ew_jv *v, struct ew_match *m) {
  struct ew_jv method = ew_jr_obj(rd->r, v, "method");
  bool good = true;
  if (method.v) {
    int type = ew_match_type_of(rd, &method, EW_MATCH_EXACT, false);
    const char *s = ew_jr_str(rd->r, &method, "service");
    const char *t = ew_jr_str(rd->r, &method, "method");
    if (s && !*s)
      s = NULL;
    if (t && !*t)
      t = NULL;
    if (!s && !t)
      ew_jr_fail(rd->r, &method, "must have service or method");
    good = type >= 0;
    m->grpc_type = good ? (enum ew_match_type)type : EW_MATCH_EXACT;
    m->grpc_service = s ? ew_route_keep(rd, s) : NULL;
    m->grpc_method = t ? ew_route_keep(rd, t) : NULL;
    if (type == EW_MATCH_REGEX)
      good = (!s || ew_regex_good(rd, s)) && (!t || ew_regex_good(rd, t));
  }
  return ew_read_values(rd, v, "headers", true, &m->headers, &m->headers_n) &&
         good;
}

static void ew_read_matches(struct ew_route_reader *rd,
                            const struct ew_jv *rule, ew_read_match_fn *fn) {
  size_t n, before = rd->out->matches_n;
  struct ew_jv list =
      ew_jr_list(rd->r, rule, "matches", EW_ROUTE_MATCHES_MAX, &n);
  struct ew_jv none = {.up = rule, .name = "matches"};
  bool good = true;
  if (n == 0)
    good = fn(rd, &none, ew_route_add_match(rd));
  for (size_t i = 0; i < n && !rd->r->failed; i++) {
    struct ew_jv v = ew_jr_item(rd->r, &list, i);
    good &= fn(rd, &v, ew_route_add_match(rd));
  }
  if (!good)
    rd->out->matches_n = before;
}

void ew_route_read_http_matches(struct ew_route_reader *rd,
                                const struct ew_jv *rule) {
  ew_read_matches(rd, rule, ew_read_http_match);
}

void ew_route_read_grpc_matches(struct ew_route_reader *rd,
                                const struct ew_jv *rule) {
  ew_read_matches(rd, rule, ew_read_grpc_match);
}
