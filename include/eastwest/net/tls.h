/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_TLS_H
#define EASTWEST_NET_TLS_H

#include "eastwest/net/stream.h"

/* The identity and the trust of one worker: certificate, key, roots.
 * Reference counted, because running connections outlive a renewal.
 * TLS 1.3 only; no resumption, no tickets, no early data, no renegotiation;
 * never the system's trust store. Only AES-128-GCM, AES-256-GCM and
 * ChaCha20-Poly1305 with X25519 or P-256. */
struct ew_tls_ctx;

/* PEM text. |chain| is leaf first. |cert| and |key| may be NULL for a client
 * without a certificate (it can only fetch one). Several roots may stand in
 * |roots|. |trust_domain| is copied. Returns NULL with a reason in |why| (at
 * least 128 bytes). */
struct ew_tls_ctx *ew_tls_ctx_new(const char *chain, const char *key,
                                  const char *roots, const char *trust_domain,
                                  char *why, size_t why_len);
/* For ew_tls_server_new alone: an ordinary server, with a certificate for a DNS
 * name, for clients that are not of the mesh (the Kubernetes API server calls
 * webhooks). TLS 1.2 (ECDHE and AEAD only) or 1.3. No client certificate is
 * asked for, so there is no peer id; a client may come without ALPN. */
struct ew_tls_ctx *ew_tls_server_plain_ctx_new(const char *chain,
                                               const char *key, char *why,
                                               size_t why_len);
struct ew_tls_ctx *ew_tls_ctx_ref(struct ew_tls_ctx *c);
void ew_tls_ctx_unref(struct ew_tls_ctx *c);
/* Unix seconds; 0 without a certificate. */
long long ew_tls_ctx_not_after(const struct ew_tls_ctx *c);
long long ew_tls_ctx_not_before(const struct ew_tls_ctx *c);
/* Own SPIFFE id, or "" without a certificate and for a plain server. */
const char *ew_tls_ctx_id(const struct ew_tls_ctx *c);

/* Both kinds verify the peer: a chain to one of our roots, validity, key
 * usage, and exactly one URI SAN that is a SPIFFE id (SPIFFE ID standard) of
 * our trust domain. Both take over |below|, also on failure, where they close
 * it.
 *
 * A client accepts only |expected| (n ids, exact bytes; n must be > 0).
 * |alpn| is one protocol name; a server that does not select it fails the
 * handshake. */
struct ew_stream *ew_tls_client_new(struct ew_tls_ctx *c,
                                    struct ew_stream *below,
                                    const char *const *expected, size_t n,
                                    const char *alpn);

struct ew_tls_server_opts {
  const char *const *alpn; /* accepted, in order of preference */
  size_t alpn_count;
  bool peer_optional; /* no client certificate is accepted too */
};
struct ew_stream *ew_tls_server_new(struct ew_tls_ctx *c,
                                    struct ew_stream *below,
                                    const struct ew_tls_server_opts *o);

/* The handshake runs by itself when the stream is wanted for reading or
 * writing; until it is done read and write answer EW_EAGAIN. Once done on_ready
 * is called with EW_WRITE one time even if nothing is ready to read. */
bool ew_tls_stream_done(const struct ew_stream *s);
/* The verified SPIFFE id of the peer, "" before the handshake is done or
 * without a client certificate. Valid as long as the stream. */
const char *ew_tls_stream_peer_id(const struct ew_stream *s);
/* The protocol selected by ALPN, "" if none. */
const char *ew_tls_stream_alpn(const struct ew_stream *s);
/* Why the handshake failed, a literal of a fixed vocabulary for logs and metric
 * labels:
 * "", "expired", "not-yet-valid", "unknown-ca", "no-certificate",
 * "wrong-identity", "wrong-trust-domain", "san-count", "san-syntax",
 * "bad-usage", "weak-key", "bad-certificate", "alpn", "peer-alert:<name>",
 * "protocol", "closed". */
const char *ew_tls_stream_failure(const struct ew_stream *s);

/* SPIFFE id checked by length and bytes: spiffe://<trust domain>/<path>, as the
 * SPIFFE ID standard restricts it. Returns EW_OK or EW_EINVAL. */
int ew_spiffe_check(struct ew_slice id, const char *trust_domain);
/* The trust domain alone. Returns EW_OK or EW_EINVAL. */
int ew_spiffe_trust_domain_check(struct ew_slice td);

/* Looks at the first bytes of a connection. Returns EW_EAGAIN when more are
 * needed to tell, EW_EINVAL when it is no TLS ClientHello, EW_OK otherwise;
 * then |*mesh| says whether its ALPN offers a protocol that begins with
 * "eastwest/", and |sni| is the server name inside |in| (empty if none, or if a
 * record boundary divides it). Reads at most 16 KiB, across records. */
int ew_tls_peek(struct ew_slice in, bool *mesh, struct ew_slice *sni);

#endif
