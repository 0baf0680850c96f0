/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INIT_RULES_H
#define EASTWEST_INIT_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eastwest/base/buf.h"

/* What is redirected, as text for iptables-restore. Pure: the text in force is
 * an argument (as iptables-save prints it), nothing is run. */

#define EW_CHAIN_INBOUND "EASTWEST_INBOUND"
#define EW_CHAIN_OUTPUT "EASTWEST_OUTPUT"

enum {
  EW_INIT_UIDS_MAX = 32,
  EW_INIT_PORTS_MAX = 128,
  EW_INIT_CIDRS_MAX = 128,
  EW_INIT_TEXT_MAX = 1 << 17,  /* our own rules as text */
  EW_INIT_SAVED_MAX = 4 << 20, /* one iptables-save */
  /* One transaction: our rules and a few words for each line of |saved|. */
  EW_INIT_INPUT_MAX = EW_INIT_TEXT_MAX + 2 * EW_INIT_SAVED_MAX
};

enum ew_ip { EW_IPV4, EW_IPV6 };

struct ew_port_range {
  uint16_t low, high;
};

struct ew_cidr {
  enum ew_ip ip;
  unsigned bits;
  unsigned char addr[16]; /* host bits are zero */
};

struct ew_port_list {
  struct ew_port_range v[EW_INIT_PORTS_MAX];
  size_t n;
};

struct ew_cidr_list {
  struct ew_cidr v[EW_INIT_CIDRS_MAX];
  size_t n;
};

struct ew_uid_list {
  uint32_t v[EW_INIT_UIDS_MAX];
  size_t n;
};

struct ew_rules {
  uint16_t inbound_port, outbound_port;
  uint32_t uid; /* the sidecar's */
  struct ew_uid_list skip_uids;
  struct ew_port_list skip_inbound_ports, skip_outbound_ports;
  struct ew_cidr_list skip_inbound_cidrs, skip_outbound_cidrs;
};

const char *ew_ip_name(enum ew_ip ip);

/* The transaction that makes |r| the state for |ip|, whatever of ours |saved|
 * holds. A jump that is right already keeps its place among the rules of
 * others. Returns EW_OK, or EW_EAGAIN when |out| has not room for the longest
 * input that |saved| can make necessary. */
int ew_rules_install(const struct ew_rules *r, enum ew_ip ip,
                     struct ew_slice saved, struct ew_buf *out);

/* The transaction after which connections within the pod, above all those of
 * the sidecar to its app, are not tracked: nothing of them is ever translated,
 * and so conntrack need not look up each packet and keep an entry for each
 * connection. Nothing when |saved| has it. It is not part of what is checked: a
 * kernel may be without the raw table, and redirection works without it.
 * Returns EW_OK or EW_EAGAIN. */
int ew_rules_untrack(enum ew_ip ip, struct ew_slice saved, struct ew_buf *out);

/* The transaction that removes all of ours that |saved|, of the family |ip|,
 * holds; nothing when there is nothing. Returns EW_OK or EW_EAGAIN. */
int ew_rules_remove(enum ew_ip ip, struct ew_slice saved, struct ew_buf *out);

/* Compares |saved| with what ew_rules_install makes. Returns EW_OK, or
 * EW_ENOENT with the first difference in one line in |why|. */
int ew_rules_check(const struct ew_rules *r, enum ew_ip ip,
                   struct ew_slice saved, struct ew_buf *why);

/* Number of rules in |saved|, all tables; |*ours|: of them in our chains. */
size_t ew_rules_count(struct ew_slice saved, size_t *ours);

#endif
