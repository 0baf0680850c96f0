/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "eastwest/http/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A verdict, once given, stays; 8192 bytes always give one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_slice all = ew_slice((const char *)data, size);
  enum ew_detected last = ew_detect(all);
  EW_BUG_ON(size >= 8192 && last == EW_DETECT_MORE);
  for (size_t n = 0; n < size && n < 600; n++) {
    enum ew_detected d = ew_detect(ew_slice(all.p, n));
    EW_BUG_ON(d != EW_DETECT_MORE && d != last);
  }
  return 0;
}
