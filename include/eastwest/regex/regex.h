/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_REGEX_H
#define EASTWEST_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "eastwest/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Regular expressions in RE2 syntax: matching takes time linear in the text,
 * whatever the pattern. The only C++ in the program. */

#define EW_REGEX_PATTERN_MAX 1024
#define EW_REGEX_MEM_MAX (1 << 20) /* program and its cache */

struct ew_regex;

/* NULL if |pattern| is too long, too big or no RE2 pattern; the reason then
 * stands in |why|. */
struct ew_regex *ew_regex_new(const char *pattern, char *why, size_t why_len);
void ew_regex_del(struct ew_regex *re); /* NULL is allowed */
/* Whether the pattern matches all of |text|. May be called by several threads
 * at a time. */
bool ew_regex_match(const struct ew_regex *re, struct ew_slice text);

#ifdef __cplusplus
}
#endif

#endif
