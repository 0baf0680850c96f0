/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_HTTP_DETECT_H
#define EASTWEST_HTTP_DETECT_H

#include "eastwest/base/slice.h"

enum ew_detected {
  EW_DETECT_MORE,  /* the bytes so far fit a protocol but don't settle it */
  EW_DETECT_HTTP1, /* a request line: token SP target SP "HTTP/1." */
  EW_DETECT_HTTP2, /* the connection preface of RFC 9113 section 3.4 */
  EW_DETECT_OPAQUE /* neither */
};

/* Looks at the first bytes a client sent. Decides as early as it can: as soon
 * as a method token of at most 32 bytes and a SP is followed by '/', '*' or
 * "http" it is HTTP/1 even without the end of the line (so malformed HTTP gets
 * its 400). So is a whole first line of a token, blanks and anything that ends
 * in a version of HTTP, also after blanks and empty lines: a lenient server
 * would take it for a request. Never EW_DETECT_MORE with 8192 bytes or more. */
enum ew_detected ew_detect(struct ew_slice in);

#endif
