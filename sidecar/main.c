/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "eastwest/net/tls_mem.h"
#include "sidecar/admin.h"
#include "sidecar/config.h"
#include "sidecar/worker.h"

/* Static: whatever is still open at exit stays reachable. */
static struct ew_config config;
static struct ew_worker worker;

static void on_term(void *arg, int signum) {
  (void)signum;
  ew_worker_drain(arg);
}

static void raise_descriptor_limit(void) {
  struct rlimit r;

  if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
  }
}

int main(int argc, char **argv) {
  struct ew_loop *loop;

  ew_config_parse(&config, argc, argv);
  if (config.has_get)
    return ew_get_run(&config.get, config.wait_s);
  signal(SIGPIPE, SIG_IGN);
#ifndef __SANITIZE_ADDRESS__
  (void)ew_tls_mem_init();
  /* The private key stays out of core dumps and of other processes' reach. The
   * leak checker needs that reach. */
  prctl(PR_SET_DUMPABLE, 0);
#endif
  raise_descriptor_limit();
  loop = ew_loop_new();
  if (!loop) {
    fprintf(stderr, "eastwest-sidecar: no event loop: out of descriptors\n");
    return 1;
  }
  if (ew_worker_init(&worker, loop, &config) != EW_OK)
    return 1;
  if (!ew_admin_new(&worker))
    return 1;
  ew_loop_signal(loop, SIGTERM, on_term, &worker);
  ew_loop_signal(loop, SIGINT, on_term, &worker);
  ew_log(EW_LOG_INFO, "sidecar started", "version=%s namespace=%s pod=%s",
         EW_VERSION, config.namespace_, config.pod);
  ew_loop_run(loop);
  return 0;
}
