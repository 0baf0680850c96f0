/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/base64.h"

#include <stdint.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789+/";

char *ew_base64_encode(struct ew_slice bytes) {
  const unsigned char *p = (const unsigned char *)bytes.p;
  char *out = ew_malloc((bytes.n + 2) / 3 * 4 + 1);
  char *to = out;

  for (size_t i = 0; i < bytes.n; i += 3) {
    uint32_t v = (uint32_t)p[i] << 16;
    if (i + 1 < bytes.n)
      v |= (uint32_t)p[i + 1] << 8;
    if (i + 2 < bytes.n)
      v |= p[i + 2];
    *to++ = digits[v >> 18];
    *to++ = digits[v >> 12 & 63];
    *to++ = i + 1 < bytes.n ? digits[v >> 6 & 63] : '=';
    *to++ = i + 2 < bytes.n ? digits[v & 63] : '=';
  }
  *to = '\0';
  return out;
}

/* -1: no digit. */
static int value_of(char c) {
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

static size_t padding_of(struct ew_slice text) {
  if (text.n == 0 || text.p[text.n - 1] != '=')
    return 0;
  return text.p[text.n - 2] == '=' ? 2 : 1;
}

char *ew_base64_decode(struct ew_slice text, size_t *n) {
  size_t pad, used = 0;
  uint32_t v = 0;
  char *out;

  if (text.n % 4 != 0)
    return NULL;
  pad = padding_of(text);
  out = ew_malloc(text.n / 4 * 3 + 1);
  for (size_t i = 0; i < text.n; i++) {
    int digit = i < text.n - pad ? value_of(text.p[i]) : 0;
    if (digit < 0) {
      free(out);
      return NULL;
    }
    v = v << 6 | (uint32_t)digit;
    if (i % 4 != 3)
      continue;
    out[used++] = (char)(v >> 16);
    out[used++] = (char)(v >> 8);
    out[used++] = (char)v;
    v = 0;
  }
  used -= pad;
  out[used] = '\0';
  if (n)
    *n = used;
  return out;
}
