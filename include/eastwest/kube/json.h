/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_KUBE_JSON_H
#define EASTWEST_KUBE_JSON_H

#include <jansson.h>

#include "eastwest/kube/client.h"

/* Sends |body|, whose reference it takes (NULL: none). |content_type| NULL:
 * application/json. */
struct ew_kube_request *ew_kube_send_json(struct ew_kube *k, const char *method,
                                          const char *path, json_t *body,
                                          const char *content_type,
                                          const struct ew_kube_events *events,
                                          void *arg);
#define EW_MERGE_PATCH "application/merge-patch+json"

/* The answer's body as JSON, a new reference; NULL if it is none. */
json_t *ew_kube_answer_json(const struct ew_kube_answer *a);
/* Text of a member, "" if it is none. |object| may be NULL. */
const char *ew_kube_text(const json_t *object, const char *name);
/* The time now as metav1.Time has it: "2026-01-31T12:00:00Z". */
#define EW_KUBE_TIME 32
void ew_kube_time(char out[EW_KUBE_TIME]);
/* A value of a Secret's data as text, malloc'ed; NULL if it is missing, no
 * base64, or longer than EW_KUBE_SECRET_MAX. */
#define EW_KUBE_SECRET_MAX 131072
char *ew_kube_secret_text(const json_t *secret, const char *key);

#endif
