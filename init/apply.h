/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INIT_APPLY_H
#define EASTWEST_INIT_APPLY_H

#include "init/rules.h"

/* One address family: which iptables works here, and what it holds. */

enum { EW_VARIANTS = 3 };

struct ew_variant {
  char restore[32], save[32]; /* program names */
  bool legacy;
  struct ew_buf saved; /* what |save| printed */
  size_t rules, ours;
};

struct ew_firewall {
  enum ew_ip ip;
  struct ew_variant v[EW_VARIANTS]; /* readable ones, best first */
  size_t n;
  bool denied;       /* a variant is there and may not be read */
  bool tracked;      /* so are connections within the pod: |why| says why */
  struct ew_buf why; /* why others cannot be used; of the last failure */
};

/* Finds the variants (nft, legacy) that are installed and can be read. None
 * is no failure here: |f->n| is 0 and |f->why| says why. */
void ew_firewall_init(struct ew_firewall *f, enum ew_ip ip);
void ew_firewall_fini(struct ew_firewall *f);

/* The inputs, one after the other, that ew_firewall_apply would give to its
 * first choice. */
int ew_firewall_plan(struct ew_firewall *f, const struct ew_rules *r,
                     struct ew_buf *out);
/* Installs and reads back. Returns EW_OK, or EW_EIO with |f->why|. */
int ew_firewall_apply(struct ew_firewall *f, const struct ew_rules *r);
/* Returns EW_OK, EW_ENOENT when the rules differ or EW_EIO when they cannot be
 * read, both with |f->why|. */
int ew_firewall_verify(struct ew_firewall *f, const struct ew_rules *r);
/* Removes all of ours from every variant. Returns EW_OK, or EW_EIO with
 * |f->why|. */
int ew_firewall_cleanup(struct ew_firewall *f);
/* The programs and kind of the variant in use, for example "nft". */
const char *ew_firewall_kind(const struct ew_firewall *f);

/* Whether this namespace has IPv6, or can get it any time. */
bool ew_ipv6_present(void);

#endif
