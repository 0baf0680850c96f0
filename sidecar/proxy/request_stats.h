/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_REQUEST_STATS_H
#define SIDECAR_PROXY_REQUEST_STATS_H

#include "eastwest/base/metrics.h"

/* eastwest_requests_total{..., status} and
 * eastwest_request_duration_seconds{...} for one set of labels, all of them
 * from configuration. The series of a status is looked up once and then counted
 * through its pointer. */
struct ew_request_stats;

#define EW_REQUEST_LABELS_MAX 12

struct ew_request_stats *ew_request_stats_new(struct ew_metrics *m,
                                              const struct ew_label *labels,
                                              size_t n);
void ew_request_stats_del(struct ew_request_stats *s); /* NULL is allowed */
/* |status| 0: the client went away before a response. */
void ew_request_stats_count(struct ew_request_stats *s, int status,
                            uint64_t duration_us);

#endif
