/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_PROXY_EXCHANGE_H
#define SIDECAR_PROXY_EXCHANGE_H

#include "eastwest/conn/http_conn.h"
#include "sidecar/policy/refusal.h"
#include "sidecar/policy/retry.h"
#include "sidecar/proxy/pool.h"

/* One HTTP request and its response on the way through the proxy: bytes from
 * the client's side (down) to the server's side (up) and back, with one chunk
 * in flight per direction, tries, and timeouts. It knows neither routes nor
 * identities: its role (outbound or inbound) says where a try goes. */
struct ew_exchange;

/* Request bytes kept to send them again. */
#define EW_REPLAY_MAX 65536

struct ew_exchange_role {
  /* Where does the next try, which begins at x->try_started_us, go? Sets
   * x->try_head (kept valid by the role until
   * the next try or the end) and |*pool|. Returns EW_REFUSE_NONE, or why there
   * is none; the request is then answered with that refusal. */
  enum ew_refusal (*next)(struct ew_exchange *x, struct ew_pool **pool);
  /* A try ended before anything of it went to the client. |t->retries| is
   * filled by the role. True: try again after |*backoff_ms|. False: the role
   * sets |x->spent| if the number of retries is the reason. */
  bool (*again)(struct ew_exchange *x, struct ew_try *t, uint64_t *backoff_ms);
  /* May be NULL. Why a final response is a refusal that another sidecar made,
   * EW_REFUSE_NONE if it is the app's own. */
  enum ew_refusal (*told)(struct ew_exchange *x, const struct ew_message *m);
  /* The final response head, before it goes to the client. */
  void (*on_response)(struct ew_exchange *x, struct ew_message *m);
  /* A try is over, also when the client went away: for the balancer. |end| is
   * how; called exactly once for each successful next. */
  void (*on_try_over)(struct ew_exchange *x, enum ew_try_end end, int status);
  /* The answer for a refusal. */
  struct ew_message *(*refusal)(struct ew_exchange *x, enum ew_refusal why,
                                const char *detail, struct ew_slice *body);
  /* May be NULL. Body bytes of the request as they come, and its end: for
   * copies. Not called for what is discarded. */
  void (*on_body)(struct ew_exchange *x, struct ew_slice bytes);
  void (*on_body_end)(struct ew_exchange *x);
  /* The exchange is over; the role frees it (it embeds it). |x| still has its
   * totals. */
  void (*on_done)(struct ew_exchange *x);
};

struct ew_exchange {
  const struct ew_exchange_role *role;
  struct ew_loop *loop;
  /* Client side. NULL when it has ended. */
  struct ew_hstream *down;
  struct ew_http_conn *down_conn;
  /* The request as received, after the role's filters; owned. */
  struct ew_message *req;
  const struct ew_message *try_head; /* set by role->next */
  struct ew_message *req_trailers;   /* owned; may be NULL */
  struct ew_message *resp_trailers;  /* owned; may be NULL */
  /* Server side. up.st is NULL while there is no try. */
  struct ew_pool_stream up;
  struct ew_pool *pool; /* of the try at hand */
  struct ew_pool_ticket ticket;
  struct ew_buf to_up;   /* received, not sent yet */
  size_t replayed;       /* bytes at its front that were sent once before */
  struct ew_buf replay;  /* sent in this try */
  struct ew_buf to_down; /* received, not passed on yet */
  /* Passed on, and not yet consumed where they came from: the other side's
   * window is closed, and more would only be copied to wait. */
  size_t up_held, down_held;
  struct ew_timer request_timer, try_timer, backoff_timer;
  uint32_t try_timeout_ms; /* 0: none; set by the role */
  /* Totals, for logs and metrics. */
  uint64_t started_us, try_started_us;
  uint64_t request_bytes, response_bytes;
  int status;              /* of the final response; 0: none was sent */
  enum ew_refusal refused; /* if the proxy itself answered */
  const char *detail;      /* literal; more about it, or "" */
  unsigned tries;
  int lost; /* error if the exchange ended early, else 0 */
  /* State. */
  bool req_ended;     /* the client has ended its direction */
  bool req_sent_end;  /* and that was passed on */
  bool resp_started;  /* a final head went to the client */
  bool resp_ended;    /* the server (or we) ended the response */
  bool resp_sent_end; /* and that was passed on */
  bool trying;        /* between role->next and on_try_over */
  bool no_replay;     /* more was sent than is kept */
  bool fresh;         /* the next try wants an unused connection */
  bool spent;         /* all retries were made */
  bool upgraded;      /* 101: raw bytes from now on */
  bool discard;       /* the rest of the request is read and dropped */
};

/* Takes over |req|. |x| is zeroed memory inside the role's own struct. */
void ew_exchange_init(struct ew_exchange *x,
                      const struct ew_exchange_role *role, struct ew_loop *l,
                      struct ew_http_conn *conn, struct ew_hstream *down,
                      struct ew_message *req, bool end);
/* Limits the whole exchange; 0: no limit. */
void ew_exchange_set_timeout(struct ew_exchange *x, uint32_t ms);
/* Starts the first try. May end the exchange. */
void ew_exchange_try(struct ew_exchange *x);
/* Answers the request by ourselves. Takes over |m|; |body| is copied. */
void ew_exchange_reply(struct ew_exchange *x, struct ew_message *m,
                       struct ew_slice body);
void ew_exchange_refuse(struct ew_exchange *x, enum ew_refusal why,
                        const char *detail);
/* Frees what the exchange holds, not |x| itself; for role->on_done. */
void ew_exchange_fini(struct ew_exchange *x);

/* Events of the client side in the form that the codec of the server role calls
 * them: hstream->user is the exchange. A user that has not been given an
 * exchange is NULL. |arg| is not used. */
void ew_exchange_down_data(void *arg, struct ew_hstream *st,
                           struct ew_slice bytes);
void ew_exchange_down_end(void *arg, struct ew_hstream *st,
                          struct ew_message *trailers);
void ew_exchange_down_reset(void *arg, struct ew_hstream *st, int err);
void ew_exchange_down_writable(void *arg, struct ew_hstream *st);
void ew_exchange_down_closed(void *arg, struct ew_hstream *st);

#endif
