/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/pki/pem.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "eastwest/base/alloc.h"

static char *take(BIO *b) {
  char *p;
  long n = BIO_get_mem_data(b, &p);

  return n > 0 ? ew_strndup(p, (size_t)n) : NULL;
}

char *ew_pem_certificate(X509 *c) {
  BIO *b = BIO_new(BIO_s_mem());
  char *pem = b && PEM_write_bio_X509(b, c) ? take(b) : NULL;

  BIO_free(b);
  return pem;
}

char *ew_pem_key(EVP_PKEY *key) {
  BIO *b = BIO_new(BIO_s_secmem());
  bool good = b && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL,
                                                 NULL) == 1;
  char *pem = good ? take(b) : NULL;

  BIO_free(b);
  return pem;
}

void ew_pem_wipe(char *pem) {
  if (pem)
    OPENSSL_cleanse(pem, strlen(pem));
  free(pem);
}

/* OpenSSL would ask the terminal otherwise. */
static int no_password(char *buf, int size, int rw, void *arg) { return -1; }

X509 *ew_pem_read_certificate(const char *pem) {
  BIO *b = BIO_new_mem_buf(pem, -1);
  X509 *c = b ? PEM_read_bio_X509(b, NULL, no_password, NULL) : NULL;

  BIO_free(b);
  ERR_clear_error();
  return c;
}

EVP_PKEY *ew_pem_read_key(const char *pem) {
  BIO *b = BIO_new_mem_buf(pem, -1);
  EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;

  BIO_free(b);
  ERR_clear_error();
  return k;
}

char *ew_pem_join(const char *first, const char *more) {
  size_t len = strlen(first) + strlen(more) + 2;
  char *all = ew_malloc(len);
  BIO *b = BIO_new_mem_buf(more, -1);
  X509 *c;

  snprintf(all, len, "%s", first);
  while (b && (c = PEM_read_bio_X509(b, NULL, no_password, NULL))) {
    char *pem = ew_pem_certificate(c);
    size_t used = strlen(all);
    if (pem && !strstr(all, pem) && used + strlen(pem) < len)
      memcpy(all + used, pem, strlen(pem) + 1);
    free(pem);
    X509_free(c);
  }
  BIO_free(b);
  ERR_clear_error();
  return all;
}
