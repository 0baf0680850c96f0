/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_ROUTE_READ_H
#define EASTWEST_CONTROLLER_ROUTE_READ_H

#include "controller/route.h"

/* The state of reading one route; private to route*.c. */
struct ew_route_reader {
  struct ew_jr *r;
  struct ew_arena *arena;
  const char *ns;
  struct ew_route *out;
  size_t matches_cap, refs_cap;
  size_t rule; /* that is being read */
  struct ew_route_fault *last_fault;
};

/* Zeroed; NULL for none. */
void *ew_route_new(struct ew_route_reader *rd, size_t n, size_t size);
const char *ew_route_keep(struct ew_route_reader *rd, const char *s);
const char *ew_route_lower(struct ew_route_reader *rd, const char *s);
struct ew_match *ew_route_add_match(struct ew_route_reader *rd);
void ew_route_add_fault(struct ew_route_reader *rd, bool dropped,
                        const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Reads a BackendRef; returns its index in refs. */
size_t ew_route_read_ref(struct ew_route_reader *rd, const struct ew_jv *v);

/* Appends the matches of |rule| to rd->out->matches. One that can't be carried
 * out takes all matches of its rule with it, and adds a fault. */
void ew_route_read_http_matches(struct ew_route_reader *rd,
                                const struct ew_jv *rule);
void ew_route_read_grpc_matches(struct ew_route_reader *rd,
                                const struct ew_jv *rule);

/* Member "filters" of a rule or a backend. |one_prefix|: the rule has exactly
 * one match and it is a path prefix, so a prefix can be replaced. A filter that
 * can't be carried out becomes EW_FILTER_INVALID and adds a fault. */
const struct ew_filter *ew_route_read_filters(struct ew_route_reader *rd,
                                              const struct ew_jv *obj,
                                              bool one_prefix, size_t *n);

/* GEP-2257, in milliseconds; |or_else| if absent. */
uint32_t ew_route_read_duration(struct ew_route_reader *rd,
                                const struct ew_jv *obj, const char *name,
                                uint32_t or_else);

#endif
