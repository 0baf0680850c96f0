/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_MODEL_JSON_READ_H
#define EASTWEST_MODEL_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "eastwest/base/slice.h"

/* Reading untrusted JSON member by member. A fault is told with the path of
 * the member, its value and what was expected:
 *   spec.rules[0].matches[1].path.value: "foo": must begin with '/'
 */

#define EW_JSON_DEPTH_MAX 64

/* NULL and a reason in |why| if |text| is no JSON object, nests deeper than
 * EW_JSON_DEPTH_MAX or names a member twice. */
json_t *ew_json_parse(struct ew_slice text, char *why, size_t why_len);

/* A value and the way to it. The parent must outlive it. */
struct ew_jv {
  const json_t *v; /* NULL: absent, or null */
  const struct ew_jv *up;
  const char *name; /* NULL: the root, or an element of a list */
  size_t index;
};

/* Keeps the first fault only; all later ones are ignored. */
struct ew_jr {
  bool failed;
  char *why;
  size_t why_len;
};

static inline struct ew_jv ew_jv_root(const json_t *v) {
  return (struct ew_jv){.v = v};
}
struct ew_jv ew_jv_get(const struct ew_jv *obj, const char *name);
struct ew_jv ew_jv_at(const struct ew_jv *list, size_t i);

/* Tells that |v| is not what |expected| says. Always returns false. */
bool ew_jr_fail(struct ew_jr *r, const struct ew_jv *v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Each of these reads member |name| of |obj|; absent or null gives what stands
 * behind "or"; another type is a fault, and then that value too. */
const char *ew_jr_str(struct ew_jr *r, const struct ew_jv *obj,
                      const char *name); /* or NULL */
const char *ew_jr_need(struct ew_jr *r, const struct ew_jv *obj,
                       const char *name); /* a fault if absent or "": "" */
uint64_t ew_jr_u64(struct ew_jr *r, const struct ew_jv *obj, const char *name,
                   uint64_t min, uint64_t max, uint64_t or_else);
bool ew_jr_bool(struct ew_jr *r, const struct ew_jv *obj, const char *name,
                bool or_else);
/* Members with their own members; |v| is NULL if absent. */
struct ew_jv ew_jr_obj(struct ew_jr *r, const struct ew_jv *obj,
                       const char *name);
/* A list of at most |max| elements; *n is 0 if absent. */
struct ew_jv ew_jr_list(struct ew_jr *r, const struct ew_jv *obj,
                        const char *name, size_t max, size_t *n);
/* Element |i|, which must be an object. */
struct ew_jv ew_jr_item(struct ew_jr *r, const struct ew_jv *list, size_t i);
/* Element |i|, which must be a string; "" otherwise. */
const char *ew_jr_item_str(struct ew_jr *r, const struct ew_jv *list, size_t i);
/* Index of the string in |names| (NULL-terminated), or |or_else| if absent;
 * any other string is a fault that lists the names. */
int ew_jr_enum(struct ew_jr *r, const struct ew_jv *obj, const char *name,
               const char *const *names, int or_else);

/* RFC 9110 field name (a token), and field value without CTL but HTAB. */
bool ew_str_is_token(const char *s);
bool ew_str_is_field_value(const char *s);

#endif
