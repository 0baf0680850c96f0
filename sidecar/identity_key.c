/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/identity_key.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "eastwest/base/alloc.h"

static char *take(BIO *b) {
  char *p;
  long n = BIO_get_mem_data(b, &p);

  return n > 0 ? ew_strndup(p, (size_t)n) : NULL;
}

static char *key_pem(EVP_PKEY *key) {
  BIO *b = BIO_new(BIO_s_secmem());
  char *pem = NULL;

  if (b && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL))
    pem = take(b);
  BIO_free(b);
  return pem;
}

static char *csr_of(EVP_PKEY *key) {
  X509_REQ *req = X509_REQ_new();
  BIO *b = BIO_new(BIO_s_mem());
  char *pem = NULL;

  if (req && b && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
      X509_REQ_set_pubkey(req, key) && X509_REQ_sign(req, key, EVP_sha256()) &&
      PEM_write_bio_X509_REQ(b, req))
    pem = take(b);
  BIO_free(b);
  X509_REQ_free(req);
  return pem;
}

char *ew_identity_key_new(char **csr_pem) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  char *pem = NULL;

  *csr_pem = NULL;
  if (!key)
    return NULL;
  pem = key_pem(key);
  *csr_pem = csr_of(key);
  EVP_PKEY_free(key);
  if (!pem || !*csr_pem) {
    ew_identity_key_del(pem);
    free(*csr_pem);
    return NULL;
  }
  return pem;
}

void ew_identity_key_del(char *pem) {
  if (!pem)
    return;
  OPENSSL_cleanse(pem, strlen(pem));
  free(pem);
}
