/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_KUBE_CLIENT_H
#define EASTWEST_KUBE_CLIENT_H

#include "eastwest/base/slice.h"
#include "eastwest/net/loop.h"

/* A client of the Kubernetes API server: requests run at the same time on few
 * connections (HTTP/2 where the server has it). The token is read again for
 * each request, so a rotated one is used at once. */
struct ew_kube;
struct ew_kube_request;

#define EW_KUBE_BODY_MAX (64u << 20)

struct ew_kube_opts {
  const char *server;     /* "https://10.96.0.1:443", without '/' at the end */
  const char *token_file; /* NULL: no credentials */
  const char *ca_file;    /* who may have signed the server's certificate */
};

/* What the environment of a pod says; false with a reason if this is no pod.
 * The strings live as long as the process. */
bool ew_kube_in_cluster(struct ew_kube_opts *out, char *why, size_t why_len);

/* |opts| is copied. Never NULL. */
struct ew_kube *ew_kube_new(struct ew_loop *l, const struct ew_kube_opts *opts);
/* Cancels what is open, without callbacks. NULL is allowed. */
void ew_kube_del(struct ew_kube *k);

struct ew_kube_call {
  const char *method; /* "GET", ... */
  const char *path;   /* with its query */
  struct ew_slice body;
  const char *content_type; /* of the body; NULL: application/json */
  /* Seconds until the call is given up; 0: 30. */
  unsigned timeout_s;
  /* A stream: given up when nothing came for so many seconds. 0: no stream. */
  unsigned silence_s;
};

struct ew_kube_answer {
  int status;             /* 0: there was no answer, see |error| */
  struct ew_slice body;   /* empty for a stream with status 200 */
  const char *error;      /* of the transport, or "" */
  unsigned retry_after_s; /* what the server asks for; 0: nothing */
};

struct ew_kube_events {
  /* Bytes of a stream's body with status 200; NULL: no stream, the body is
   * gathered for on_done. */
  void (*on_data)(void *arg, struct ew_slice bytes);
  /* The request is over and gone. */
  void (*on_done)(void *arg, const struct ew_kube_answer *a);
};

/* Never calls back before it returned. |call| is copied, |events| must live
 * until the end. */
struct ew_kube_request *ew_kube_send(struct ew_kube *k,
                                     const struct ew_kube_call *call,
                                     const struct ew_kube_events *events,
                                     void *arg);
/* No callback any more. Not from within on_done; from within on_data it is
 * fine. */
void ew_kube_cancel(struct ew_kube_request *r);

#endif
