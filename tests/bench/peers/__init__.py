# SPDX-License-Identifier: Apache-2.0
"""The peers by name, in the order of the tables."""

from .direct import Direct
from .eastwest import Eastwest
from .envoy import EnvoyHttp1, EnvoyHttp2
from .haproxy import HAProxy
from .nghttpx import Nghttpx
from .relay import Relay, RelayTls

PEERS = {peer.name: peer for peer in (
    Direct, Eastwest, HAProxy, Nghttpx, EnvoyHttp1, EnvoyHttp2, Relay,
    RelayTls)}
# Those that run when nobody says which: what is not a proxy at all is left out.
USUAL = [name for name in PEERS if not issubclass(PEERS[name], Relay)]
