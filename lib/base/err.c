/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"

#include <stdio.h>
#include <stdlib.h>

const char *ew_strerror(int err) {
  switch ((enum ew_err)err) {
  case EW_OK:
    return "ok";
  case EW_EAGAIN:
    return "would-block";
  case EW_EOF:
    return "eof";
  case EW_ECANCELED:
    return "canceled";
  case EW_ENOENT:
    return "not-found";
  case EW_EINVAL:
    return "invalid";
  case EW_ELIMIT:
    return "limit";
  case EW_ETIMEDOUT:
    return "timeout";
  case EW_EREFUSED:
    return "refused";
  case EW_ERESET:
    return "reset";
  case EW_EMESSAGE:
    return "malformed-message";
  case EW_ERR_CONNECTION:
    return "connection-lost";
  case EW_EPROTO:
    return "protocol-error";
  case EW_ECONN:
    return "connection-reset";
  case EW_ECONNREFUSED:
    return "connection-refused";
  case EW_ETLS:
    return "tls-failure";
  case EW_EIDENTITY:
    return "wrong-identity";
  case EW_EIO:
    return "io-error";
  case EW_EFLOOD:
    return "flood";
  }
  return "unknown";
}

void ew_bug(const char *file, int line, const char *what) {
  fprintf(stderr, "eastwest: bug: %s:%d: %s\n", file, line, what);
  abort();
}
