/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_NET_TLS_MEM_H
#define EASTWEST_NET_TLS_MEM_H

#include <stdbool.h>

/* Gives OpenSSL's record buffers (16 KiB and a bit, one or two for each record
 * that is read or written, freed right after it) an area of their own. In the
 * heap they leave holes between what lives as long as its connection: with
 * 1,000 connections more than half of the heap was such holes. Pages are taken
 * when they are first used.
 *
 * To be called before anything else of OpenSSL, in programs with one thread
 * that uses it. Returns false if OpenSSL has allocated already: then nothing
 * changes. */
bool ew_tls_mem_init(void);

#endif
