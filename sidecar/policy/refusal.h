/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_SIDECAR_POLICY_REFUSAL_H
#define EASTWEST_SIDECAR_POLICY_REFUSAL_H

#include <stdbool.h>

#include "eastwest/base/slice.h"
#include "eastwest/http/message.h"
#include "eastwest/model/destination.h"

/* Every response that the proxy itself makes has one of these reasons. The
 * name stands in the header "eastwest-refusal", in the access log and in
 * metrics; it never changes its meaning. */
enum ew_refusal {
  EW_REFUSE_NONE,              /* "": not refused */
  EW_REFUSE_NO_ROUTE,          /* 404 UNIMPLEMENTED: routes, none matches */
  EW_REFUSE_NO_BACKENDS,       /* 500 UNAVAILABLE: no backendRefs or weights */
  EW_REFUSE_INVALID_BACKEND,   /* 500 UNAVAILABLE */
  EW_REFUSE_INVALID_FILTER,    /* 500 UNAVAILABLE */
  EW_REFUSE_INVALID_MATCH,     /* 500 UNAVAILABLE: a regex does not compile */
  EW_REFUSE_NO_ENDPOINTS,      /* 503 UNAVAILABLE: none ready */
  EW_REFUSE_CONNECT_FAILED,    /* 503 UNAVAILABLE */
  EW_REFUSE_CONNECT_TIMEOUT,   /* 503 UNAVAILABLE: no connection in time */
  EW_REFUSE_IDENTITY,          /* 503 UNAVAILABLE: wrong certificate */
  EW_REFUSE_NO_IDENTITY,       /* 503 UNAVAILABLE: we have no certificate yet */
  EW_REFUSE_UPSTREAM_RESET,    /* 502 UNAVAILABLE: ended before a response */
  EW_REFUSE_UPSTREAM_PROTOCOL, /* 502 UNAVAILABLE: malformed response */
  EW_REFUSE_REQUEST_TIMEOUT,   /* 504 DEADLINE_EXCEEDED: whole request */
  EW_REFUSE_BACKEND_TIMEOUT,   /* 504 DEADLINE_EXCEEDED: last try */
  EW_REFUSE_RETRIES_SPENT,     /* 503 UNAVAILABLE: all ended without response */
  EW_REFUSE_BAD_REQUEST,       /* 400 INTERNAL */
  EW_REFUSE_HEAD_TIMEOUT,      /* 408 CANCELLED: head did not come in time */
  EW_REFUSE_HEAD_TOO_LARGE,    /* 431 RESOURCE_EXHAUSTED */
  EW_REFUSE_TARGET_TOO_LONG,   /* 414 RESOURCE_EXHAUSTED */
  EW_REFUSE_DENIED,            /* 403 PERMISSION_DENIED: authorization */
  EW_REFUSE_OVERLOAD,          /* 503 RESOURCE_EXHAUSTED: a limit of ours */
  EW_REFUSE_DRAINING,          /* 503 UNAVAILABLE: we are shutting down */
  EW_REFUSE_DISCOVERY, /* 503 UNAVAILABLE: destination unknown, strict */
  EW_REFUSE_LOOP,      /* 508 INTERNAL: request came back to itself */
  EW_REFUSE_COUNT
};

/* Lowercase name, for example "no-route". Never NULL. */
const char *ew_refusal_name(enum ew_refusal r);
int ew_refusal_status(enum ew_refusal r);       /* HTTP */
int ew_refusal_grpc(enum ew_refusal r);         /* grpc-status */
const char *ew_refusal_text(enum ew_refusal r); /* a sentence for humans */
/* The reason for a status that ew_message_gate or a codec gave (400, 408, 414,
 * 431, 502). */
enum ew_refusal ew_refusal_from_status(int status);

/* Where it happened; every pointer may be NULL. |detail| is a fixed text or
 * one from configuration, never bytes of a client or upstream. */
struct ew_refusal_site {
  const struct ew_destination *destination;
  const struct ew_rule *rule;
  const struct ew_backend *backend;
  const char *detail;
};

/* A complete response. HTTP: text/plain, one line that names the reason, the
 * parent, route, rule and backend; |*body| gets the bytes (in the message's
 * arena) to send after the head: not for HEAD requests. gRPC: trailers-only
 * (status 200, grpc-status, grpc-message), |*body| is empty and body is
 * EW_BODY_NONE. |site| may be NULL. Owned by the caller. */
struct ew_message *ew_refusal_response(enum ew_refusal r, bool grpc,
                                       const struct ew_refusal_site *site,
                                       struct ew_slice *body);

/* Whether a request is gRPC: content-type application/grpc, also with "+proto"
 * and the like, not application/grpc-web. */
bool ew_is_grpc(const struct ew_message *req);

#define EW_REFUSAL_HEADER "eastwest-refusal"

/* Says the reason in an answer that a codec made itself. */
void ew_refusal_mark(struct ew_message *answer);
/* The reason in a response of another sidecar; EW_REFUSE_NONE without. */
enum ew_refusal ew_refusal_of(const struct ew_message *response);
/* Whether the sidecar that says so has not shown the request to its app: it can
 * be made again elsewhere, whatever its method. */
bool ew_refusal_untouched(enum ew_refusal r);

#endif
