/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_STATUS_CONDITIONS_H
#define EASTWEST_CONTROLLER_STATUS_CONDITIONS_H

#include <stdbool.h>

#include <jansson.h>

/* Looking into status.parents[], whoever wrote it: any form is borne. Private
 * to status*.c. */

/* Whether |entry| of status.parents[] was written by this controller. */
bool ew_status_is_ours(const json_t *entry);

/* Our condition of this type about |parent_ref|, or NULL. */
const json_t *ew_status_condition(const json_t *status,
                                  const json_t *parent_ref, const char *type);

/* A member that is text; "" if there is none. */
const char *ew_status_text(const json_t *obj, const char *name);

#endif
