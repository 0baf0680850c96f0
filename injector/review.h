/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_REVIEW_H
#define EASTWEST_INJECTOR_REVIEW_H

#include "injector/patch.h"
#include "injector/subject.h"

/* One AdmissionReview (admission.k8s.io/v1): JSON in, JSON out. Pure. */

#define EW_REVIEW_MAX (4u << 20) /* the API server's own limit is 3 MiB */

struct ew_review {
  enum ew_verdict verdict;
  int status; /* of HTTP: 200, or 400 when malformed */
  char *text; /* the answer: JSON, or with 400 a line of text */
  size_t n;
  char why[640]; /* not for EW_VERDICT_INJECTED */
  char pod[400]; /* namespace/name as far as known, for logs */
  /* What is worth Events: |why|, or the warnings about an injected pod. */
  bool tell;
  struct ew_subject subject;
  json_t *warnings; /* a list of strings, or NULL */
};

/* Answers anything. ew_review_fini afterwards. */
void ew_review_answer(const struct ew_inject_config *c, struct ew_slice text,
                      struct ew_review *out);
void ew_review_fini(struct ew_review *r);

#endif
