/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/kube/json.h"

#include <stdlib.h>
#include <time.h>

#include "eastwest/base/base64.h"

struct ew_kube_request *ew_kube_send_json(struct ew_kube *k, const char *method,
                                          const char *path, json_t *body,
                                          const char *content_type,
                                          const struct ew_kube_events *events,
                                          void *arg) {
  char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
  struct ew_kube_request *r =
      ew_kube_send(k,
                   &(struct ew_kube_call){.method = method,
                                          .path = path,
                                          .body = ew_slice_str(text),
                                          .content_type = content_type},
                   events, arg);

  free(text);
  json_decref(body);
  return r;
}

json_t *ew_kube_answer_json(const struct ew_kube_answer *a) {
  return json_loadb(a->body.p ? a->body.p : "", a->body.n, 0, NULL);
}

const char *ew_kube_text(const json_t *object, const char *name) {
  const char *s = json_string_value(json_object_get(object, name));
  return s ? s : "";
}

char *ew_kube_secret_text(const json_t *secret, const char *key) {
  struct ew_slice in =
      ew_slice_str(ew_kube_text(json_object_get(secret, "data"), key));

  return in.n == 0 || in.n > EW_KUBE_SECRET_MAX ? NULL
                                                : ew_base64_decode(in, NULL);
}

void ew_kube_time(char out[EW_KUBE_TIME]) {
  time_t now = time(NULL);
  struct tm tm;

  gmtime_r(&now, &tm);
  strftime(out, EW_KUBE_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
