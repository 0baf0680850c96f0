/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_CHUNK_H
#define EASTWEST_BASE_CHUNK_H

#include <stddef.h>

/* Memory of medium size that comes and goes with each request. malloc has fast
 * lists up to 1 KiB only; above, each call merges and splits what is free,
 * which took a tenth of a proxy's time. So a thread keeps a few of each power
 * of two from EW_CHUNK_MIN to EW_CHUNK_MAX at hand (at most 640 KiB in all);
 * other sizes go to malloc. A sanitized build keeps none, so that every use
 * after free is seen. */
#define EW_CHUNK_MIN 2048u
#define EW_CHUNK_MAX 131072u

/* Never NULL. Contents are not cleared. */
void *ew_chunk_take(size_t n);
/* |n| is what |p| was taken with; |p| may be NULL. */
void ew_chunk_give(void *p, size_t n);

#endif
