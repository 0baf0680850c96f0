/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/identity.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/model/json_read.h"
#include "sidecar/controller_conn.h"
#include "sidecar/file.h"
#include "sidecar/identity_key.h"

#define ANSWER_MAX (256u << 10)
#define FILE_MAX (256u << 10)
#define FIRST_RETRY_MIN_MS 100
#define FIRST_RETRY_MAX_MS 2000
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 15000

struct ew_identity {
  struct ew_loop *loop;
  struct ew_identity_opts opts;
  struct ew_tls_ctx *ctx;
  struct ew_timer next;    /* the next attempt */
  struct ew_timer timeout; /* of the attempt at hand */
  struct ew_task finish;   /* what an event of the request decided */
  uint64_t backoff_ms;
  struct ew_series *expiry;
  /* The attempt at hand. */
  struct ew_controller_conn *conn;
  struct ew_hstream *st;
  struct ew_buf answer;
  char *key, *csr;
  int status;
  const char *failure; /* literal; NULL while it goes well */
};

static void fetch(struct ew_identity *id);

static void count(struct ew_identity *id, const char *result) {
  const struct ew_label l = {"result", result};
  struct ew_series *s = ew_series_ref(id->opts.metrics, EW_COUNTER,
                                      "eastwest_identity_renewals_total",
                                      "Attempts to get a certificate.", &l, 1);

  ew_series_add(s, 1);
  ew_series_unref(id->opts.metrics, s);
}

/* Between 90 and 110 percent. */
static uint64_t jitter(uint64_t ms) {
  return ms * 9 / 10 + (ew_clock_us() * 2654435761u >> 7) % (ms / 5 + 1);
}

static void retry(struct ew_identity *id, const char *why) {
  uint64_t min = id->ctx ? RETRY_MIN_MS : FIRST_RETRY_MIN_MS;
  uint64_t max = id->ctx ? RETRY_MAX_MS : FIRST_RETRY_MAX_MS;

  id->backoff_ms = id->backoff_ms < min ? min : id->backoff_ms * 2;
  if (id->backoff_ms > max)
    id->backoff_ms = max;
  count(id, "failed");
  ew_log(EW_LOG_WARN, "no certificate from the controller",
         "reason=%s retry_ms=%llu", why, (unsigned long long)id->backoff_ms);
  ew_timer_start(&id->next, jitter(id->backoff_ms));
}

/* A third of the lifetime is used before the certificate is renewed. */
static void schedule_renewal(struct ew_identity *id) {
  long long begin = ew_tls_ctx_not_before(id->ctx);
  long long end = ew_tls_ctx_not_after(id->ctx);
  long long due = begin + (end - begin) / 3 - (long long)time(NULL);

  if (due < 1)
    due = 1;
  ew_timer_start(&id->next, jitter((uint64_t)due * 1000));
}

static void adopt(struct ew_identity *id, struct ew_tls_ctx *ctx) {
  if (id->ctx)
    ew_tls_ctx_unref(id->ctx);
  id->ctx = ctx;
  id->backoff_ms = 0;
  ew_series_set(id->expiry, ew_tls_ctx_not_after(ctx));
  count(id, "ok");
  ew_log(EW_LOG_INFO, "certificate", "id=%s expires_in_s=%lld",
         ew_tls_ctx_id(ctx), ew_tls_ctx_not_after(ctx) - (long long)time(NULL));
}

/* ---- from files ---- */

static char *read_in(const char *dir, const char *name) {
  char path[4096];
  int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

  if (n < 0 || (size_t)n >= sizeof(path))
    return NULL;
  return ew_file_read(path, FILE_MAX);
}

static void load_files(struct ew_identity *id) {
  const char *dir = id->opts.identity_dir;
  char *chain = read_in(dir, "tls.crt");
  char *key = read_in(dir, "tls.key");
  char *roots = read_in(dir, "ca.crt");
  struct ew_tls_ctx *ctx = NULL;
  char why[256] = "tls.crt, tls.key or ca.crt can't be read";

  if (chain && key && roots)
    ctx = ew_tls_ctx_new(chain, key, roots, id->opts.trust_domain, why,
                         sizeof(why));
  if (!ctx)
    ew_log(EW_LOG_WARN, "identity files", "dir=%s reason=%s", dir, why);
  else if (!id->ctx ||
           ew_tls_ctx_not_after(ctx) != ew_tls_ctx_not_after(id->ctx))
    adopt(id, ctx);
  else
    ew_tls_ctx_unref(ctx);
  free(chain);
  ew_identity_key_del(key);
  free(roots);
  ew_timer_start(&id->next, EW_IDENTITY_FILES_MS);
}

/* ---- from the controller ---- */

static void end_attempt(struct ew_identity *id) {
  ew_timer_stop(&id->timeout);
  ew_task_cancel(&id->finish);
  if (id->conn)
    ew_controller_conn_del(id->conn);
  id->conn = NULL;
  id->st = NULL;
  ew_identity_key_del(id->key);
  free(id->csr);
  id->key = id->csr = NULL;
  ew_buf_fini(&id->answer);
  ew_buf_init(&id->answer, ANSWER_MAX);
  id->status = 0;
  id->failure = NULL;
}

static struct ew_tls_ctx *read_answer(struct ew_identity *id, char *why,
                                      size_t why_len) {
  json_t *root = ew_json_parse(ew_buf_peek(&id->answer), why, why_len);
  const char *chain = json_string_value(json_object_get(root, "chain"));
  const char *roots = json_string_value(json_object_get(root, "roots"));
  const char *error = json_string_value(json_object_get(root, "error"));
  struct ew_tls_ctx *ctx = NULL;

  if (root && (id->status != 200 || !chain || !roots))
    snprintf(why, why_len, "status %d: %s", id->status,
             error ? error : "chain and roots are missing");
  else if (root)
    ctx = ew_tls_ctx_new(chain, id->key, roots, id->opts.trust_domain, why,
                         why_len);
  json_decref(root);
  return ctx;
}

/* Outside of every callback of the connection, which can end now. */
static void on_finish(struct ew_task *t) {
  struct ew_identity *id = EW_CONTAINER(t, struct ew_identity, finish);
  struct ew_tls_ctx *ctx = NULL;
  char why[256];

  snprintf(why, sizeof(why), "%s", id->failure ? id->failure : "");
  if (!id->failure)
    ctx = read_answer(id, why, sizeof(why));
  end_attempt(id);
  if (!ctx) {
    retry(id, why);
    return;
  }
  adopt(id, ctx);
  schedule_renewal(id);
}

static void finish(struct ew_identity *id, const char *failure) {
  id->failure = failure;
  ew_task_defer(id->loop, &id->finish);
}

static void on_head(void *arg, struct ew_hstream *st, struct ew_message *m,
                    bool end) {
  struct ew_identity *id = arg;

  (void)st;
  id->status = m->status;
  ew_message_del(m);
  if (end)
    finish(id, NULL);
}

static void on_data(void *arg, struct ew_hstream *st, struct ew_slice bytes) {
  struct ew_identity *id = arg;

  ew_hstream_consume(st, bytes.n);
  if (ew_buf_append(&id->answer, bytes) != EW_OK)
    finish(id, "the answer is too long");
}

static void on_end(void *arg, struct ew_hstream *st,
                   struct ew_message *trailers) {
  (void)st;
  ew_message_del(trailers);
  finish(arg, NULL);
}

static void on_reset(void *arg, struct ew_hstream *st, int err) {
  (void)st;
  finish(arg, ew_strerror(err));
}

static void on_writable(void *arg, struct ew_hstream *st) {
  (void)arg;
  (void)st;
}

static void on_stream_closed(void *arg, struct ew_hstream *st) {
  struct ew_identity *id = arg;
  (void)st;
  id->st = NULL;
}

static void on_goaway(void *arg) { (void)arg; }

static const struct ew_codec_events request_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_closed = on_stream_closed,
    .on_goaway = on_goaway,
};

static char *request_body(struct ew_identity *id) {
  char *token = ew_file_read(id->opts.token_file, FILE_MAX);
  json_t *body;
  char *text;
  size_t n;

  if (!token)
    return NULL;
  n = strlen(token);
  while (n > 0 && (token[n - 1] == '\n' || token[n - 1] == '\r'))
    token[--n] = '\0';
  body = json_pack("{s:s, s:s}", "token", token, "csr", id->csr);
  text = body ? json_dumps(body, JSON_COMPACT) : NULL;
  json_decref(body);
  free(token);
  return text;
}

static void on_open(void *arg) {
  struct ew_identity *id = arg;
  struct ew_message *m = ew_message_new();
  char *body = request_body(id);

  if (!body) {
    ew_message_del(m);
    finish(id, "the token can't be read");
    return;
  }
  m->method = EW_SLICE_LIT("POST");
  m->path = EW_SLICE_LIT("/v1/certificates");
  m->body = EW_BODY_LENGTH;
  m->content_length = strlen(body);
  (void)ew_message_add(m, EW_SLICE_LIT("content-type"),
                       EW_SLICE_LIT("application/json"));
  id->st = ew_controller_conn_request(id->conn, m, false, NULL);
  ew_message_del(m);
  /* It fits the first window. */
  if (!id->st || ew_hstream_send(id->st, ew_slice_str(body)) != strlen(body)) {
    finish(id, "the request can't be sent");
  } else {
    ew_hstream_send_end(id->st, NULL);
    ew_controller_conn_touch(id->conn);
  }
  free(body);
}

static void on_conn_closed(void *arg, int err, const char *why) {
  struct ew_identity *id = arg;

  id->conn = NULL;
  if (id->status == 0)
    finish(id, why[0] ? why : ew_strerror(err));
}

static const struct ew_controller_conn_events conn_events = {on_open,
                                                             on_conn_closed};

static void on_timeout(struct ew_timer *t) {
  finish(EW_CONTAINER(t, struct ew_identity, timeout), "timeout");
}

static void fetch(struct ew_identity *id) {
  char why[256] = "the roots can't be read";
  char *roots = ew_file_read(id->opts.roots_file, FILE_MAX);
  struct ew_tls_ctx *trust = NULL;

  if (roots)
    trust = ew_tls_ctx_new(NULL, NULL, roots, id->opts.trust_domain, why,
                           sizeof(why));
  free(roots);
  id->key = trust ? ew_identity_key_new(&id->csr) : NULL;
  if (!trust || !id->key) {
    if (trust)
      ew_tls_ctx_unref(trust);
    end_attempt(id);
    retry(id, why);
    return;
  }
  ew_timer_start(&id->timeout, EW_IDENTITY_FETCH_TIMEOUT_MS);
  id->conn = ew_controller_conn_new(id->loop, &id->opts.controller,
                                    id->opts.controller_id, trust, &conn_events,
                                    &request_events, id);
  ew_tls_ctx_unref(trust);
}

static void on_next(struct ew_timer *t) {
  struct ew_identity *id = EW_CONTAINER(t, struct ew_identity, next);

  if (id->opts.identity_dir)
    load_files(id);
  else
    fetch(id);
}

struct ew_identity *ew_identity_new(struct ew_loop *l,
                                    const struct ew_identity_opts *o) {
  struct ew_identity *id = ew_calloc(1, sizeof(*id));

  id->loop = l;
  id->opts = *o;
  id->expiry = ew_series_ref(
      o->metrics, EW_GAUGE, "eastwest_identity_expiry_timestamp_seconds",
      "When the certificate expires, in Unix time.", NULL, 0);
  ew_buf_init(&id->answer, ANSWER_MAX);
  ew_timer_init(l, &id->next, on_next);
  ew_timer_init(l, &id->timeout, on_timeout);
  ew_task_init(&id->finish, on_finish);
  ew_timer_start(&id->next, 0);
  return id;
}

void ew_identity_del(struct ew_identity *id) {
  end_attempt(id);
  ew_timer_stop(&id->next);
  ew_buf_fini(&id->answer);
  ew_series_unref(id->opts.metrics, id->expiry);
  if (id->ctx)
    ew_tls_ctx_unref(id->ctx);
  free(id);
}

struct ew_tls_ctx *ew_identity_ctx(struct ew_identity *id) {
  if (id->ctx && ew_tls_ctx_not_after(id->ctx) < (long long)time(NULL))
    return NULL;
  return id->ctx;
}
