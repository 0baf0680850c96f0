/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/request_stats.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/alloc.h"

/* Statuses that are seen on one set of labels; more take the slow way. */
#define CACHE 8

struct ew_request_stats {
  struct ew_metrics *metrics;
  struct ew_label labels[EW_REQUEST_LABELS_MAX + 1];
  size_t n;
  struct ew_series *duration;
  struct {
    int status;
    struct ew_series *series;
  } cache[CACHE];
  size_t cached;
};

struct ew_request_stats *ew_request_stats_new(struct ew_metrics *m,
                                              const struct ew_label *labels,
                                              size_t n) {
  struct ew_request_stats *s = ew_calloc(1, sizeof(*s));

  s->metrics = m;
  s->n = n;
  for (size_t i = 0; i < n; i++) {
    s->labels[i].name = labels[i].name;
    s->labels[i].value = ew_strdup(labels[i].value ? labels[i].value : "");
  }
  s->duration = ew_series_ref(
      m, EW_HISTOGRAM, "eastwest_request_duration_seconds",
      "Time from the request head to the end of the response.", s->labels, n);
  return s;
}

void ew_request_stats_del(struct ew_request_stats *s) {
  if (!s)
    return;
  for (size_t i = 0; i < s->cached; i++)
    ew_series_unref(s->metrics, s->cache[i].series);
  ew_series_unref(s->metrics, s->duration);
  for (size_t i = 0; i < s->n; i++)
    free((char *)s->labels[i].value);
  free(s);
}

static struct ew_series *series_of(struct ew_request_stats *s, int status) {
  char text[16];

  snprintf(text, sizeof(text), "%d", status);
  s->labels[s->n] = (struct ew_label){"status", text};
  return ew_series_ref(s->metrics, EW_COUNTER, "eastwest_requests_total",
                       "Requests by the status that the client got; 0: it "
                       "went away before.",
                       s->labels, s->n + 1);
}

void ew_request_stats_count(struct ew_request_stats *s, int status,
                            uint64_t duration_us) {
  struct ew_series *series;

  ew_series_observe_us(s->duration, duration_us);
  for (size_t i = 0; i < s->cached; i++) {
    if (s->cache[i].status == status) {
      ew_series_add(s->cache[i].series, 1);
      return;
    }
  }
  series = series_of(s, status);
  ew_series_add(series, 1);
  if (s->cached < CACHE) {
    s->cache[s->cached].status = status;
    s->cache[s->cached++].series = series;
  } else {
    ew_series_unref(s->metrics, series);
  }
}
