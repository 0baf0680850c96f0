/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_NET_LOOP_UV_H
#define EASTWEST_LIB_NET_LOOP_UV_H

#include "eastwest/net/loop.h"

struct uv_loop_s;

struct uv_loop_s *ew_loop_uv(struct ew_loop *l);
/* For the end of a socket's callback: runs the tasks if somebody is in a
 * hurry. */
void ew_loop_callback_done(struct ew_loop *l);

/* A second scratch area, for tls_stream only: what its user writes may itself
 * stand in the loop's scratch. */
#define EW_GATHER_SIZE 16384
char *ew_loop_gather(struct ew_loop *l);

/* A third one, for tls_bio only: records on their way to one system call. Four
 * full ones (RFC 8446 section 5.2: header, type and tag), and a little for
 * messages of the handshake protocol in between. */
#define EW_CIPHER_RECORDS 4
#define EW_CIPHER_SIZE (EW_CIPHER_RECORDS * (16384 + 5 + 1 + 16) + 512)
char *ew_loop_cipher(struct ew_loop *l);

#endif
