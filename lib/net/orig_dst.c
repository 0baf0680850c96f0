/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "eastwest/net/tcp.h"

/* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST: the kernel's own headers clash with
 * those of the C library. */
#define ORIGINAL_DST 80

int ew_orig_dst(int fd, struct ew_addr *out) {
  struct sockaddr_storage ss = {0};
  socklen_t len = sizeof(ss);
  struct ew_addr local;
  int rc;

  if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
    memset(&ss, 0, sizeof(ss));
  ew_addr_from_sockaddr(&local, (struct sockaddr *)&ss);
  *out = local;

  memset(&ss, 0, sizeof(ss));
  len = sizeof(ss);
  if (local.u.sa.sa_family == AF_INET)
    rc = getsockopt(fd, IPPROTO_IP, ORIGINAL_DST, &ss, &len);
  else
    rc = getsockopt(fd, IPPROTO_IPV6, ORIGINAL_DST, &ss, &len);
  if (rc != 0)
    return EW_ENOENT;
  ew_addr_from_sockaddr(out, (struct sockaddr *)&ss);
  /* Connection tracking knows connections that were not redirected too. */
  return ew_addr_eq(out, &local) ? EW_ENOENT : EW_OK;
}
