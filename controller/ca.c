/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/pki/pem.h"
#include "eastwest/pki/x509.h"

#define ROOT_LIFETIME_S (10ull * 365 * 24 * 3600)
#define PATH_MAX_LEN 4096
#define FILE_MAX 65536

struct ew_ca {
  X509 *root;
  EVP_PKEY *key;
  char *roots; /* PEM: of |root|, and of others that are trusted */
};

/* ---- files ---- */

/* Complete or not there at all: a crash in between leaves the old state. */
static int write_file(const char *path, const char *text, mode_t mode) {
  char tmp[PATH_MAX_LEN + 8];
  size_t n = strlen(text);
  int fd;
  bool good;

  snprintf(tmp, sizeof(tmp), "%s.new", path);
  (void)unlink(tmp);
  fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0)
    return errno;
  good = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
  good = close(fd) == 0 && good;
  if (good && rename(tmp, path) == 0)
    return 0;
  (void)unlink(tmp);
  return errno ? errno : EIO;
}

/* malloc'ed and ended by NUL; NULL with a reason if it can't be read or is too
 * long. */
static char *read_file(const char *path, char *why, size_t why_len) {
  FILE *f = fopen(path, "re");
  char *text;
  size_t n;

  if (!f) {
    snprintf(why, why_len, "%s: %s", path, strerror(errno));
    return NULL;
  }
  text = ew_malloc(FILE_MAX + 1);
  n = fread(text, 1, FILE_MAX + 1, f);
  fclose(f);
  if (n == 0 || n > FILE_MAX) {
    snprintf(why, why_len, "%s: expected PEM", path);
    free(text);
    return NULL;
  }
  text[n] = '\0';
  return text;
}

/* ---- root ---- */

int ew_ca_make(const char *trust_domain, char **crt, char **key) {
  EVP_PKEY *k = EVP_EC_gen("P-256");
  X509 *root = k ? ew_x509_root(k, trust_domain, ROOT_LIFETIME_S) : NULL;

  *crt = root ? ew_pem_certificate(root) : NULL;
  *key = *crt ? ew_pem_key(k) : NULL;
  X509_free(root);
  EVP_PKEY_free(k);
  ERR_clear_error();
  if (*key)
    return EW_OK;
  free(*crt);
  *crt = NULL;
  return EW_EIO;
}

static const char *fault_of(const struct ew_ca *ca) {
  if (!ca->root)
    return "expected a certificate in PEM";
  if (!ca->key || X509_check_private_key(ca->root, ca->key) != 1)
    return "expected the private key of the certificate in PEM";
  if (X509_check_ca(ca->root) != 1 ||
      X509_cmp_current_time(X509_get0_notAfter(ca->root)) <= 0)
    return "expected the certificate of a CA that is valid now";
  return NULL;
}

struct ew_ca *ew_ca_from_pem(const char *crt, const char *key,
                             const char *roots, char *why, size_t why_len) {
  struct ew_ca *ca = ew_calloc(1, sizeof(*ca));
  const char *fault;
  char *own;

  ca->root = ew_pem_read_certificate(crt);
  ca->key = ew_pem_read_key(key);
  fault = fault_of(ca);
  ERR_clear_error();
  if (fault) {
    snprintf(why, why_len, "%s", fault);
    ew_ca_del(ca);
    return NULL;
  }
  own = ew_pem_certificate(ca->root);
  EW_BUG_ON(!own);
  ca->roots = roots ? ew_pem_join(own, roots) : ew_strdup(own);
  free(own);
  return ca;
}

void ew_ca_replace(struct ew_ca *ca, struct ew_ca *fresh) {
  struct ew_ca old = *ca;

  *ca = *fresh;
  ca->roots = ew_pem_join(fresh->roots, old.roots);
  free(fresh->roots);
  free(fresh);
  X509_free(old.root);
  EVP_PKEY_free(old.key);
  free(old.roots);
}

static bool make_files(const char *crt, const char *key,
                       const char *trust_domain, char *why, size_t why_len) {
  char *crt_pem, *key_pem_text;
  int err;

  if (ew_ca_make(trust_domain, &crt_pem, &key_pem_text) != EW_OK) {
    snprintf(why, why_len, "can't make a root certificate");
    return false;
  }
  err = write_file(key, key_pem_text, 0600);
  if (err == 0)
    err = write_file(crt, crt_pem, 0644);
  if (err)
    snprintf(why, why_len, "%s: %s", crt, strerror(err));
  ew_pem_wipe(key_pem_text);
  free(crt_pem);
  return err == 0;
}

static struct ew_ca *read_files(const char *crt, const char *key, char *why,
                                size_t why_len) {
  char *crt_pem = read_file(crt, why, why_len);
  char *key_text = crt_pem ? read_file(key, why, why_len) : NULL;
  char fault[128] = "";
  struct ew_ca *ca = NULL;

  if (key_text)
    ca = ew_ca_from_pem(crt_pem, key_text, crt_pem, fault, sizeof(fault));
  if (fault[0])
    snprintf(why, why_len, "%s and %s: %s", crt, key, fault);
  ew_pem_wipe(key_text);
  free(crt_pem);
  return ca;
}

struct ew_ca *ew_ca_open(const char *dir, const char *trust_domain, char *why,
                         size_t why_len) {
  char crt[PATH_MAX_LEN], key[PATH_MAX_LEN];

  if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
    snprintf(why, why_len, "%s: %s", dir, strerror(errno));
    return NULL;
  }
  snprintf(crt, sizeof(crt), "%s/ca.crt", dir);
  snprintf(key, sizeof(key), "%s/ca.key", dir);
  if (access(crt, F_OK) != 0 && access(key, F_OK) != 0 &&
      !make_files(crt, key, trust_domain, why, why_len))
    return NULL;
  return read_files(crt, key, why, why_len);
}

void ew_ca_del(struct ew_ca *ca) {
  if (!ca)
    return;
  X509_free(ca->root);
  EVP_PKEY_free(ca->key);
  free(ca->roots);
  free(ca);
}

const char *ew_ca_roots(const struct ew_ca *ca) { return ca->roots; }

/* ---- leaves ---- */

static bool is_p256(EVP_PKEY *key) {
  char group[32] = "";

  return EVP_PKEY_is_a(key, "EC") &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
         strcmp(group, SN_X9_62_prime256v1) == 0;
}

static X509_REQ *read_csr(struct ew_slice csr) {
  BIO *b;
  X509_REQ *req;

  if (csr.n == 0 || csr.n > EW_CSR_MAX)
    return NULL;
  b = BIO_new_mem_buf(csr.p, (int)csr.n);
  req = b ? PEM_read_bio_X509_REQ(b, NULL, NULL, NULL) : NULL;
  BIO_free(b);
  return req;
}

static char *leaf_pem(struct ew_ca *ca, EVP_PKEY *key, const char *id,
                      uint32_t lifetime_s) {
  X509 *c =
      ew_x509_leaf(key,
                   &(struct ew_x509_leaf){.type = EW_X509_URI,
                                          .names = &id,
                                          .names_n = 1,
                                          .usage = "serverAuth,clientAuth",
                                          .lifetime_s = lifetime_s},
                   ca->root, ca->key);
  char *pem = c ? ew_pem_certificate(c) : NULL;

  X509_free(c);
  return pem;
}

int ew_ca_sign(struct ew_ca *ca, struct ew_slice csr, const char *spiffe_id,
               uint32_t lifetime_s, char **chain, char *why, size_t why_len) {
  X509_REQ *req = read_csr(csr);
  EVP_PKEY *key = req ? X509_REQ_get0_pubkey(req) : NULL;
  int rc = EW_EINVAL;

  *chain = NULL;
  if (!key) {
    snprintf(why, why_len, "csr: expected a certificate request in PEM");
  } else if (X509_REQ_verify(req, key) != 1) {
    snprintf(why, why_len, "csr: its signature is not made by its key");
  } else if (!is_p256(key)) {
    snprintf(why, why_len, "csr: expected a key on the curve P-256");
  } else {
    *chain = leaf_pem(ca, key, spiffe_id, lifetime_s);
    rc = *chain ? EW_OK : EW_EIO;
    if (!*chain)
      snprintf(why, why_len, "can't sign");
  }
  X509_REQ_free(req);
  ERR_clear_error();
  return rc;
}

int ew_ca_issue(struct ew_ca *ca, const char *spiffe_id, uint32_t lifetime_s,
                char **chain, char **key) {
  EVP_PKEY *k = EVP_EC_gen("P-256");

  *chain = k ? leaf_pem(ca, k, spiffe_id, lifetime_s) : NULL;
  *key = *chain ? ew_pem_key(k) : NULL;
  EVP_PKEY_free(k);
  ERR_clear_error();
  if (*key)
    return EW_OK;
  free(*chain);
  *chain = NULL;
  return EW_EIO;
}
