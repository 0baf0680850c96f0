/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/list.h"

#define EW_LABELS_MAX 8192u
#define EW_BUCKETS 13u

static const struct {
  const char *le;
  uint64_t us;
} ew_buckets[EW_BUCKETS] = {
    {"0.001", 1000},  {"0.0025", 2500}, {"0.005", 5000},  {"0.01", 10000},
    {"0.025", 25000}, {"0.05", 50000},  {"0.1", 100000},  {"0.25", 250000},
    {"0.5", 500000},  {"1", 1000000},   {"2.5", 2500000}, {"5", 5000000},
    {"10", 10000000},
};

struct ew_histogram {
  uint64_t bucket[EW_BUCKETS + 1]; /* not cumulative; the last is +Inf */
  uint64_t sum_us;
};

struct ew_family;

struct ew_series {
  struct ew_family *family;
  struct ew_list in_family;
  struct ew_list in_bucket;
  struct ew_list in_idle; /* while refs is 0 */
  struct ew_histogram *histogram;
  int64_t value;
  size_t refs;
  char *labels; /* a="x",b="y": as rendered, and the key */
};

struct ew_family {
  struct ew_list in_metrics;
  const char *name, *help;
  enum ew_metric_type type;
  struct ew_list series;
  struct ew_series *other; /* made when first needed; never dropped */
  char *other_labels;
};

struct ew_metrics {
  struct ew_list families; /* sorted by name */
  struct ew_list idle;     /* unreferenced series, longest idle first */
  struct ew_list *table;   /* by hash of family and labels */
  size_t buckets;
  size_t count, max;
};

struct ew_metrics *ew_metrics_new(size_t max_series) {
  struct ew_metrics *m = ew_calloc(1, sizeof(*m));
  ew_list_init(&m->families);
  ew_list_init(&m->idle);
  m->max = max_series;
  m->buckets = max_series / 2 + 1;
  m->table = ew_calloc(m->buckets, sizeof(*m->table));
  for (size_t i = 0; i < m->buckets; i++)
    ew_list_init(&m->table[i]);
  return m;
}

static void ew_series_del(struct ew_series *s) {
  ew_list_remove(&s->in_family);
  ew_list_remove(&s->in_bucket);
  ew_list_remove(&s->in_idle);
  free(s->histogram);
  free(s->labels);
  free(s);
}

void ew_metrics_del(struct ew_metrics *m) {
  struct ew_list *it, *tmp, *is, *stmp;
  EW_LIST_EACH(it, tmp, &m->families) {
    struct ew_family *f = EW_CONTAINER(it, struct ew_family, in_metrics);
    EW_LIST_EACH(is, stmp, &f->series)
    ew_series_del(EW_CONTAINER(is, struct ew_series, in_family));
    free(f->other_labels);
    free(f);
  }
  free(m->table);
  free(m);
}

static void ew_label_escape(struct ew_buf *b, const char *v) {
  for (; *v; v++) {
    if (*v == '\n')
      ew_buf_append_str(b, "\\n");
    else if (*v == '"' || *v == '\\')
      ew_buf_append(b, ew_slice((char[]){'\\', *v}, 2));
    else
      ew_buf_append(b, ew_slice(v, 1));
  }
}

/* The text between the braces; |value| instead of the labels' own if set. */
static char *ew_labels_text(const struct ew_label *l, size_t n,
                            const char *value) {
  struct ew_buf b;
  ew_buf_init(&b, SIZE_MAX);
  for (size_t i = 0; i < n; i++) {
    ew_buf_printf(&b, "%s%s=\"", i ? "," : "", l[i].name);
    ew_label_escape(&b, value ? value : l[i].value);
    ew_buf_append_str(&b, "\"");
  }
  struct ew_slice s = ew_buf_peek(&b);
  char *text = ew_strndup(s.p, s.n);
  ew_buf_fini(&b);
  return text;
}

static struct ew_family *ew_family_get(struct ew_metrics *m,
                                       enum ew_metric_type type,
                                       const char *name, const char *help,
                                       const struct ew_label *l, size_t n) {
  struct ew_list *it, *tmp;
  EW_LIST_EACH(it, tmp, &m->families) {
    struct ew_family *f = EW_CONTAINER(it, struct ew_family, in_metrics);
    int order = strcmp(f->name, name);
    if (order == 0) {
      EW_BUG_ON(f->type != type);
      return f;
    }
    if (order > 0)
      break;
  }
  struct ew_family *f = ew_calloc(1, sizeof(*f));
  f->name = name;
  f->help = help;
  f->type = type;
  f->other_labels = ew_labels_text(l, n, "other");
  ew_list_init(&f->series);
  /* Before |it|, the first family with a greater name, or at the end. */
  ew_list_push_back(it, &f->in_metrics);
  return f;
}

static struct ew_list *ew_bucket(struct ew_metrics *m,
                                 const struct ew_family *f, const char *key) {
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (const char *p = f->name; *p; p++)
    h = (h ^ (unsigned char)*p) * 1099511628211u;
  for (const char *p = key; *p; p++)
    h = (h ^ (unsigned char)*p) * 1099511628211u;
  return &m->table[h % m->buckets];
}

static struct ew_series *ew_series_new(struct ew_family *f, char *labels) {
  struct ew_series *s = ew_calloc(1, sizeof(*s));
  s->family = f;
  s->labels = labels;
  ew_list_init(&s->in_bucket);
  ew_list_init(&s->in_idle);
  if (f->type == EW_HISTOGRAM)
    s->histogram = ew_calloc(1, sizeof(*s->histogram));
  ew_list_push_back(&f->series, &s->in_family);
  return s;
}

static struct ew_series *ew_series_other(struct ew_family *f) {
  if (!f->other)
    f->other = ew_series_new(f, ew_strdup(f->other_labels));
  return f->other;
}

/* Drops the series that has been unreferenced longest. What a counter or
 * histogram counted moves to the overflow series: a family's sum never
 * falls. */
static bool ew_metrics_evict(struct ew_metrics *m) {
  if (ew_list_empty(&m->idle))
    return false;
  struct ew_series *s = EW_CONTAINER(m->idle.next, struct ew_series, in_idle);
  if (s->family->type != EW_GAUGE) {
    struct ew_series *o = ew_series_other(s->family);
    o->value += s->value;
    if (s->histogram) {
      o->histogram->sum_us += s->histogram->sum_us;
      for (size_t i = 0; i <= EW_BUCKETS; i++)
        o->histogram->bucket[i] += s->histogram->bucket[i];
    }
  }
  ew_series_del(s);
  m->count--;
  return true;
}

struct ew_series *ew_series_ref(struct ew_metrics *m, enum ew_metric_type type,
                                const char *family, const char *help,
                                const struct ew_label *labels, size_t n) {
  struct ew_family *f = ew_family_get(m, type, family, help, labels, n);
  char *key = ew_labels_text(labels, n, NULL);
  struct ew_list *bucket = ew_bucket(m, f, key), *it, *tmp;
  struct ew_series *s = NULL;
  EW_LIST_EACH(it, tmp, bucket) {
    struct ew_series *c = EW_CONTAINER(it, struct ew_series, in_bucket);
    if (c->family == f && strcmp(c->labels, key) == 0) {
      s = c;
      break;
    }
  }
  if (s) {
    ew_list_remove(&s->in_idle);
    free(key);
  } else if (strcmp(key, f->other_labels) == 0 || strlen(key) > EW_LABELS_MAX ||
             (m->count >= m->max && !ew_metrics_evict(m))) {
    /* A family without labels is its own overflow series and counts for
     * nothing in the maximum. */
    s = ew_series_other(f);
    free(key);
  } else {
    s = ew_series_new(f, key);
    ew_list_push_back(bucket, &s->in_bucket);
    m->count++;
  }
  s->refs++;
  return s;
}

void ew_series_unref(struct ew_metrics *m, struct ew_series *s) {
  if (!s)
    return;
  EW_BUG_ON(s->refs == 0);
  if (--s->refs == 0 && s != s->family->other)
    ew_list_push_back(&m->idle, &s->in_idle);
}

void ew_series_add(struct ew_series *s, int64_t delta) {
  EW_BUG_ON(s->family->type == EW_COUNTER && delta < 0);
  s->value += delta;
}

void ew_series_set(struct ew_series *s, int64_t value) {
  if (s->family->type == EW_COUNTER && value < s->value)
    return;
  s->value = value;
}

int64_t ew_series_get(const struct ew_series *s) { return s->value; }

void ew_series_observe_us(struct ew_series *s, uint64_t us) {
  EW_BUG_ON(!s->histogram);
  size_t i = 0;
  while (i < EW_BUCKETS && us > ew_buckets[i].us)
    i++;
  s->histogram->bucket[i]++;
  s->histogram->sum_us += us;
  s->value++;
}

static int ew_render_histogram(const struct ew_series *s, struct ew_buf *out) {
  const char *name = s->family->name;
  const char *comma = *s->labels ? "," : "";
  uint64_t total = 0;
  for (size_t i = 0; i <= EW_BUCKETS; i++) {
    total += s->histogram->bucket[i];
    if (ew_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, s->labels,
                      comma, i < EW_BUCKETS ? ew_buckets[i].le : "+Inf",
                      (unsigned long long)total) != EW_OK)
      return EW_EAGAIN;
  }
  const char *open = *s->labels ? "{" : "", *close = *s->labels ? "}" : "";
  uint64_t us = s->histogram->sum_us;
  return ew_buf_printf(out, "%s_sum%s%s%s %llu.%06llu\n%s_count%s%s%s %llu\n",
                       name, open, s->labels, close,
                       (unsigned long long)(us / 1000000),
                       (unsigned long long)(us % 1000000), name, open,
                       s->labels, close, (unsigned long long)total);
}

static int ew_render_series(const struct ew_series *s, struct ew_buf *out) {
  if (s->histogram)
    return ew_render_histogram(s, out);
  return ew_buf_printf(out, *s->labels ? "%s{%s} %lld\n" : "%s%s %lld\n",
                       s->family->name, s->labels, (long long)s->value);
}

static int ew_render_family(const struct ew_family *f, struct ew_buf *out) {
  static const char *const types[] = {"counter", "gauge", "histogram"};
  if (ew_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help,
                    f->name, types[f->type]) != EW_OK)
    return EW_EAGAIN;
  const struct ew_list *it;
  for (it = f->series.next; it != &f->series; it = it->next)
    if (ew_render_series(EW_CONTAINER(it, struct ew_series, in_family), out) !=
        EW_OK)
      return EW_EAGAIN;
  return EW_OK;
}

int ew_metrics_render(const struct ew_metrics *m, struct ew_buf *out) {
  size_t before = ew_buf_len(out);
  const struct ew_list *it;
  for (it = m->families.next; it != &m->families; it = it->next) {
    if (ew_render_family(EW_CONTAINER(it, struct ew_family, in_metrics), out) !=
        EW_OK) {
      /* Half an exposition would be read as series that went away. */
      out->end = out->off + before;
      return EW_EAGAIN;
    }
  }
  return EW_OK;
}
