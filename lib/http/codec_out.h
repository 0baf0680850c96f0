/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_HTTP_CODEC_OUT_H
#define EASTWEST_LIB_HTTP_CODEC_OUT_H

#include "eastwest/http/codec.h"

/* From here on a copy costs more than a system call. */
#define EW_DIRECT_MIN 16384

/* Body bytes as what follows |out|: many go to the transport now, without a
 * copy; what it does not take, and few, into |out|, which must have room for
 * all of |bytes|. Returns how many bytes went to the transport. */
size_t ew_codec_put_body(struct ew_codec *c, struct ew_slice bytes);

#endif
