/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_GET_H
#define SIDECAR_GET_H

#include <stdbool.h>
#include <stdint.h>

#include "eastwest/net/addr.h"

/* A small HTTP client, for images without any: of the administration of one's
 * own sidecar (eastwest-sidecar --get http://localhost:15000/destinations), and
 * as the app in the chart's test. */

#define EW_GET_TARGET_MAX 4096
#define EW_GET_AUTHORITY_MAX 256

struct ew_get {
  struct ew_addr to;
  char authority[EW_GET_AUTHORITY_MAX]; /* as it was written */
  char target[EW_GET_TARGET_MAX];       /* path and query */
};

/* "http://IP[:PORT][/PATH]", the IP may be localhost: nothing here can look up
 * a name. Returns EW_OK or EW_EINVAL. */
int ew_get_parse(struct ew_get *g, const char *url);

/* Asks again until the answer is a success or |wait_s| are over. The body of a
 * success goes to stdout, all else to stderr. Returns an exit status: 0 after
 * a success (2xx). Blocks. */
int ew_get_run(const struct ew_get *g, uint32_t wait_s);

#endif
