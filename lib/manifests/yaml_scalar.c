/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/manifests/yaml.h"

#include <errno.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"

/* From here on a float is written with an exponent in JSON, and what wants an
 * integer refuses it. Far below 2^53: exact. */
#define EW_YAML_WHOLE_MAX 1e15

static bool ew_yaml_word(const char *const *words, const char *text) {
  for (; *words; words++)
    if (strcmp(*words, text) == 0)
      return true;
  return false;
}

static const char *const words_null[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const words_true[] = {"y",   "Y",    "yes",  "Yes",
                                         "YES", "true", "True", "TRUE",
                                         "on",  "On",   "ON",   NULL};
static const char *const words_false[] = {"n",   "N",     "no",    "No",
                                          "NO",  "false", "False", "FALSE",
                                          "off", "Off",   "OFF",   NULL};
static const char *const words_no_number[] = {
    ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF", "+.inf",
    "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", NULL};

static size_t ew_yaml_digits(const char *s) { return strspn(s, "0123456789"); }

/* [-+]? ( .digits | digits [.digits*] ) ( [eE][-+]?digits )? */
static bool ew_yaml_is_float(const char *s) {
  if (*s == '-' || *s == '+')
    s++;
  size_t whole = ew_yaml_digits(s), part = 0;
  s += whole;
  if (*s == '.') {
    part = ew_yaml_digits(s + 1);
    s += 1 + part;
  }
  if (!whole && !part)
    return false;
  if (*s == 'e' || *s == 'E') {
    s++;
    if (*s == '-' || *s == '+')
      s++;
    if (!ew_yaml_digits(s))
      return false;
    s += ew_yaml_digits(s);
  }
  return *s == '\0';
}

static json_t *ew_yaml_float(const char *s) {
  if (!ew_yaml_is_float(s))
    return NULL;
  double d = strtod(s, NULL);
  if (d > -EW_YAML_WHOLE_MAX && d < EW_YAML_WHOLE_MAX &&
      (double)(json_int_t)d == d)
    return json_integer((json_int_t)d);
  return json_real(d); /* NULL if out of range */
}

/* What does not fit has a form in JSON too, if not an exact one. A decimal one
 * is left to the reading as a float. */
static json_t *ew_yaml_int_large(const char *digits, int base, bool minus) {
  double d = 0;
  if (base == 10)
    return NULL;
  for (; *digits; digits++) {
    int low = *digits | 0x20;
    d = d * base + (low >= 'a' ? low - 'a' + 10 : *digits - '0');
  }
  return json_real(minus ? -d : d);
}

/* Go's ParseInt with base 0: 0x, 0o, 0b; a leading 0 is octal. */
static json_t *ew_yaml_int(const char *s) {
  static const struct {
    char letter;
    int base;
    const char *digits;
  } bases[] = {{'x', 16, "0123456789abcdefABCDEF"},
               {'o', 8, "01234567"},
               {'b', 2, "01"}};
  bool minus = *s == '-';
  if (*s == '-' || *s == '+')
    s++;
  int base = 10;
  const char *digits = "0123456789";
  if (s[0] == '0' && s[1]) {
    base = 8;
    digits = bases[1].digits;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
      if ((s[1] | 0x20) != bases[i].letter)
        continue;
      base = bases[i].base;
      digits = bases[i].digits;
      s += 2;
      break;
    }
  }
  if (!*s || s[strspn(s, digits)])
    return NULL;
  errno = 0;
  unsigned long long u = strtoull(s, NULL, base);
  if (errno == ERANGE || u > INT64_MAX)
    return ew_yaml_int_large(s, base, minus);
  return json_integer(minus ? -(json_int_t)u : (json_int_t)u);
}

/* 2001-12-14 begins like a number but is none; so nothing is cut off: a text
 * is a number as a whole or not at all. */
static json_t *ew_yaml_number(const char *text) {
  char *plain = ew_strdup(text);
  size_t n = 0;
  for (const char *s = text; *s; s++)
    if (*s != '_' || text[0] == '.')
      plain[n++] = *s;
  plain[n] = '\0';
  json_t *v = text[0] == '.' ? NULL : ew_yaml_int(plain);
  if (!v)
    v = ew_yaml_float(plain);
  free(plain);
  return v;
}

static json_t *ew_yaml_plain(const char *text) {
  if (ew_yaml_word(words_null, text))
    return json_null();
  if (ew_yaml_word(words_true, text))
    return json_true();
  if (ew_yaml_word(words_false, text))
    return json_false();
  if (ew_yaml_word(words_no_number, text))
    return NULL;
  json_t *v = NULL;
  if (strchr("+-.0123456789", text[0]))
    v = ew_yaml_number(text);
  return v ? v : json_string_nocheck(text);
}

json_t *ew_yaml_scalar(const char *kind, const char *text) {
  if (strcmp(kind, "str") == 0 || strcmp(kind, "timestamp") == 0)
    return json_string_nocheck(text);
  json_t *v = ew_yaml_plain(text);
  if (!*kind || !v)
    return v;
  bool fits = (strcmp(kind, "null") == 0 && json_is_null(v)) ||
              (strcmp(kind, "bool") == 0 && json_is_boolean(v)) ||
              (strcmp(kind, "int") == 0 && json_is_integer(v)) ||
              (strcmp(kind, "float") == 0 && json_is_number(v));
  if (fits)
    return v;
  json_decref(v);
  return NULL;
}
