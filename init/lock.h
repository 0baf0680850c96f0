/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INIT_LOCK_H
#define EASTWEST_INIT_LOCK_H

/* Keeps two runs in one network namespace apart: one reads while the other
 * writes, and both would add a jump. Waits up to |wait_ms|; held until the
 * process ends, however it ends. Returns EW_OK, EW_ETIMEDOUT or EW_EIO. */
int ew_lock_take(int wait_ms);

#endif
