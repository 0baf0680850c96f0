/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/file.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"

char *ew_file_read(const char *path, size_t max) {
  FILE *f = fopen(path, "rbe");
  char *text;
  size_t n;

  if (!f)
    return NULL;
  text = ew_malloc(max + 1);
  n = fread(text, 1, max + 1, f);
  fclose(f);
  if (n == 0 || n > max) {
    free(text);
    return NULL;
  }
  text[n] = '\0';
  return text;
}
