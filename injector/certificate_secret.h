/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_CERTIFICATE_SECRET_H
#define EASTWEST_INJECTOR_CERTIFICATE_SECRET_H

#include "eastwest/kube/client.h"
#include "eastwest/pki/server_cert.h"

/* The webhook's certificate in a Secret of our own: tls.crt, tls.key, and in
 * ca.crt all roots that are to be trusted. Made if it is not there, replaced if
 * it can't be used and when two thirds of its life are over; the old root stays
 * in ca.crt for a while after that. Any replica does this: the API server lets
 * the first one win (create; update with resourceVersion), and all follow what
 * is there. */
struct ew_certificate_secret;

#define EW_DNS_NAMES_MAX 4

struct ew_certificate_secret_opts {
  const char *namespace_, *name;
  const char *dns[EW_DNS_NAMES_MAX];
  size_t dns_n;
  uint64_t lifetime_s;
};

struct ew_certificate_secret_events {
  /* First, and after each change; borrowed. */
  void (*on_cert)(void *arg, const struct ew_server_cert *c);
  void (*on_unusable)(void *arg, const char *why); /* the Secret's content */
  void (*on_write_failed)(void *arg);
};

/* |opts|' strings and |ev| must outlive it. */
struct ew_certificate_secret *
ew_certificate_secret_new(struct ew_kube *k, struct ew_loop *l,
                          const struct ew_certificate_secret_opts *opts,
                          const struct ew_certificate_secret_events *ev,
                          void *arg);
void ew_certificate_secret_del(struct ew_certificate_secret *s); /* or NULL */
uint64_t ew_certificate_secret_faults(const struct ew_certificate_secret *s);

#endif
