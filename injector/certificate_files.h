/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_CERTIFICATE_FILES_H
#define EASTWEST_INJECTOR_CERTIFICATE_FILES_H

#include "eastwest/net/loop.h"
#include "injector/certificate.h"

/* The webhook's certificate in two files that somebody else keeps (cert-manager
 * in a mounted Secret): they are followed. */
struct ew_certificate_files;

/* Never NULL; the files may come later. Paths and |to| must outlive it. */
struct ew_certificate_files *
ew_certificate_files_new(struct ew_loop *loop, const char *cert,
                         const char *key, struct ew_certificate *to);
void ew_certificate_files_del(struct ew_certificate_files *f); /* or NULL */

#endif
