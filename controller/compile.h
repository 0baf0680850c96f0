/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_COMPILE_H
#define EASTWEST_CONTROLLER_COMPILE_H

#include <stdint.h>

#include "controller/objects.h"
#include "eastwest/model/destination.h"

/* What |ip|:|port| means to a client in |client_namespace|. Never NULL: an
 * address that is no Service's and no pod's is of kind unknown. Its version is
 * 0: the caller sets it. Its strings are borrowed from |o|: it is to be encoded
 * before |o| changes. */
struct ew_destination *ew_compile(const struct ew_objects *o,
                                  const char *client_namespace, const char *ip,
                                  uint16_t port, const char *trust_domain);

#endif
