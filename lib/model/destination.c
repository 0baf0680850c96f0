/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/model/destination.h"

#include "eastwest/base/err.h"
#include "lib/model/destination_names.h"

const char *const ew_protocol_names[] = {"detect", "http1",  "http2", "http",
                                         "tls",    "opaque", NULL};
const char *const ew_dest_kind_names[] = {"unknown", "service", "pod", NULL};
const char *const ew_match_type_names[] = {"Exact", "PathPrefix",
                                           "RegularExpression", NULL};
const char *const ew_filter_type_names[] = {"RequestHeaderModifier",
                                            "ResponseHeaderModifier",
                                            "RequestRedirect",
                                            "URLRewrite",
                                            "RequestMirror",
                                            "CORS",
                                            "Invalid",
                                            NULL};

struct ew_destination *ew_destination_new(void) {
  struct ew_destination *d = ew_calloc(1, sizeof *d);
  ew_arena_init(&d->arena);
  d->refs = 1;
  d->default_backend = EW_NO_BACKEND;
  return d;
}

struct ew_destination *ew_destination_ref(struct ew_destination *d) {
  int before = __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
  EW_BUG_ON(before <= 0);
  return d;
}

void ew_destination_unref(struct ew_destination *d) {
  if (!d)
    return;
  int before = __atomic_fetch_sub(&d->refs, 1, __ATOMIC_ACQ_REL);
  EW_BUG_ON(before <= 0);
  if (before > 1)
    return;
  ew_arena_fini(&d->arena);
  free(d);
}

const char *ew_protocol_name(enum ew_protocol p) {
  EW_BUG_ON((unsigned)p > EW_PROTO_OPAQUE);
  return ew_protocol_names[p];
}
