/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/probe.h"

#include <stdlib.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"

/* As long as a kubelet waits by default. */
#define TIMEOUT_MS 1000

struct probe {
  struct ew_httpd_request *r;
  struct ew_connect *connect;
};

static void answer(struct ew_httpd_request *r, int status, const char *text) {
  ew_httpd_reply(r, status, "text/plain; charset=utf-8", ew_slice_str(text));
}

static bool has_tcp_probe(const struct ew_config *c, uint64_t port) {
  for (size_t i = 0; i < c->probes_n; i++)
    if (!c->probes[i].path && c->probes[i].port == port)
      return true;
  return false;
}

static void on_connected(void *arg, struct ew_stream *s, int err) {
  struct probe *p = arg;

  ew_httpd_set_user(p->r, NULL);
  if (err == EW_OK) {
    ew_stream_close(s);
    answer(p->r, 200, "open\n");
  } else {
    answer(p->r, 503, ew_strerror(err));
  }
  free(p);
}

void ew_probe_serve(struct ew_loop *l, const struct ew_config *c,
                    struct ew_httpd_request *r, struct ew_slice port) {
  char ip[EW_ADDR_STR];
  struct ew_addr to;
  struct probe *p;
  uint64_t n;

  if (ew_slice_u64(port, 65535, &n) != EW_OK || !has_tcp_probe(c, n)) {
    answer(r, 404, "no tcpSocket probe has this port\n");
    return;
  }
  EW_BUG_ON(ew_addr_set(&to, ew_addr_ip(&c->pod_ips[0], ip), (uint16_t)n) !=
            EW_OK);
  p = ew_calloc(1, sizeof(*p));
  p->r = r;
  ew_httpd_set_user(r, p);
  p->connect = ew_connect(l, &to, TIMEOUT_MS, on_connected, p);
}

void ew_probe_gone(struct ew_httpd_request *r) {
  struct probe *p = ew_httpd_user(r);

  if (!p)
    return;
  ew_connect_cancel(p->connect);
  free(p);
}
