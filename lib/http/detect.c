/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/http/detect.h"

#include "lib/http/octets.h"

#define DETECT_METHOD_MAX 32
#define DETECT_BYTES_MAX 8192

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* EW_DETECT_HTTP2 for the whole preface, MORE for a beginning of it. */
static enum ew_detected detect_preface(struct ew_slice in) {
  size_t all = sizeof(preface) - 1;
  size_t n = in.n < all ? in.n : all;
  if (n > 0 && memcmp(in.p, preface, n) != 0)
    return EW_DETECT_OPAQUE;
  return n == all ? EW_DETECT_HTTP2 : EW_DETECT_MORE;
}

/* A target begins with one of these: '/', '*', "http" in any case. */
static enum ew_detected detect_target(struct ew_slice s) {
  static const char http[] = "http";
  if (s.n == 0)
    return EW_DETECT_MORE;
  if (s.p[0] == '/' || s.p[0] == '*')
    return EW_DETECT_HTTP1;
  for (size_t i = 0; i < sizeof(http) - 1; i++) {
    if (i == s.n)
      return EW_DETECT_MORE;
    if (ew_octet_lower(s.p[i]) != http[i])
      return EW_DETECT_OPAQUE;
  }
  return EW_DETECT_HTTP1;
}

static bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r' && c != '\n');
}

static bool is_text(struct ew_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if (((unsigned char)s.p[i] < ' ' && !is_blank(s.p[i])) || s.p[i] == 0x7f)
      return false;
  return true;
}

/* A blank and "HTTP/1.1", in any case and with any digits, before the end. */
static bool ends_in_version(struct ew_slice line) {
  while (line.n > 0 && is_blank(line.p[line.n - 1]))
    line.n--;
  if (line.n < 9)
    return false;
  const char *v = line.p + line.n - 9;
  return is_blank(v[0]) &&
         ew_slice_caseeq(ew_slice(v + 1, 5), EW_SLICE_LIT("http/")) &&
         ew_octet_digit(v[6]) && v[7] == '.' && ew_octet_digit(v[8]);
}

/* Not as it ought to be, but there are servers that take it for a request: only
 * the codec, which refuses it, may see it. |s| is what follows the method. */
static enum ew_detected detect_odd(struct ew_slice s) {
  ptrdiff_t lf = ew_slice_chr(s, '\n');
  if (lf < 0)
    return is_text(s) ? EW_DETECT_MORE : EW_DETECT_OPAQUE;
  s.n = (size_t)lf;
  return is_text(s) && ends_in_version(s) ? EW_DETECT_HTTP1 : EW_DETECT_OPAQUE;
}

static enum ew_detected detect_line(struct ew_slice in) {
  size_t n = 0;
  while (n < in.n && n <= DETECT_METHOD_MAX &&
         ew_octet_is(in.p[n], EW_OCTET_TOKEN))
    n++;
  if (n > DETECT_METHOD_MAX)
    return EW_DETECT_OPAQUE;
  if (n == in.n)
    return EW_DETECT_MORE;
  if (n == 0 || !is_blank(in.p[n]))
    return EW_DETECT_OPAQUE;
  struct ew_slice rest = ew_slice(in.p + n, in.n - n);
  enum ew_detected d = EW_DETECT_OPAQUE;
  if (rest.p[0] == ' ')
    d = detect_target(ew_slice(rest.p + 1, rest.n - 1));
  return d == EW_DETECT_OPAQUE ? detect_odd(rest) : d;
}

enum ew_detected ew_detect(struct ew_slice in) {
  enum ew_detected d = detect_preface(in);
  if (d == EW_DETECT_OPAQUE) {
    size_t n = 0;
    /* One empty line may come before a request (RFC 9112 section 2.2), and
     * some servers skip more. */
    while (n < in.n && (is_blank(in.p[n]) || in.p[n] == '\n'))
      n++;
    d = detect_line(ew_slice(in.p + n, in.n - n));
  }
  if (d == EW_DETECT_MORE && in.n >= DETECT_BYTES_MAX)
    return EW_DETECT_OPAQUE;
  return d;
}
