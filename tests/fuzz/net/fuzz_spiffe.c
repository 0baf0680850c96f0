/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "eastwest/base/err.h"
#include "eastwest/net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_slice id = {(const char *)data, size};
  static const char begin[] = "spiffe://cluster.local/";

  if (ew_spiffe_check(id, "cluster.local") != EW_OK)
    return 0;
  EW_BUG_ON(size > 2048 || size < sizeof(begin));
  EW_BUG_ON(memcmp(data, begin, sizeof(begin) - 1) != 0);
  for (size_t i = 0; i < size; i++)
    EW_BUG_ON(data[i] <= ' ' || data[i] >= 0x7f || strchr("?#%@\\", data[i]));
  EW_BUG_ON(data[size - 1] == '/');
  return 0;
}
