/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/order.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"

static int path_rank(const struct ew_match *m) {
  if (!m->path)
    return 0;
  return m->path_type == EW_MATCH_EXACT ? 3
                                        : 1 + (m->path_type == EW_MATCH_REGEX);
}

/* Positive if b goes first. */
static int more(size_t a, size_t b) { return (b > a) - (b < a); }

static size_t length(const char *s) { return s ? strlen(s) : 0; }

static int compare_http(const struct ew_match *a, const struct ew_match *b) {
  int d = path_rank(b) - path_rank(a);

  if (d == 0)
    d = more(length(a->path), length(b->path));
  if (d == 0)
    d = (b->method != NULL) - (a->method != NULL);
  if (d == 0)
    d = more(a->headers_n, b->headers_n);
  return d ? d : more(a->query_n, b->query_n);
}

static int compare_grpc(const struct ew_match *a, const struct ew_match *b) {
  int d = more(length(a->grpc_service), length(b->grpc_service));

  if (d == 0)
    d = more(length(a->grpc_method), length(b->grpc_method));
  return d ? d : more(a->headers_n, b->headers_n);
}

static size_t sni_rank(const struct ew_rule *r) {
  if (r->snis_n == 0)
    return 0;
  return strlen(r->snis[0]) + (r->snis[0][0] == '*' ? 1 : 1000);
}

/* qsort is not stable, so the place breaks a tie. */
struct placed_match {
  struct ew_match match;
  size_t place;
};

struct placed_rule {
  struct ew_rule rule;
  size_t place;
};

static int by_http(const void *a, const void *b) {
  const struct placed_match *x = a, *y = b;
  int d = compare_http(&x->match, &y->match);

  return d ? d : more(y->place, x->place);
}

static int by_grpc(const void *a, const void *b) {
  const struct placed_match *x = a, *y = b;
  int d = compare_grpc(&x->match, &y->match);

  return d ? d : more(y->place, x->place);
}

static int by_sni(const void *a, const void *b) {
  const struct placed_rule *x = a, *y = b;
  int d = more(sni_rank(&x->rule), sni_rank(&y->rule));

  return d ? d : more(y->place, x->place);
}

static void sort_matches(struct ew_match *m, size_t n,
                         int (*by)(const void *, const void *)) {
  struct placed_match *p = ew_malloc((n + 1) * sizeof(*p));

  for (size_t i = 0; i < n; i++)
    p[i] = (struct placed_match){m[i], i};
  qsort(p, n, sizeof(*p), by);
  for (size_t i = 0; i < n; i++)
    m[i] = p[i].match;
  free(p);
}

void ew_order_http(struct ew_match *matches, size_t n) {
  sort_matches(matches, n, by_http);
}

void ew_order_grpc(struct ew_match *matches, size_t n) {
  sort_matches(matches, n, by_grpc);
}

void ew_order_tls(struct ew_rule *rules, size_t n) {
  struct placed_rule *p = ew_malloc((n + 1) * sizeof(*p));

  for (size_t i = 0; i < n; i++)
    p[i] = (struct placed_rule){rules[i], i};
  qsort(p, n, sizeof(*p), by_sni);
  for (size_t i = 0; i < n; i++)
    rules[i] = p[i].rule;
  free(p);
}
