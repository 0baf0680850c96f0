/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_TLS_VERIFY_H
#define EASTWEST_LIB_NET_TLS_VERIFY_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* What one handshake demands of the peer's certificate, and what came of it.
 * Stands in the app data of its SSL. */
struct ew_tls_verdict {
  const char *trust_domain;
  char **expected; /* ids that are accepted; none: any of the trust domain */
  size_t expected_n;
  bool peer_is_server;
  const char *failure; /* first reason, from the vocabulary; NULL: none */
  char *id;            /* of the leaf; good only when all else was */
};

void ew_tls_verdict_fini(struct ew_tls_verdict *v);

/* For SSL_set_verify. Never turns a failure into success. */
int ew_tls_verify_cb(int ok, X509_STORE_CTX *store);

/* The SPIFFE id of |leaf| in |*id| (to be freed), or NULL there and the reason
 * as the result. */
const char *ew_tls_leaf_id(X509 *leaf, const char *trust_domain, char **id);

#endif
