/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_MODEL_DESTINATION_H
#define EASTWEST_MODEL_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/slice.h"

/* What the controller says about one address (ip:port) to a client of one
 * namespace: routes compiled to a flat list in the order of precedence, and the
 * backends they name. Immutable once made; reference counted. All strings
 * are NUL-terminated and live in the destination's arena; lists are pointer and
 * count. A string that is not given is NULL. */

enum ew_dest_kind {
  EW_DEST_UNKNOWN, /* not in the mesh's world: passed through untouched */
  EW_DEST_SERVICE, /* a port of a Service, by its cluster address */
  EW_DEST_POD      /* a pod's own address: identity, no routes */
};

/* Declared protocol of a Service port, a pod port, or a backend. */
enum ew_protocol {
  EW_PROTO_DETECT, /* nothing declared: look at the first bytes */
  EW_PROTO_HTTP1,  /* appProtocol http, kubernetes.io/ws, or an HTTPRoute */
  EW_PROTO_HTTP2,  /* appProtocol kubernetes.io/h2c or grpc, or a GRPCRoute */
  EW_PROTO_HTTP,   /* HTTP of either version: the first bytes tell which */
  EW_PROTO_TLS,    /* the app's own TLS: not opened, SNI may be read */
  EW_PROTO_OPAQUE  /* bytes, no look at them */
};

enum ew_match_type { EW_MATCH_EXACT, EW_MATCH_PREFIX, EW_MATCH_REGEX };

/* One header or query parameter to match. Prefix is not used. */
struct ew_value_match {
  enum ew_match_type type;
  const char *name; /* headers: lowercase */
  const char *value;
};

struct ew_match {
  size_t rule; /* index into rules */
  /* HTTPRoute; path NULL matches every path. PathPrefix: without trailing '/'
   * ("/" is ""), matches whole segments. */
  enum ew_match_type path_type;
  const char *path;
  const char *method; /* NULL: any */
  /* GRPCRoute: NULL matches any. Type Exact or Regex for both. */
  enum ew_match_type grpc_type;
  const char *grpc_service, *grpc_method;
  const struct ew_value_match *headers;
  size_t headers_n;
  const struct ew_value_match *query;
  size_t query_n;
};

struct ew_header_value {
  const char *name; /* lowercase */
  const char *value;
};

enum ew_path_modifier { EW_PATH_KEEP, EW_PATH_FULL, EW_PATH_PREFIX };

enum ew_filter_type {
  EW_FILTER_REQUEST_HEADERS,
  EW_FILTER_RESPONSE_HEADERS,
  EW_FILTER_REDIRECT,
  EW_FILTER_REWRITE,
  EW_FILTER_MIRROR,
  EW_FILTER_CORS,
  EW_FILTER_INVALID /* can't be carried out: the rule answers 500 */
};

struct ew_filter {
  enum ew_filter_type type;
  union {
    struct {
      const struct ew_header_value *set, *add;
      size_t set_n, add_n;
      const char *const *remove; /* lowercase */
      size_t remove_n;
    } headers;
    struct {
      const char *scheme, *hostname; /* redirect only: scheme */
      uint16_t port;                 /* redirect only; 0: not given */
      uint16_t status;               /* redirect only */
      enum ew_path_modifier path_modifier;
      const char
          *path; /* FULL: the new path; PREFIX: what replaces the match */
    } location;  /* redirect and rewrite */
    struct {
      size_t backend; /* index into backends */
      uint32_t numerator, denominator;
    } mirror;
    struct {
      const char *const *allow_origins; /* as written; "*" or with wildcards */
      size_t allow_origins_n;
      const char *const *allow_methods;
      size_t allow_methods_n;
      const char *const *allow_headers;
      size_t allow_headers_n;
      const char *const *expose_headers;
      size_t expose_headers_n;
      uint32_t max_age_s;
      bool allow_credentials;
    } cors;
    const char *invalid; /* why */
  } u;
};

/* A backendRef of a rule. */
struct ew_backend_ref {
  size_t backend; /* index into backends */
  uint32_t weight;
  const struct ew_filter *filters;
  size_t filters_n;
};

struct ew_retry {
  const uint16_t *codes;
  size_t codes_n;
  uint32_t attempts; /* retries after the first try; 0: none */
  uint32_t backoff_ms;
};

struct ew_rule {
  /* For metrics, logs and refusals. */
  const char *route_kind; /* "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute" */
  const char *route_namespace, *route_name;
  const char *name; /* the rule's name, NULL without */
  uint32_t index;   /* place in the route's rules, from 0 */
  const struct ew_filter *filters;
  size_t filters_n;
  const struct ew_backend_ref *backends;
  size_t backends_n;
  /* Milliseconds; 0: no limit. */
  uint32_t request_timeout_ms, backend_timeout_ms;
  bool has_retry;
  struct ew_retry retry;
  /* TLSRoute: server names, "*.example.com" allowed; none: every name. */
  const char *const *snis;
  size_t snis_n;
};

struct ew_endpoint {
  const char *address; /* IP without brackets */
  uint16_t port;
  const char
      *identity;    /* SPIFFE id if the endpoint is in the mesh, else NULL */
  const char *zone; /* NULL: not known */
  const char *pod;  /* name of the pod, for logs; NULL: not known */
};

struct ew_backend {
  const char *kind, *namespace_, *name; /* usually "Service" */
  uint16_t port;
  /* NULL, or the reason why requests for it get 500 ("BackendNotFound", ...).*/
  const char *invalid;
  enum ew_protocol protocol;
  const struct ew_endpoint *endpoints; /* ready ones only */
  size_t endpoints_n;
};

#define EW_NO_BACKEND ((size_t)-1)

struct ew_destination {
  struct ew_arena arena; /* private */
  int refs;              /* private; atomic */
  uint64_t version;
  enum ew_dest_kind kind;
  /* Service: the parent. Pod: the pod. NULL for unknown. */
  const char *namespace_, *name;
  uint16_t port;
  const char *port_name; /* NULL without */
  enum ew_protocol protocol;
  /* HTTP routes. With |rules_n| > 0 and no match: 404. */
  const struct ew_rule *rules;
  size_t rules_n;
  const struct ew_match *matches; /* most specific first */
  size_t matches_n;
  /* TCPRoute (one rule) or TLSRoute (rules with snis, most specific first).
   * Used instead of |rules| when the connection is not HTTP. */
  const struct ew_rule *l4_rules;
  size_t l4_rules_n;
  const struct ew_backend *backends;
  size_t backends_n;
  /* Where everything goes if there is no route; EW_NO_BACKEND with routes. A
   * pod destination has one backend with one endpoint. */
  size_t default_backend;
};

struct ew_destination *ew_destination_ref(struct ew_destination *d);
void ew_destination_unref(struct ew_destination *d); /* NULL is allowed */

/* Upper bounds of what is accepted from a controller. */
#define EW_DEST_RULES_MAX 20000
#define EW_DEST_MATCHES_MAX 65536
#define EW_DEST_BACKENDS_MAX 20000
#define EW_DEST_ENDPOINTS_MAX 100000
#define EW_DEST_JSON_MAX (64u << 20)

/* Reads one JSON text (see docs/discovery.md). Everything is checked: types,
 * ranges, indexes, names and values of headers. Unknown members are ignored;
 * unknown enum values are refused. Returns NULL and a text that names the
 * member and what was expected in |why| (at least 256 bytes). */
struct ew_destination *ew_destination_from_json(struct ew_slice json, char *why,
                                                size_t why_len);
/* The JSON text of |d|, malloc'ed, without newline, *len bytes. */
char *ew_destination_to_json(const struct ew_destination *d, size_t *len);

/* Building one (controller): allocate strings and arrays from |arena|, then
 * fill the fields; refs is 1. */
struct ew_destination *ew_destination_new(void);

const char *ew_protocol_name(enum ew_protocol p); /* "detect", "http1", ... */

#endif
