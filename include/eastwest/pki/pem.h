/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_PKI_PEM_H
#define EASTWEST_PKI_PEM_H

#include <openssl/x509.h>

/* Certificates and keys as text. Texts are malloc'ed; NULL: OpenSSL failed. */
char *ew_pem_certificate(X509 *c);
char *ew_pem_key(EVP_PKEY *key); /* end it by ew_pem_wipe */
/* The first of |pem|; NULL if there is none. Encrypted keys are refused. */
X509 *ew_pem_read_certificate(const char *pem);
EVP_PKEY *ew_pem_read_key(const char *pem);
/* |first| and then those certificates of |more| that are not in it. */
char *ew_pem_join(const char *first, const char *more);
/* Overwrites and frees. NULL is allowed. */
void ew_pem_wipe(char *pem);

#endif
