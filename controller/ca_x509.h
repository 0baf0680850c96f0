/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_CA_X509_H
#define EASTWEST_CONTROLLER_CA_X509_H

#include <stdint.h>

#include <openssl/x509.h>

/* Making certificates (RFC 5280; X509-SVID). Private to ca*.c. NULL: OpenSSL
 * failed. */

X509 *ew_x509_root(EVP_PKEY *key, const char *trust_domain,
                   uint64_t lifetime_s);
/* |uri| is the only name of the certificate. */
X509 *ew_x509_leaf(EVP_PKEY *subject_key, const char *uri, uint64_t lifetime_s,
                   X509 *root, EVP_PKEY *root_key);

#endif
