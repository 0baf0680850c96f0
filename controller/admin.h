/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_ADMIN_H
#define EASTWEST_CONTROLLER_ADMIN_H

#include "eastwest/base/metrics.h"
#include "eastwest/net/addr.h"
#include "eastwest/net/loop.h"

/* GET /metrics, /ready and /live in plain text. Nothing can be changed here. */
struct ew_controller_admin;

/* |measure| is called before metrics are read, to set gauges. NULL after an
 * error in the log. */
struct ew_controller_admin *ew_controller_admin_new(struct ew_loop *loop,
                                                    const struct ew_addr *at,
                                                    struct ew_metrics *metrics,
                                                    void (*measure)(void *arg),
                                                    void *arg);
void ew_controller_admin_del(struct ew_controller_admin *a); /* or NULL */
/* Not ready before this. */
void ew_controller_admin_ready(struct ew_controller_admin *a);

#endif
