/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_FILE_H
#define SIDECAR_FILE_H

#include <stddef.h>

/* The whole file with a NUL behind it, or NULL if it can't be read, is empty or
 * longer than |max|. free() it. */
char *ew_file_read(const char *path, size_t max);

#endif
