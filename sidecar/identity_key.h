/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDECAR_IDENTITY_KEY_H
#define SIDECAR_IDENTITY_KEY_H

#include <stddef.h>

/* A new P-256 key and a signing request for it with an empty subject, both PEM.
 * Wipe the key with ew_identity_key_del. NULL if the library fails. */
char *ew_identity_key_new(char **csr_pem);
void ew_identity_key_del(char *key_pem); /* NULL is allowed */

#endif
