/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_ORDER_H
#define EASTWEST_CONTROLLER_ORDER_H

#include <stddef.h>

#include "eastwest/model/destination.h"

/* The order of precedence, most specific first. What compares equal keeps its
 * order: lists are given with the oldest route first, then by the place of the
 * rule and of the match in it. */

/* HTTPRoute: path (exact, regular expression, longest prefix), method, number
 * of headers, number of query parameters. The API leaves the place of regular
 * expressions open; above prefixes they can coexist with a rule for "/". */
void ew_order_http(struct ew_match *matches, size_t n);
/* GRPCRoute: longest service, longest method, number of headers. */
void ew_order_grpc(struct ew_match *matches, size_t n);
/* TLSRoute rules with at most one server name each: full names, then the
 * longest wildcard, then those without a name. */
void ew_order_tls(struct ew_rule *rules, size_t n);

#endif
