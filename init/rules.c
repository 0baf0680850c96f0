/* SPDX-License-Identifier: Apache-2.0 */
#include "init/rules.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/err.h"
#include "eastwest/base/ports.h"

#define EW_CHAIN_PREFIX "EASTWEST_"
#define EW_TOKENS_MAX 64u

/* The two built-in chains that we hang on to, and the jump in each. */
static const struct {
  const char *from, *to, *jump;
} ew_jumps[] = {
    {"PREROUTING", EW_CHAIN_INBOUND, "-p tcp -j " EW_CHAIN_INBOUND},
    {"OUTPUT", EW_CHAIN_OUTPUT, "-p tcp -j " EW_CHAIN_OUTPUT},
};
#define EW_JUMPS (sizeof(ew_jumps) / sizeof(*ew_jumps))

const char *ew_ip_name(enum ew_ip ip) {
  return ip == EW_IPV4 ? "IPv4" : "IPv6";
}

/* --- reading iptables-save --- */

struct ew_saved_iter {
  struct ew_slice rest;
  struct ew_slice table;
};

struct ew_saved_line {
  struct ew_slice chain;
  struct ew_slice rule; /* what follows "-A CHAIN "; empty for a chain */
  bool is_rule;
};

/* The next chain or rule; |it->table| is its table. */
static bool ew_saved_next(struct ew_saved_iter *it, struct ew_saved_line *l) {
  while (it->rest.n) {
    struct ew_slice line = ew_slice_trim(ew_slice_cut(&it->rest, '\n'));
    if (line.n == 0)
      continue;
    if (line.p[0] == '*') {
      it->table = ew_slice(line.p + 1, line.n - 1);
    } else if (line.p[0] == ':') {
      struct ew_slice s = ew_slice(line.p + 1, line.n - 1);
      *l = (struct ew_saved_line){.chain = ew_slice_cut(&s, ' ')};
      return true;
    } else if (ew_slice_starts(line, EW_SLICE_LIT("-A "))) {
      struct ew_slice s = ew_slice(line.p + 3, line.n - 3);
      l->chain = ew_slice_cut(&s, ' ');
      l->rule = s;
      l->is_rule = true;
      return true;
    }
  }
  return false;
}

static bool ew_table_next(struct ew_saved_iter *it, const char *table,
                          struct ew_saved_line *l) {
  while (ew_saved_next(it, l))
    if (ew_slice_eq_str(it->table, table))
      return true;
  return false;
}

static bool ew_is_ours(struct ew_slice chain) {
  return ew_slice_starts(chain, EW_SLICE_LIT(EW_CHAIN_PREFIX));
}

/* The next word; blanks within double quotes belong to it. */
static struct ew_slice ew_token(struct ew_slice *rest) {
  *rest = ew_slice_trim(*rest);
  bool quoted = false;
  size_t i = 0;
  for (; i < rest->n && (quoted || rest->p[i] != ' '); i++) {
    if (quoted && rest->p[i] == '\\' && i + 1 < rest->n)
      i++;
    else if (rest->p[i] == '"')
      quoted = !quoted;
  }
  struct ew_slice t = ew_slice(rest->p, i);
  *rest = ew_slice(rest->p + i, rest->n - i);
  return t;
}

/* Where the rule goes on: the value of -j or -g, or empty. */
static struct ew_slice ew_rule_target(struct ew_slice rule) {
  while (rule.n) {
    struct ew_slice t = ew_token(&rule);
    if (ew_slice_eq_str(t, "-j") || ew_slice_eq_str(t, "-g"))
      return ew_token(&rule);
  }
  return ew_slice(NULL, 0);
}

/* An option with its values, for example "--dport 80" or "! -d 10.0.0.0/8". */
static size_t ew_groups(struct ew_slice rule, struct ew_slice *v) {
  size_t n = 0;
  bool open = false; /* "!" was read and its option not yet */
  while (rule.n) {
    struct ew_slice t = ew_token(&rule);
    if (t.n == 0)
      break;
    bool starts = t.p[0] == '-' || ew_slice_eq_str(t, "!");
    if (n && (open || !starts)) {
      v[n - 1].n = (size_t)(t.p + t.n - v[n - 1].p);
    } else {
      if (n == EW_TOKENS_MAX)
        return n;
      v[n++] = t;
    }
    open = ew_slice_eq_str(t, "!");
  }
  /* Loading a match says nothing by itself, and versions differ in it. */
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (!ew_slice_starts(v[i], EW_SLICE_LIT("-m ")))
      v[kept++] = v[i];
  return kept;
}

/* Whether two rules mean the same: their options, in any order. */
static bool ew_rule_same(struct ew_slice a, struct ew_slice b) {
  struct ew_slice va[EW_TOKENS_MAX], vb[EW_TOKENS_MAX];
  size_t na = ew_groups(a, va), nb = ew_groups(b, vb);
  if (na != nb)
    return false;
  for (size_t i = 0; i < na; i++) {
    size_t k = i;
    while (k < nb && !ew_slice_eq(va[i], vb[k]))
      k++;
    if (k == nb)
      return false;
    struct ew_slice t = vb[k];
    vb[k] = vb[i];
    vb[i] = t;
  }
  return true;
}

size_t ew_rules_count(struct ew_slice saved, size_t *ours) {
  struct ew_saved_iter it = {.rest = saved};
  struct ew_saved_line l = {.is_rule = false};
  size_t n = 0;
  *ours = 0;
  while (ew_saved_next(&it, &l)) {
    if (l.is_rule) {
      n++;
      *ours += ew_is_ours(l.chain);
    }
    l.is_rule = false;
  }
  return n;
}

/* --- our rules --- */

/* Rules are written as iptables-save prints them, so that what is shown, what
 * is applied and what is read back is the same text. */
static void ew_put_ports(struct ew_buf *b, const char *chain,
                         const struct ew_port_list *l) {
  for (size_t i = 0; i < l->n; i++) {
    ew_buf_printf(b, "-A %s -p tcp -m tcp --dport %u", chain, l->v[i].low);
    if (l->v[i].high != l->v[i].low)
      ew_buf_printf(b, ":%u", l->v[i].high);
    ew_buf_append_str(b, " -j RETURN\n");
  }
}

static void ew_put_cidrs(struct ew_buf *b, enum ew_ip ip, const char *chain,
                         const char *option, const struct ew_cidr_list *l) {
  for (size_t i = 0; i < l->n; i++) {
    const struct ew_cidr *c = &l->v[i];
    char addr[INET6_ADDRSTRLEN];
    if (c->ip != ip)
      continue;
    inet_ntop(ip == EW_IPV4 ? AF_INET : AF_INET6, c->addr, addr, sizeof(addr));
    ew_buf_printf(b, "-A %s", chain);
    if (c->bits) /* all addresses: no match at all */
      ew_buf_printf(b, " %s %s/%u", option, addr, c->bits);
    ew_buf_append_str(b, " -p tcp -j RETURN\n");
  }
}

static void ew_put_uid(struct ew_buf *b, uint32_t uid) {
  ew_buf_printf(
      b, "-A " EW_CHAIN_OUTPUT " -p tcp -m owner --uid-owner %u -j RETURN\n",
      uid);
}

static void ew_put_chains(const struct ew_rules *r, enum ew_ip ip,
                          struct ew_buf *b) {
  struct ew_port_list ready = {{{EW_PORT_STATUS, EW_PORT_STATUS}}, 1};
  ew_put_ports(b, EW_CHAIN_INBOUND, &ready);
  ew_put_ports(b, EW_CHAIN_INBOUND, &r->skip_inbound_ports);
  ew_put_cidrs(b, ip, EW_CHAIN_INBOUND, "-s", &r->skip_inbound_cidrs);
  ew_buf_printf(b, "-A " EW_CHAIN_INBOUND " -p tcp -j REDIRECT --to-ports %u\n",
                r->inbound_port);

  ew_put_uid(b, r->uid);
  for (size_t i = 0; i < r->skip_uids.n; i++)
    ew_put_uid(b, r->skip_uids.v[i]);
  /* Everything that stays in the pod: loopback addresses, and the pod's own
   * address, which is routed over lo as well. An app that calls itself gets
   * to itself, as without a mesh. */
  ew_buf_append_str(b, "-A " EW_CHAIN_OUTPUT " -o lo -p tcp -j RETURN\n");
  ew_put_ports(b, EW_CHAIN_OUTPUT, &r->skip_outbound_ports);
  ew_put_cidrs(b, ip, EW_CHAIN_OUTPUT, "-d", &r->skip_outbound_cidrs);
  ew_buf_printf(b, "-A " EW_CHAIN_OUTPUT " -p tcp -j REDIRECT --to-ports %u\n",
                r->outbound_port);
}

/* Whether |saved| has exactly one jump to |to|, the one we make. */
static bool ew_jump_in_place(struct ew_slice saved, size_t jump) {
  struct ew_saved_iter it = {.rest = saved};
  struct ew_saved_line l = {.is_rule = false};
  size_t right = 0, all = 0;
  while (ew_table_next(&it, "nat", &l)) {
    if (l.is_rule &&
        ew_slice_eq_str(ew_rule_target(l.rule), ew_jumps[jump].to)) {
      all++;
      right += ew_slice_eq_str(l.chain, ew_jumps[jump].from) &&
               ew_rule_same(l.rule, ew_slice_str(ew_jumps[jump].jump));
    }
    l.is_rule = false;
  }
  return all == 1 && right == 1;
}

/* Removes what jumps into |to| (any chain of ours if NULL) from elsewhere. */
static void ew_put_unjump(struct ew_buf *b, struct ew_slice saved,
                          const char *to) {
  struct ew_saved_iter it = {.rest = saved};
  struct ew_saved_line l = {.is_rule = false};
  while (ew_table_next(&it, "nat", &l)) {
    if (l.is_rule && !ew_is_ours(l.chain)) {
      struct ew_slice target = ew_rule_target(l.rule);
      if (to ? ew_slice_eq_str(target, to) : ew_is_ours(target))
        ew_buf_printf(b, "-D %.*s %.*s\n", EW_SLICE_FMT(l.chain),
                      EW_SLICE_FMT(l.rule));
    }
    l.is_rule = false;
  }
}

/* Checked before anything is written: half a transaction is never seen. */
static bool ew_has_room(const struct ew_buf *out, struct ew_slice saved) {
  size_t room = ew_buf_room(out);
  return room >= EW_INIT_TEXT_MAX && (room - EW_INIT_TEXT_MAX) / 2 >= saved.n;
}

int ew_rules_install(const struct ew_rules *r, enum ew_ip ip,
                     struct ew_slice saved, struct ew_buf *out) {
  if (!ew_has_room(out, saved))
    return EW_EAGAIN;
  /* Declaring a chain empties it if it is there, within the transaction. */
  ew_buf_append_str(out, "*nat\n:" EW_CHAIN_INBOUND " - [0:0]\n"
                         ":" EW_CHAIN_OUTPUT " - [0:0]\n");
  ew_put_chains(r, ip, out);
  for (size_t i = 0; i < EW_JUMPS; i++) {
    if (ew_jump_in_place(saved, i))
      continue;
    ew_put_unjump(out, saved, ew_jumps[i].to);
    /* First: a redirection that stands before ours would go around us. */
    ew_buf_printf(out, "-I %s 1 %s\n", ew_jumps[i].from, ew_jumps[i].jump);
  }
  ew_buf_append_str(out, "COMMIT\n");
  return EW_OK;
}

/* As iptables-save prints it. What has a loopback address may be the answer of
 * a listener of ours to what was redirected to it. */
static const char *ew_untracked_rule(enum ew_ip ip) {
  return ip == EW_IPV4
             ? "! -s 127.0.0.0/8 ! -d 127.0.0.0/8 -o lo -p tcp -m comment "
               "--comment eastwest -j CT --notrack"
             : "! -s ::1/128 ! -d ::1/128 -o lo -p tcp -m comment "
               "--comment eastwest -j CT --notrack";
}

static size_t ew_untracked_count(struct ew_slice saved, enum ew_ip ip) {
  struct ew_saved_iter it = {.rest = saved};
  struct ew_saved_line l = {.is_rule = false};
  size_t n = 0;
  while (ew_table_next(&it, "raw", &l)) {
    n += l.is_rule && ew_slice_eq_str(l.chain, "OUTPUT") &&
         ew_rule_same(l.rule, ew_slice_str(ew_untracked_rule(ip)));
    l.is_rule = false;
  }
  return n;
}

static void ew_put_tracked_again(struct ew_buf *b, enum ew_ip ip, size_t n) {
  for (; n > 0; n--)
    ew_buf_printf(b, "-D OUTPUT %s\n", ew_untracked_rule(ip));
}

int ew_rules_untrack(enum ew_ip ip, struct ew_slice saved, struct ew_buf *out) {
  if (!ew_has_room(out, saved))
    return EW_EAGAIN;
  size_t n = ew_untracked_count(saved, ip);
  if (n == 1)
    return EW_OK;
  ew_buf_append_str(out, "*raw\n");
  ew_put_tracked_again(out, ip, n);
  ew_buf_printf(out, "-I OUTPUT 1 %s\nCOMMIT\n", ew_untracked_rule(ip));
  return EW_OK;
}

/* Writes |verb| for each chain of ours. Returns how many there are. */
static size_t ew_put_each_chain(struct ew_buf *b, struct ew_slice saved,
                                const char *verb) {
  struct ew_saved_iter it = {.rest = saved};
  struct ew_saved_line l = {.is_rule = false};
  size_t n = 0;
  while (ew_table_next(&it, "nat", &l)) {
    if (!l.is_rule && ew_is_ours(l.chain)) {
      ew_buf_printf(b, "%s %.*s\n", verb, EW_SLICE_FMT(l.chain));
      n++;
    }
    l.is_rule = false;
  }
  return n;
}

int ew_rules_remove(enum ew_ip ip, struct ew_slice saved, struct ew_buf *out) {
  struct ew_buf chains;
  if (!ew_has_room(out, saved))
    return EW_EAGAIN;
  ew_buf_init(&chains, out->max);
  size_t n = ew_put_each_chain(&chains, saved, "-F");
  ew_put_each_chain(&chains, saved, "-X");
  if (n) {
    ew_buf_append_str(out, "*nat\n");
    ew_put_unjump(out, saved, NULL);
    ew_buf_append(out, ew_buf_peek(&chains));
    ew_buf_append_str(out, "COMMIT\n");
  }
  ew_buf_fini(&chains);
  n = ew_untracked_count(saved, ip);
  if (n) {
    ew_buf_append_str(out, "*raw\n");
    ew_put_tracked_again(out, ip, n);
    ew_buf_append_str(out, "COMMIT\n");
  }
  return EW_OK;
}

/* --- reading back --- */

/* The next rule of |chain| in |it|; empties |*rule| at the end. */
static void ew_next_in_chain(struct ew_saved_iter *it, const char *chain,
                             struct ew_slice *rule) {
  struct ew_saved_line l = {.is_rule = false};
  while (ew_table_next(it, "nat", &l)) {
    if (l.is_rule && ew_slice_eq_str(l.chain, chain)) {
      *rule = l.rule;
      return;
    }
    l.is_rule = false;
  }
  *rule = ew_slice(NULL, 0);
}

static int ew_check_chain(struct ew_slice want, struct ew_slice saved,
                          const char *chain, struct ew_buf *why) {
  struct ew_saved_iter iw = {.rest = want}, is = {.rest = saved};
  struct ew_slice w, s;
  for (size_t i = 1;; i++) {
    ew_next_in_chain(&iw, chain, &w);
    ew_next_in_chain(&is, chain, &s);
    if (w.n == 0 && s.n == 0)
      return EW_OK;
    if (w.n && s.n && ew_rule_same(w, s))
      continue;
    if (w.n == 0)
      w = EW_SLICE_LIT("none");
    if (s.n == 0)
      s = EW_SLICE_LIT("none");
    ew_buf_printf(why, "chain %s, rule %zu: expected \"%.*s\", found \"%.*s\"",
                  chain, i, (int)w.n, w.p, s.n > 300 ? 300 : (int)s.n, s.p);
    return EW_ENOENT;
  }
}

int ew_rules_check(const struct ew_rules *r, enum ew_ip ip,
                   struct ew_slice saved, struct ew_buf *why) {
  struct ew_buf want;
  int rc = EW_OK;
  ew_buf_init(&want, EW_INIT_TEXT_MAX);
  ew_buf_append_str(&want, "*nat\n");
  ew_put_chains(r, ip, &want);
  for (size_t i = 0; i < EW_JUMPS && rc == EW_OK; i++)
    rc = ew_check_chain(ew_buf_peek(&want), saved, ew_jumps[i].to, why);
  for (size_t i = 0; i < EW_JUMPS && rc == EW_OK; i++) {
    if (!ew_jump_in_place(saved, i)) {
      ew_buf_printf(why,
                    "chain %s: expected \"%s\" once and no other jump to %s",
                    ew_jumps[i].from, ew_jumps[i].jump, ew_jumps[i].to);
      rc = EW_ENOENT;
    }
  }
  ew_buf_fini(&want);
  return rc;
}
