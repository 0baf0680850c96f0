/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_CONTROLLER_CONN_H
#define SIDECAR_CONTROLLER_CONN_H

#include "eastwest/conn/http_conn.h"
#include "eastwest/net/addr.h"
#include "eastwest/net/tls.h"

/* One HTTP/2 connection to the controller: TCP, TLS with the controller's
 * identity checked, ALPN "h2". */
struct ew_controller_conn;

struct ew_controller_conn_events {
  /* Ready for requests. */
  void (*on_open)(void *arg);
  /* It could not be made, or has ended: |err|, |why| as in dial.h. The object
   * is gone after the call. Never from within new. */
  void (*on_closed)(void *arg, int err, const char *why);
};

/* What one request hears; see struct ew_codec_events. |user| is the
 * hstream's.*/
struct ew_controller_conn *
ew_controller_conn_new(struct ew_loop *l, const struct ew_addr *controller,
                       const char *controller_id, struct ew_tls_ctx *tls,
                       const struct ew_controller_conn_events *ev,
                       const struct ew_codec_events *requests, void *arg);
/* No callbacks after this; its hstreams vanish. Not from within an event of a
 * request. */
void ew_controller_conn_del(struct ew_controller_conn *c);
/* Sends a request. NULL while it is not open or takes no more. |authority| and
 * scheme are filled in; |m| stays the caller's. */
struct ew_hstream *ew_controller_conn_request(struct ew_controller_conn *c,
                                              struct ew_message *m, bool end,
                                              void *user);
bool ew_controller_conn_is_open(const struct ew_controller_conn *c);
/* After a send or a consume on an hstream. */
void ew_controller_conn_touch(struct ew_controller_conn *c);

#endif
