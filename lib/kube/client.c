/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/kube/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <curl/curl.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"
#include "eastwest/base/list.h"
#include "eastwest/net/fd_watch.h"

#define CONNECT_TIMEOUT_S 5L
#define CALL_TIMEOUT_S 30
#define KEEPALIVE_S 20L
#define TOKEN_MAX 16384
#define RETRY_AFTER_MAX_S 120
#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

struct ew_kube {
  struct ew_loop *loop;
  char *server, *token_file, *ca_file;
  CURLM *multi;
  struct ew_timer timer;
  struct ew_list requests;
  /* curl can't be called by its own callbacks, so what they start and cancel
   * waits for this. */
  struct ew_task work;
  bool in_curl; /* one of its callbacks runs */
};

struct ew_kube_request {
  struct ew_list node;
  struct ew_kube *k;
  CURL *easy;
  struct curl_slist *headers;
  const struct ew_kube_events *ev;
  void *arg;
  char *body;
  struct ew_buf answer;
  char error[CURL_ERROR_SIZE];
  bool added;     /* curl knows it */
  bool cancelled; /* to be freed by the task */
};

/* ---- where ---- */

bool ew_kube_in_cluster(struct ew_kube_opts *out, char *why, size_t why_len) {
  static char server[300];
  const char *host = getenv("KUBERNETES_SERVICE_HOST");
  const char *port = getenv("KUBERNETES_SERVICE_PORT");
  bool ipv6 = host && strchr(host, ':');

  if (!host || !port) {
    snprintf(why, why_len,
             "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: expected in "
             "the environment of a pod");
    return false;
  }
  snprintf(server, sizeof(server), "https://%s%s%s:%s", ipv6 ? "[" : "", host,
           ipv6 ? "]" : "", port);
  *out = (struct ew_kube_opts){server, ACCOUNT "token", ACCOUNT "ca.crt"};
  return true;
}

/* ---- curl's sockets and its timer ---- */

static void reap(struct ew_kube *k);

static void on_socket_ready(void *arg, int fd, unsigned events) {
  struct ew_kube *k = arg;
  int mask = (events & EW_READ ? CURL_CSELECT_IN : 0) |
             (events & EW_WRITE ? CURL_CSELECT_OUT : 0);
  int running;

  curl_multi_socket_action(k->multi, fd, mask, &running);
  reap(k);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                     void *watch) {
  struct ew_kube *k = arg;
  struct ew_fd_watch *w = watch;

  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (w)
      ew_fd_watch_del(w);
    curl_multi_assign(k->multi, fd, NULL);
    return 0;
  }
  if (!w) {
    w = ew_fd_watch_new(k->loop, fd, on_socket_ready, k);
    if (!w)
      return -1;
    curl_multi_assign(k->multi, fd, w);
  }
  ew_fd_watch_want(w, (what & CURL_POLL_IN ? EW_READ : 0) |
                          (what & CURL_POLL_OUT ? EW_WRITE : 0));
  return 0;
}

static int on_timeout_wanted(CURLM *multi, long ms, void *arg) {
  struct ew_kube *k = arg;

  (void)multi;
  if (ms < 0)
    ew_timer_stop(&k->timer);
  else
    ew_timer_start(&k->timer, (uint64_t)ms);
  return 0;
}

static void on_timer(struct ew_timer *t) {
  struct ew_kube *k = EW_CONTAINER(t, struct ew_kube, timer);
  int running;

  curl_multi_socket_action(k->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  reap(k);
}

/* ---- requests ---- */

static void request_free(struct ew_kube_request *r) {
  ew_list_remove(&r->node);
  if (r->easy) {
    if (r->added)
      curl_multi_remove_handle(r->k->multi, r->easy);
    curl_easy_cleanup(r->easy);
  }
  curl_slist_free_all(r->headers);
  ew_buf_fini(&r->answer);
  free(r->body);
  free(r);
}

static long status_of(const struct ew_kube_request *r) {
  long status = 0;

  curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *arg) {
  struct ew_kube_request *r = arg;
  struct ew_slice bytes = ew_slice(p, size * n);

  if (r->cancelled)
    return 0;
  if (!r->ev->on_data || status_of(r) != 200)
    return ew_buf_append(&r->answer, bytes) == EW_OK ? bytes.n : 0;
  r->k->in_curl = true;
  r->ev->on_data(r->arg, bytes);
  r->k->in_curl = false;
  return r->cancelled ? 0 : bytes.n;
}

static void finish(struct ew_kube_request *r, CURLcode code) {
  struct ew_kube_answer a = {0};
  curl_off_t after = 0;
  bool whole = code == CURLE_OK;

  if (r->cancelled) {
    request_free(r);
    return;
  }
  a.status = (int)status_of(r);
  if (curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK &&
      after > 0)
    a.retry_after_s =
        after > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (unsigned)after;
  if (!whole && !(r->ev->on_data && a.status == 200))
    a.status = 0;
  a.body = ew_buf_peek(&r->answer);
  a.error = whole ? "" : r->error[0] ? r->error : curl_easy_strerror(code);
  r->ev->on_done(r->arg, &a);
  request_free(r);
}

static void reap(struct ew_kube *k) {
  CURLMsg *m;
  int left;

  while ((m = curl_multi_info_read(k->multi, &left))) {
    struct ew_kube_request *r = NULL;
    CURLcode code = m->data.result;
    if (m->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
    finish(r, code);
  }
}

static void on_work(struct ew_task *t) {
  struct ew_kube *k = EW_CONTAINER(t, struct ew_kube, work);
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &k->requests) {
    struct ew_kube_request *r = EW_CONTAINER(it, struct ew_kube_request, node);
    if (r->cancelled) {
      request_free(r);
    } else if (!r->added) {
      EW_BUG_ON(curl_multi_add_handle(k->multi, r->easy) != CURLM_OK);
      r->added = true;
    }
  }
  reap(k);
}

static void add_header(struct ew_kube_request *r, const char *name,
                       const char *value) {
  char line[TOKEN_MAX + 64];

  snprintf(line, sizeof(line), "%s: %s", name, value);
  r->headers = curl_slist_append(r->headers, line);
  explicit_bzero(line, sizeof(line));
}

/* "Bearer TOKEN"; false if there is none. */
static bool read_token(const char *path, char *out, size_t len) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  int used = snprintf(out, len, "Bearer ");
  ssize_t n;
  struct ew_slice token;

  if (fd < 0)
    return false;
  n = read(fd, out + used, len - (size_t)used - 1);
  close(fd);
  if (n <= 0)
    return false;
  token = ew_slice(out + used, (size_t)n);
  while (token.n > 0 && (unsigned char)token.p[token.n - 1] <= ' ')
    token.n--;
  out[(size_t)used + token.n] = '\0';
  return token.n > 0;
}

static void set_headers(struct ew_kube_request *r,
                        const struct ew_kube_call *call) {
  char bearer[TOKEN_MAX];

  if (r->k->token_file && read_token(r->k->token_file, bearer, sizeof(bearer)))
    add_header(r, "authorization", bearer);
  explicit_bzero(bearer, sizeof(bearer));
  add_header(r, "accept", "application/json");
  if (call->body.n > 0)
    add_header(r, "content-type",
               call->content_type ? call->content_type : "application/json");
  curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
}

static void set_options(struct ew_kube_request *r,
                        const struct ew_kube_call *call, const char *url) {
  CURL *e = r->easy;

  curl_easy_setopt(e, CURLOPT_URL, url);
  curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
  if (call->body.n > 0) {
    r->body = ew_strndup(call->body.p, call->body.n);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)call->body.n);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body);
  }
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
  curl_easy_setopt(e, CURLOPT_PRIVATE, r);
  curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error);
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https,http");
  curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  /* Without TLS there is no ALPN that would end the wait for a connection to
   * share: a watch would keep all others waiting. */
  curl_easy_setopt(e, CURLOPT_PIPEWAIT,
                   strncmp(url, "https:", 6) == 0 ? 1L : 0L);
  curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  if (r->k->ca_file)
    curl_easy_setopt(e, CURLOPT_CAINFO, r->k->ca_file);
  curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
  curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
  curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
  curl_easy_setopt(e, CURLOPT_TIMEOUT,
                   (long)(call->timeout_s ? call->timeout_s : CALL_TIMEOUT_S));
  if (call->silence_s > 0) {
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)call->silence_s);
  }
}

struct ew_kube_request *ew_kube_send(struct ew_kube *k,
                                     const struct ew_kube_call *call,
                                     const struct ew_kube_events *events,
                                     void *arg) {
  struct ew_kube_request *r = ew_calloc(1, sizeof(*r));
  size_t len = strlen(k->server) + strlen(call->path) + 1;
  char *url = ew_malloc(len);

  snprintf(url, len, "%s%s", k->server, call->path);
  r->k = k;
  r->ev = events;
  r->arg = arg;
  ew_buf_init(&r->answer, EW_KUBE_BODY_MAX);
  ew_list_init(&r->node);
  ew_list_push_back(&k->requests, &r->node);
  r->easy = curl_easy_init();
  EW_BUG_ON(!r->easy);
  set_options(r, call, url);
  set_headers(r, call);
  free(url);
  ew_task_defer(k->loop, &k->work);
  return r;
}

void ew_kube_cancel(struct ew_kube_request *r) {
  if (!r->k->in_curl) {
    request_free(r);
    return;
  }
  r->cancelled = true;
  ew_task_defer(r->k->loop, &r->k->work);
}

/* ---- life ---- */

static char *dup_or_null(const char *s) { return s ? ew_strdup(s) : NULL; }

struct ew_kube *ew_kube_new(struct ew_loop *l,
                            const struct ew_kube_opts *opts) {
  struct ew_kube *k = ew_calloc(1, sizeof(*k));

  EW_BUG_ON(curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK);
  k->loop = l;
  k->server = ew_strdup(opts->server);
  k->token_file = dup_or_null(opts->token_file);
  k->ca_file = dup_or_null(opts->ca_file);
  ew_list_init(&k->requests);
  ew_timer_init(l, &k->timer, on_timer);
  ew_task_init(&k->work, on_work);
  k->multi = curl_multi_init();
  EW_BUG_ON(!k->multi);
  curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k);
  curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
  curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k);
  curl_multi_setopt(k->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
  return k;
}

void ew_kube_del(struct ew_kube *k) {
  if (!k)
    return;
  while (!ew_list_empty(&k->requests))
    request_free(EW_CONTAINER(k->requests.next, struct ew_kube_request, node));
  curl_multi_cleanup(k->multi);
  ew_timer_stop(&k->timer);
  ew_task_cancel(&k->work);
  free(k->server);
  free(k->token_file);
  free(k->ca_file);
  free(k);
  curl_global_cleanup();
}
