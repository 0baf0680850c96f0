/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/err.h"
#include "init/apply.h"
#include "init/lock.h"
#include "init/options.h"

#define EW_LOCK_WAIT_MS 30000
#define EW_STATUS_MAX 16384u
#define EW_CAP_NET_ADMIN 12
#define EW_CAP_NET_RAW 13

/* Whether we hold both capabilities that iptables needs. */
static bool ew_has_capabilities(void) {
  char line[256];
  unsigned long long caps = 0;
  FILE *f = fopen("/proc/self/status", "re");
  if (!f)
    return true;
  while (fgets(line, sizeof(line), f))
    if (strncmp(line, "CapEff:", 7) == 0)
      caps = strtoull(line + 7, NULL, 16);
  fclose(f);
  return (caps >> EW_CAP_NET_ADMIN & 1) && (caps >> EW_CAP_NET_RAW & 1);
}

/* What the reader of the last line should do about it. */
static const char *ew_advice(const char *why, enum ew_ip ip) {
  if (!ew_has_capabilities() || strstr(why, "ermission denied") ||
      strstr(why, "not permitted") || strstr(why, "must be root"))
    return "give this container the capabilities NET_ADMIN and NET_RAW "
           "(securityContext.capabilities.add)";
  if (strstr(why, "xtables.lock") || strstr(why, "lock file"))
    return "mount a writable folder (emptyDir) at /run for xtables.lock";
  if (strstr(why, "is not installed"))
    return ip == EW_IPV4 ? "install iptables in the image"
                         : "install ip6tables in the image, or turn IPv6 off "
                           "in the pod (net.ipv6.conf.all.disable_ipv6=1)";
  if (ip == EW_IPV6)
    return "load the kernel module ip6table_nat or nft_chain_nat on the node, "
           "or turn IPv6 off in the pod (net.ipv6.conf.all.disable_ipv6=1)";
  return "load the kernel modules iptable_nat and xt_REDIRECT, or "
         "nft_chain_nat "
         "and nft_compat, on the node";
}

static int ew_fail(struct ew_firewall *f, const char *what,
                   const char *advice) {
  struct ew_buf why;
  ew_buf_init(&why, EW_STATUS_MAX);
  ew_buf_append(&why, ew_buf_peek(&f->why));
  ew_buf_append(&why, ew_slice("", 1));
  const char *text = ew_buf_peek(&why).p;
  fprintf(stderr, "eastwest-init: %s %s: %s. What to do: %s\n",
          ew_ip_name(f->ip), what, text,
          advice ? advice : ew_advice(text, f->ip));
  ew_buf_fini(&why);
  return 1;
}

static int ew_apply(const struct ew_options *o, enum ew_ip ip) {
  struct ew_firewall f;
  int rc = 0;
  ew_firewall_init(&f, ip);
  if (ew_firewall_apply(&f, &o->rules) != EW_OK)
    rc = ew_fail(&f, "cannot be redirected", NULL);
  else if (f.tracked)
    fprintf(stderr,
            "eastwest-init: %s: connections within the pod stay in the table "
            "of conntrack: %.*s\n",
            ew_ip_name(ip), EW_SLICE_FMT(ew_buf_peek(&f.why)));
  if (rc == 0)
    fprintf(stderr,
            "eastwest-init: %s is redirected and verified (%s): inbound to "
            "%u, outbound to %u\n",
            ew_ip_name(ip), ew_firewall_kind(&f), o->rules.inbound_port,
            o->rules.outbound_port);
  ew_firewall_fini(&f);
  return rc;
}

static int ew_dry_run(const struct ew_options *o, enum ew_ip ip) {
  struct ew_firewall f;
  struct ew_buf input;
  ew_firewall_init(&f, ip);
  ew_buf_init(&input, 2 * EW_INIT_INPUT_MAX); /* two transactions */
  if (f.n == 0 || f.denied)
    fprintf(stderr,
            "eastwest-init: %s: the rules in force cannot be read, none are "
            "assumed: %.*s\n",
            ew_ip_name(ip), EW_SLICE_FMT(ew_buf_peek(&f.why)));
  EW_BUG_ON(ew_firewall_plan(&f, &o->rules, &input) != EW_OK);
  printf("# %s\n%.*s", ew_ip_name(ip), EW_SLICE_FMT(ew_buf_peek(&input)));
  ew_buf_fini(&input);
  ew_firewall_fini(&f);
  return 0;
}

static int ew_verify(const struct ew_options *o, enum ew_ip ip) {
  struct ew_firewall f;
  ew_firewall_init(&f, ip);
  int rc = ew_firewall_verify(&f, &o->rules);
  if (rc == EW_ENOENT)
    rc = ew_fail(&f, "rules differ",
                 "run eastwest-init again with these options");
  else if (rc != EW_OK)
    rc = ew_fail(&f, "rules cannot be read", NULL);
  else
    fprintf(stderr, "eastwest-init: %s rules are in place (%s)\n",
            ew_ip_name(ip), ew_firewall_kind(&f));
  ew_firewall_fini(&f);
  return rc;
}

static int ew_cleanup(enum ew_ip ip) {
  struct ew_firewall f;
  int rc = 0;
  ew_firewall_init(&f, ip);
  bool needed = f.n > 0 || ip == EW_IPV4 || ew_ipv6_present();
  if (needed && ew_firewall_cleanup(&f) != EW_OK)
    rc = ew_fail(&f, "rules cannot be removed", NULL);
  else if (needed)
    fprintf(stderr, "eastwest-init: %s: no rules of ours are left\n",
            ew_ip_name(ip));
  ew_firewall_fini(&f);
  return rc;
}

static int ew_one_family(const struct ew_options *o, enum ew_ip ip) {
  switch (o->mode) {
  case EW_MODE_DRY_RUN:
    return ew_dry_run(o, ip);
  case EW_MODE_VERIFY:
    return ew_verify(o, ip);
  case EW_MODE_CLEANUP:
    return ew_cleanup(ip);
  default:
    return ew_apply(o, ip);
  }
}

static bool ew_wants_ipv6(const struct ew_options *o) {
  if (o->mode == EW_MODE_CLEANUP || o->ipv6 == EW_IPV6_ON)
    return true;
  bool present = ew_ipv6_present();
  if (present && o->ipv6 == EW_IPV6_OFF && o->mode == EW_MODE_APPLY)
    fprintf(stderr, "eastwest-init: warning: IPv6 is on in this pod and is "
                    "not redirected (--ipv6 off)\n");
  return present && o->ipv6 == EW_IPV6_AUTO;
}

int main(int argc, char **argv) {
  struct ew_options o;
  struct ew_buf why;
  ew_buf_init(&why, EW_STATUS_MAX);
  if (ew_options_parse(&o, argc, argv, &why) != EW_OK) {
    fprintf(stderr, "eastwest-init: %.*s\n", EW_SLICE_FMT(ew_buf_peek(&why)));
    ew_buf_fini(&why);
    return 2;
  }
  ew_buf_fini(&why);
  if (o.mode == EW_MODE_HELP || o.mode == EW_MODE_VERSION) {
    fputs(o.mode == EW_MODE_HELP ? ew_options_help
                                 : "eastwest-init " EW_VERSION "\n",
          stdout);
    return fflush(stdout) == 0 ? 0 : 1;
  }

  signal(SIGPIPE, SIG_IGN);
  setenv("LC_ALL", "C", 1);
  /* Images without a shell often have no PATH. */
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
         0);
  /* Without the lock it is read-back alone that finds another's change. */
  if ((o.mode == EW_MODE_APPLY || o.mode == EW_MODE_CLEANUP) &&
      ew_lock_take(EW_LOCK_WAIT_MS) != EW_OK)
    fprintf(stderr, "eastwest-init: warning: another run goes on in this "
                    "network namespace\n");
  int rc = ew_one_family(&o, EW_IPV4);
  if (rc == 0 && ew_wants_ipv6(&o))
    rc = ew_one_family(&o, EW_IPV6);
  if (fflush(stdout) != 0)
    rc = 1;
  return rc;
}
