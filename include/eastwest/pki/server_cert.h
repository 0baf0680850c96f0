/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_PKI_SERVER_CERT_H
#define EASTWEST_PKI_SERVER_CERT_H

#include <stddef.h>
#include <stdint.h>

/* The certificate of a server with DNS names, and a CA made for it alone. The
 * key of the CA is gone once it has signed, so a renewal is another CA too: the
 * roots of both are trusted until the old one is no longer served. All PEM. */
struct ew_server_cert {
  char *crt, *key;
  char *roots; /* what is to be trusted; that which signed |crt| comes first */
  size_t roots_n;
  long long not_before, not_after; /* of |crt|, in Unix seconds */
};

#define EW_ROOTS_MAX 8
/* |not_before| is earlier than the making, for clocks that are behind. */
#define EW_SERVER_CERT_BACKDATE_S 60

/* A new key, its certificate and its root. |old_roots| (PEM, or NULL) are
 * trusted too, as far as they are valid: at most EW_ROOTS_MAX in all. Returns
 * EW_OK, or EW_EIO if OpenSSL failed. */
int ew_server_cert_make(const char *const *names, size_t names_n,
                        uint64_t lifetime_s, const char *old_roots,
                        struct ew_server_cert *out);
/* Copies what is given if a server with these |names| can use it and clients
 * that trust |roots| will accept it now. EW_OK, or EW_EINVAL with the reason;
 * then |out| is empty. */
int ew_server_cert_read(const char *crt, const char *key, const char *roots,
                        const char *const *names, size_t names_n,
                        struct ew_server_cert *out, char *why, size_t why_len);
/* Leaves only the root that signed. */
void ew_server_cert_retire(struct ew_server_cert *c);
/* What is empty is allowed. */
void ew_server_cert_fini(struct ew_server_cert *c);

enum ew_roots {
  EW_ROOTS_MISSING, /* one or more of them */
  EW_ROOTS_STALE,   /* all are there, and others that are not younger */
  EW_ROOTS_GOOD,
};
/* What |have| has of |want|, both PEM. A root that is younger than all of
 * |want| was put there by somebody who knows more than we do: it is no fault.
 */
enum ew_roots ew_roots_compare(const char *have, const char *want);

#endif
