/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_HTTP_HTTP2_MEM_H
#define EASTWEST_LIB_HTTP_HTTP2_MEM_H

#include <nghttp2/nghttp2.h>

/* Memory for sessions. Each has a frame buffer of 16 KiB for as long as it
 * lives, of which it touches only the part that its largest frame filled (DATA
 * does not pass through it): in pages of its own the rest costs nothing. NULL:
 * the library's default. */
nghttp2_mem *ew_http2_mem(void);

#endif
