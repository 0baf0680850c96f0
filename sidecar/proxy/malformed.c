/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/malformed.h"

#include "eastwest/base/log.h"
#include "sidecar/policy/refusal.h"

void ew_malformed_refused(struct ew_env *env, const char *direction,
                          const struct ew_addr *addr, int status,
                          const char *why) {
  char text[EW_ADDR_STR];

  ew_env_count(env, "eastwest_requests_refused_total",
               "Requests that the proxy answered itself.", "reason",
               ew_refusal_name(ew_refusal_from_status(status)));
  ew_log(EW_LOG_INFO, "malformed request refused",
         "direction=%s address=%s status=%d reason=%s", direction,
         ew_addr_str(addr, text), status, why);
}

void ew_malformed_answer(void *arg, struct ew_message *m) {
  (void)arg;
  ew_refusal_mark(m);
}
