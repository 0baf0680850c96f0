/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_MODEL_DESTINATION_NAMES_H
#define EASTWEST_LIB_MODEL_DESTINATION_NAMES_H

/* The words of the JSON form, in the order of the enums, NULL-terminated. */
extern const char *const ew_protocol_names[];
extern const char *const ew_dest_kind_names[];
extern const char *const ew_match_type_names[];
extern const char *const ew_filter_type_names[];

#endif
