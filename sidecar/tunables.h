/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_TUNABLES_H
#define SIDECAR_TUNABLES_H

/* Makes the process start once more with what glibc's malloc is to be told: it
 * reads that before main, and only from the environment. A GLIBC_TUNABLES that
 * is set already stays as it is. Returns in the second start, and where the
 * program can't be started again. */
void ew_tunables_apply(char **argv);

#endif
