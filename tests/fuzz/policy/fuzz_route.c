/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sidecar/policy/match.h"
#include "sidecar/policy/route.h"

/* The input is lines: matches, then one request. The index must find what a
 * linear scan finds.
 *   E path   P prefix   R regex   G service/method   N (no path)
 *   m method   H name=value   h name=regex   Q name=value   q name=regex
 *   ? method path   + name=value */

#define MATCHES_MAX 64
#define VALUES_MAX 4

struct made {
  struct ew_match matches[MATCHES_MAX];
  struct ew_value_match headers[MATCHES_MAX][VALUES_MAX];
  struct ew_value_match query[MATCHES_MAX][VALUES_MAX];
  size_t n;
  struct ew_message *req;
};

/* A NUL-terminated copy; a NUL inside ends it, as in a real destination. */
static const char *text(struct ew_arena *a, struct ew_slice s) {
  return ew_arena_dup(a, s.p ? s.p : "", s.n);
}

static void add_match(struct ew_arena *a, struct made *d, char type,
                      struct ew_slice rest) {
  if (d->n == MATCHES_MAX)
    return;
  struct ew_match *m = &d->matches[d->n];
  m->headers = d->headers[d->n];
  m->query = d->query[d->n];
  m->rule = d->n++;
  if (type == 'G') {
    m->grpc_service = text(a, ew_slice_cut(&rest, '/'));
    m->grpc_method = rest.n ? text(a, rest) : NULL;
  } else if (type != 'N') {
    m->path_type = type == 'E'   ? EW_MATCH_EXACT
                   : type == 'P' ? EW_MATCH_PREFIX
                                 : EW_MATCH_REGEX;
    m->path = text(a, rest);
  }
}

static void add_value(struct ew_arena *a, struct made *d, char type,
                      struct ew_slice rest) {
  if (d->n == 0)
    return;
  struct ew_match *m = &d->matches[d->n - 1];
  bool header = type == 'H' || type == 'h';
  size_t *n = header ? &m->headers_n : &m->query_n;
  if (*n == VALUES_MAX)
    return;
  struct ew_value_match *v =
      header ? &d->headers[d->n - 1][*n] : &d->query[d->n - 1][*n];
  v->type = type == 'H' || type == 'Q' ? EW_MATCH_EXACT : EW_MATCH_REGEX;
  v->name = text(a, ew_slice_cut(&rest, '='));
  v->value = text(a, rest);
  ++*n;
}

static void read_line(struct ew_arena *a, struct made *d, char type,
                      struct ew_slice rest) {
  switch (type) {
  case 'E':
  case 'P':
  case 'R':
  case 'G':
  case 'N':
    add_match(a, d, type, rest);
    break;
  case 'm':
    if (d->n > 0)
      d->matches[d->n - 1].method = text(a, rest);
    break;
  case 'H':
  case 'h':
  case 'Q':
  case 'q':
    add_value(a, d, type, rest);
    break;
  case '?':
    d->req->method = ew_message_dup_slice(d->req, ew_slice_cut(&rest, ' '));
    d->req->path = ew_message_dup_slice(d->req, rest);
    break;
  case '+': {
    struct ew_slice name = ew_slice_cut(&rest, '=');
    ew_message_add(d->req, name, rest);
    break;
  }
  default:
    break;
  }
}

static void compare(struct made *made) {
  struct ew_destination *d = ew_destination_new();
  struct ew_rule rules[MATCHES_MAX] = {{0}};
  char why[256];
  d->rules = rules;
  d->rules_n = d->matches_n = made->n;
  d->matches = made->matches;
  struct ew_routes *r = ew_routes_new(d, why, sizeof why);
  const struct ew_match *want = NULL;
  for (size_t i = 0; i < made->n && !want; i++) {
    struct ew_matcher mr;
    ew_matcher_init(&mr, &made->matches[i], NULL);
    if (ew_matcher_test(&mr, made->req))
      want = &made->matches[i];
    ew_matcher_fini(&mr);
  }
  if (ew_routes_find(r, made->req) != want)
    abort();
  ew_routes_l4(r, made->req->path);
  ew_routes_del(r);
  ew_destination_unref(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct made *made = ew_calloc(1, sizeof *made);
  struct ew_slice in = ew_slice((const char *)data, size);
  struct ew_arena a;
  const char *why;
  ew_arena_init(&a);
  made->req = ew_message_new();
  made->req->method = EW_SLICE_LIT("GET");
  made->req->path = EW_SLICE_LIT("/");
  made->req->authority = EW_SLICE_LIT("echo");
  while (in.n > 0) {
    struct ew_slice line = ew_slice_cut(&in, '\n');
    if (line.n >= 2)
      read_line(&a, made, line.p[0], ew_slice(line.p + 2, line.n - 2));
  }
  /* Only what the gate lets through is ever routed. */
  if (ew_message_gate(made->req, &why) == 0)
    compare(made);
  ew_message_del(made->req);
  ew_arena_fini(&a);
  free(made);
  return 0;
}
