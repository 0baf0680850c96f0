/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_SLICE_H
#define EASTWEST_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns. Not NUL-terminated. {NULL, 0} is empty. */
struct ew_slice {
  const char *p;
  size_t n;
};

#define EW_SLICE_LIT(s) ((struct ew_slice){(s), sizeof(s) - 1})
/* printf("%.*s", EW_SLICE_FMT(s)) */
#define EW_SLICE_FMT(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct ew_slice ew_slice(const char *p, size_t n) {
  return (struct ew_slice){p, n};
}

static inline struct ew_slice ew_slice_str(const char *s) {
  return (struct ew_slice){s, s ? strlen(s) : 0};
}

static inline bool ew_slice_eq(struct ew_slice a, struct ew_slice b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool ew_slice_eq_str(struct ew_slice a, const char *s) {
  return ew_slice_eq(a, ew_slice_str(s));
}

/* ASCII letters compare without case; all other bytes exactly. */
bool ew_slice_caseeq(struct ew_slice a, struct ew_slice b);
bool ew_slice_starts(struct ew_slice s, struct ew_slice prefix);
/* Without leading and trailing SP and HTAB (RFC 9110 OWS). */
struct ew_slice ew_slice_trim(struct ew_slice s);
/* Cuts |*rest| at the first |sep|: returns what stands before it and leaves
 * what stands after it in |*rest|. Without |sep| returns all and empties
 * |*rest| ({NULL, 0}). */
struct ew_slice ew_slice_cut(struct ew_slice *rest, char sep);
/* Offset of |c| in |s|, or -1. */
ptrdiff_t ew_slice_chr(struct ew_slice s, char c);
/* Decimal digits only, no sign, no spaces. Returns EW_OK, or EW_EINVAL when
 * |s| is empty, holds another byte or is above |max|. */
int ew_slice_u64(struct ew_slice s, uint64_t max, uint64_t *out);
/* |v| in decimal, in |buf|: snprintf takes a thousand instructions for it. */
#define EW_DECIMAL_MAX 20
struct ew_slice ew_slice_decimal(char buf[EW_DECIMAL_MAX], uint64_t v);

#endif
