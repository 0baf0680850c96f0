/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_SOURCE_H
#define EASTWEST_CONTROLLER_SOURCE_H

#include "controller/ca.h"

/* What the rest of the controller hears from where its objects come from:
 * folders of manifests (local.h) or an API server (kubernetes.h). */
struct ew_source_events {
  void (*on_objects)(void *arg); /* some changed, or all are known now */
  void (*on_fault)(void *arg, const char *why); /* one is faulty */
  /* The first CA, or another one; of its own. */
  void (*on_ca)(void *arg, struct ew_ca *ca);
};

#endif
