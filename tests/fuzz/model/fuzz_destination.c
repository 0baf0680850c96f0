/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "eastwest/base/err.h"
#include "eastwest/model/discovery_line.h"

/* What is accepted can be written, and what was written is accepted and
 * written again as the same text: states are compared as text. */
static void encode_twice(struct ew_destination *d) {
  char why[256];
  size_t n, again_n;
  char *text = ew_destination_to_json(d, &n);
  EW_BUG_ON(strlen(text) != n);
  struct ew_destination *again =
      ew_destination_from_json(ew_slice(text, n), why, sizeof why);
  EW_BUG_ON(!again);
  char *again_text = ew_destination_to_json(again, &again_n);
  EW_BUG_ON(!ew_slice_eq(ew_slice(text, n), ew_slice(again_text, again_n)));
  free(text);
  free(again_text);
  ew_destination_unref(again);
}

/* Nothing may be out of the range that the data path relies on. */
static void check_indexes(const struct ew_destination *d) {
  EW_BUG_ON(d->default_backend != EW_NO_BACKEND &&
            d->default_backend >= d->backends_n);
  for (size_t i = 0; i < d->matches_n; i++)
    EW_BUG_ON(d->matches[i].rule >= d->rules_n);
  for (size_t i = 0; i < d->rules_n; i++)
    for (size_t k = 0; k < d->rules[i].backends_n; k++)
      EW_BUG_ON(d->rules[i].backends[k].backend >= d->backends_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_slice in = ew_slice((const char *)data, size);
  char why[256] = "";
  struct ew_destination *d = ew_destination_from_json(in, why, sizeof why);
  EW_BUG_ON(!d && !why[0]);
  if (d) {
    check_indexes(d);
    encode_twice(d);
    ew_destination_unref(d);
  }
  struct ew_destination *line = NULL;
  int rc = ew_discovery_line_read(in, &line, why, sizeof why);
  EW_BUG_ON((rc == EW_OK) != (line != NULL));
  ew_destination_unref(line);
  return 0;
}
