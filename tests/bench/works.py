# SPDX-License-Identifier: Apache-2.0
"""The kinds of work, each the same for all peers."""

import dataclasses

from . import load


@dataclasses.dataclass
class Work:
    name: str
    text: str
    door: str
    # (peer, seconds) -> load.Load
    run: object
    # Part of --quick?
    quick: bool = False


def _http1(path, connections, closing=False):
    def run(peer, seconds):
        return load.wrk(peer.client_netns, peer.address("http1"), path,
                        "http1", connections, seconds, closing)
    return run


WORKS = [
    Work("http1-1k-32", "HTTP/1.1, 1 KB, 32 connections", "http1",
         _http1("/", 32), quick=True),
]
