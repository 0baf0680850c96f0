/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_PATCH_H
#define EASTWEST_INJECTOR_PATCH_H

#include "injector/template.h"

/* What becomes of one pod. Pure: a pod as JSON in, a JSON patch (RFC 6902)
 * out. */

enum ew_verdict {
  EW_VERDICT_INJECTED,  /* |ops| */
  EW_VERDICT_LEFT,      /* allowed as it is; |why| says why */
  EW_VERDICT_DENIED,    /* |why| for the pod's author */
  EW_VERDICT_MALFORMED, /* no pod at all; |why| has the path of the fault */
};

struct ew_patch {
  enum ew_verdict verdict;
  json_t *ops;      /* a list, or NULL */
  json_t *warnings; /* a list of strings, may be empty */
  bool quiet;       /* left as it is, as was asked for: worth no Event */
  char why[640];
};

void ew_patch_pod(const struct ew_inject_config *c, const struct ew_jv *pod,
                  struct ew_patch *out);
void ew_patch_fini(struct ew_patch *p);

/* A JSON string of |s|, which may be no UTF-8 where a text of a pod was cut. */
json_t *ew_text_value(const char *s);
/* Control bytes become '?': texts of pods end up in terminals. */
void ew_text_tame(char *s);

#endif
