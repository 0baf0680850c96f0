/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/patch.c"
#include "injector/pod_options.c"
#include "injector/probes.c"
#include "injector/review.c"
#include "injector/subject.c"
#include "injector/tcp_probes.c"
#include "injector/template.c"

#include "tests/unit/injector/json_patch.h"

static struct ew_inject_config *config(void) {
  static struct ew_inject_config c = {.controller = "10.96.0.9:15010",
                                      .trust_domain = "cluster.local",
                                      .token_audience = "eastwest"};
  char why[64];

  if (!c.defaults.v[EW_POD_IMAGE]) {
    ew_pod_options_init(&c.defaults);
    EW_BUG_ON(ew_pod_options_set(&c.defaults, "image", "eastwest:1", why,
                                 sizeof(why)) != EW_OK);
  }
  return &c;
}

/* A patched pod is a pod that is left as it is. */
static void patch_once(const json_t *response, const json_t *pod) {
  char *text = ew_base64_decode(
      ew_slice_str(json_string_value(json_object_get(response, "patch"))),
      NULL);
  json_t *ops = json_loads(text, 0, NULL);
  struct ew_patch again;

  EW_BUG_ON(json_array_size(ops) == 0);
  json_t *after = patch_apply(pod, ops);
  struct ew_jv root = ew_jv_root(after);
  ew_patch_pod(config(), &root, &again);
  EW_BUG_ON(again.verdict != EW_VERDICT_LEFT);
  ew_patch_fini(&again);
  json_decref(after);
  json_decref(ops);
  free(text);
}

static void check_answer(const struct ew_review *r, struct ew_slice in) {
  char why[256];
  json_t *review = ew_json_parse(in, why, sizeof(why));
  json_t *answer = ew_json_parse(ew_slice(r->text, r->n), why, sizeof(why));
  json_t *request = json_object_get(review, "request");
  json_t *response = json_object_get(answer, "response");
  bool allowed = json_is_true(json_object_get(response, "allowed"));

  EW_BUG_ON(!json_equal(json_object_get(request, "uid"),
                        json_object_get(response, "uid")));
  EW_BUG_ON(allowed == (r->verdict == EW_VERDICT_DENIED));
  EW_BUG_ON((json_object_get(response, "patch") != NULL) !=
            (r->verdict == EW_VERDICT_INJECTED));
  EW_BUG_ON(!allowed && !json_string_value(json_object_get(
                            json_object_get(response, "status"), "message")));
  if (r->verdict == EW_VERDICT_INJECTED)
    patch_once(response, json_object_get(request, "object"));
  json_decref(answer);
  json_decref(review);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_slice in = ew_slice((const char *)data, size);
  struct ew_review r;

  ew_review_answer(config(), in, &r);
  EW_BUG_ON(strlen(r.text) != r.n);
  EW_BUG_ON((r.status == 400) != (r.verdict == EW_VERDICT_MALFORMED));
  EW_BUG_ON((r.why[0] == '\0') != (r.verdict == EW_VERDICT_INJECTED));
  if (r.status == 200)
    check_answer(&r, in);
  ew_review_fini(&r);
  return 0;
}
