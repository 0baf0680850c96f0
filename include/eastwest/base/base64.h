/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_BASE64_H
#define EASTWEST_BASE_BASE64_H

#include "eastwest/base/slice.h"

/* RFC 4648 section 4: the alphabet with + and /, padded, without line breaks,
 * as JSON of Kubernetes has it. Both results are malloc'ed and end with a NUL.
 */
char *ew_base64_encode(struct ew_slice bytes);
/* NULL if |text| is none. |*n| (may be NULL) is the length without the NUL. */
char *ew_base64_decode(struct ew_slice text, size_t *n);

#endif
