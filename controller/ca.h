/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_CA_H
#define EASTWEST_CONTROLLER_CA_H

#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/slice.h"

/* The certificate authority of the mesh: a P-256 root that signs leaf
 * certificates with one SPIFFE id each. */
struct ew_ca;

#define EW_CSR_MAX 16384

/* Reads ca.crt and ca.key (PEM) from |dir|, or makes both if neither is there
 * (the folder too). The first certificate of ca.crt signs, all are trusted: so
 * a root is replaced in three steps (trust the new one, sign with it, drop the
 * old one), each when all certificates of the step before were renewed. NULL
 * with a reason in |why|: one of the two is missing, they do not belong
 * together, the certificate is no CA or has expired, a file can't be read or
 * written. */
struct ew_ca *ew_ca_open(const char *dir, const char *trust_domain, char *why,
                         size_t why_len);
/* From PEM texts; |key| belongs to the first certificate of |crt|. |roots| (may
 * be NULL) are trusted too. NULL with a reason in |why|, as above. */
struct ew_ca *ew_ca_from_pem(const char *crt, const char *key,
                             const char *roots, char *why, size_t why_len);
/* A new root and its key, PEM and malloc'ed. Returns EW_OK or EW_EIO. */
int ew_ca_make(const char *trust_domain, char **crt, char **key);
void ew_ca_del(struct ew_ca *ca); /* NULL is allowed */
/* |ca| signs with what |fresh| has from now on, and goes on to trust what it
 * trusted. Takes |fresh| over. */
void ew_ca_replace(struct ew_ca *ca, struct ew_ca *fresh);

/* The certificates that are trusted, PEM, the signing one first. Lives until
 * the next replacement. */
const char *ew_ca_roots(const struct ew_ca *ca);

/* Signs the public key of a PEM CSR for |spiffe_id|; all else that the CSR asks
 * for is ignored. The leaf is valid from a minute ago for |lifetime_s|, not
 * longer than the root. Returns EW_OK with |*chain| (PEM, malloc'ed), EW_EINVAL
 * with a reason if the CSR is faulty (no CSR, bad signature, a key that is not
 * P-256), or EW_EIO if signing itself failed. */
int ew_ca_sign(struct ew_ca *ca, struct ew_slice csr, const char *spiffe_id,
               uint32_t lifetime_s, char **chain, char *why, size_t why_len);

/* A new key and its certificate, both PEM and malloc'ed, for the controller
 * itself. Returns EW_OK or EW_EIO. */
int ew_ca_issue(struct ew_ca *ca, const char *spiffe_id, uint32_t lifetime_s,
                char **chain, char **key);

#endif
