# SPDX-License-Identifier: Apache-2.0
"""What an idle connection costs a proxy: to its app, and TLS between two."""

import json
import subprocess
import sys

from . import measure, report
from .errors import BenchError
from .peers.peer import HOLD
from .processes import words

COUNT = 1000
TEXT = {"idle-plain": f"{COUNT:,} idle HTTP/1.1 connections of clients, at "
                      "the client's proxy",
        "idle-tls": f"{COUNT:,} idle mutual-TLS connections, at the server's "
                    "proxy"}


def _held(netns, said, pids):
    """The memory of |pids| while connections are held."""
    child = subprocess.Popen(
        words(netns, [sys.executable, HOLD, json.dumps(said)]), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if child.stdout.readline() != "open\n":
            raise BenchError("idle connections: " +
                             child.communicate()[1].strip()[-500:])
        return measure.memory(pids)
    finally:
        child.kill()
        child.communicate()


def _row(peer, work, netns, said, pids):
    # The first connection brings what is needed once.
    before = _held(netns, {**said, "count": 1}, pids)
    held = _held(netns, {**said, "count": COUNT}, pids)
    grown = (held.pss - before.pss) * measure.MIB / (COUNT - 1)
    return report.bare(peer.name, work, rss_idle_mib=before.rss,
                       rss_load_mib=held.rss, pss_idle_mib=before.pss,
                       pss_load_mib=held.pss, connections=COUNT,
                       bytes_per_connection=round(grown))


def take(peer):
    """Rows for both kinds; the peer is started anew before each."""
    host, _, port = peer.address("http1").rpartition(":")
    plain = {"host": host, "port": int(port)}
    host, port, name, alpn = peer.tls_target()
    secure = {"host": host, "port": port, "tls": {
        "file": str(peer.tls_files()), "name": name, "alpn": alpn}}
    rows = []
    # TLS comes from a pod without sidecar, which would take it for its own.
    for work, side, netns, said in (
            ("idle-plain", 0, peer.client_netns, plain),
            ("idle-tls", 1, peer.bed.netns("plain", "client"), secure)):
        peer.restart()
        peer.serves()
        rows.append(_row(peer, work, netns, said, peer.sides()[side]))
    return rows
