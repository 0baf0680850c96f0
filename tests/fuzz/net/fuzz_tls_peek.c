/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "eastwest/base/err.h"
#include "eastwest/net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_slice in = {(const char *)data, size}, sni, part;
  bool mesh;
  int rc = ew_tls_peek(in, &mesh, &sni);

  EW_BUG_ON(rc != EW_OK && rc != EW_EAGAIN && rc != EW_EINVAL);
  EW_BUG_ON(rc != EW_OK && (mesh || sni.n > 0));
  EW_BUG_ON(sni.n > 0 && (sni.p < in.p || sni.p + sni.n > in.p + in.n));
  EW_BUG_ON(rc == EW_EAGAIN && size >= 16384);
  /* A beginning of something good is never refused. */
  if (rc == EW_OK) {
    part = ew_slice(in.p, size / 2);
    EW_BUG_ON(ew_tls_peek(part, &mesh, &sni) == EW_EINVAL);
  }
  return 0;
}
