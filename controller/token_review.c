/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/token_review.h"

#include <stdlib.h>
#include <string.h>

#include "eastwest/kube/json.h"
#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/list.h"
#include "eastwest/base/log.h"

#define PATH "/apis/authentication.k8s.io/v1/tokenreviews"
#define ACCOUNT "system:serviceaccount:"

struct ew_token_review {
  struct ew_authenticator authenticator;
  struct ew_kube *kube;
  char *audience;
  struct ew_list reviews;
};

struct review {
  struct ew_list node;
  struct ew_token_review *t;
  struct ew_kube_request *request;
  ew_token_done_fn *done;
  void *arg;
};

static bool has_audience(const json_t *status, const char *audience) {
  const json_t *list = json_object_get(status, "audiences");

  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *s = json_string_value(json_array_get(list, i));
    if (s && strcmp(s, audience) == 0)
      return true;
  }
  return false;
}

/* The first of the values that Kubernetes adds to a user under |name|. */
static const char *extra(const json_t *user, const char *name) {
  const json_t *all = json_object_get(user, "extra");
  const char *s =
      json_string_value(json_array_get(json_object_get(all, name), 0));
  return s ? s : "";
}

/* "system:serviceaccount:NAMESPACE:NAME" */
static bool read_account(char *username, struct ew_token_owner *out) {
  char *ns, *colon;

  if (strncmp(username, ACCOUNT, sizeof(ACCOUNT) - 1) != 0)
    return false;
  ns = username + sizeof(ACCOUNT) - 1;
  colon = strchr(ns, ':');
  if (!colon || colon == ns || !colon[1] || strchr(colon + 1, ':'))
    return false;
  *colon = '\0';
  out->namespace_ = ns;
  out->service_account = colon + 1;
  return true;
}

static void finish(struct review *v, enum ew_token_verdict verdict,
                   const struct ew_token_owner *owner) {
  ew_token_done_fn *done = v->done;
  void *arg = v->arg;

  ew_list_remove(&v->node);
  free(v);
  done(arg, verdict, owner);
}

static void judge(struct review *v, const json_t *status) {
  const json_t *user = json_object_get(status, "user");
  char *username = ew_strdup(ew_kube_text(user, "username"));
  struct ew_token_owner owner = {
      .pod = extra(user, "authentication.kubernetes.io/pod-name")};
  bool good = json_is_true(json_object_get(status, "authenticated")) &&
              has_audience(status, v->t->audience) &&
              read_account(username, &owner);

  finish(v, good ? EW_TOKEN_GOOD : EW_TOKEN_BAD, good ? &owner : NULL);
  free(username);
}

static void on_done(void *arg, const struct ew_kube_answer *a) {
  struct review *v = arg;
  json_t *root = ew_kube_answer_json(a);
  const json_t *status = json_object_get(root, "status");

  if (a->status == 201 && json_is_object(status)) {
    judge(v, status);
  } else {
    ew_log(EW_LOG_WARN, "the API server reviews no tokens",
           "status=%d error=%s", a->status, a->error);
    finish(v, EW_TOKEN_UNKNOWN, NULL);
  }
  json_decref(root);
}

static void check(struct ew_authenticator *a, struct ew_slice token,
                  ew_token_done_fn *done, void *arg) {
  static const struct ew_kube_events events = {.on_done = on_done};
  struct ew_token_review *t =
      EW_CONTAINER(a, struct ew_token_review, authenticator);
  struct review *v = ew_calloc(1, sizeof(*v));

  v->t = t;
  v->done = done;
  v->arg = arg;
  ew_list_init(&v->node);
  ew_list_push_back(&t->reviews, &v->node);
  v->request = ew_kube_send_json(
      t->kube, "POST", PATH,
      json_pack("{s:s, s:s, s:{s:s%, s:[s]}}", "apiVersion",
                "authentication.k8s.io/v1", "kind", "TokenReview", "spec",
                "token", token.p, token.n, "audiences", t->audience),
      NULL, &events, v);
}

static void forget(struct ew_authenticator *a, void *arg) {
  struct ew_token_review *t =
      EW_CONTAINER(a, struct ew_token_review, authenticator);
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &t->reviews) {
    struct review *v = EW_CONTAINER(it, struct review, node);
    if (v->arg != arg)
      continue;
    ew_kube_cancel(v->request);
    ew_list_remove(&v->node);
    free(v);
  }
}

struct ew_token_review *ew_token_review_new(struct ew_kube *k,
                                            const char *audience) {
  struct ew_token_review *t = ew_calloc(1, sizeof(*t));

  t->authenticator = (struct ew_authenticator){check, forget};
  t->kube = k;
  t->audience = ew_strdup(audience);
  ew_list_init(&t->reviews);
  return t;
}

void ew_token_review_del(struct ew_token_review *t) {
  if (!t)
    return;
  EW_BUG_ON(!ew_list_empty(&t->reviews));
  free(t->audience);
  free(t);
}

struct ew_authenticator *
ew_token_review_authenticator(struct ew_token_review *t) {
  return &t->authenticator;
}
