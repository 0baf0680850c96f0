/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_CHUNK_H
#define EASTWEST_BASE_CHUNK_H

#include <stddef.h>

/* Memory that comes and goes with each request. malloc has fast lists up to
 * 1 KiB only; above, each call merges and splits what is free, which took a
 * tenth of a proxy's time; and below, this takes a fourth of its instructions.
 * So a thread keeps a few of each power of two from 256 bytes to EW_CHUNK_MAX
 * at hand (at most 720 KiB in all). What is smaller than EW_CHUNK_MIN is
 * rounded up; other sizes above it go to malloc. A sanitized build keeps none,
 * so that every use after free is seen. */
#define EW_CHUNK_MIN 2048u
#define EW_CHUNK_MAX 131072u

/* Never NULL. Contents are not cleared. */
void *ew_chunk_take(size_t n);
/* The same, with zeros. */
void *ew_chunk_take_clear(size_t n);
/* |n| is what |p| was taken with; |p| may be NULL. */
void ew_chunk_give(void *p, size_t n);

#endif
