/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_TLS_BIO_H
#define EASTWEST_LIB_NET_TLS_BIO_H

#include <openssl/bio.h>

#include "eastwest/net/stream.h"

/* What OpenSSL reads from and writes to: the stream below, without a copy. */
struct ew_tls_lower {
  struct ew_stream *below;
  int err; /* EW_EOF or a fault of |below|; EW_OK while it works */
};

/* |lo| outlives the BIO. */
BIO *ew_tls_bio_new(struct ew_tls_lower *lo);

#endif
