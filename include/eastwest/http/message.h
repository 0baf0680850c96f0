/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_HTTP_MESSAGE_H
#define EASTWEST_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/slice.h"

/* Limits of a head, both directions, both versions. Each field counts its
 * bytes plus 32 (RFC 9113 section 10.5.1), each cookie crumb too. */
#define EW_HEAD_MAX 65536
#define EW_FIELDS_MAX 128
#define EW_TARGET_MAX 16384

struct ew_field {
  struct ew_slice name; /* lowercase */
  struct ew_slice value;
};

/* Fields in the order received. Repeated names stay separate lines. */
struct ew_headers {
  struct ew_field *v;
  size_t n, cap; /* cap is private */
};

enum ew_body {
  EW_BODY_NONE,   /* no body at all */
  EW_BODY_LENGTH, /* content_length bytes */
  EW_BODY_STREAM  /* ends when it ends: chunked, HTTP/2, or until close */
};

/* The one inner form of a request head, a response head or trailers. All
 * slices point into |arena| or to string constants. Hop-by-hop fields
 * (connection and what it names, keep-alive, proxy-connection,
 * transfer-encoding, upgrade, http2-settings) and content-length are never in
 * |headers|: the codec that reads takes them out, and the codec that writes
 * makes its own; `te` stays only as "trailers". `host` is never in |headers|:
 * it is |authority|. */
struct ew_message {
  struct ew_arena arena;
  struct ew_headers headers;
  /* Requests. |path| begins with '/' and holds the query, or is "*". */
  struct ew_slice method, scheme, authority, path;
  /* Responses; 0 in requests and trailers. */
  int status;
  int version; /* as received: 10, 11 or 20 */
  enum ew_body body;
  uint64_t content_length; /* with EW_BODY_LENGTH */
  /* HTTP/1.1 protocol switch that the peer asks for or agrees to, for example
   * "websocket"; empty otherwise. Never "h2c": that is dropped. */
  struct ew_slice upgrade;
};

struct ew_message *ew_message_new(void);
void ew_message_del(struct ew_message *m); /* NULL is allowed */
/* A deep copy (retries, mirrors). */
struct ew_message *ew_message_dup(const struct ew_message *m);

/* Appends a line; bytes are copied, without white space around the value;
 * |name| is lowercased. Returns EW_OK,
 * EW_ELIMIT (EW_FIELDS_MAX), or EW_EINVAL when the name is no token or the
 * value has a byte that RFC 9110 section 5.5 does not allow (CR, LF, NUL, other
 * CTL). */
int ew_message_add(struct ew_message *m, struct ew_slice name,
                   struct ew_slice value);
/* Replaces all lines of |name| by one. Returns as ew_message_add. */
int ew_message_set(struct ew_message *m, struct ew_slice name,
                   struct ew_slice value);
/* Removes all lines of |name| (any case); returns how many there were. */
size_t ew_message_remove(struct ew_message *m, struct ew_slice name);
/* The first line's value, or {NULL,0}. |name| is lowercase. */
struct ew_slice ew_message_get(const struct ew_message *m, const char *name);
/* All values of |name| joined by "," (RFC 9110 section 5.3; crumbs of `cookie`
 * by "; ", RFC 9113 section 8.2.3), in the arena if there are several. {NULL,0}
 * if there is none. `host` gives the authority. */
struct ew_slice ew_message_joined(struct ew_message *m, struct ew_slice name);
/* |path| up to '?', and after it (without '?'; {NULL,0} without one). */
struct ew_slice ew_message_path_only(const struct ew_message *m);
struct ew_slice ew_message_query(const struct ew_message *m);
/* Copies into the message's arena. */
struct ew_slice ew_message_dup_slice(struct ew_message *m, struct ew_slice s);

/* The gate: what every received head must pass, whatever the version, after
 * its codec parsed it. Answers EW_OK, or an HTTP status (400, 414, 431) with a
 * fixed reason in |*why|. Refuses for requests: a method that is no token; an
 * empty or malformed authority (userinfo, spaces, '/', port that is no number;
 * HTTP/1.0 without Host is allowed and gets authority ""); a path that does not
 * begin with '/' (but "*" for OPTIONS), is longer than EW_TARGET_MAX, or holds
 * NUL, CTL, SP, '#', '\\' or bytes above 0x7e; '.' or '..' segments, also after
 * decoding %2e; %00. CONNECT is refused. For responses: a status outside
 * 100..599. The authority is lowercased. */
int ew_message_gate(struct ew_message *m, const char **why);

bool ew_is_token(struct ew_slice s);       /* RFC 9110 section 5.6.2 */
bool ew_is_field_value(struct ew_slice s); /* RFC 9110 section 5.5 */

#endif
