/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_TOKENS_H
#define EASTWEST_CONTROLLER_TOKENS_H

#include "controller/authenticator.h"

/* Who a token belongs to where there is no Kubernetes to ask: a file
 * {"tokens":[{"token","namespace","serviceAccount","pod"}]}. It is read again
 * when it changed; a faulty one changes nothing and is told in the log. */
struct ew_tokens;

/* |path| is copied; the file may come later. */
struct ew_tokens *ew_tokens_new(const char *path);
void ew_tokens_del(struct ew_tokens *t); /* NULL is allowed */
/* Answers within the call. Lives as long as |t|. */
struct ew_authenticator *ew_tokens_authenticator(struct ew_tokens *t);

#endif
