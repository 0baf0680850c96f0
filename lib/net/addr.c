/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>

#include "eastwest/base/err.h"
#include "eastwest/base/slice.h"

static void from_in(struct ew_addr *a, struct in_addr ip, in_port_t port) {
  memset(a, 0, sizeof(*a));
  a->u.in.sin_family = AF_INET;
  a->u.in.sin_port = port;
  a->u.in.sin_addr = ip;
}

static void from_in6(struct ew_addr *a, const struct in6_addr *ip,
                     in_port_t port, uint32_t scope) {
  if (IN6_IS_ADDR_V4MAPPED(ip)) {
    struct in_addr v4;
    memcpy(&v4, &ip->s6_addr[12], sizeof(v4));
    from_in(a, v4, port);
    return;
  }
  memset(a, 0, sizeof(*a));
  a->u.in6.sin6_family = AF_INET6;
  a->u.in6.sin6_port = port;
  a->u.in6.sin6_addr = *ip;
  if (IN6_IS_ADDR_LINKLOCAL(ip))
    a->u.in6.sin6_scope_id = scope;
}

void ew_addr_from_sockaddr(struct ew_addr *a, const struct sockaddr *sa) {
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  if (sa->sa_family == AF_INET) {
    memcpy(&in, sa, sizeof(in));
    from_in(a, in.sin_addr, in.sin_port);
  } else if (sa->sa_family == AF_INET6) {
    memcpy(&in6, sa, sizeof(in6));
    from_in6(a, &in6.sin6_addr, in6.sin6_port, in6.sin6_scope_id);
  } else {
    memset(a, 0, sizeof(*a));
  }
}

static int parse_scope(struct ew_slice s, uint32_t *out) {
  char name[IF_NAMESIZE];
  uint64_t n;
  if (ew_slice_u64(s, UINT32_MAX, &n) == EW_OK) {
    *out = (uint32_t)n;
    return EW_OK;
  }
  if (s.n == 0 || s.n >= sizeof(name))
    return EW_EINVAL;
  memcpy(name, s.p, s.n);
  name[s.n] = '\0';
  *out = if_nametoindex(name);
  return *out != 0 ? EW_OK : EW_EINVAL;
}

static int set_slice(struct ew_addr *a, struct ew_slice ip, uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  struct in_addr v4;
  struct in6_addr v6;
  uint32_t scope = 0;
  bool scoped = ew_slice_chr(ip, '%') >= 0;
  struct ew_slice host = ew_slice_cut(&ip, '%');

  if (host.n == 0 || host.n >= sizeof(text))
    return EW_EINVAL;
  memcpy(text, host.p, host.n);
  text[host.n] = '\0';
  if (!scoped && inet_pton(AF_INET, text, &v4) == 1) {
    from_in(a, v4, htons(port));
    return EW_OK;
  }
  if (inet_pton(AF_INET6, text, &v6) != 1)
    return EW_EINVAL;
  if (scoped &&
      (!IN6_IS_ADDR_LINKLOCAL(&v6) || parse_scope(ip, &scope) != EW_OK))
    return EW_EINVAL;
  from_in6(a, &v6, htons(port), scope);
  return EW_OK;
}

int ew_addr_set(struct ew_addr *a, const char *ip, uint16_t port) {
  return set_slice(a, ew_slice_str(ip), port);
}

int ew_addr_parse(struct ew_addr *a, const char *s) {
  struct ew_slice in = ew_slice_str(s);
  struct ew_slice ip;
  uint64_t port;
  bool bracket = in.n > 0 && in.p[0] == '[';

  if (bracket) {
    ptrdiff_t end = ew_slice_chr(in, ']');
    if (end < 0 || (size_t)end + 1 >= in.n || in.p[end + 1] != ':')
      return EW_EINVAL;
    ip = ew_slice(in.p + 1, (size_t)end - 1);
    in = ew_slice(in.p + end + 2, in.n - (size_t)end - 2);
  } else {
    ip = ew_slice_cut(&in, ':');
  }
  if (bracket != (ew_slice_chr(ip, ':') >= 0) ||
      ew_slice_u64(in, UINT16_MAX, &port) != EW_OK)
    return EW_EINVAL;
  return set_slice(a, ip, (uint16_t)port);
}

socklen_t ew_addr_len(const struct ew_addr *a) {
  return a->u.sa.sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                       : sizeof(struct sockaddr_in);
}

uint16_t ew_addr_port(const struct ew_addr *a) {
  return ntohs(a->u.sa.sa_family == AF_INET6 ? a->u.in6.sin6_port
                                             : a->u.in.sin_port);
}

bool ew_addr_eq(const struct ew_addr *a, const struct ew_addr *b) {
  return memcmp(a, b, sizeof(*a)) == 0;
}

bool ew_addr_same_ip(const struct ew_addr *a, const struct ew_addr *b) {
  if (a->u.sa.sa_family != b->u.sa.sa_family)
    return false;
  if (a->u.sa.sa_family == AF_INET)
    return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
  return a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
         memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr,
                sizeof(struct in6_addr)) == 0;
}

bool ew_addr_is_loopback(const struct ew_addr *a) {
  if (a->u.sa.sa_family == AF_INET)
    return ntohl(a->u.in.sin_addr.s_addr) >> 24 == 127;
  return a->u.sa.sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
}

static uint64_t mix(uint64_t h, uint64_t v) {
  h ^= v;
  h ^= h >> 33;
  h *= UINT64_C(0xff51afd7ed558ccd);
  h ^= h >> 33;
  h *= UINT64_C(0xc4ceb9fe1a85ec53);
  return h ^ h >> 33;
}

uint64_t ew_addr_hash(const struct ew_addr *a, uint64_t seed) {
  uint64_t w[2];
  uint64_t h = mix(seed, (uint64_t)a->u.sa.sa_family << 16 | ew_addr_port(a));
  if (a->u.sa.sa_family == AF_INET)
    return mix(h, a->u.in.sin_addr.s_addr);
  memcpy(w, &a->u.in6.sin6_addr, sizeof(w));
  return mix(mix(h, w[0]) + a->u.in6.sin6_scope_id, w[1]);
}

const char *ew_addr_ip(const struct ew_addr *a, char *out) {
  char ip[INET6_ADDRSTRLEN] = "";
  if (a->u.sa.sa_family == AF_INET)
    inet_ntop(AF_INET, &a->u.in.sin_addr, ip, sizeof(ip));
  else if (a->u.sa.sa_family == AF_INET6)
    inet_ntop(AF_INET6, &a->u.in6.sin6_addr, ip, sizeof(ip));
  if (a->u.sa.sa_family == AF_INET6 && a->u.in6.sin6_scope_id != 0)
    snprintf(out, EW_ADDR_STR, "%s%%%u", ip, a->u.in6.sin6_scope_id);
  else
    snprintf(out, EW_ADDR_STR, "%s", ip);
  return out;
}

const char *ew_addr_str(const struct ew_addr *a, char *out) {
  char ip[EW_ADDR_STR];
  ew_addr_ip(a, ip);
  if (a->u.sa.sa_family == AF_INET6)
    snprintf(out, EW_ADDR_STR, "[%.*s]:%u", EW_ADDR_STR - 10, ip,
             ew_addr_port(a));
  else
    snprintf(out, EW_ADDR_STR, "%.*s:%u", EW_ADDR_STR - 8, ip, ew_addr_port(a));
  return out;
}
