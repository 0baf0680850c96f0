/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INIT_RUN_H
#define EASTWEST_INIT_RUN_H

#include "eastwest/base/buf.h"

/* Runs a program found in PATH, without a shell: |in| is its stdin, its output
 * is appended to |out| and |err|. Output above the maximum of |err| is
 * dropped. Returns the exit status (127: not found), or EW_ELIMIT when |out|
 * is full, EW_ETIMEDOUT after a minute, EW_EIO when it could not be started
 * or was ended by a signal. */
int ew_run(const char *const argv[], struct ew_slice in, struct ew_buf *out,
           struct ew_buf *err);

#endif
