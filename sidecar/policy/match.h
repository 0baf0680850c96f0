/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_MATCH_H
#define EASTWEST_SIDECAR_POLICY_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "eastwest/base/slice.h"
#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

/* One match with its regular expressions compiled. The path is compared on
 * exactly the bytes that would be forwarded: nothing is decoded or merged. A
 * header that came in several lines is compared with all values joined by ",";
 * the name "host" means the authority. Of a query parameter that came several
 * times the first counts, percent-decoded and with "+" as a space. Of a
 * name that the match itself repeats only the first one counts (GAMMA rule
 * 21). */
struct ew_matcher {
  const struct ew_match *match;
  /* A regular expression of this match does not compile. What it would have
   * matched is not known, so it counts as matching everything, and whoever
   * gets this match must answer 500. The text names the place; owned. */
  char *invalid;
  /* private */
  struct ew_regex *path, *grpc_service, *grpc_method;
  struct ew_check *checks;
  size_t checks_n;
};

/* |m| must outlive |out|. Always succeeds; see |invalid|. Each regular
 * expression takes one from |*regex_left| (may be NULL); with 0 left it counts
 * as not compiling. */
void ew_matcher_init(struct ew_matcher *out, const struct ew_match *m,
                     size_t *regex_left);
void ew_matcher_fini(struct ew_matcher *m);
/* A header or query parameter that must have exactly this value. */
struct ew_match_key {
  bool query;
  struct ew_slice name, value;
};

/* The first such key at or after |*i|, which moves behind it; false: no
 * further one. What a match must have, an index can be built on. */
bool ew_matcher_next_key(const struct ew_matcher *m, size_t *i,
                         struct ew_match_key *out);
/* Allocates nothing. */
bool ew_matcher_test(const struct ew_matcher *m, const struct ew_message *req);

/* The first value of query parameter |name| in |query| (without '?'), decoded
 * into |buf|. False if there is no such parameter or it does not fit. */
bool ew_query_value(struct ew_slice query, struct ew_slice name, char *buf,
                    size_t cap, struct ew_slice *value);
/* What a header match is compared with: see above. Several lines are joined in
 * |buf|; false if there is no line or they do not fit. */
bool ew_header_value(const struct ew_message *m, struct ew_slice name,
                     char *buf, size_t cap, struct ew_slice *value);
/* Whether |prefix| (without trailing '/') covers whole segments of |path|. ""
 * covers everything, also "*". */
bool ew_path_has_prefix(struct ew_slice path, struct ew_slice prefix);
/* Splits "/package.Service/Method". False for any other shape. */
bool ew_grpc_split(struct ew_slice path, struct ew_slice *service,
                   struct ew_slice *method);

#endif
