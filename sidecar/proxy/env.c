/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/proxy/env.h"

#include "sidecar/identity.h"
#include "sidecar/policy/pick.h"

uint64_t ew_env_random(struct ew_env *env) { return ew_mix64(&env->random); }

struct ew_tls_ctx *ew_env_tls(struct ew_env *env) {
  return env->identity ? ew_identity_ctx(env->identity) : NULL;
}

void ew_env_count(struct ew_env *env, const char *family, const char *help,
                  const char *label, const char *value) {
  const struct ew_label l = {label, value};
  struct ew_series *s =
      ew_series_ref(env->metrics, EW_COUNTER, family, help, &l, 1);

  ew_series_add(s, 1);
  ew_series_unref(env->metrics, s);
}

void ew_env_count_tls_failure(struct ew_env *env, const char *direction,
                              const char *reason) {
  const struct ew_label l[] = {{"direction", direction}, {"reason", reason}};
  struct ew_series *s =
      ew_series_ref(env->metrics, EW_COUNTER, "eastwest_tls_failures_total",
                    "Failed mesh TLS handshakes.", l, 2);

  ew_series_add(s, 1);
  ew_series_unref(env->metrics, s);
}
