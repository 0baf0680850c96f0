/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_ROUTE_H
#define EASTWEST_SIDECAR_POLICY_ROUTE_H

#include <stddef.h>

#include "eastwest/base/slice.h"
#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

/* The matches of a destination, compiled for look-up: regular expressions and
 * an index over paths, methods, headers and query parameters. Immutable once
 * made, so several threads may use it. */
struct ew_routes;

/* Regular expressions that one destination may have; those above it count as
 * not compiling. */
#define EW_ROUTES_REGEX_MAX 4096

/* Takes a reference to |d|. Never NULL. |why| (may be NULL) gets the first
 * reason why a regular expression does not compile, or "". */
struct ew_routes *ew_routes_new(struct ew_destination *d, char *why,
                                size_t why_len);
void ew_routes_del(struct ew_routes *r); /* NULL is allowed */
struct ew_destination *ew_routes_destination(const struct ew_routes *r);

/* The first match of |d->matches| that fits |req|, or NULL. With
 * |d->rules_n| > 0 NULL means 404 (EW_REFUSE_NO_ROUTE); with no rules, use
 * |d->default_backend|. The rule is d->rules[match->rule]. Allocates nothing.
 */
const struct ew_match *ew_routes_find(const struct ew_routes *r,
                                      const struct ew_message *req);
/* Why |m| (of ew_routes_find) can't be trusted to match, or NULL. If not NULL
 * answer 500 (EW_REFUSE_INVALID_MATCH); the rule must not be skipped. */
const char *ew_routes_invalid(const struct ew_routes *r,
                              const struct ew_match *m);

/* The rule for a connection that is not HTTP: TCPRoute, or TLSRoute by server
 * name (compared without case; "*.example.com" stands for one or more labels).
 * |sni| is empty without one: then only rules without server names fit. NULL:
 * no rule; with |d->l4_rules_n| > 0 the connection is refused. */
const struct ew_rule *ew_routes_l4(const struct ew_routes *r,
                                   struct ew_slice sni);

#endif
