/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_INJECTOR_TEST_H
#define EASTWEST_TESTS_INJECTOR_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "injector/patch.h"

static struct ew_inject_config config;

static inline int open_config(void **state) {
  char why[256];
  (void)state;
  config = (struct ew_inject_config){.controller = "10.96.0.9:15010",
                                     .trust_domain = "mesh.test",
                                     .token_audience = "eastwest"};
  ew_pod_options_init(&config.defaults);
  return ew_pod_options_set(&config.defaults, "image", "mesh/eastwest:1", why,
                            sizeof(why));
}

static inline int close_config(void **state) {
  (void)state;
  ew_pod_options_fini(&config.defaults);
  return 0;
}

/* In the tests ' stands for ", and in what is expected ` stands for '. */
static inline json_t *json_of(const char *text) {
  char *s = ew_strdup(text), why[256] = "";
  for (char *p = s; *p; p++)
    if (*p == '\'')
      *p = '"';
  json_t *v = ew_json_parse(ew_slice_str(s), why, sizeof(why));
  if (!v)
    fail_msg("%s: %s", s, why);
  free(s);
  return v;
}

/* A string of |v| at a path such as "a.0.b"; NULL if there is none. */
static inline const json_t *at(const json_t *v, const char *path) {
  struct ew_slice rest = ew_slice_str(path);
  while (v && rest.n > 0) {
    struct ew_slice step = ew_slice_cut(&rest, '.');
    uint64_t i;
    char *key = ew_strndup(step.p, step.n);
    if (json_is_array(v) && ew_slice_u64(step, 10000, &i) == EW_OK)
      v = json_array_get(v, i);
    else
      v = json_object_get(v, key);
    free(key);
  }
  return v;
}

static inline void expect_at(const json_t *v, const char *path,
                             const char *expected) {
  const json_t *found = at(v, path);
  char *text =
      found ? json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS)
            : ew_strdup("nothing");
  char *want = ew_strdup(expected);
  for (char *p = want; *p; p++)
    *p = *p == '\'' ? '"' : *p == '`' ? '\'' : *p;
  if (strcmp(text, want) != 0)
    fail_msg("%s: %s, expected %s", path, text, want);
  free(text);
  free(want);
}

#endif
