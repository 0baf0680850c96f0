/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_UNIT_POLICY_TEST_H
#define EASTWEST_TESTS_UNIT_POLICY_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "eastwest/base/err.h"
#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static inline void put(struct ew_message *m, const char *name,
                       const char *value) {
  assert_int_equal(ew_message_add(m, ew_slice_str(name), ew_slice_str(value)),
                   EW_OK);
}

/* A GET request for http://echo |path|. */
static inline struct ew_message *request(const char *path) {
  struct ew_message *m = ew_message_new();
  const char *why = "";
  m->method = EW_SLICE_LIT("GET");
  m->scheme = EW_SLICE_LIT("http");
  m->authority = EW_SLICE_LIT("echo");
  m->path = ew_message_dup_slice(m, ew_slice_str(path));
  m->version = 11;
  if (ew_message_gate(m, &why) != EW_OK)
    fail_msg("%s: %s", path, why);
  return m;
}

static inline void assert_slice(struct ew_slice got, const char *want) {
  if (!ew_slice_eq_str(got, want))
    fail_msg("got '%.*s', expected '%s'", EW_SLICE_FMT(got), want);
}

/* "" stands for no such line. */
static inline void assert_header(const struct ew_message *m, const char *name,
                                 const char *want) {
  struct ew_slice got = ew_message_get(m, name);
  if (!ew_slice_eq_str(got, want))
    fail_msg("%s: got '%.*s', expected '%s'", name, EW_SLICE_FMT(got), want);
}

#endif
