/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_OBJECTS_READ_H
#define EASTWEST_CONTROLLER_OBJECTS_READ_H

#include "controller/objects.h"
#include "eastwest/model/json_read.h"

/* Fills |o->u| from the JSON of an object whose head is read already. Faults go
 * to |r|. Private to objects*.c. */
void ew_object_read(struct ew_jr *r, const struct ew_jv *root,
                    struct ew_object *o);

/* The canonical spelling of an address; false if |s| is none. */
#define EW_IP_TEXT 46
bool ew_ip_canonical(const char *s, char out[EW_IP_TEXT]);

#endif
