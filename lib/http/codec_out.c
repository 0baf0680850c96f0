/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/codec_out.h"

#include "eastwest/base/alloc.h"

size_t ew_codec_put_body(struct ew_codec *c, struct ew_slice bytes) {
  size_t n = 0;

  EW_BUG_ON(ew_buf_room(&c->out) < bytes.n);
  if (bytes.n >= EW_DIRECT_MIN && c->write_through)
    n = c->write_through(c->write_through_arg, bytes);
  (void)ew_buf_append(&c->out, ew_slice(bytes.p + n, bytes.n - n));
  return n;
}
