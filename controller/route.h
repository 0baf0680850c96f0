/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_ROUTE_H
#define EASTWEST_CONTROLLER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/alloc.h"
#include "eastwest/model/destination.h"
#include "eastwest/model/json_read.h"

/* A route as its author wrote it, in the form of a destination: what is left
 * to do is to resolve the references. */

#define EW_ROUTE_PARENTS_MAX 32
#define EW_ROUTE_RULES_MAX 1024
#define EW_ROUTE_MATCHES_MAX 1024
#define EW_ROUTE_FILTERS_MAX 64
#define EW_ROUTE_BACKENDS_MAX 128
#define EW_ROUTE_NAMES_MAX 128

enum ew_route_type { /* rule 9: the lower one wins a port */
                     EW_ROUTE_GRPC,
                     EW_ROUTE_HTTP,
                     EW_ROUTE_TLS,
                     EW_ROUTE_TCP
};

struct ew_parent_ref {
  bool service;           /* group "" or "core", kind Service */
  const char *namespace_; /* the route's own if not given */
  const char *name;
  const char *section; /* name of the port, or NULL */
  uint16_t port;       /* 0: not given */
};

struct ew_route_ref {
  const char *group, *kind, *namespace_, *name;
  uint16_t port; /* 0: not given */
};

/* What the schema lets through and a condition must tell. */
struct ew_route_fault {
  size_t rule;
  bool dropped;       /* the rule has no effect at all; else it answers 500 */
  const char *reason; /* "UnsupportedValue" or "IncompatibleFilters" */
  const char *message;
  const struct ew_route_fault *next;
};

struct ew_route {
  enum ew_route_type type;
  const struct ew_parent_ref *parents;
  size_t parents_n;
  /* Backends and mirrors name |refs| by index. A rule that is dropped keeps
   * its place but has no match. */
  struct ew_rule *rules;
  size_t rules_n;
  struct ew_match *matches; /* rule by rule, as written */
  size_t matches_n;
  struct ew_route_ref *refs;
  size_t refs_n;
  const struct ew_route_fault *faults; /* in the order of the rules */
  /* Not NULL: the route as a whole must not be applied (a message). */
  const char *rejected;
};

/* Reads the route object |root|. Everything lives in |arena|. Schema faults go
 * to |r|; |out| then is not to be used. */
void ew_route_read(struct ew_jr *r, const struct ew_jv *root,
                   struct ew_arena *arena, enum ew_route_type type,
                   const char *ns, const char *name, struct ew_route *out);

#endif
