/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/slice.h"

#include "eastwest/base/err.h"

static unsigned char ew_lower(char c) {
  return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool ew_slice_caseeq(struct ew_slice a, struct ew_slice b) {
  if (a.n != b.n)
    return false;
  for (size_t i = 0; i < a.n; i++)
    if (ew_lower(a.p[i]) != ew_lower(b.p[i]))
      return false;
  return true;
}

bool ew_slice_starts(struct ew_slice s, struct ew_slice prefix) {
  return s.n >= prefix.n &&
         (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static bool ew_is_ows(char c) { return c == ' ' || c == '\t'; }

struct ew_slice ew_slice_trim(struct ew_slice s) {
  while (s.n && ew_is_ows(s.p[0])) {
    s.p++;
    s.n--;
  }
  while (s.n && ew_is_ows(s.p[s.n - 1]))
    s.n--;
  return s;
}

struct ew_slice ew_slice_cut(struct ew_slice *rest, char sep) {
  struct ew_slice all = *rest;
  ptrdiff_t at = ew_slice_chr(all, sep);
  if (at < 0) {
    *rest = ew_slice(NULL, 0);
    return all;
  }
  size_t n = (size_t)at;
  *rest = ew_slice(all.p + n + 1, all.n - n - 1);
  return ew_slice(all.p, n);
}

ptrdiff_t ew_slice_chr(struct ew_slice s, char c) {
  const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
  return at ? at - s.p : -1;
}

int ew_slice_u64(struct ew_slice s, uint64_t max, uint64_t *out) {
  uint64_t v = 0;
  if (s.n == 0)
    return EW_EINVAL;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] < '0' || s.p[i] > '9')
      return EW_EINVAL;
    uint64_t digit = (uint64_t)(s.p[i] - '0');
    if (v > max / 10 || v * 10 > max - digit || digit > max)
      return EW_EINVAL;
    v = v * 10 + digit;
  }
  *out = v;
  return EW_OK;
}

struct ew_slice ew_slice_decimal(char buf[EW_DECIMAL_MAX], uint64_t v) {
  size_t i = EW_DECIMAL_MAX;
  do {
    buf[--i] = (char)('0' + v % 10);
    v /= 10;
  } while (v);
  return ew_slice(buf + i, EW_DECIMAL_MAX - i);
}
