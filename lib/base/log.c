/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "eastwest/base/err.h"
#include "eastwest/base/slice.h"

/* PIPE_BUF on Linux: a write of at most this size to a pipe is not mixed with
 * that of another thread or process. */
#define EW_LOG_LINE 4096u
/* Kept free for the end of a member that is cut, "suppressed" and "}\n". */
#define EW_LOG_TAIL 48u
#define EW_LOG_PER_SECOND 10u

enum ew_log_level ew_log_threshold = EW_LOG_INFO;

static const char *const ew_log_names[] = {"error", "warn", "info", "debug"};

struct ew_log_line {
  char p[EW_LOG_LINE];
  size_t n;
  size_t limit;
};

static bool ew_line_put(struct ew_log_line *l, const char *s, size_t n) {
  if (n > l->limit - l->n)
    return false;
  memcpy(l->p + l->n, s, n);
  l->n += n;
  return true;
}

static bool ew_line_str(struct ew_log_line *l, const char *s) {
  return ew_line_put(l, s, strlen(s));
}

/* Length of the well-formed UTF-8 sequence (RFC 3629) of two or more bytes at
 * |s|, 0 if there is none or it is a C1 control, which terminals obey. */
static size_t ew_utf8_len(const unsigned char *s, size_t n) {
  unsigned char lo = 0x80, hi = 0xbf;
  size_t len;
  if (s[0] >= 0xc2 && s[0] <= 0xdf)
    len = 2;
  else if (s[0] >= 0xe0 && s[0] <= 0xef)
    len = 3;
  else if (s[0] >= 0xf0 && s[0] <= 0xf4)
    len = 4;
  else
    return 0;
  if (s[0] == 0xc2 || s[0] == 0xe0)
    lo = 0xa0;
  else if (s[0] == 0xf0)
    lo = 0x90;
  else if (s[0] == 0xed)
    hi = 0x9f;
  else if (s[0] == 0xf4)
    hi = 0x8f;
  if (n < len || s[1] < lo || s[1] > hi)
    return 0;
  for (size_t i = 2; i < len; i++)
    if (s[i] < 0x80 || s[i] > 0xbf)
      return 0;
  return len;
}

/* A JSON string; cut where the line is full. */
static void ew_line_quote(struct ew_log_line *l, struct ew_slice s) {
  ew_line_put(l, "\"", 1);
  l->limit--;
  for (size_t i = 0, step; i < s.n; i += step) {
    unsigned char c = (unsigned char)s.p[i];
    bool ok;
    step = 1;
    if (c == '"' || c == '\\') {
      ok = ew_line_put(l, (char[]){'\\', (char)c}, 2);
    } else if (c >= 0x20 && c < 0x7f) {
      ok = ew_line_put(l, s.p + i, 1);
    } else {
      size_t len =
          c < 0x80 ? 0 : ew_utf8_len((const unsigned char *)s.p + i, s.n - i);
      if (len) {
        step = len;
        ok = ew_line_put(l, s.p + i, len);
      } else {
        char esc[8];
        snprintf(esc, sizeof(esc), "\\u%04x", c);
        ok = ew_line_put(l, esc, 6);
      }
    }
    if (!ok)
      break;
  }
  l->limit++;
  ew_line_put(l, "\"", 1);
}

/* The value of the conversion |conv| (without '%'), taken from |ap|. */
static void ew_line_value(struct ew_log_line *l, struct ew_slice conv,
                          va_list *ap) {
  char num[32];
  num[0] = '\0';
  if (ew_slice_eq_str(conv, "s") || ew_slice_eq_str(conv, ".*s")) {
    int n = conv.n > 1 ? va_arg(*ap, int) : -1;
    const char *s = va_arg(*ap, const char *);
    if (!s)
      ew_line_str(l, "null");
    else
      ew_line_quote(l, n < 0 ? ew_slice_str(s)
                             : ew_slice(s, strnlen(s, (size_t)n)));
    return;
  }
  if (ew_slice_eq_str(conv, "d"))
    snprintf(num, sizeof(num), "%d", va_arg(*ap, int));
  else if (ew_slice_eq_str(conv, "u"))
    snprintf(num, sizeof(num), "%u", va_arg(*ap, unsigned));
  else if (ew_slice_eq_str(conv, "ld"))
    snprintf(num, sizeof(num), "%ld", va_arg(*ap, long));
  else if (ew_slice_eq_str(conv, "lu"))
    snprintf(num, sizeof(num), "%lu", va_arg(*ap, unsigned long));
  else if (ew_slice_eq_str(conv, "zu"))
    snprintf(num, sizeof(num), "%zu", va_arg(*ap, size_t));
  else if (ew_slice_eq_str(conv, "lld"))
    snprintf(num, sizeof(num), "%lld", va_arg(*ap, long long));
  else if (ew_slice_eq_str(conv, "llu"))
    snprintf(num, sizeof(num), "%llu", va_arg(*ap, unsigned long long));
  EW_BUG_ON(num[0] == '\0');
  ew_line_str(l, num);
}

static void ew_line_members(struct ew_log_line *l, const char *fmt,
                            va_list *ap) {
  struct ew_slice rest = ew_slice_str(fmt);
  while (rest.n) {
    struct ew_slice conv = ew_slice_cut(&rest, ' ');
    struct ew_slice key = ew_slice_cut(&conv, '=');
    EW_BUG_ON(key.n == 0 || conv.n < 2 || conv.p[0] != '%');
    /* All of a key and the longest number, or the line ends before it. */
    if (key.n + 32 > l->limit - l->n)
      return;
    ew_line_str(l, ",");
    ew_line_quote(l, key);
    ew_line_str(l, ":");
    ew_line_value(l, ew_slice(conv.p + 1, conv.n - 1), ap);
  }
}

static void ew_line_begin(struct ew_log_line *l, const struct timespec *ts) {
  struct tm tm;
  char time[32];

  l->limit = EW_LOG_LINE - EW_LOG_TAIL;
  gmtime_r(&ts->tv_sec, &tm);
  strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
  l->n = (size_t)snprintf(l->p, l->limit, "{\"time\":\"%s.%03ldZ\"", time,
                          ts->tv_nsec / 1000000);
}

/* Answers whether this line of the site may be written. The counters are
 * shared by all threads; a lost update only makes the limit less exact. */
static bool ew_site_admit(struct ew_log_site *s, long long now,
                          unsigned *suppressed) {
  if (__atomic_exchange_n(&s->window_s, now, __ATOMIC_RELAXED) != now)
    __atomic_store_n(&s->count, 0, __ATOMIC_RELAXED);
  if (__atomic_fetch_add(&s->count, 1, __ATOMIC_RELAXED) >= EW_LOG_PER_SECOND) {
    __atomic_fetch_add(&s->suppressed, 1, __ATOMIC_RELAXED);
    return false;
  }
  *suppressed = __atomic_exchange_n(&s->suppressed, 0, __ATOMIC_RELAXED);
  return true;
}

void ew_log_write(struct ew_log_site *site, enum ew_log_level level,
                  const char *msg, const char *fmt, ...) {
  int saved = errno;
  struct timespec ts;
  unsigned suppressed;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (!ew_site_admit(site, (long long)ts.tv_sec, &suppressed)) {
    errno = saved;
    return;
  }

  struct ew_log_line l;
  ew_line_begin(&l, &ts);
  ew_line_str(&l, ",\"level\":");
  ew_line_quote(&l, ew_slice_str(ew_log_names[level]));
  ew_line_str(&l, ",\"msg\":");
  ew_line_quote(&l, ew_slice_str(msg));
  if (fmt) {
    va_list ap;
    va_start(ap, fmt);
    ew_line_members(&l, fmt, &ap);
    va_end(ap);
  }
  l.limit = EW_LOG_LINE;
  if (suppressed) {
    char extra[32];
    snprintf(extra, sizeof(extra), ",\"suppressed\":%u", suppressed);
    ew_line_str(&l, extra);
  }
  ew_line_str(&l, "}\n");
  /* A log that nobody takes must not stop the program: no second attempt. */
  while (write(STDERR_FILENO, l.p, l.n) < 0 && errno == EINTR)
    ;
  errno = saved;
}

int ew_log_line(struct ew_buf *out, const char *fmt, ...) {
  struct ew_log_line l;
  struct timespec ts;
  va_list ap;

  clock_gettime(CLOCK_REALTIME, &ts);
  ew_line_begin(&l, &ts);
  va_start(ap, fmt);
  ew_line_members(&l, fmt, &ap);
  va_end(ap);
  l.limit = EW_LOG_LINE;
  ew_line_str(&l, "}\n");
  return ew_buf_append(out, ew_slice(l.p, l.n));
}

int ew_log_set_level(const char *name) {
  for (unsigned i = 0; i < sizeof(ew_log_names) / sizeof(*ew_log_names); i++) {
    if (strcmp(name, ew_log_names[i]) == 0) {
      __atomic_store_n(&ew_log_threshold, (enum ew_log_level)i,
                       __ATOMIC_RELAXED);
      return EW_OK;
    }
  }
  return EW_EINVAL;
}

const char *ew_log_level_name(void) { return ew_log_names[ew_log_threshold]; }
