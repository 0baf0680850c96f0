# SPDX-License-Identifier: Apache-2.0
"""No proxies, but two hops: what these cost the kernel, and with mutual TLS
between them OpenSSL. See relay.c."""

from .. import install
from ..origin import PORTS
from .peer import DOORS, Peer


class Relay(Peer):
    name = "relay"
    base = 26000
    by_header = False
    tls = False

    def verifies(self):
        """It verifies nobody: it is a floor, not a proxy."""

    def command(self, side):
        argv = [install.relay()]
        if self.tls:
            argv += ["--connect" if side == "client" else "--accept",
                     self.bed.certs / f"{side}.pem", self.bed.certs / "ca.pem"]
        for door in DOORS:
            inner = self.inner_port(door, 1)
            argv += ["127.0.0.1", self.door_port(door), self.server_ip, inner] \
                if side == "client" else \
                [self.server_ip, inner, self.server_ip, PORTS[door][0]]
        return argv

    def version(self):
        return f"{self.name}: one read and one write a hop"


class RelayTls(Relay):
    name = "relay-tls"
    base = 28000
    tls = True
    verifies = Peer.verifies
