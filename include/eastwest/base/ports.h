/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_PORTS_H
#define EASTWEST_BASE_PORTS_H

/* TCP ports in each pod of the mesh, on which its programs agree. */
enum {
  EW_PORT_ADMIN = 15000,    /* the sidecar's, on loopback addresses only */
  EW_PORT_OUTBOUND = 15001, /* where connections of the pod are redirected */
  EW_PORT_INBOUND = 15006,  /* where connections to the pod are redirected */
  EW_PORT_STATUS = 15020    /* /ready, /live, /probe/PORT and /metrics of the
                               sidecar, for everybody: never redirected */
};

#endif
