/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_FILTER_H
#define EASTWEST_SIDECAR_POLICY_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

#define EW_MIRRORS_MAX 16

enum ew_filter_verdict {
  EW_FILTER_CONTINUE,
  EW_FILTER_REPLY, /* send |reply| and nothing upstream */
  EW_FILTER_FAIL   /* answer 500 (EW_REFUSE_INVALID_FILTER) with |why| */
};

/* The filters of one request on its way: rule filters first, then those of the
 * chosen backendRef. With retries, apply the rule filters once to the request
 * and the backend filters to the copy of each try. On the way back: backend
 * filters first, then rule filters.
 *
 *   ew_filter_run_init(&f, request, match, service_port, random);
 *   v = ew_filter_request(&f, rule->filters, rule->filters_n, request);
 *   v = ew_filter_request(&f, ref->filters, ref->filters_n, request);
 *   ...
 *   ew_filter_response(&f, ref->filters, ref->filters_n, response);
 *   ew_filter_response(&f, rule->filters, rule->filters_n, response);
 *   ew_filter_run_fini(&f);
 */
struct ew_filter_run {
  /* With EW_FILTER_REPLY: a response without a body. Owned by the run unless
   * the caller takes it and sets this to NULL. */
  struct ew_message *reply;
  const char *why; /* with EW_FILTER_FAIL; lives as long as the destination */
  /* Backends (indexes into d->backends) that get a copy of the request as it
   * is after all rule filters; sampled already. Each call of ew_filter_request
   * appends: who applies the backend filters again for a retry sets mirrors_n
   * back first. */
  size_t mirrors[EW_MIRRORS_MAX];
  size_t mirrors_n;
  /* private */
  const struct ew_match *match;
  uint16_t port;
  uint64_t random;
  char *origin; /* the request's Origin as received, or NULL */
  size_t origin_n;
};

/* |req| is the request as received (read only here). |match| is what
 * ew_routes_find gave, NULL without routes; it must live as long as the run.
 * |port| is the Service port that the client connected to. */
void ew_filter_run_init(struct ew_filter_run *f, const struct ew_message *req,
                        const struct ew_match *match, uint16_t port,
                        uint64_t random);
void ew_filter_run_fini(struct ew_filter_run *f);

/* Applies |list| in order to |req|; stops at the first that does not continue.
 * Response headers are left to ew_filter_response. A header modifier that
 * names "host" sets the authority; one that sets a framing or hop-by-hop field
 * (content-length, transfer-encoding, connection, ...) fails, and removing one
 * does nothing. */
enum ew_filter_verdict ew_filter_request(struct ew_filter_run *f,
                                         const struct ew_filter *list, size_t n,
                                         struct ew_message *req);
/* Applies ResponseHeaderModifier and CORS of |list| to a response head: also
 * to those that the backend answered with an error, not to 1xx. Continue or
 * fail. */
enum ew_filter_verdict ew_filter_response(struct ew_filter_run *f,
                                          const struct ew_filter *list,
                                          size_t n, struct ew_message *resp);

#endif
