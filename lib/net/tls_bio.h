/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_TLS_BIO_H
#define EASTWEST_LIB_NET_TLS_BIO_H

#include <openssl/bio.h>

#include "eastwest/base/buf.h"
#include "eastwest/net/stream.h"

/* What OpenSSL reads from and writes to: the stream below. */
struct ew_tls_lower {
  struct ew_stream *below;
  int err; /* EW_EOF or a fault of |below|; EW_OK while it works */
  /* private */
  struct ew_buf held; /* records that |below| did not take */
  size_t corked;      /* bytes in the loop's cipher area */
  bool cork;
};

void ew_tls_lower_init(struct ew_tls_lower *lo, struct ew_stream *below);
void ew_tls_lower_fini(struct ew_tls_lower *lo);
/* Writes what is held. Returns EW_OK when nothing is left, EW_EAGAIN, or the
 * fault that is in |err| now. */
int ew_tls_lower_flush(struct ew_tls_lower *lo);
/* From here to uncork what OpenSSL writes is collected, up to EW_CIPHER_RECORDS
 * records, and OpenSSL never has to wait. Nothing may be held. */
void ew_tls_lower_cork(struct ew_tls_lower *lo);
/* Writes what was collected by one call and holds what was not taken. Returns
 * how many bytes were taken (0 and more), or the fault that is in |err|. */
ptrdiff_t ew_tls_lower_uncork(struct ew_tls_lower *lo);
static inline bool ew_tls_lower_holds(const struct ew_tls_lower *lo) {
  return ew_buf_len(&lo->held) > 0;
}

/* |lo| outlives the BIO. */
BIO *ew_tls_bio_new(struct ew_tls_lower *lo);

#endif
