/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_KUBE_TEST_H
#define EASTWEST_TESTS_KUBE_TEST_H

#include "net/net_test.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"
#include "eastwest/conn/httpd.h"
#include "eastwest/kube/client.h"

#define API_OPEN_MAX 32

/* An API server whose answers the test gives, one request after the other. */
struct api {
  struct ew_loop *l;
  struct ew_httpd *d;
  struct ew_addr at;
  char url[64];
  struct ew_httpd_request *open[API_OPEN_MAX]; /* in the order they came */
  size_t open_n;
  unsigned requests, gone;
  struct ew_tls_ctx *tls;
};

static inline void api_request(void *arg, struct ew_httpd_request *r) {
  struct api *a = arg;
  assert_true(a->open_n < API_OPEN_MAX);
  a->requests++;
  a->open[a->open_n++] = r;
}

static inline void api_remove(struct api *a, struct ew_httpd_request *r) {
  for (size_t i = 0; i < a->open_n; i++)
    if (a->open[i] == r) {
      memmove(&a->open[i], &a->open[i + 1],
              (--a->open_n - i) * sizeof(a->open[0]));
      return;
    }
}

static inline void api_gone(void *arg, struct ew_httpd_request *r) {
  struct api *a = arg;
  a->gone++;
  api_remove(a, r);
}

static inline struct ew_tls_ctx *api_tls(void *arg) {
  return ((struct api *)arg)->tls;
}

static inline void api_listen(struct api *a, const char *at) {
  static const struct ew_httpd_handler handler = {api_request, api_gone};
  static const char *const alpn[] = {"h2"};
  struct ew_httpd_opts o = {.body_max = 1 << 20,
                            .stream_max = 64u << 20,
                            .conn_max = 32,
                            .tls = a->tls ? api_tls : NULL,
                            .tls_peer_optional = true,
                            .alpn = alpn,
                            .alpn_count = a->tls ? 1 : 0};
  int err = 0;

  assert_int_equal(ew_addr_parse(&a->at, at), EW_OK);
  a->d = ew_httpd_new(a->l, &a->at, &o, &handler, a, &err);
  assert_non_null(a->d);
  ew_httpd_addr(a->d, &a->at);
  snprintf(a->url, sizeof(a->url), "%s:%u",
           a->tls ? "https://localhost" : "http://127.0.0.1",
           ew_addr_port(&a->at));
}

static inline void api_init(struct api *a) {
  memset(a, 0, sizeof(*a));
  a->l = ew_loop_new();
  api_listen(a, "127.0.0.1:0");
}

static inline void api_fini(struct api *a) {
  if (a->d)
    ew_httpd_del(a->d);
  if (a->tls)
    ew_tls_ctx_unref(a->tls);
  ew_loop_del(a->l);
}

/* The next request, which must be "METHOD PATH..."; it is the test's then. */
static inline struct ew_httpd_request *api_take(struct api *a,
                                                const char *want) {
  struct ew_httpd_request *r;
  char line[8192];

  RUN_UNTIL(a->l, a->open_n > 0);
  r = a->open[0];
  snprintf(line, sizeof(line), "%.*s %.*s",
           EW_SLICE_FMT(ew_httpd_head(r)->method),
           EW_SLICE_FMT(ew_httpd_head(r)->path));
  if (strncmp(line, want, strlen(want)) != 0)
    fail_msg("expected %s, got %s", want, line);
  return r;
}

static inline void api_answer(struct api *a, const char *want, int status,
                              const char *body) {
  struct ew_httpd_request *r = api_take(a, want);
  api_remove(a, r);
  ew_httpd_reply(r, status, "application/json", ew_slice_str(body));
}

static inline struct ew_httpd_request *api_stream(struct api *a,
                                                  const char *want) {
  struct ew_httpd_request *r = api_take(a, want);
  ew_httpd_stream_begin(r, 200, "application/json");
  return r;
}

static inline void api_write(struct ew_httpd_request *r, const char *s) {
  assert_int_equal(ew_httpd_stream_write(r, ew_slice_str(s)), EW_OK);
}

static inline void api_end(struct api *a, struct ew_httpd_request *r) {
  api_remove(a, r);
  ew_httpd_stream_end(r);
}

#endif
