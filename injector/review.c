/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/review.h"

#include <stdio.h>
#include <stdlib.h>

#include "eastwest/base/base64.h"
#include "eastwest/base/err.h"

#define EW_UID_TEXT_MAX 256u
#define EW_API_VERSION "admission.k8s.io/v1"

struct request {
  struct ew_jr r;
  struct ew_jv root, request, object;
  const char *uid;
};

/* Takes |response|. */
static void answer(struct ew_review *out, json_t *response) {
  json_t *root = json_pack("{s:s, s:s, s:o}", "apiVersion", EW_API_VERSION,
                           "kind", "AdmissionReview", "response", response);

  EW_BUG_ON(!root);
  out->status = 200;
  out->text = json_dumps(root, JSON_COMPACT);
  EW_BUG_ON(!out->text);
  out->n = strlen(out->text);
  json_decref(root);
}

static void malformed(struct ew_review *out, const char *why) {
  int n;

  free(out->text);
  out->tell = false;
  out->verdict = EW_VERDICT_MALFORMED;
  out->status = 400;
  if (why != out->why)
    snprintf(out->why, sizeof(out->why), "%s", why);
  /* It may quote what came. */
  ew_text_tame(out->why);
  out->text = ew_malloc(sizeof(out->why) + 2);
  n = snprintf(out->text, sizeof(out->why) + 2, "%s\n", out->why);
  out->n = (size_t)n;
}

static void set_member(json_t *object, const char *key, json_t *v) {
  EW_BUG_ON(!v || json_object_set_new(object, key, v) != 0);
}

static void set_patch(json_t *response, json_t *ops) {
  char *text = json_dumps(ops, JSON_COMPACT);
  char *encoded;

  EW_BUG_ON(!text);
  encoded = ew_base64_encode(ew_slice_str(text));
  set_member(response, "patchType", json_string("JSONPatch"));
  set_member(response, "patch", json_string(encoded));
  free(encoded);
  free(text);
}

/* Takes nothing of |p|. */
static void answer_patch(struct ew_review *out, const char *uid,
                         const struct ew_patch *p) {
  bool allowed = p->verdict != EW_VERDICT_DENIED;
  json_t *response =
      json_pack("{s:s, s:b}", "uid", uid, "allowed", allowed ? 1 : 0);

  EW_BUG_ON(!response);
  if (p->ops)
    set_patch(response, p->ops);
  if (!allowed)
    set_member(response, "status",
               json_pack("{s:s, s:s, s:i, s:o}", "status", "Failure", "reason",
                         "Forbidden", "code", 403, "message",
                         ew_text_value(p->why)));
  if (json_array_size(p->warnings) > 0)
    set_member(response, "warnings", json_incref(p->warnings));
  answer(out, response);
}

static bool read_request(struct request *q) {
  struct ew_jr *r = &q->r;
  const char *version = ew_jr_need(r, &q->root, "apiVersion");
  const char *kind = ew_jr_need(r, &q->root, "kind");
  struct ew_jv at = ew_jv_get(&q->root, "apiVersion");

  if (strcmp(version, EW_API_VERSION) != 0)
    return ew_jr_fail(r, &at, "must be " EW_API_VERSION);
  at = ew_jv_get(&q->root, "kind");
  if (strcmp(kind, "AdmissionReview") != 0)
    return ew_jr_fail(r, &at, "must be AdmissionReview");
  q->request = ew_jr_obj(r, &q->root, "request");
  if (!q->request.v)
    return ew_jr_fail(r, &q->request, "must be an object");
  q->uid = ew_jr_need(r, &q->request, "uid");
  at = ew_jv_get(&q->request, "uid");
  if (strlen(q->uid) > EW_UID_TEXT_MAX)
    return ew_jr_fail(r, &at, "must have at most 256 bytes");
  q->object = ew_jr_obj(r, &q->request, "object");
  return !r->failed;
}

/* NULL, or why this is not the creation of a pod. */
static const char *not_for_us(struct request *q) {
  struct ew_jv kind = ew_jr_obj(&q->r, &q->request, "kind");
  const char *group = ew_jr_str(&q->r, &kind, "group");
  const char *name = ew_jr_need(&q->r, &kind, "kind");
  const char *operation = ew_jr_need(&q->r, &q->request, "operation");
  const char *sub = ew_jr_str(&q->r, &q->request, "subResource");

  if ((group && group[0]) || strcmp(name, "Pod") != 0)
    return "not injected: it is no Pod (check the webhook's rules)";
  if (strcmp(operation, "CREATE") != 0 || (sub && sub[0]))
    return "not injected: only a pod that is made can be (check the webhook's "
           "rules)";
  return NULL;
}

static void tell_who(struct request *q, struct ew_review *out) {
  struct ew_jv meta = ew_jr_obj(&q->r, &q->object, "metadata");
  const char *ns = ew_jr_str(&q->r, &q->request, "namespace");
  const char *name = ew_jr_str(&q->r, &meta, "name");

  if (!name || !name[0])
    name = ew_jr_str(&q->r, &meta, "generateName");
  snprintf(out->pod, sizeof(out->pod), "%.64s/%.253s", ns ? ns : "",
           name ? name : "");
  ew_subject_read(&out->subject, ns, meta.v);
}

/* The webhook's selectors keep them out; should they fail, a cluster still
 * starts, and we do not wait for ourselves. */
static bool is_exempt(const struct ew_inject_config *c, const char *ns) {
  static const char *const always[] = {"kube-system", "kube-public",
                                       "kube-node-lease"};

  for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
    if (strcmp(ns, always[i]) == 0)
      return true;
  return c->own_namespace && strcmp(ns, c->own_namespace) == 0;
}

/* Of an object that is none of ours. */
static void leave(struct ew_patch *p, const char *why) {
  *p = (struct ew_patch){.verdict = EW_VERDICT_LEFT,
                         .quiet = true,
                         .warnings = json_pack("[s+]", "eastwest: ", why)};
  EW_BUG_ON(!p->warnings);
  snprintf(p->why, sizeof(p->why), "%s", why);
}

static void judge(const struct ew_inject_config *c, struct request *q,
                  struct ew_review *out) {
  struct ew_patch p;
  const char *why = not_for_us(q);

  if (q->r.failed)
    return;
  tell_who(q, out);
  if (!why && !q->object.v)
    ew_jr_fail(&q->r, &q->object, "must be an object");
  if (q->r.failed)
    return;
  if (!why && is_exempt(c, out->subject.namespace_))
    why = "not injected: pods of this namespace are never in the mesh";
  if (why)
    leave(&p, why);
  else
    ew_patch_pod(c, &q->object, &p);
  snprintf(out->why, sizeof(out->why), "%s", p.why);
  out->verdict = p.verdict;
  out->tell = !p.quiet && !ew_jr_bool(&q->r, &q->request, "dryRun", false);
  out->warnings = json_incref(p.warnings);
  if (p.verdict == EW_VERDICT_MALFORMED)
    q->r.failed = true;
  else
    answer_patch(out, q->uid, &p);
  ew_patch_fini(&p);
}

void ew_review_answer(const struct ew_inject_config *c, struct ew_slice text,
                      struct ew_review *out) {
  struct request q = {.uid = ""};
  json_t *root;

  *out = (struct ew_review){.verdict = EW_VERDICT_MALFORMED};
  if (text.n > EW_REVIEW_MAX) {
    malformed(out, "more than 4 MiB");
    return;
  }
  root = ew_json_parse(text, out->why, sizeof(out->why));
  if (!root) {
    malformed(out, out->why);
    return;
  }
  q.root = ew_jv_root(root);
  q.r = (struct ew_jr){.why = out->why, .why_len = sizeof(out->why)};
  if (read_request(&q))
    judge(c, &q, out);
  if (q.r.failed)
    malformed(out, out->why);
  json_decref(root);
}

void ew_review_fini(struct ew_review *r) {
  json_decref(r->warnings);
  free(r->text);
}
