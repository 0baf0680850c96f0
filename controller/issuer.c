/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/issuer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "eastwest/base/bucket.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

/* A token bucket for all: signing costs CPU, and a crowd of restarting pods
 * must not keep discovery from being answered. Sidecars try again. */
#define BUCKET_MAX 1000
#define BUCKET_PER_S 200
#define ID_MAX 640

enum outcome {
  ISSUED,
  MALFORMED,
  UNKNOWN_TOKEN,
  UNCHECKED_TOKEN,
  BAD_CSR,
  BUSY,
  FAILED
};

static const struct {
  const char *label;
  int status;
} outcomes[] = {
    [ISSUED] = {"issued", 200},       [MALFORMED] = {"malformed", 400},
    [UNKNOWN_TOKEN] = {"token", 401}, [UNCHECKED_TOKEN] = {"unchecked", 503},
    [BAD_CSR] = {"csr", 400},         [BUSY] = {"rate-limit", 429},
    [FAILED] = {"failed", 500},
};

#define OUTCOMES (sizeof(outcomes) / sizeof(outcomes[0]))

struct ew_issuer {
  struct ew_loop *loop;
  struct ew_ca *ca;
  struct ew_authenticator *tokens;
  const char *trust_domain;
  uint32_t lifetime_s;
  struct ew_bucket bucket;
  struct ew_series *counts[OUTCOMES];
};

struct ew_issuer *ew_issuer_new(struct ew_loop *loop, struct ew_ca *ca,
                                struct ew_authenticator *tokens,
                                const char *trust_domain, uint32_t lifetime_s,
                                struct ew_metrics *metrics) {
  struct ew_issuer *i = ew_calloc(1, sizeof(*i));

  i->loop = loop;
  i->ca = ca;
  i->tokens = tokens;
  i->trust_domain = trust_domain;
  i->lifetime_s = lifetime_s;
  for (size_t k = 0; k < OUTCOMES; k++) {
    const struct ew_label label = {"outcome", outcomes[k].label};
    i->counts[k] = ew_series_ref(
        metrics, EW_COUNTER, "eastwest_controller_certificates_total",
        "Requests for certificates by how they ended.", &label, 1);
  }
  return i;
}

void ew_issuer_del(struct ew_issuer *i) { free(i); }

static void answer(struct ew_issuer *i, struct ew_httpd_request *r,
                   enum outcome o, json_t *body) {
  char *text = json_dumps(body, JSON_COMPACT);

  ew_series_add(i->counts[o], 1);
  ew_httpd_reply(r, outcomes[o].status, "application/json",
                 ew_slice_str(text ? text : "{}"));
  free(text);
  json_decref(body);
}

static void refuse(struct ew_issuer *i, struct ew_httpd_request *r,
                   enum outcome o, const char *why) {
  char peer[EW_ADDR_STR];

  ew_log(EW_LOG_WARN, "certificate refused", "peer=%s reason=%s error=%s",
         ew_addr_str(ew_httpd_peer_addr(r), peer), outcomes[o].label, why);
  answer(i, r, o, json_pack("{s:s}", "error", why));
}

static void sign(struct ew_issuer *i, struct ew_httpd_request *r,
                 const char *csr, const struct ew_token_owner *owner) {
  char id[ID_MAX], why[128] = "";
  char *chain;
  int rc;

  snprintf(id, sizeof(id), "spiffe://%s/ns/%s/sa/%s", i->trust_domain,
           owner->namespace_, owner->service_account);
  rc = ew_ca_sign(i->ca, ew_slice_str(csr), id, i->lifetime_s, &chain, why,
                  sizeof(why));
  if (rc != EW_OK) {
    refuse(i, r, rc == EW_EINVAL ? BAD_CSR : FAILED, why);
    return;
  }
  ew_log(EW_LOG_INFO, "certificate issued", "id=%s pod=%s", id, owner->pod);
  answer(i, r, ISSUED,
         json_pack("{s:s, s:s}", "chain", chain, "roots", ew_ca_roots(i->ca)));
  free(chain);
}

/* A request whose token is being looked at. */
struct pending {
  struct ew_issuer *i;
  struct ew_httpd_request *r;
  char *csr;
};

static void on_checked(void *arg, enum ew_token_verdict verdict,
                       const struct ew_token_owner *owner) {
  struct pending *p = arg;

  ew_httpd_set_user(p->r, NULL);
  if (verdict == EW_TOKEN_GOOD)
    sign(p->i, p->r, p->csr, owner);
  else if (verdict == EW_TOKEN_BAD)
    refuse(p->i, p->r, UNKNOWN_TOKEN, "token: not known");
  else
    refuse(p->i, p->r, UNCHECKED_TOKEN,
           "token: it could not be checked, try again");
  free(p->csr);
  free(p);
}

static void check(struct ew_issuer *i, struct ew_httpd_request *r,
                  const char *token, const char *csr) {
  struct pending *p = ew_calloc(1, sizeof(*p));

  p->i = i;
  p->r = r;
  p->csr = ew_strdup(csr);
  ew_httpd_set_user(r, p);
  i->tokens->check(i->tokens, ew_slice_str(token), on_checked, p);
}

void ew_issuer_serve(struct ew_issuer *i, struct ew_httpd_request *r) {
  struct ew_slice body = ew_httpd_body(r);
  json_t *root;
  const char *token, *csr;

  if (!ew_bucket_take(&i->bucket, BUCKET_MAX, BUCKET_PER_S,
                      ew_loop_now_ms(i->loop))) {
    refuse(i, r, BUSY, "too many requests: try again");
    return;
  }
  root = json_loadb(body.p ? body.p : "", body.n, JSON_REJECT_DUPLICATES, NULL);
  token = json_string_value(json_object_get(root, "token"));
  csr = json_string_value(json_object_get(root, "csr"));
  if (!token || !csr)
    refuse(i, r, MALFORMED, "expected a JSON object with token and csr");
  else
    check(i, r, token, csr);
  json_decref(root);
}

void ew_issuer_gone(struct ew_issuer *i, struct ew_httpd_request *r) {
  struct pending *p = ew_httpd_user(r);

  if (!p)
    return;
  i->tokens->forget(i->tokens, p);
  free(p->csr);
  free(p);
}
