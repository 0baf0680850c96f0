/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/certificate.h"

#include <stdlib.h>
#include <time.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

struct ew_certificate {
  struct ew_tls_ctx *tls;
  struct ew_series *faults, *not_after;
};

struct ew_certificate *ew_certificate_new(struct ew_metrics *m) {
  struct ew_certificate *c = ew_calloc(1, sizeof(*c));

  c->faults =
      ew_series_ref(m, EW_COUNTER, "eastwest_injector_certificate_faults_total",
                    "Certificates that could not be used.", NULL, 0);
  c->not_after = ew_series_ref(
      m, EW_GAUGE, "eastwest_injector_certificate_not_after_seconds",
      "End of the certificate in use, in Unix seconds.", NULL, 0);
  return c;
}

void ew_certificate_del(struct ew_certificate *c) {
  if (!c)
    return;
  ew_tls_ctx_unref(c->tls);
  free(c);
}

void ew_certificate_fault(struct ew_certificate *c, const char *why) {
  ew_series_add(c->faults, 1);
  ew_log(EW_LOG_ERROR, "certificate not usable", "error=%s", why);
}

int ew_certificate_use(struct ew_certificate *c, const char *chain,
                       const char *key) {
  char why[512] = "";
  struct ew_tls_ctx *fresh =
      ew_tls_server_plain_ctx_new(chain, key, why, sizeof(why));

  if (!fresh) {
    ew_certificate_fault(c, why);
    return EW_EINVAL;
  }
  ew_tls_ctx_unref(c->tls);
  c->tls = fresh;
  ew_series_set(c->not_after, ew_tls_ctx_not_after(fresh));
  ew_log(EW_LOG_INFO, "certificate in use", "notAfter=%lld",
         ew_tls_ctx_not_after(fresh));
  return EW_OK;
}

struct ew_tls_ctx *ew_certificate_tls(const struct ew_certificate *c) {
  return c->tls;
}

bool ew_certificate_good(const struct ew_certificate *c) {
  return c->tls && ew_tls_ctx_not_after(c->tls) > (long long)time(NULL);
}
