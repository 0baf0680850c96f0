/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "eastwest/base/err.h"
#include "sidecar/policy/filter.h"

/* The input is lines: a request, then filters in order.
 *   ? method path   @ authority   + name=value   p matched prefix
 *   s name=value   a name=value   d name   (request header modifier)
 *   S name=value   A name=value   D name   (response header modifier)
 *   F full path   X prefix's replacement   N hostname   (rewrite)
 *   f full path   x prefix's replacement   n hostname   (redirect)
 *   h scheme of redirects   O CORS origin   o the same with credentials
 * Whatever comes out must still pass the gate. */

#define FILTERS_MAX 16

struct made {
  struct ew_filter filters[FILTERS_MAX];
  struct ew_header_value values[FILTERS_MAX];
  const char *names[FILTERS_MAX];
  size_t n;
  const char *scheme;
  struct ew_match match;
  struct ew_message *req;
};

static const char *const star[] = {"*"};

static const char *text(struct ew_arena *a, struct ew_slice s) {
  return ew_arena_dup(a, s.p ? s.p : "", s.n);
}

static void add_headers(struct ew_arena *a, struct made *d, char type,
                        struct ew_slice rest) {
  struct ew_filter *f = &d->filters[d->n];
  struct ew_header_value *v = &d->values[d->n];
  char how = (char)(type | 0x20);
  f->type =
      type == how ? EW_FILTER_REQUEST_HEADERS : EW_FILTER_RESPONSE_HEADERS;
  v->name = d->names[d->n] = text(a, ew_slice_cut(&rest, '='));
  v->value = text(a, rest);
  if (how == 's') {
    f->u.headers.set = v;
    f->u.headers.set_n = 1;
  } else if (how == 'a') {
    f->u.headers.add = v;
    f->u.headers.add_n = 1;
  } else {
    f->u.headers.remove = &d->names[d->n];
    f->u.headers.remove_n = 1;
  }
  d->n++;
}

static void add_location(struct ew_arena *a, struct made *d, char type,
                         struct ew_slice rest) {
  struct ew_filter *f = &d->filters[d->n++];
  char how = (char)(type | 0x20);
  f->type = type == how ? EW_FILTER_REDIRECT : EW_FILTER_REWRITE;
  f->u.location.scheme = type == how ? d->scheme : NULL;
  if (how == 'n') {
    f->u.location.hostname = text(a, rest);
    return;
  }
  f->u.location.path_modifier = how == 'f' ? EW_PATH_FULL : EW_PATH_PREFIX;
  f->u.location.path = text(a, rest);
}

static void add_cors(struct ew_arena *a, struct made *d, char type,
                     struct ew_slice rest) {
  struct ew_filter *f = &d->filters[d->n];
  d->names[d->n++] = text(a, rest);
  f->type = EW_FILTER_CORS;
  f->u.cors.allow_origins = &d->names[d->n - 1];
  f->u.cors.allow_origins_n = 1;
  f->u.cors.allow_methods = f->u.cors.allow_headers = star;
  f->u.cors.allow_methods_n = f->u.cors.allow_headers_n = 1;
  f->u.cors.expose_headers = star;
  f->u.cors.expose_headers_n = 1;
  f->u.cors.allow_credentials = type == 'o';
}

static void add_filter(struct ew_arena *a, struct made *d, char type,
                       struct ew_slice rest) {
  if (d->n == FILTERS_MAX)
    return;
  if (strchr("sadSAD", type))
    add_headers(a, d, type, rest);
  else if (strchr("FXNfxn", type))
    add_location(a, d, type, rest);
  else if (strchr("Oo", type))
    add_cors(a, d, type, rest);
}

static void read_line(struct ew_arena *a, struct made *d, char type,
                      struct ew_slice rest) {
  struct ew_slice name;
  switch (type) {
  case '\0':
    break;
  case '?':
    d->req->method = ew_message_dup_slice(d->req, ew_slice_cut(&rest, ' '));
    d->req->path = ew_message_dup_slice(d->req, rest);
    break;
  case '@':
    d->req->authority = ew_message_dup_slice(d->req, rest);
    break;
  case '+':
    name = ew_slice_cut(&rest, '=');
    /* Codecs take this one out. */
    if (!ew_slice_caseeq(name, EW_SLICE_LIT("content-length")))
      ew_message_add(d->req, name, rest);
    break;
  case 'p':
    d->match.path_type = EW_MATCH_PREFIX;
    d->match.path = text(a, rest);
    break;
  case 'h':
    d->scheme = text(a, rest);
    break;
  default:
    add_filter(a, d, type, rest);
  }
}

static void must(bool ok) {
  if (!ok)
    abort();
}

static void check_lines(const struct ew_message *m) {
  must(m->headers.n <= EW_FIELDS_MAX);
  for (size_t i = 0; i < m->headers.n; i++) {
    must(ew_is_token(m->headers.v[i].name));
    must(ew_is_field_value(m->headers.v[i].value));
    must(!ew_slice_eq_str(m->headers.v[i].name, "content-length"));
  }
}

static void run(struct made *d) {
  struct ew_filter_run f;
  const char *why;
  /* What the model's reader refuses never comes here. */
  ew_filter_run_init(&f, d->req, &d->match, 8080, 1);
  enum ew_filter_verdict v = ew_filter_request(&f, d->filters, d->n, d->req);
  must((v == EW_FILTER_FAIL) == (f.why != NULL));
  must(v != EW_FILTER_REPLY || f.reply != NULL);
  if (v == EW_FILTER_CONTINUE) {
    int status = ew_message_gate(d->req, &why);
    must(status == EW_OK || status == 431 || status == 414);
  }
  check_lines(d->req);
  struct ew_message *resp = f.reply ? f.reply : ew_message_new();
  if (resp != f.reply)
    resp->status = 200;
  check_lines(resp);
  ew_filter_response(&f, d->filters, d->n, resp);
  check_lines(resp);
  if (resp != f.reply)
    ew_message_del(resp);
  ew_filter_run_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct made *made = ew_calloc(1, sizeof *made);
  struct ew_slice in = ew_slice((const char *)data, size);
  struct ew_arena a;
  const char *why;
  ew_arena_init(&a);
  made->req = ew_message_new();
  made->req->version = 11;
  made->req->method = EW_SLICE_LIT("GET");
  made->req->path = EW_SLICE_LIT("/");
  made->req->scheme = EW_SLICE_LIT("http");
  made->req->authority = EW_SLICE_LIT("echo");
  while (in.n > 0) {
    struct ew_slice line = ew_slice_cut(&in, '\n');
    if (line.n >= 2)
      read_line(&a, made, line.p[0], ew_slice(line.p + 2, line.n - 2));
  }
  if (ew_message_gate(made->req, &why) == EW_OK)
    run(made);
  ew_message_del(made->req);
  ew_arena_fini(&a);
  free(made);
  return 0;
}
