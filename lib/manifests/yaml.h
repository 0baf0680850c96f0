/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EW_LIB_MANIFESTS_YAML_H
#define EW_LIB_MANIFESTS_YAML_H

#include "eastwest/base/slice.h"
#include "eastwest/manifests/manifests.h"

/* The first fault of a text; |line| counts from 1. */
struct ew_yaml_fault {
  size_t line;
  char why[224];
};

/* All documents of |text| as a list of {"line": N, "object": any value,
 * "items": [lines]}; "items" tells where each element of the root's member of
 * that name begins, and is absent when there is none. Null documents are left
 * out. Values that an alias repeats are one json_t with several references:
 * copy before a change. NULL and |fault| if the text is no valid YAML. */
json_t *ew_yaml_documents(struct ew_slice text, struct ew_yaml_fault *fault);

/* The value of a scalar that is not quoted, by the rules of kubectl (YAML 1.1
 * words, integers in four bases, floats). |kind| is "" or what stands behind
 * "!!": str, bool, int, float, null or timestamp. NULL if |text| is not of that
 * kind, or has no form in JSON (.inf, .nan). |text| is UTF-8 without NUL. */
json_t *ew_yaml_scalar(const char *kind, const char *text);

#endif
