/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "eastwest/base/err.h"
#include "eastwest/base/log.h"
#include "injector/server.h"

static void on_signal(void *arg, int signum) {
  (void)signum;
  ew_loop_stop(arg);
}

int main(int argc, char **argv) {
  struct ew_injector_config config;
  struct ew_injector *injector;
  struct ew_loop *loop;

  ew_injector_config_parse(&config, argc, argv);
  signal(SIGPIPE, SIG_IGN);
#ifndef __SANITIZE_ADDRESS__
  /* The private key stays out of core dumps. The leak checker needs the reach
   * that this takes away. */
  prctl(PR_SET_DUMPABLE, 0);
#endif
  loop = ew_loop_new();
  if (!loop) {
    fprintf(stderr, "eastwest-injector: no event loop: out of descriptors\n");
    return 1;
  }
  ew_loop_signal(loop, SIGTERM, on_signal, loop);
  ew_loop_signal(loop, SIGINT, on_signal, loop);
  injector = ew_injector_new(loop, &config);
  if (injector) {
    ew_log(EW_LOG_INFO, "injector started", "version=%s image=%s controller=%s",
           EW_VERSION, config.inject.defaults.v[EW_POD_IMAGE],
           config.inject.controller);
    ew_loop_run(loop);
  }
  ew_injector_del(injector);
  ew_loop_del(loop);
  ew_injector_config_fini(&config);
  return injector ? 0 : 1;
}
