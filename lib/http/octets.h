/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_HTTP_OCTETS_H
#define EASTWEST_LIB_HTTP_OCTETS_H

#include <stdbool.h>

#include "eastwest/base/slice.h"

/* Classes of bytes, independent of the locale. */
enum {
  EW_OCTET_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
  EW_OCTET_VALUE = 2,  /* may stand in a field value: VCHAR, obs-text, SP, HT */
  EW_OCTET_TARGET = 4, /* may stand in a request target */
  EW_OCTET_HOST = 8    /* may stand in a host name */
};
extern const unsigned char ew_octet_class[256];

static inline bool ew_octet_is(char c, int class) {
  return (ew_octet_class[(unsigned char)c] & class) != 0;
}
static inline char ew_octet_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline bool ew_octet_digit(char c) { return c >= '0' && c <= '9'; }

/* Whether all bytes are of |class|. */
bool ew_octets_all(struct ew_slice s, int class);
/* Copies in lower case, into |from.n| bytes at |to| that are not of |from|.
 * Whether it is a token. */
bool ew_octets_copy_token(char *to, struct ew_slice from);

#endif
