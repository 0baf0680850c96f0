/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_LOG_H
#define EASTWEST_BASE_LOG_H

#include <stdbool.h>

#include "eastwest/base/buf.h"

enum ew_log_level { EW_LOG_ERROR, EW_LOG_WARN, EW_LOG_INFO, EW_LOG_DEBUG };

/* One line of JSON on stderr per call: {"time","level","msg", ...}. Bytes from
 * a peer are escaped by the JSON string rules, so a line stays a line. Lines of
 * one call site are limited to 10 a second; what was left out is counted and
 * told with the next line of that site ("suppressed").
 *
 * ew_log(EW_LOG_WARN, "certificate refused", "peer=%s reason=%s", p, r) : the
 * format is a list of key=%conversion pairs separated by one space; each
 * becomes a JSON member. Conversions: %s %d %u %ld %lu %zu %llu %.*s. NULL
 * |fmt| for none. |msg| is a literal without '%'. */
#define ew_log(level, msg, ...)                                 \
  do {                                                          \
    static struct ew_log_site ew_log_site_;                     \
    if ((level) <= ew_log_threshold)                            \
      ew_log_write(&ew_log_site_, (level), (msg), __VA_ARGS__); \
  } while (0)

struct ew_log_site {
  long long window_s;
  unsigned count;
  unsigned suppressed;
};

extern enum ew_log_level ew_log_threshold;

void ew_log_write(struct ew_log_site *site, enum ew_log_level level,
                  const char *msg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends a line {"time", ...members} to |out|, for logs with a form of their
 * own; |fmt| as above. Returns EW_OK, or EW_EAGAIN when it does not fit. */
int ew_log_line(struct ew_buf *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "error", "warn", "info", "debug". Returns EW_OK or EW_EINVAL. */
int ew_log_set_level(const char *name);
const char *ew_log_level_name(void);

#endif
