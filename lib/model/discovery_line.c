/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/discovery_line.h"

#include <stdio.h>

#include "eastwest/base/err.h"
#include "eastwest/model/json_read.h"
#include "lib/model/destination_value.h"

static int read_state(const json_t *root, struct ew_destination **out,
                      char *why, size_t why_len) {
  const json_t *version = json_object_get(root, "version");
  const json_t *destination = json_object_get(root, "destination");

  if (!json_is_true(json_object_get(root, "complete"))) {
    snprintf(why, why_len, "complete: must be true");
    return EW_EINVAL;
  }
  if (!json_is_integer(version) || json_integer_value(version) < 0) {
    snprintf(why, why_len, "version: must be a number");
    return EW_EINVAL;
  }
  if (!json_is_object(destination)) {
    snprintf(why, why_len, "destination: must be an object");
    return EW_EINVAL;
  }
  *out = ew_destination_from_value(destination, why, why_len);
  if (!*out)
    return EW_EINVAL;
  (*out)->version = (uint64_t)json_integer_value(version);
  return EW_OK;
}

int ew_discovery_line_read(struct ew_slice line, struct ew_destination **out,
                           char *why, size_t why_len) {
  json_t *root = ew_json_parse(line, why, why_len);
  int err;

  if (!root)
    return EW_EINVAL;
  if (json_is_integer(json_object_get(root, "heartbeat")))
    err = EW_EAGAIN;
  else
    err = read_state(root, out, why, why_len);
  json_decref(root);
  return err;
}
