/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_ADDR_H
#define EASTWEST_NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IP address with a port. IPv4-mapped IPv6 addresses are stored as IPv4.
 * Link-local scope ids are kept. Unused bytes are zero, so two equal
 * addresses are equal by memcmp. */
struct ew_addr {
  union {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } u;
};

/* "10.0.0.1:80", "[fd00::1]:80". Needs a port. Returns EW_OK or EW_EINVAL. */
int ew_addr_parse(struct ew_addr *a, const char *s);
/* |ip| without brackets. Returns EW_OK or EW_EINVAL. */
int ew_addr_set(struct ew_addr *a, const char *ip, uint16_t port);
void ew_addr_from_sockaddr(struct ew_addr *a, const struct sockaddr *sa);
socklen_t ew_addr_len(const struct ew_addr *a);
uint16_t ew_addr_port(const struct ew_addr *a);
bool ew_addr_eq(const struct ew_addr *a, const struct ew_addr *b);
/* Same IP, whatever the port. */
bool ew_addr_same_ip(const struct ew_addr *a, const struct ew_addr *b);
bool ew_addr_is_loopback(const struct ew_addr *a);
uint64_t ew_addr_hash(const struct ew_addr *a, uint64_t seed);

#define EW_ADDR_STR 64
/* Formats as ew_addr_parse reads; |out| has EW_ADDR_STR bytes. Returns |out|.
 */
const char *ew_addr_str(const struct ew_addr *a, char *out);
/* The IP alone, without brackets. */
const char *ew_addr_ip(const struct ew_addr *a, char *out);

#endif
