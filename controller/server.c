/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

#define OWN_LIFETIME_S (24u * 3600)
#define RENEW_MS (16ull * 3600 * 1000)
#define RENEW_RETRY_MS 60000
/* A state may be large: what waits is bounded by the discovery, which sends no
 * further state to those who do not read. */
#define STREAM_MAX (EW_DEST_JSON_MAX + (1u << 20))
#define CONNECTIONS_MAX 20000
/* A sidecar whose pod talks to nobody keeps its connection for the first
 * question. */
#define IDLE_MS (10u * 60 * 1000)
#define DESTINATIONS "/v1/destinations/"

struct ew_server {
  struct ew_httpd *httpd;
  struct ew_tls_ctx *tls;
  struct ew_timer renew;
  const char *trust_domain, *namespace_;
  struct ew_ca *ca;
  struct ew_issuer *issuer;
  struct ew_discovery *discovery;
};

static bool renew(struct ew_server *s) {
  char id[512], why[160] = "";
  char *chain, *key;
  struct ew_tls_ctx *fresh = NULL;

  snprintf(id, sizeof(id), "spiffe://%s/ns/%s/sa/eastwest-controller",
           s->trust_domain, s->namespace_);
  if (ew_ca_issue(s->ca, id, OWN_LIFETIME_S, &chain, &key) == EW_OK) {
    fresh = ew_tls_ctx_new(chain, key, ew_ca_roots(s->ca), s->trust_domain, why,
                           sizeof(why));
    explicit_bzero(key, strlen(key));
    free(key);
    free(chain);
  }
  ew_timer_start(&s->renew, fresh ? RENEW_MS : RENEW_RETRY_MS);
  if (!fresh) {
    ew_log(EW_LOG_ERROR, "no certificate for the controller", "error=%s", why);
    return false;
  }
  if (s->tls)
    ew_tls_ctx_unref(s->tls);
  s->tls = fresh;
  return true;
}

void ew_server_renew(struct ew_server *s) { (void)renew(s); }

static void on_renew(struct ew_timer *t) {
  (void)renew(EW_CONTAINER(t, struct ew_server, renew));
}

static struct ew_tls_ctx *current(void *arg) {
  return ((struct ew_server *)arg)->tls;
}

static void refuse(struct ew_httpd_request *r, int status, const char *error) {
  char body[160];
  int n = snprintf(body, sizeof(body), "{\"error\":\"%s\"}\n", error);

  ew_httpd_reply(r, status, "application/json", ew_slice(body, (size_t)n));
}

static void on_request(void *arg, struct ew_httpd_request *r) {
  struct ew_server *s = arg;
  const struct ew_message *m = ew_httpd_head(r);
  struct ew_slice path = ew_message_path_only(m);
  struct ew_slice prefix = EW_SLICE_LIT(DESTINATIONS);
  bool get = ew_slice_eq_str(m->method, "GET");

  if (ew_slice_starts(path, prefix)) {
    if (get)
      ew_discovery_serve(s->discovery, r,
                         ew_slice(path.p + prefix.n, path.n - prefix.n));
    else
      refuse(r, 405, "only GET");
  } else if (ew_slice_eq_str(path, "/v1/certificates")) {
    if (ew_slice_eq_str(m->method, "POST"))
      ew_issuer_serve(s->issuer, r);
    else
      refuse(r, 405, "only POST");
  } else if (ew_slice_eq_str(path, "/v1/roots")) {
    if (get)
      ew_httpd_reply(r, 200, "application/x-pem-file",
                     ew_slice_str(ew_ca_roots(s->ca)));
    else
      refuse(r, 405, "only GET");
  } else {
    refuse(r, 404, "no such path");
  }
}

static void on_gone(void *arg, struct ew_httpd_request *r) {
  struct ew_server *s = arg;

  if (ew_slice_eq_str(ew_httpd_head(r)->method, "POST"))
    ew_issuer_gone(s->issuer, r);
  else
    ew_discovery_gone(s->discovery, r);
}

struct ew_server *ew_server_new(struct ew_loop *loop, const struct ew_addr *at,
                                const char *trust_domain,
                                const char *namespace_, struct ew_ca *ca,
                                struct ew_issuer *issuer,
                                struct ew_discovery *discovery) {
  static const char *const alpn[] = {"h2"};
  static const struct ew_httpd_handler handler = {on_request, on_gone};
  const struct ew_httpd_opts opts = {.body_max = EW_CERTIFICATE_REQUEST_MAX,
                                     .stream_max = STREAM_MAX,
                                     .conn_max = CONNECTIONS_MAX,
                                     .idle_ms = IDLE_MS,
                                     .tls = current,
                                     .tls_peer_optional = true,
                                     .alpn = alpn,
                                     .alpn_count = 1};
  struct ew_server *s = ew_calloc(1, sizeof(*s));
  char text[EW_ADDR_STR];
  int err = 0;

  s->trust_domain = trust_domain;
  s->namespace_ = namespace_;
  s->ca = ca;
  s->issuer = issuer;
  s->discovery = discovery;
  ew_timer_init(loop, &s->renew, on_renew);
  if (renew(s)) {
    s->httpd = ew_httpd_new(loop, at, &opts, &handler, s, &err);
    if (!s->httpd)
      ew_log(EW_LOG_ERROR, "can't listen", "address=%s error=%s",
             ew_addr_str(at, text), strerror(err));
  }
  if (s->httpd)
    return s;
  ew_server_del(s);
  return NULL;
}

void ew_server_del(struct ew_server *s) {
  if (!s)
    return;
  ew_timer_stop(&s->renew);
  if (s->httpd)
    ew_httpd_del(s->httpd);
  if (s->tls)
    ew_tls_ctx_unref(s->tls);
  free(s);
}
