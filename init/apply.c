/* SPDX-License-Identifier: Apache-2.0 */
#include "init/apply.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "eastwest/base/err.h"
#include "init/run.h"

#define EW_APPLY_TRIES 3
#define EW_WHY_MAX 4096u

static bool ew_contains(struct ew_slice s, const char *what) {
  return s.n && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static bool ew_is_denied(struct ew_slice s) {
  return ew_contains(s, "ermission denied") || ew_contains(s, "must be root") ||
         ew_contains(s, "not permitted");
}

/* Adds what a program wrote to stderr, as one line, to |f->why|. */
static void ew_blame(struct ew_firewall *f, const char *program, int rc,
                     const struct ew_buf *err) {
  struct ew_slice rest = ew_buf_peek(err), first = {NULL, 0};
  while (rest.n && first.n == 0)
    first = ew_slice_trim(ew_slice_cut(&rest, '\n'));
  if (first.n > 300)
    first.n = 300;
  if (ew_buf_len(&f->why))
    ew_buf_append_str(&f->why, "; ");
  if (rc == 127)
    ew_buf_printf(&f->why, "%s is not installed", program);
  else if (rc < 0)
    ew_buf_printf(&f->why, "%s: %s", program, ew_strerror(rc));
  else
    ew_buf_printf(&f->why, "%s: exit status %d: %.*s", program, rc,
                  EW_SLICE_FMT(first));
}

/* Reads the rules in force into |v|. */
static int ew_variant_read(struct ew_firewall *f, struct ew_variant *v) {
  /* Without -t: a legacy save of a named table would load its module. */
  const char *const argv[] = {v->save, NULL};
  struct ew_buf err;
  ew_buf_init(&err, EW_WHY_MAX);
  ew_buf_consume(&v->saved, ew_buf_len(&v->saved));
  int rc = ew_run(argv, ew_slice(NULL, 0), &v->saved, &err);
  if (rc != 0) {
    ew_blame(f, v->save, rc, &err);
    f->denied |= ew_is_denied(ew_buf_peek(&err));
  }
  ew_buf_fini(&err);
  v->rules = ew_rules_count(ew_buf_peek(&v->saved), &v->ours);
  return rc == 0 ? EW_OK : EW_EIO;
}

static int ew_variant_restore(struct ew_firewall *f, struct ew_variant *v,
                              struct ew_slice input) {
  /* nft has no lock to wait for. */
  const char *const argv[] = {v->restore, "--noflush", v->legacy ? "-w" : NULL,
                              "30", NULL};
  struct ew_buf out, err;
  ew_buf_init(&out, EW_WHY_MAX);
  ew_buf_init(&err, EW_WHY_MAX);
  int rc = ew_run(argv, input, &out, &err);
  if (rc != 0)
    ew_blame(f, v->restore, rc, &err);
  ew_buf_fini(&out);
  ew_buf_fini(&err);
  return rc == 0 ? EW_OK : EW_EIO;
}

/* Fills |v| for a suffix. Returns EW_ENOENT when it is not there, is the same
 * as one found before, or cannot be read. */
static int ew_variant_init(struct ew_firewall *f, struct ew_variant *v,
                           const char *suffix) {
  const char *base = f->ip == EW_IPV4 ? "iptables" : "ip6tables";
  struct ew_buf out, err;
  *v = (struct ew_variant){.legacy = false};
  snprintf(v->restore, sizeof(v->restore), "%s%s-restore", base, suffix);
  snprintf(v->save, sizeof(v->save), "%s%s-save", base, suffix);
  ew_buf_init(&v->saved, EW_INIT_SAVED_MAX);

  const char *const argv[] = {v->restore, "--version", NULL};
  ew_buf_init(&out, EW_WHY_MAX);
  ew_buf_init(&err, EW_WHY_MAX);
  int rc = ew_run(argv, ew_slice(NULL, 0), &out, &err);
  /* Versions before 1.8 say nothing and are legacy. */
  v->legacy = !ew_contains(ew_buf_peek(&out), "nf_tables");
  if (rc != 0 && rc != 127)
    ew_blame(f, v->restore, rc, &err);
  ew_buf_fini(&out);
  ew_buf_fini(&err);
  if (rc != 0)
    return EW_ENOENT;
  for (size_t i = 0; i < f->n; i++)
    if (f->v[i].legacy == v->legacy)
      return EW_ENOENT;
  if (ew_variant_read(f, v) != EW_OK) {
    ew_buf_fini(&v->saved);
    return EW_ENOENT;
  }
  return EW_OK;
}

/* Where rules of ours are, there ours go; else where rules are at all: a
 * second variant beside one in use would be evaluated in an order that nobody
 * chose. */
static int ew_variant_rank(const struct ew_variant *v) {
  return v->ours ? 3 : v->rules ? 2 : v->legacy ? 0 : 1;
}

void ew_firewall_init(struct ew_firewall *f, enum ew_ip ip) {
  static const char *const suffixes[EW_VARIANTS] = {"-nft", "-legacy", ""};
  *f = (struct ew_firewall){.ip = ip};
  ew_buf_init(&f->why, EW_WHY_MAX);
  for (size_t i = 0; i < EW_VARIANTS; i++) {
    struct ew_variant v;
    if (ew_variant_init(f, &v, suffixes[i]) != EW_OK)
      continue;
    size_t at = f->n++;
    for (; at && ew_variant_rank(&f->v[at - 1]) < ew_variant_rank(&v); at--)
      f->v[at] = f->v[at - 1];
    f->v[at] = v;
  }
  if (f->n == 0 && ew_buf_len(&f->why) == 0)
    ew_buf_printf(&f->why, "%s is not installed",
                  ip == EW_IPV4 ? "iptables" : "ip6tables");
}

void ew_firewall_fini(struct ew_firewall *f) {
  for (size_t i = 0; i < f->n; i++)
    ew_buf_fini(&f->v[i].saved);
  ew_buf_fini(&f->why);
}

const char *ew_firewall_kind(const struct ew_firewall *f) {
  return f->n && f->v[0].legacy ? "legacy" : "nft";
}

static void ew_clear(struct ew_buf *b) { ew_buf_consume(b, ew_buf_len(b)); }

int ew_firewall_plan(struct ew_firewall *f, const struct ew_rules *r,
                     struct ew_buf *out) {
  struct ew_slice saved = {NULL, 0};
  if (f->n)
    saved = ew_buf_peek(&f->v[0].saved);
  int rc = ew_rules_install(r, f->ip, saved, out);
  return rc == EW_OK ? ew_rules_untrack(f->ip, saved, out) : rc;
}

/* Another program may change the rules between our reading and our writing;
 * the read-back finds that, and the next try starts from what is there. */
static int ew_variant_apply(struct ew_firewall *f, struct ew_variant *v,
                            const struct ew_rules *r) {
  struct ew_buf input;
  int rc = EW_EIO;
  ew_buf_init(&input, EW_INIT_INPUT_MAX);
  for (int i = 0; i < EW_APPLY_TRIES && rc != EW_OK; i++) {
    ew_clear(&input);
    ew_clear(&f->why);
    rc = ew_rules_install(r, f->ip, ew_buf_peek(&v->saved), &input);
    EW_BUG_ON(rc != EW_OK);
    rc = ew_variant_restore(f, v, ew_buf_peek(&input));
    if (ew_variant_read(f, v) != EW_OK)
      rc = EW_EIO;
    else if (rc == EW_OK)
      rc = ew_rules_check(r, f->ip, ew_buf_peek(&v->saved), &f->why);
  }
  ew_buf_fini(&input);
  return rc == EW_OK ? EW_OK : EW_EIO;
}

/* A kernel without the raw table costs speed, nothing else. */
static void ew_variant_untrack(struct ew_firewall *f, struct ew_variant *v) {
  struct ew_buf input;
  ew_buf_init(&input, EW_INIT_INPUT_MAX);
  ew_clear(&f->why);
  EW_BUG_ON(ew_rules_untrack(f->ip, ew_buf_peek(&v->saved), &input) != EW_OK);
  f->tracked = ew_buf_len(&input) > 0 &&
               ew_variant_restore(f, v, ew_buf_peek(&input)) != EW_OK;
  ew_buf_fini(&input);
}

static int ew_variant_clean(struct ew_firewall *f, struct ew_variant *v) {
  struct ew_buf input;
  int rc = EW_EIO;
  ew_buf_init(&input, EW_INIT_INPUT_MAX);
  for (int i = 0; i < EW_APPLY_TRIES; i++) {
    ew_clear(&input);
    rc = ew_rules_remove(f->ip, ew_buf_peek(&v->saved), &input);
    EW_BUG_ON(rc != EW_OK);
    if (ew_buf_len(&input) == 0)
      break;
    ew_clear(&f->why);
    rc = ew_variant_restore(f, v, ew_buf_peek(&input));
    if (ew_variant_read(f, v) != EW_OK)
      rc = EW_EIO;
  }
  ew_buf_fini(&input);
  return rc;
}

int ew_firewall_apply(struct ew_firewall *f, const struct ew_rules *r) {
  /* The transaction itself proves that a variant works here: it is all or
   * nothing, and uses exactly what is needed of the kernel. */
  size_t used = 0;
  while (used < f->n && ew_variant_apply(f, &f->v[used], r) != EW_OK)
    used++;
  if (used == f->n)
    return EW_EIO;
  struct ew_variant v = f->v[used];
  f->v[used] = f->v[0];
  f->v[0] = v;
  /* What an earlier run left in another variant would redirect as well. */
  for (size_t i = 1; i < f->n; i++)
    if (f->v[i].ours && ew_variant_clean(f, &f->v[i]) != EW_OK)
      return EW_EIO;
  ew_variant_untrack(f, &f->v[0]);
  return EW_OK;
}

int ew_firewall_verify(struct ew_firewall *f, const struct ew_rules *r) {
  if (f->n == 0 || (f->denied && f->v[0].ours == 0))
    return EW_EIO;
  ew_clear(&f->why);
  return ew_rules_check(r, f->ip, ew_buf_peek(&f->v[0].saved), &f->why);
}

int ew_firewall_cleanup(struct ew_firewall *f) {
  if (f->n == 0 || f->denied)
    return EW_EIO;
  int rc = EW_OK;
  for (size_t i = 0; i < f->n; i++)
    if (ew_variant_clean(f, &f->v[i]) != EW_OK)
      rc = EW_EIO;
  return rc;
}

/* The first byte of a file, 0 when it is empty or not there. */
static char ew_first_byte(const char *path) {
  char c = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  if (read(fd, &c, 1) != 1)
    c = 0;
  close(fd);
  return c;
}

bool ew_ipv6_present(void) {
  return ew_first_byte("/proc/net/if_inet6") != 0 ||
         ew_first_byte("/proc/sys/net/ipv6/conf/all/disable_ipv6") == '0';
}
