/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_KUBE_PRUNE_H
#define EASTWEST_CONTROLLER_KUBE_PRUNE_H

#include <jansson.h>

#include "controller/objects.h"

/* Takes away what nobody reads, so that memory grows with what matters: of a
 * pod little more than addresses, account and labels is kept. Changes |object|.
 */
void ew_kube_prune(enum ew_kind kind, json_t *object);

#endif
