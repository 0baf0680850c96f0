/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_METRICS_H
#define EASTWEST_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/buf.h"

/* Prometheus metrics of one worker. A series is found or made once, when
 * configuration arrives, and then counted through its pointer: no look-up on
 * the request path. Label values come from configuration only, never from
 * bytes of a client. Not thread safe: one registry per worker. */
struct ew_metrics;
struct ew_series;

enum ew_metric_type { EW_COUNTER, EW_GAUGE, EW_HISTOGRAM };

struct ew_label {
  const char *name;
  const char *value;
};

/* At most |max_series| series; when they are used up, further ones share one
 * overflow series per family whose label values are all "other". */
struct ew_metrics *ew_metrics_new(size_t max_series);
void ew_metrics_del(struct ew_metrics *m);

/* Finds or makes the series and takes a reference. |family| and |help| must be
 * string literals; labels are copied. Never NULL. Histograms use fixed buckets
 * in seconds: .001 .0025 .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10. */
struct ew_series *ew_series_ref(struct ew_metrics *m, enum ew_metric_type type,
                                const char *family, const char *help,
                                const struct ew_label *labels, size_t n);
/* Gives the reference back. The series stays, with its value, so a counter
 * never falls; when the registry is full, unreferenced series are dropped
 * first. NULL is allowed. */
void ew_series_unref(struct ew_metrics *m, struct ew_series *s);

void ew_series_add(struct ew_series *s, int64_t delta);
void ew_series_set(struct ew_series *s, int64_t value);
int64_t ew_series_get(const struct ew_series *s);
void ew_series_observe_us(struct ew_series *s, uint64_t microseconds);

/* Appends the text exposition format (version 0.0.4), families sorted by name,
 * one HELP and TYPE each. Returns EW_OK, or EW_EAGAIN when |out| is full. */
int ew_metrics_render(const struct ew_metrics *m, struct ew_buf *out);

#endif
