/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/json_read.h"

#include <stdarg.h>
#include <stdio.h>

/* jansson recurses once per level and has a fixed bound of 2048, so depth is
 * looked at before. Counts brackets outside strings; what is no JSON at all is
 * left to jansson. */
static bool ew_json_too_deep(struct ew_slice s) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > EW_JSON_DEPTH_MAX)
        return true;
    } else if ((c == '}' || c == ']') && depth) {
      depth--;
    }
  }
  return false;
}

json_t *ew_json_parse(struct ew_slice text, char *why, size_t why_len) {
  if (ew_json_too_deep(text)) {
    snprintf(why, why_len, "nested deeper than %d levels", EW_JSON_DEPTH_MAX);
    return NULL;
  }
  json_error_t err;
  json_t *root =
      json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &err);
  if (!root) {
    snprintf(why, why_len, "byte %d: %s", err.position, err.text);
    return NULL;
  }
  if (!json_is_object(root)) {
    snprintf(why, why_len, "expected an object");
    json_decref(root);
    return NULL;
  }
  return root;
}

struct ew_jv ew_jv_get(const struct ew_jv *obj, const char *name) {
  struct ew_jv out = {.up = obj, .name = name};
  if (obj->v)
    out.v = json_object_get(obj->v, name);
  if (out.v && json_is_null(out.v))
    out.v = NULL;
  return out;
}

struct ew_jv ew_jv_at(const struct ew_jv *list, size_t i) {
  return (struct ew_jv){
      .v = json_array_get(list->v, i), .up = list, .index = i};
}

struct ew_text {
  char *p;
  size_t cap, n;
};

static void ew_text_add(struct ew_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void ew_text_add(struct ew_text *t, const char *fmt, ...) {
  if (t->n + 1 >= t->cap)
    return;
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(t->p + t->n, t->cap - t->n, fmt, ap);
  va_end(ap);
  if (n > 0)
    t->n += (size_t)n < t->cap - t->n ? (size_t)n : t->cap - t->n - 1;
}

static void ew_text_path(struct ew_text *t, const struct ew_jv *v) {
  if (!v->up) {
    if (v->name)
      ew_text_add(t, "%s", v->name);
    return;
  }
  ew_text_path(t, v->up);
  if (v->name)
    ew_text_add(t, "%s%s", t->n ? "." : "", v->name);
  else
    ew_text_add(t, "[%zu]", v->index);
}

/* Bytes of a peer or a file go to logs: control bytes are shown as '?'. */
static void ew_text_value(struct ew_text *t, const json_t *v) {
  switch (v ? json_typeof(v) : JSON_NULL) {
  case JSON_STRING: {
    char shown[81];
    size_t n = 0;
    const char *s = json_string_value(v);
    for (; s[n] && n < sizeof shown - 1; n++)
      shown[n] = (unsigned char)s[n] < 0x20 || s[n] == 0x7f ? '?' : s[n];
    shown[n] = '\0';
    ew_text_add(t, "\"%s%s\"", shown, s[n] ? "..." : "");
    break;
  }
  case JSON_INTEGER:
    ew_text_add(t, "%lld", (long long)json_integer_value(v));
    break;
  case JSON_REAL:
    ew_text_add(t, "%g", json_real_value(v));
    break;
  case JSON_TRUE:
    ew_text_add(t, "true");
    break;
  case JSON_FALSE:
    ew_text_add(t, "false");
    break;
  case JSON_OBJECT:
    ew_text_add(t, "an object");
    break;
  case JSON_ARRAY:
    ew_text_add(t, "a list of %zu", json_array_size(v));
    break;
  default:
    ew_text_add(t, "absent");
    break;
  }
}

bool ew_jr_fail(struct ew_jr *r, const struct ew_jv *v, const char *fmt, ...) {
  if (r->failed)
    return false;
  r->failed = true;
  if (!r->why || !r->why_len)
    return false;
  char expected[192];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(expected, sizeof expected, fmt, ap);
  va_end(ap);
  struct ew_text t = {r->why, r->why_len, 0};
  r->why[0] = '\0';
  ew_text_path(&t, v);
  ew_text_add(&t, "%s", t.n ? ": " : "");
  ew_text_value(&t, v->v);
  ew_text_add(&t, ": %s", expected);
  return false;
}

/* NULL if it is no string; a NUL would cut it, which makes it another one. */
static const char *ew_jr_text(struct ew_jr *r, const struct ew_jv *v) {
  const char *s = json_string_value(v->v);
  if (s && strlen(s) != json_string_length(v->v))
    ew_jr_fail(r, v, "must have no NUL");
  return s;
}

const char *ew_jr_str(struct ew_jr *r, const struct ew_jv *obj,
                      const char *name) {
  struct ew_jv v = ew_jv_get(obj, name);
  if (!v.v)
    return NULL;
  const char *s = ew_jr_text(r, &v);
  if (!s)
    ew_jr_fail(r, &v, "must be a string");
  return s;
}

const char *ew_jr_need(struct ew_jr *r, const struct ew_jv *obj,
                       const char *name) {
  const char *s = ew_jr_str(r, obj, name);
  if (s && *s)
    return s;
  struct ew_jv v = ew_jv_get(obj, name);
  ew_jr_fail(r, &v, "must be a string that is not empty");
  return "";
}

uint64_t ew_jr_u64(struct ew_jr *r, const struct ew_jv *obj, const char *name,
                   uint64_t min, uint64_t max, uint64_t or_else) {
  struct ew_jv v = ew_jv_get(obj, name);
  if (!v.v)
    return or_else;
  json_int_t i = json_integer_value(v.v);
  if (json_is_integer(v.v) && i >= 0 && (uint64_t)i >= min &&
      (uint64_t)i <= max)
    return (uint64_t)i;
  ew_jr_fail(r, &v, "must be an integer from %llu to %llu",
             (unsigned long long)min, (unsigned long long)max);
  return or_else;
}

bool ew_jr_bool(struct ew_jr *r, const struct ew_jv *obj, const char *name,
                bool or_else) {
  struct ew_jv v = ew_jv_get(obj, name);
  if (!v.v)
    return or_else;
  if (json_is_boolean(v.v))
    return json_is_true(v.v);
  ew_jr_fail(r, &v, "must be true or false");
  return or_else;
}

struct ew_jv ew_jr_obj(struct ew_jr *r, const struct ew_jv *obj,
                       const char *name) {
  struct ew_jv v = ew_jv_get(obj, name);
  if (v.v && !json_is_object(v.v)) {
    ew_jr_fail(r, &v, "must be an object");
    v.v = NULL;
  }
  return v;
}

struct ew_jv ew_jr_list(struct ew_jr *r, const struct ew_jv *obj,
                        const char *name, size_t max, size_t *n) {
  struct ew_jv v = ew_jv_get(obj, name);
  *n = 0;
  if (!v.v)
    return v;
  if (!json_is_array(v.v)) {
    ew_jr_fail(r, &v, "must be a list");
    v.v = NULL;
  } else if (json_array_size(v.v) > max) {
    ew_jr_fail(r, &v, "must have at most %zu elements", max);
    v.v = NULL;
  } else {
    *n = json_array_size(v.v);
  }
  return v;
}

struct ew_jv ew_jr_item(struct ew_jr *r, const struct ew_jv *list, size_t i) {
  struct ew_jv v = ew_jv_at(list, i);
  if (!json_is_object(v.v)) {
    ew_jr_fail(r, &v, "must be an object");
    v.v = NULL;
  }
  return v;
}

const char *ew_jr_item_str(struct ew_jr *r, const struct ew_jv *list,
                           size_t i) {
  struct ew_jv v = ew_jv_at(list, i);
  const char *s = ew_jr_text(r, &v);
  if (s)
    return s;
  ew_jr_fail(r, &v, "must be a string");
  return "";
}

int ew_jr_enum(struct ew_jr *r, const struct ew_jv *obj, const char *name,
               const char *const *names, int or_else) {
  struct ew_jv v = ew_jv_get(obj, name);
  const char *s = ew_jr_str(r, obj, name);
  if (!s)
    return or_else;
  char all[160];
  struct ew_text t = {all, sizeof all, 0};
  for (int i = 0; names[i]; i++) {
    if (strcmp(s, names[i]) == 0)
      return i;
    ew_text_add(&t, "%s%s", i ? ", " : "", names[i]);
  }
  ew_jr_fail(r, &v, "must be one of %s", all);
  return or_else;
}

bool ew_str_is_token(const char *s) {
  if (!*s)
    return false;
  for (; *s; s++) {
    bool alnum = (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
                 (*s >= 'A' && *s <= 'Z');
    if (!alnum && !strchr("!#$%&'*+-.^_`|~", *s))
      return false;
  }
  return true;
}

bool ew_str_is_field_value(const char *s) {
  for (; *s; s++)
    if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
      return false;
  return true;
}
