/* SPDX-License-Identifier: Apache-2.0 */
/* In C++ the function ew_slice shadows a constructor of its namesake. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "eastwest/regex/regex.h"
#pragma GCC diagnostic pop

#include <re2/re2.h>

#include <cstdio>
#include <cstring>
#include <string>

struct ew_regex {
  explicit ew_regex(const char *pattern, const RE2::Options &o)
      : re(pattern, o) {}
  RE2 re;
};

struct ew_regex *ew_regex_new(const char *pattern, char *why, size_t why_len) {
  if (std::strlen(pattern) > EW_REGEX_PATTERN_MAX) {
    std::snprintf(why, why_len, "longer than %d bytes", EW_REGEX_PATTERN_MAX);
    return nullptr;
  }
  RE2::Options o;
  o.set_max_mem(EW_REGEX_MEM_MAX);
  o.set_log_errors(false);
  o.set_never_capture(true);
  /* What arrives in a head is bytes: UTF-8 would make invalid ones match
   * nothing, not even ".*". */
  o.set_encoding(RE2::Options::EncodingLatin1);
  struct ew_regex *re = new ew_regex(pattern, o);
  if (!re->re.ok()) {
    std::snprintf(why, why_len, "%s", re->re.error().c_str());
    delete re;
    return nullptr;
  }
  return re;
}

void ew_regex_del(struct ew_regex *re) { delete re; }

bool ew_regex_match(const struct ew_regex *re, struct ew_slice text) {
  return RE2::FullMatch(re2::StringPiece(text.p ? text.p : "", text.n), re->re);
}
