/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_CA_BUNDLE_H
#define EASTWEST_INJECTOR_CA_BUNDLE_H

#include "eastwest/kube/client.h"

/* By which roots the API server checks the webhook's certificate: caBundle of
 * every webhook in one MutatingWebhookConfiguration. It is followed, and
 * patched when it lacks a root or still has an old one; so what somebody else
 * wrote there is repaired. Nothing else of it is touched. */
struct ew_ca_bundle;

struct ew_ca_bundle_events {
  void (*on_change)(void *arg); /* look whether it is in place */
  void (*on_write_failed)(void *arg);
};

/* |name| and |ev| must outlive it. */
struct ew_ca_bundle *ew_ca_bundle_new(struct ew_kube *k, struct ew_loop *l,
                                      const char *name,
                                      const struct ew_ca_bundle_events *ev,
                                      void *arg);
void ew_ca_bundle_del(struct ew_ca_bundle *b); /* or NULL */
/* PEM; copied. Nothing is written before. */
void ew_ca_bundle_want(struct ew_ca_bundle *b, const char *roots);
/* All of the roots that are wanted are in every webhook. */
bool ew_ca_bundle_in_place(const struct ew_ca_bundle *b);
uint64_t ew_ca_bundle_faults(const struct ew_ca_bundle *b);

#endif
