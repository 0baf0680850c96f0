/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_SPIFFE_H
#define EASTWEST_LIB_NET_SPIFFE_H

#include "eastwest/base/slice.h"

/* Checks the syntax of a SPIFFE id and gives its trust domain. Returns EW_OK
 * or EW_EINVAL. */
int ew_spiffe_parse(struct ew_slice id, struct ew_slice *trust_domain);

#endif
