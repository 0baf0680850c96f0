/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_TLS_CTX_H
#define EASTWEST_LIB_NET_TLS_CTX_H

#include <openssl/ssl.h>

#include "eastwest/net/tls.h"

struct ew_tls_ctx {
  unsigned refs;
  SSL_CTX *ssl;
  char *trust_domain;
  char *id; /* "" without a certificate */
  long long not_before, not_after;
  bool plain; /* a server without SPIFFE: ew_tls_server_plain_ctx_new */
};

/* The server's side of ALPN, in tls_stream.c. */
int ew_tls_select_alpn(SSL *ssl, const unsigned char **out,
                       unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg);
int ew_tls_client_hello(SSL *ssl, int *alert, void *arg);

#endif
