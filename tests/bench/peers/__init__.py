# SPDX-License-Identifier: Apache-2.0
"""The peers by name, in the order of the tables."""

from .direct import Direct
from .eastwest import Eastwest
from .envoy import EnvoyHttp1, EnvoyHttp2
from .haproxy import HAProxy
from .nghttpx import Nghttpx

PEERS = {peer.name: peer for peer in (
    Direct, Eastwest, HAProxy, Nghttpx, EnvoyHttp1, EnvoyHttp2)}
