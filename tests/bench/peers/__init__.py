# SPDX-License-Identifier: Apache-2.0
"""The peers by name, in the order of the tables."""

from .direct import Direct
from .eastwest import Eastwest
from .envoy import EnvoyHttp1, EnvoyHttp2
from .haproxy import HAProxy
from .nghttpx import Nghttpx
from .relay import Relay

PEERS = {peer.name: peer for peer in (
    Direct, Eastwest, HAProxy, Nghttpx, EnvoyHttp1, EnvoyHttp2, Relay)}
# Those that run when nobody says which.
USUAL = [name for name in PEERS if name != Relay.name]
