/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_PKI_X509_H
#define EASTWEST_PKI_X509_H

#include <stdint.h>

#include <openssl/x509.h>

/* Making certificates (RFC 5280; X509-SVID). NULL: OpenSSL failed. All are
 * valid from a minute ago, for clocks that are behind. */
#define EW_X509_BACKDATE_S 60

/* A CA's own, named |name|. */
X509 *ew_x509_root(EVP_PKEY *key, const char *name, uint64_t lifetime_s);

enum ew_x509_names { EW_X509_URI, EW_X509_DNS };

struct ew_x509_leaf {
  enum ew_x509_names type; /* of |names|, the only names it has */
  const char *const *names;
  size_t names_n;
  const char *usage;   /* as OpenSSL names it: "serverAuth,clientAuth" */
  uint64_t lifetime_s; /* not longer than the root's */
};
X509 *ew_x509_leaf(EVP_PKEY *subject_key, const struct ew_x509_leaf *opts,
                   X509 *root, EVP_PKEY *root_key);

#endif
