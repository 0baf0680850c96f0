/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_MODEL_DESTINATION_VALUE_H
#define EASTWEST_LIB_MODEL_DESTINATION_VALUE_H

#include <jansson.h>

#include "eastwest/model/destination.h"

/* As ew_destination_from_json, from a value that is parsed already. */
struct ew_destination *ew_destination_from_value(const json_t *value, char *why,
                                                 size_t why_len);

#endif
