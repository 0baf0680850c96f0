/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INIT_OPTIONS_H
#define EASTWEST_INIT_OPTIONS_H

#include "init/rules.h"

enum ew_init_mode {
  EW_MODE_APPLY,
  EW_MODE_DRY_RUN,
  EW_MODE_VERIFY,
  EW_MODE_CLEANUP,
  EW_MODE_HELP,
  EW_MODE_VERSION
};

enum ew_ipv6_mode { EW_IPV6_AUTO, EW_IPV6_ON, EW_IPV6_OFF };

struct ew_options {
  enum ew_init_mode mode;
  enum ew_ipv6_mode ipv6;
  struct ew_rules rules;
};

extern const char ew_options_help[];

/* Returns EW_OK, or EW_EINVAL with one line in |why| that names the option,
 * its value and what was expected. */
int ew_options_parse(struct ew_options *o, int argc, char **argv,
                     struct ew_buf *why);

#endif
