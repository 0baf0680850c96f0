/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kube_test.h"

#include <unistd.h>

#include "net/cert.h"

struct call {
  struct ew_kube *k;
  struct ew_kube_request *r;
  struct call *other; /* cancelled, or sent, by on_data */
  bool cancel_self, cancel_other, send_other;
  unsigned done, bytes;
  int status;
  unsigned retry_after_s;
  char body[256], error[256];
};

static void on_done(void *arg, const struct ew_kube_answer *a) {
  struct call *c = arg;
  c->done++;
  c->r = NULL;
  c->status = a->status;
  c->retry_after_s = a->retry_after_s;
  snprintf(c->body, sizeof(c->body), "%.*s", EW_SLICE_FMT(a->body));
  snprintf(c->error, sizeof(c->error), "%s", a->error);
}

static const struct ew_kube_events plain = {.on_done = on_done};

static void get(struct ew_kube *k, struct call *c, const char *path) {
  c->k = k;
  c->r = ew_kube_send(k, &(struct ew_kube_call){.method = "GET", .path = path},
                      &plain, c);
}

static void on_data(void *arg, struct ew_slice bytes) {
  struct call *c = arg;
  c->bytes += (unsigned)bytes.n;
  if (c->cancel_other) {
    ew_kube_cancel(c->other->r);
    c->other->r = NULL;
  }
  if (c->send_other)
    get(c->k, c->other, "/other");
  if (c->cancel_self)
    ew_kube_cancel(c->r);
}

static const struct ew_kube_events stream = {on_data, on_done};

static void follow(struct ew_kube *k, struct call *c, const char *path) {
  c->k = k;
  c->r = ew_kube_send(
      k,
      &(struct ew_kube_call){
          .method = "GET", .path = path, .timeout_s = 60, .silence_s = 50},
      &stream, c);
}

static struct ew_kube *client(struct api *a, const char *token,
                              const char *ca) {
  return ew_kube_new(a->l, &(struct ew_kube_opts){a->url, token, ca});
}

static void test_where_a_pod_finds_it(void **state) {
  struct ew_kube_opts o;
  char why[160] = "";
  (void)state;
  unsetenv("KUBERNETES_SERVICE_HOST");
  assert_false(ew_kube_in_cluster(&o, why, sizeof(why)));
  assert_non_null(strstr(why, "KUBERNETES_SERVICE_HOST"));
  setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
  setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  assert_true(ew_kube_in_cluster(&o, why, sizeof(why)));
  assert_string_equal(o.server, "https://10.96.0.1:443");
  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  assert_true(ew_kube_in_cluster(&o, why, sizeof(why)));
  assert_string_equal(o.server, "https://[fd00::1]:443");
  assert_non_null(strstr(o.token_file, "/token"));
  assert_non_null(strstr(o.ca_file, "/ca.crt"));
}

static void test_a_request_and_its_answer(void **state) {
  struct call c = {0};
  struct api a;
  (void)state;
  api_init(&a);
  struct ew_kube *k = client(&a, NULL, NULL);
  c.r = ew_kube_send(k,
                     &(struct ew_kube_call){.method = "PATCH",
                                            .path = "/x?y=1",
                                            .body = EW_SLICE_LIT("{\"a\":1}"),
                                            .content_type = "merge"},
                     &plain, &c);
  struct ew_httpd_request *r = api_take(&a, "PATCH /x?y=1");
  const struct ew_message *m = ew_httpd_head(r);
  assert_true(ew_slice_eq_str(ew_httpd_body(r), "{\"a\":1}"));
  assert_true(ew_slice_eq_str(ew_message_get(m, "content-type"), "merge"));
  assert_true(ew_slice_eq_str(ew_message_get(m, "accept"), "application/json"));
  assert_null(ew_message_get(m, "authorization").p);
  api_answer(&a, "PATCH", 409, "conflict");
  RUN_UNTIL(a.l, c.done);
  assert_int_equal(c.status, 409);
  assert_string_equal(c.body, "conflict");
  assert_string_equal(c.error, "");
  ew_kube_del(k);
  ew_kube_del(NULL);
  api_fini(&a);
}

static void expect_bearer(struct api *a, struct ew_kube *k, const char *want) {
  struct call c = {0};
  get(k, &c, "/x");
  struct ew_slice got =
      ew_message_get(ew_httpd_head(api_take(a, "GET /x")), "authorization");
  if (want)
    assert_true(ew_slice_eq_str(got, want));
  else
    assert_null(got.p);
  api_answer(a, "GET /x", 200, "");
  RUN_UNTIL(a->l, c.done);
}

static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static void test_the_token_is_read_each_time(void **state) {
  char path[] = "/tmp/kube-token-XXXXXX";
  struct api a;
  (void)state;
  close(mkstemp(path));
  api_init(&a);
  struct ew_kube *k = client(&a, path, NULL);
  expect_bearer(&a, k, NULL);
  write_file(path, "first\n");
  expect_bearer(&a, k, "Bearer first");
  write_file(path, "second");
  expect_bearer(&a, k, "Bearer second");
  unlink(path);
  expect_bearer(&a, k, NULL);
  ew_kube_del(k);
  api_fini(&a);
}

static void test_nobody_there(void **state) {
  struct call c = {0};
  struct api a;
  (void)state;
  api_init(&a);
  struct ew_kube *k = client(&a, NULL, NULL);
  ew_httpd_del(a.d);
  a.d = NULL;
  get(k, &c, "/x");
  RUN_UNTIL(a.l, c.done);
  assert_int_equal(c.status, 0);
  assert_true(c.error[0]);
  ew_kube_del(k);
  api_fini(&a);
}

static void test_an_answer_that_breaks_off(void **state) {
  struct call c = {0}, s = {0};
  struct api a;
  (void)state;
  api_init(&a);
  struct ew_kube *k = client(&a, NULL, NULL);
  get(k, &c, "/gathered");
  api_write(api_stream(&a, "GET /gathered"), "half");
  follow(k, &s, "/stream");
  RUN_UNTIL(a.l, a.open_n == 2);
  ew_httpd_stream_begin(a.open[1], 200, "application/json");
  api_write(a.open[1], "half");
  RUN_UNTIL(a.l, s.bytes == 4);
  ew_httpd_del(a.d);
  a.d = NULL;
  RUN_UNTIL(a.l, c.done && s.done);
  assert_int_equal(c.status, 0);
  assert_true(c.error[0]);
  assert_int_equal(s.status, 200);
  assert_true(s.error[0]);
  ew_kube_del(k);
  api_fini(&a);
}

static void test_a_refused_stream_is_gathered(void **state) {
  struct call s = {0};
  struct api a;
  (void)state;
  api_init(&a);
  struct ew_kube *k = client(&a, NULL, NULL);
  follow(k, &s, "/stream");
  api_answer(&a, "GET /stream", 403, "forbidden");
  RUN_UNTIL(a.l, s.done);
  assert_int_equal(s.bytes, 0);
  assert_int_equal(s.status, 403);
  assert_string_equal(s.body, "forbidden");
  ew_kube_del(k);
  api_fini(&a);
}

static void test_a_request_from_within_a_stream(void **state) {
  struct call s = {0}, c = {0};
  struct api a;
  (void)state;
  api_init(&a);
  struct ew_kube *k = client(&a, NULL, NULL);
  s.other = &c;
  s.send_other = true;
  follow(k, &s, "/stream");
  struct ew_httpd_request *r = api_stream(&a, "GET /stream");
  api_write(r, "x");
  RUN_UNTIL(a.l, a.open_n == 2);
  api_end(&a, r);
  api_answer(&a, "GET /other", 200, "late");
  RUN_UNTIL(a.l, s.done && c.done);
  assert_string_equal(c.body, "late");
  assert_int_equal(s.status, 200);
  assert_string_equal(s.error, "");
  ew_kube_del(k);
  api_fini(&a);
}

/* A watch alone on its connection keeps nobody waiting. */
static void test_requests_beside_a_stream_without_tls(void **state) {
  struct call s = {0}, c = {0};
  struct api a;
  (void)state;
  api_init(&a);
  struct ew_kube *k = client(&a, NULL, NULL);
  follow(k, &s, "/stream");
  get(k, &c, "/other");
  api_stream(&a, "GET /stream");
  RUN_UNTIL(a.l, a.open_n == 2);
  api_remove(&a, a.open[0]);
  api_answer(&a, "GET /other", 200, "beside");
  RUN_UNTIL(a.l, c.done);
  assert_string_equal(c.body, "beside");
  ew_kube_cancel(s.r);
  ew_kube_del(k);
  api_fini(&a);
}

/* ---- TLS ---- */

struct secure {
  struct api a;
  char ca[32];
};

static void secure_init(struct secure *s, bool trusted) {
  struct cert root =
      cert_make(&(struct cert_opts){.name = "root", .ca = true}, NULL);
  struct cert other =
      cert_make(&(struct cert_opts){.name = "other", .ca = true}, NULL);
  struct cert leaf = cert_make(
      &(struct cert_opts){.name = "localhost", .dns = "localhost"}, &root);
  char *chain = cert_pem(&leaf, NULL), *key = cert_key_pem(&leaf);
  char *roots = cert_pem(trusted ? &root : &other, NULL);
  char why[160] = "";

  memset(s, 0, sizeof(*s));
  snprintf(s->ca, sizeof(s->ca), "/tmp/kube-ca-XXXXXX");
  close(mkstemp(s->ca));
  write_file(s->ca, roots);
  s->a.l = ew_loop_new();
  s->a.tls = ew_tls_server_plain_ctx_new(chain, key, why, sizeof(why));
  assert_non_null(s->a.tls);
  api_listen(&s->a, "127.0.0.1:0");
  free(chain);
  free(key);
  free(roots);
  cert_fini(&leaf);
  cert_fini(&other);
  cert_fini(&root);
}

static void secure_fini(struct secure *s) {
  unlink(s->ca);
  api_fini(&s->a);
}

/* curl tells the server of a cancelled stream when it next has something to do
 * on the connection. */
static void until_gone(struct secure *s, struct call *other, unsigned gone) {
  while (s->a.gone < gone) {
    unsigned before = other->bytes;
    api_write(s->a.open[0], "x");
    RUN_UNTIL(s->a.l, other->bytes > before);
  }
}

/* Many streams and requests at the same time share one connection. */
static void test_tls_and_http2(void **state) {
  struct call c[12] = {{0}};
  struct secure s;
  unsigned port;
  (void)state;
  secure_init(&s, true);
  struct ew_kube *k = client(&s.a, NULL, s.ca);
  for (int i = 0; i < 12; i++)
    follow(k, &c[i], "/stream");
  fprintf(stderr, "A\n");
  RUN_UNTIL(s.a.l, s.a.open_n == 12);
  fprintf(stderr, "B\n");
  port = ew_addr_port(ew_httpd_peer_addr(s.a.open[0]));
  for (int i = 0; i < 12; i++) {
    assert_int_equal(ew_addr_port(ew_httpd_peer_addr(s.a.open[i])), port);
    ew_httpd_stream_begin(s.a.open[i], 200, "application/json");
    api_write(s.a.open[i], "abc");
  }
  for (int i = 0; i < 12; i++)
    RUN_UNTIL(s.a.l, c[i].bytes == 3);
  fprintf(stderr, "C\n");
  ew_kube_cancel(c[3].r);
  until_gone(&s, &c[0], 1);
  fprintf(stderr, "D\n");
  while (s.a.open_n > 0)
    api_end(&s.a, s.a.open[0]);
  for (int i = 0; i < 12; i++)
    if (i != 3)
      RUN_UNTIL(s.a.l, c[i].done);
  fprintf(stderr, "E\n");
  struct call again = {0};
  get(k, &again, "/x");
  api_answer(&s.a, "GET /x", 200, "yes");
  RUN_UNTIL(s.a.l, again.done);
  assert_string_equal(again.body, "yes");
  ew_kube_del(k);
  secure_fini(&s);
}

static void test_cancelling(void **state) {
  struct call keeper = {0}, c[4] = {{0}};
  struct secure s;
  (void)state;
  secure_init(&s, true);
  struct ew_kube *k = client(&s.a, NULL, s.ca);
  follow(k, &keeper, "/keeper");
  api_stream(&s.a, "GET /keeper");
  /* Before curl has it. */
  get(k, &c[0], "/never");
  ew_kube_cancel(c[0].r);
  /* On its way. */
  get(k, &c[1], "/open");
  RUN_UNTIL(s.a.l, s.a.open_n == 2);
  ew_kube_cancel(c[1].r);
  until_gone(&s, &keeper, 1);
  /* Itself and another one, from within curl. */
  get(k, &c[3], "/other");
  RUN_UNTIL(s.a.l, s.a.open_n == 2);
  c[2].other = &c[3];
  c[2].cancel_self = c[2].cancel_other = true;
  follow(k, &c[2], "/stream");
  RUN_UNTIL(s.a.l, s.a.open_n == 3);
  ew_httpd_stream_begin(s.a.open[2], 200, "application/json");
  api_write(s.a.open[2], "x");
  RUN_UNTIL(s.a.l, c[2].bytes == 1);
  until_gone(&s, &keeper, 3);
  for (int i = 0; i < 4; i++)
    assert_int_equal(c[i].done, 0);
  assert_int_equal(c[2].bytes, 1);
  assert_int_equal(s.a.requests, 4);
  /* What is open is cancelled with the client. */
  ew_kube_del(k);
  RUN_UNTIL(s.a.l, s.a.gone == 4);
  assert_int_equal(keeper.done, 0);
  secure_fini(&s);
}

static void test_a_server_of_another_authority_is_refused(void **state) {
  struct call c = {0};
  struct secure s;
  (void)state;
  secure_init(&s, false);
  struct ew_kube *k = client(&s.a, NULL, s.ca);
  get(k, &c, "/x");
  RUN_UNTIL(s.a.l, c.done);
  assert_int_equal(c.status, 0);
  assert_true(c.error[0]);
  assert_int_equal(s.a.requests, 0);
  ew_kube_del(k);
  secure_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_where_a_pod_finds_it),
      cmocka_unit_test(test_a_request_and_its_answer),
      cmocka_unit_test(test_the_token_is_read_each_time),
      cmocka_unit_test(test_nobody_there),
      cmocka_unit_test(test_an_answer_that_breaks_off),
      cmocka_unit_test(test_a_refused_stream_is_gathered),
      cmocka_unit_test(test_cancelling),
      cmocka_unit_test(test_a_request_from_within_a_stream),
      cmocka_unit_test(test_requests_beside_a_stream_without_tls),
      cmocka_unit_test(test_tls_and_http2),
      cmocka_unit_test(test_a_server_of_another_authority_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
