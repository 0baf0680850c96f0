/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/octets.h"

#include <stdint.h>
#include <string.h>

#include "eastwest/http/message.h"

/* Bits of enum in octets.h. ',' is kept out of host names though RFC 3986
 * allows it: it is what two merged Host lines look like. */
const unsigned char ew_octet_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 2, 15, 6, 3, 15, 7, 15, 15, 14, 14, 15, 15, 6, 15, 15,
    6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 14, 6, 14, 6, 6, 6, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 6, 2, 6, 7, 15, 7, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 7, 6,
    15, 0,
    /* obs-text: in values only */
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2};

bool ew_octets_all(struct ew_slice s, int class) {
  for (size_t i = 0; i < s.n; i++)
    if (!ew_octet_is(s.p[i], class))
      return false;
  return true;
}

/* Names and values are checked where they come in, and where they go out.
 * Sixteen bytes at a time: one by one it was a tenth of all instructions of a
 * request. The last block of many ends with the last byte, so some bytes stand
 * in two of them. */
typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* Fewer bytes are no block. */
#define BLOCK_MIN 4u

static block load(const char *p) {
  block v;

  memcpy(&v, p, sizeof(v));
  return v;
}

static void store(char *p, block v) { memcpy(p, &v, sizeof(v)); }

/* BLOCK_MIN to 16 bytes, some of which stand in the block twice. */
static block load_short(const char *p, size_t n) {
  uint64_t a, b;
  uint32_t c, d;

  if (n >= sizeof(a)) {
    memcpy(&a, p, sizeof(a));
    memcpy(&b, p + n - sizeof(b), sizeof(b));
  } else {
    memcpy(&c, p, sizeof(c));
    memcpy(&d, p + n - sizeof(d), sizeof(d));
    a = b = (uint64_t)d << 32 | c;
  }
  return (block)(halves){a, b};
}

/* |n| as it was loaded. */
static void store_short(char *p, size_t n, block v) {
  halves h = (halves)v;
  uint64_t a = h[0], b = h[1];
  uint32_t c, d;

  if (n >= sizeof(a)) {
    memcpy(p, &a, sizeof(a));
    memcpy(p + n - sizeof(b), &b, sizeof(b));
  } else {
    c = (uint32_t)a;
    d = (uint32_t)(a >> 32);
    memcpy(p, &c, sizeof(c));
    memcpy(p + n - sizeof(d), &d, sizeof(d));
  }
}

/* Each byte of |truth| is 0 or 0xff. */
static bool all_true(block truth) {
  halves h = (halves)truth;
  return (h[0] & h[1]) == UINT64_MAX;
}

/* What nearly all names are made of. */
static block is_plain(block v) {
  block letter = (v | 0x20) - 'a', digit = v - '0';
  return (block)(letter < 26) | (block)(digit < 10) | (block)(v == '-');
}

static block is_value(block v) {
  return ((block)(v >= 0x20) & (block)(v != 0x7f)) | (block)(v == '\t');
}

static block lower(block v) {
  block is_upper = (block)(v - 'A' < 26);
  return v | (is_upper & 0x20);
}

/* Whether |is| holds for all of |s|, which is BLOCK_MIN bytes or more. */
static inline bool all(struct ew_slice s, block (*is)(block)) {
  if (s.n <= sizeof(block))
    return all_true(is(load_short(s.p, s.n)));
  block truth = is(load(s.p + s.n - sizeof(block)));
  for (size_t i = 0; i + sizeof(block) < s.n; i += sizeof(block))
    truth &= is(load(s.p + i));
  return all_true(truth);
}

bool ew_is_token(struct ew_slice s) {
  return (s.n >= BLOCK_MIN && all(s, is_plain)) ||
         (s.n > 0 && ew_octets_all(s, EW_OCTET_TOKEN));
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool ew_is_field_value(struct ew_slice s) {
  if (s.n > 0 && (is_blank(s.p[0]) || is_blank(s.p[s.n - 1])))
    return false;
  return s.n >= BLOCK_MIN ? all(s, is_value) : ew_octets_all(s, EW_OCTET_VALUE);
}

/* The same as |all| of what is plain. */
static bool copy_plain(char *to, struct ew_slice from) {
  const size_t last = from.n - sizeof(block);
  block v = load(from.p + last), truth = is_plain(v);

  store(to + last, lower(v));
  for (size_t i = 0; i < last; i += sizeof(block)) {
    v = load(from.p + i);
    truth &= is_plain(v);
    store(to + i, lower(v));
  }
  return all_true(truth);
}

bool ew_octets_copy_token(char *to, struct ew_slice from) {
  bool plain = false;

  if (from.n > sizeof(block)) {
    plain = copy_plain(to, from);
  } else if (from.n >= BLOCK_MIN) {
    block v = load_short(from.p, from.n);
    store_short(to, from.n, lower(v));
    plain = all_true(is_plain(v));
  } else {
    for (size_t i = 0; i < from.n; i++)
      to[i] = ew_octet_lower(from.p[i]);
  }
  return plain || (from.n > 0 && ew_octets_all(from, EW_OCTET_TOKEN));
}
