/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_NET_CERT_H
#define EASTWEST_TESTS_NET_CERT_H

/* Certificates made within the test: good ones and every kind of bad one. */

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "eastwest/base/alloc.h"

struct cert {
  X509 *x;
  EVP_PKEY *key;
};

struct cert_opts {
  const char *name;   /* common name */
  const char *uri[3]; /* URI SANs */
  size_t uri_len;     /* of uri[0], if it holds a NUL */
  const char *dns;
  const char *ku;  /* NULL: digitalSignature */
  const char *eku; /* NULL: both; "": no extension */
  long begin, end; /* seconds from now; both 0: an hour around */
  int rsa_bits;    /* 0: P-256 */
  bool ca;
  bool sha1;
  bool no_aki;
};

static inline void cert_ext(struct cert *c, X509 *issuer, int nid,
                            const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, issuer, c->x, NULL, NULL, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  assert_non_null(e);
  assert_int_equal(X509_add_ext(c->x, e, -1), 1);
  X509_EXTENSION_free(e);
}

static inline void cert_san_add(GENERAL_NAMES *names, int type, const char *s,
                                size_t n) {
  GENERAL_NAME *g = GENERAL_NAME_new();
  ASN1_IA5STRING *ia5 = ASN1_IA5STRING_new();
  assert_int_equal(ASN1_STRING_set(ia5, s, (int)n), 1);
  GENERAL_NAME_set0_value(g, type, ia5);
  assert_true(sk_GENERAL_NAME_push(names, g) > 0);
}

static inline void cert_sans(struct cert *c, const struct cert_opts *o) {
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  for (int i = 0; i < 3 && o->uri[i]; i++)
    cert_san_add(names, GEN_URI, o->uri[i],
                 i == 0 && o->uri_len ? o->uri_len : strlen(o->uri[i]));
  if (o->dns)
    cert_san_add(names, GEN_DNS, o->dns, strlen(o->dns));
  if (sk_GENERAL_NAME_num(names) > 0)
    assert_int_equal(X509_add1_ext_i2d(c->x, NID_subject_alt_name, names, 0, 0),
                     1);
  GENERAL_NAMES_free(names);
}

static inline struct cert cert_make(const struct cert_opts *o,
                                    const struct cert *issuer) {
  static long serial = 1;
  struct cert c;
  c.key =
      o->rsa_bits ? EVP_RSA_gen((unsigned)o->rsa_bits) : EVP_EC_gen("P-256");
  c.x = X509_new();
  const struct cert *by = issuer ? issuer : &c;
  long begin = o->begin || o->end ? o->begin : -3600;
  long end = o->begin || o->end ? o->end : 3600;

  assert_non_null(c.key);
  X509_set_version(c.x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(c.x), begin);
  X509_gmtime_adj(X509_getm_notAfter(c.x), end);
  X509_set_pubkey(c.x, c.key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN", MBSTRING_ASC,
                             (const unsigned char *)o->name, -1, -1, 0);
  X509_set_issuer_name(c.x, X509_get_subject_name(by->x));
  cert_ext(&c, by->x, NID_basic_constraints,
           o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  cert_ext(&c, by->x, NID_key_usage,
           o->ku   ? o->ku
           : o->ca ? "critical,keyCertSign,cRLSign,digitalSignature"
                   : "critical,digitalSignature");
  if (!o->eku || o->eku[0])
    cert_ext(&c, by->x, NID_ext_key_usage,
             o->eku ? o->eku : "serverAuth,clientAuth");
  cert_ext(&c, by->x, NID_subject_key_identifier, "hash");
  if (!o->no_aki)
    cert_ext(&c, by->x, NID_authority_key_identifier, "keyid:always");
  cert_sans(&c, o);
  assert_true(X509_sign(c.x, by->key, o->sha1 ? EVP_sha1() : EVP_sha256()) > 0);
  return c;
}

static inline void cert_fini(struct cert *c) {
  X509_free(c->x);
  EVP_PKEY_free(c->key);
}

static inline char *bio_text(BIO *b) {
  char *p;
  long n = BIO_get_mem_data(b, &p);
  char *out = ew_strndup(p, (size_t)n);
  BIO_free(b);
  return out;
}

/* To be freed. */
static inline char *cert_pem(const struct cert *c, const struct cert *next) {
  BIO *b = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_X509(b, c->x), 1);
  if (next)
    assert_int_equal(PEM_write_bio_X509(b, next->x), 1);
  return bio_text(b);
}

static inline char *cert_key_pem(const struct cert *c) {
  BIO *b = BIO_new(BIO_s_mem());
  assert_int_equal(
      PEM_write_bio_PKCS8PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL), 1);
  return bio_text(b);
}

#endif
