# SPDX-License-Identifier: Apache-2.0
"""No proxy: the client talks to version 1 of the app."""

from ..origin import PORTS
from .peer import Peer


class Direct(Peer):
    name = "direct"
    by_header = False

    def start(self):
        pass

    def verifies(self):
        """There is nobody who could."""

    def address(self, door):
        return f"{self.server_ip}:{PORTS[door][0]}"

    def version(self):
        return "no proxy"
