/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_INJECTOR_JSON_PATCH_H
#define EASTWEST_TESTS_INJECTOR_JSON_PATCH_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/slice.h"

/* As much of RFC 6902 and RFC 6901 as the injector uses, strictly: "add", where
 * the parent must be there and an index must not be behind the end, and
 * "remove" of a member that is there. Aborts on anything else. */

static inline char *pointer_step(struct ew_slice *rest) {
  struct ew_slice step = ew_slice_cut(rest, '/');
  char *out = ew_strndup(step.p ? step.p : "", step.n), *to = out;

  for (char *from = out; *from; from++) {
    if (from[0] == '~') {
      from++;
      EW_BUG_ON(*from != '0' && *from != '1');
      *to++ = *from == '1' ? '/' : '~';
    } else {
      *to++ = *from;
    }
  }
  *to = '\0';
  return out;
}

/* The last step of |path|, which the caller frees, and what it is a part of. */
static inline char *pointer_walk(json_t **doc, const char *path) {
  struct ew_slice rest = ew_slice_str(path + 1);
  char *step = pointer_step(&rest);
  uint64_t i;

  EW_BUG_ON(path[0] != '/');
  while (rest.n > 0) {
    if (json_is_array(*doc)) {
      EW_BUG_ON(ew_slice_u64(ew_slice_str(step), 10000, &i) != EW_OK);
      *doc = json_array_get(*doc, i);
    } else {
      *doc = json_object_get(*doc, step);
    }
    EW_BUG_ON(!*doc);
    free(step);
    step = pointer_step(&rest);
  }
  return step;
}

static inline void patch_remove(json_t *doc, const char *path) {
  char *step = pointer_walk(&doc, path);

  EW_BUG_ON(json_object_del(doc, step) != 0);
  free(step);
}

static inline void patch_add(json_t *doc, const char *path, json_t *value) {
  char *step = pointer_walk(&doc, path);
  uint64_t i;

  if (json_is_object(doc)) {
    EW_BUG_ON(json_object_set(doc, step, value) != 0);
  } else if (strcmp(step, "-") == 0) {
    EW_BUG_ON(json_array_append(doc, value) != 0);
  } else {
    EW_BUG_ON(!json_is_array(doc));
    EW_BUG_ON(ew_slice_u64(ew_slice_str(step), json_array_size(doc), &i) !=
              EW_OK);
    EW_BUG_ON(json_array_insert(doc, i, value) != 0);
  }
  free(step);
}

/* The patched copy of |doc|. */
static inline json_t *patch_apply(const json_t *doc, const json_t *ops) {
  json_t *out = json_deep_copy(doc);

  for (size_t i = 0; i < json_array_size(ops); i++) {
    const json_t *op = json_array_get(ops, i);
    json_t *value = json_object_get(op, "value");
    const char *what = json_string_value(json_object_get(op, "op"));
    const char *path = json_string_value(json_object_get(op, "path"));
    EW_BUG_ON(strcmp(what, value ? "add" : "remove") != 0);
    if (value)
      patch_add(out, path, value);
    else
      patch_remove(out, path);
  }
  return out;
}

#endif
