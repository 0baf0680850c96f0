/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/refusal.h"

#include <stdio.h>

#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"

/* grpc-status values, in gRPC's own words. */
enum {
  CANCELLED = 1,
  DEADLINE_EXCEEDED = 4,
  PERMISSION_DENIED = 7,
  RESOURCE_EXHAUSTED = 8,
  UNIMPLEMENTED = 12,
  INTERNAL = 13,
  UNAVAILABLE = 14
};

struct reason {
  const char *name;
  int status, grpc;
  const char *text;
};

static const struct reason reasons[EW_REFUSE_COUNT] = {
    [EW_REFUSE_NONE] = {"", 200, 0, "not refused"},
    [EW_REFUSE_NO_ROUTE] = {"no-route", 404, UNIMPLEMENTED,
                            "no rule of the attached routes matches"},
    [EW_REFUSE_NO_BACKENDS] = {"no-backends", 500, UNAVAILABLE,
                               "the rule has no backend with a weight"},
    [EW_REFUSE_INVALID_BACKEND] = {"invalid-backend", 500, UNAVAILABLE,
                                   "the backend of the rule is invalid"},
    [EW_REFUSE_INVALID_FILTER] = {"invalid-filter", 500, UNAVAILABLE,
                                  "a filter of the rule can't be carried out"},
    [EW_REFUSE_INVALID_MATCH] = {"invalid-match", 500, UNAVAILABLE,
                                 "a match of the rule does not compile"},
    [EW_REFUSE_NO_ENDPOINTS] = {"no-endpoints", 503, UNAVAILABLE,
                                "the backend has no ready endpoint"},
    [EW_REFUSE_CONNECT_FAILED] = {"connect-failed", 503, UNAVAILABLE,
                                  "no connection to an endpoint"},
    [EW_REFUSE_CONNECT_TIMEOUT] = {"connect-timeout", 503, UNAVAILABLE,
                                   "no connection to an endpoint in time"},
    [EW_REFUSE_IDENTITY] = {"identity-mismatch", 503, UNAVAILABLE,
                            "an endpoint did not prove its identity"},
    [EW_REFUSE_NO_IDENTITY] = {"no-identity", 503, UNAVAILABLE,
                               "the sidecar has no certificate yet"},
    [EW_REFUSE_UPSTREAM_RESET] = {"upstream-reset", 502, UNAVAILABLE,
                                  "the endpoint ended without a response"},
    [EW_REFUSE_UPSTREAM_PROTOCOL] = {"upstream-protocol", 502, UNAVAILABLE,
                                     "the endpoint's response is malformed"},
    [EW_REFUSE_REQUEST_TIMEOUT] = {"request-timeout", 504, DEADLINE_EXCEEDED,
                                   "the time for the request is up"},
    [EW_REFUSE_BACKEND_TIMEOUT] = {"backend-timeout", 504, DEADLINE_EXCEEDED,
                                   "the time for one try is up"},
    [EW_REFUSE_RETRIES_SPENT] =
        {"retries-spent", 503, UNAVAILABLE,
         "the endpoint ended without a response, at each try"},
    [EW_REFUSE_BAD_REQUEST] = {"bad-request", 400, INTERNAL,
                               "the request is malformed or ambiguous"},
    [EW_REFUSE_HEAD_TIMEOUT] = {"head-timeout", 408, CANCELLED,
                                "the head of the request did not come in time"},
    [EW_REFUSE_HEAD_TOO_LARGE] = {"head-too-large", 431, RESOURCE_EXHAUSTED,
                                  "the head of the request is too large"},
    [EW_REFUSE_TARGET_TOO_LONG] = {"target-too-long", 414, RESOURCE_EXHAUSTED,
                                   "the target of the request is too long"},
    [EW_REFUSE_DENIED] = {"denied", 403, PERMISSION_DENIED,
                          "the peer is not allowed to do this"},
    [EW_REFUSE_OVERLOAD] = {"overload", 503, RESOURCE_EXHAUSTED,
                            "a limit of the sidecar is reached"},
    [EW_REFUSE_DRAINING] = {"draining", 503, UNAVAILABLE,
                            "the sidecar is shutting down"},
    [EW_REFUSE_DISCOVERY] = {"discovery", 503, UNAVAILABLE,
                             "the controller told nothing about the address"},
    [EW_REFUSE_LOOP] = {"loop", 508, INTERNAL,
                        "the request came back to where it was"},
};

const char *ew_refusal_name(enum ew_refusal r) { return reasons[r].name; }
int ew_refusal_status(enum ew_refusal r) { return reasons[r].status; }
int ew_refusal_grpc(enum ew_refusal r) { return reasons[r].grpc; }
const char *ew_refusal_text(enum ew_refusal r) { return reasons[r].text; }

enum ew_refusal ew_refusal_from_status(int status) {
  switch (status) {
  case 408:
    return EW_REFUSE_HEAD_TIMEOUT;
  case 414:
    return EW_REFUSE_TARGET_TOO_LONG;
  case 431:
    return EW_REFUSE_HEAD_TOO_LARGE;
  case 502:
    return EW_REFUSE_UPSTREAM_PROTOCOL;
  default:
    return EW_REFUSE_BAD_REQUEST;
  }
}

#define TEXT_MAX 2048

static void put_name(struct ew_buf *b, const char *kind, const char *ns,
                     const char *name) {
  if (name)
    ew_buf_printf(b, "; %s %s/%s", kind ? kind : "object", ns ? ns : "", name);
}

/* What does not fit is left out: names are bounded by the API. */
static void describe(struct ew_buf *b, enum ew_refusal r,
                     const struct ew_refusal_site *s) {
  ew_buf_printf(b, "eastwest: %s: %s", reasons[r].name, reasons[r].text);
  if (!s)
    return;
  if (s->detail)
    ew_buf_printf(b, " (%s)", s->detail);
  if (s->destination && s->destination->name) {
    bool service = s->destination->kind == EW_DEST_SERVICE;
    put_name(b, service ? "Service" : "Pod", s->destination->namespace_,
             s->destination->name);
    ew_buf_printf(b, ":%u", (unsigned)s->destination->port);
  }
  if (s->rule) {
    put_name(b, s->rule->route_kind, s->rule->route_namespace,
             s->rule->route_name);
    if (s->rule->name)
      ew_buf_printf(b, " rule %s", s->rule->name);
    else
      ew_buf_printf(b, " rule %u", (unsigned)s->rule->index);
  }
  if (s->backend && s->backend->name) {
    ew_buf_append_str(b, "; backend");
    ew_buf_printf(b, " %s %s/%s:%u",
                  s->backend->kind ? s->backend->kind : "Service",
                  s->backend->namespace_ ? s->backend->namespace_ : "",
                  s->backend->name, (unsigned)s->backend->port);
  }
}

static struct ew_message *http_response(enum ew_refusal r,
                                        struct ew_slice text) {
  struct ew_message *m = ew_message_new();
  m->status = reasons[r].status;
  m->body = EW_BODY_LENGTH;
  m->content_length = text.n;
  ew_message_add(m, EW_SLICE_LIT("content-type"),
                 EW_SLICE_LIT("text/plain; charset=utf-8"));
  return m;
}

/* grpc-message: bytes outside 0x20..0x7e and '%' are percent-encoded. */
static struct ew_slice percent_encode(struct ew_message *m, struct ew_slice s) {
  static const char digits[] = "0123456789ABCDEF";
  char *out = ew_arena_alloc(&m->arena, 3 * s.n + 1);
  size_t n = 0;
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out[n++] = (char)c;
      continue;
    }
    out[n++] = '%';
    out[n++] = digits[c >> 4];
    out[n++] = digits[c & 15];
  }
  return ew_slice(out, n);
}

static struct ew_message *grpc_response(enum ew_refusal r,
                                        struct ew_slice text) {
  struct ew_message *m = ew_message_new();
  char status[8];
  int n = snprintf(status, sizeof status, "%d", reasons[r].grpc);
  m->status = 200;
  ew_message_add(m, EW_SLICE_LIT("content-type"),
                 EW_SLICE_LIT("application/grpc"));
  ew_message_add(m, EW_SLICE_LIT("grpc-status"), ew_slice(status, (size_t)n));
  ew_message_add(m, EW_SLICE_LIT("grpc-message"), percent_encode(m, text));
  return m;
}

struct ew_message *ew_refusal_response(enum ew_refusal r, bool grpc,
                                       const struct ew_refusal_site *site,
                                       struct ew_slice *body) {
  struct ew_buf b;
  *body = (struct ew_slice){NULL, 0};
  EW_BUG_ON(r <= EW_REFUSE_NONE || r >= EW_REFUSE_COUNT);
  ew_buf_init(&b, TEXT_MAX);
  describe(&b, r, site);
  if (!grpc)
    ew_buf_append_str(&b, "\n");
  struct ew_slice text = ew_buf_peek(&b);
  struct ew_message *m = grpc ? grpc_response(r, text) : http_response(r, text);
  if (!grpc)
    *body = ew_message_dup_slice(m, text);
  ew_buf_fini(&b);
  ew_message_add(m, EW_SLICE_LIT(EW_REFUSAL_HEADER),
                 ew_slice_str(reasons[r].name));
  return m;
}

void ew_refusal_mark(struct ew_message *answer) {
  enum ew_refusal r = ew_refusal_from_status(answer->status);

  (void)ew_message_set(answer, EW_SLICE_LIT(EW_REFUSAL_HEADER),
                       ew_slice_str(ew_refusal_name(r)));
}

bool ew_is_grpc(const struct ew_message *req) {
  static const char name[] = "application/grpc";
  struct ew_slice type = ew_message_get(req, "content-type");
  size_t n = sizeof name - 1;
  if (type.n < n || !ew_slice_caseeq(ew_slice(type.p, n), EW_SLICE_LIT(name)))
    return false;
  return type.n == n || strchr("+; \t", type.p[n]);
}

enum ew_refusal ew_refusal_of(const struct ew_message *response) {
  struct ew_slice told = ew_message_get(response, EW_REFUSAL_HEADER);

  for (int i = EW_REFUSE_NONE + 1; told.p && i < EW_REFUSE_COUNT; i++)
    if (ew_slice_eq_str(told, reasons[i].name))
      return (enum ew_refusal)i;
  return EW_REFUSE_NONE;
}

bool ew_refusal_untouched(enum ew_refusal r) {
  return r == EW_REFUSE_CONNECT_FAILED || r == EW_REFUSE_CONNECT_TIMEOUT ||
         r == EW_REFUSE_OVERLOAD || r == EW_REFUSE_DRAINING;
}
