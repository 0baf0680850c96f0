# SPDX-License-Identifier: Apache-2.0
"""What a peer is: two proxies in a row, and doors to knock at."""

import json
import pathlib
import sys

from ..bed import HEADER, wait_for
from ..errors import BenchError
from ..origin import PORTS
from ..processes import Process, run, tree

HOLD = pathlib.Path(__file__).resolve().parents[1] / "hold.py"
# Doors of the explicit proxies, the same for all; |base| tells them apart.
DOORS = tuple(PORTS)


class Peer:
    """A pair of proxies. The client's side listens on the client's loopback
    interface; the server's side at the server's address, and delivers to the
    app there."""

    name = None
    # Kinds of door that the peer can serve.
    doors = DOORS
    # Whether it can choose by a header; None: it chooses by weight only.
    by_header = True
    ns = "plain"
    # Ports are |base| + 0..3 at the client, |base| + 10..17 at the server.
    base = None

    def __init__(self, bed):
        self.bed = bed
        self.client_netns = bed.netns(self.ns, "client")
        self.server_netns = bed.netns(self.ns, "server")
        self.server_ip = bed.ip(self.ns, "server")
        self.folder = bed.folder / self.name
        self.folder.mkdir()
        self._parts = []

    def start(self):
        """Starts what is needed; returns before it serves."""
        for side, netns in (("client", self.client_netns),
                            ("server", self.server_netns)):
            argv = self.command(side)
            self._parts.append(Process(netns, argv,
                                       self.folder / f"{side}.log"))

    def command(self, side):
        """The words that start one of the two proxies."""
        raise NotImplementedError

    def stop(self):
        for part in self._parts:
            part.stop()

    def restart(self):
        """Fresh processes, with the memory of fresh processes."""
        self.stop()
        self._parts.clear()
        self.start()

    def serves(self):
        """Waits until the whole way works, and shows that the header of the
        route is obeyed where the peer can."""
        def once():
            self.check()
            return run(self.client_netns, [
                "curl", "-sS", "--fail-with-body", "-m", "5", "-i",
                "-H", "Host: http1", "-H", ": ".join(HEADER),
                f"http://{self.address('http1')}/"], 10)
        found = wait_for(once, 20, f"{self.name}: a first answer")
        wanted = 2 if self.by_header else 1
        if self.by_header is not None and f"\napp: {wanted}" not in found:
            raise BenchError(f"{self.name}: expected version {wanted} of the "
                             f"app:\n{found[:300]}")

    def verifies(self):
        """Shows that the server's proxy lets nobody in without certificate."""
        host, port, name, alpn = self.tls_target()
        said = {"host": host, "port": port, "count": 1,
                "tls": {"file": None, "name": name, "alpn": alpn}}
        try:
            run(self.bed.netns("plain", "client"),
                [sys.executable, HOLD, json.dumps(said)], 10)
        except BenchError as error:
            if "refused: " in str(error):
                return
            raise
        raise BenchError(f"{self.name}: a client without certificate was "
                         "answered")

    def tls_target(self):
        """Where the server's proxy takes mutual TLS: (host, port, a name for
        SNI, protocols for ALPN)."""
        return (self.server_ip, self.inner_port("http1", 1), "server.bench",
                [])

    def tls_files(self):
        """The client's certificate with key."""
        return self.bed.certs / "client.pem"

    def check(self):
        for part in self._parts:
            part.check()

    def address(self, door):
        """host:port that the client connects to."""
        return f"127.0.0.1:{self.door_port(door)}"

    def door_port(self, door):
        return self.base + DOORS.index(door)

    def inner_port(self, door, version):
        """The port of the server's proxy in front of that app."""
        return self.base + 10 + 2 * DOORS.index(door) + version - 1

    def sides(self):
        """The processes of the client's and of the server's proxy."""
        return [tree(part.pid) for part in self._parts]

    def version(self):
        """What ran, for the report."""
        raise NotImplementedError
