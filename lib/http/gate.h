/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_LIB_HTTP_GATE_H
#define EASTWEST_LIB_HTTP_GATE_H

#include "eastwest/http/message.h"

/* host [":" port], no userinfo; not empty. */
bool ew_gate_authority(struct ew_slice s);
/* Whether a field may stand in trailers; |name| is lowercase. */
bool ew_gate_trailer(struct ew_slice name);
/* Takes out of received trailers what must not stand there. */
void ew_gate_trailers(struct ew_message *trailers);

#endif
