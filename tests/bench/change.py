# SPDX-License-Identifier: Apache-2.0
"""How long after a route is written its first request goes the new way."""

import os
import pathlib
import select
import statistics
import subprocess
import sys
import time

import meshes as m

from . import report
from .bed import wait_for
from .errors import BenchError
from .origin import PORTS
from .processes import run, words

PROBE = pathlib.Path(__file__).resolve().parent / "probe.py"
TIMES = 20
WORK = "route-change"
TEXT = "from writing a route to its first effect, polled every millisecond"
FILE = "change.yaml"


class _Lines:
    """The lines of a child, each awaited with a deadline."""

    def __init__(self, child):
        self._fd, self._rest = child.stdout.fileno(), b""

    def next(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                raise BenchError(f"{WORK}: no effect within {seconds} s")
            data = os.read(self._fd, 4096)
            if not data:
                raise BenchError(f"{WORK}: the probe ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        at, value = line.split()
        return float(at), int(value)


def _write(mesh, version):
    mesh.write(FILE, [m.http_route("mesh", "change", "change", [
        {"backendRefs": [m.backend(f"http1-v{version}",
                                   PORTS["http1"][version - 1])]}])])


def _known(peer, host):
    """Whether the sidecar has the route. What connects before passes through
    untouched, and stays so."""
    run(peer.client_netns, ["curl", "-s", "-m", "5", "-o", "/dev/null",
                            f"http://{host}:{PORTS['http1'][0]}/"], 10)
    return any(d and d.get("name") == "change" and
               d["rules"][0].get("route", {}).get("name") == "change"
               for d in peer.bed.mesh.destinations("mesh/client").values())


def take(peer):
    mesh = peer.bed.mesh
    mesh.write("change-service.yaml", [m.service(
        "mesh", "change", {"app": "server"}, PORTS["http1"][0],
        PORTS["http1"][0], "http")])
    _write(mesh, 1)
    host = peer.service_ip("change")
    wait_for(lambda: _known(peer, host), 10, f"{WORK}: the sidecar's state")
    child = subprocess.Popen(
        words(peer.client_netns, [sys.executable, PROBE, host,
                                  PORTS["http1"][0]]),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        lines, took = _Lines(child), []
        version = lines.next(10)[1]
        for _ in range(TIMES):
            version = 3 - version
            start = time.monotonic()
            _write(mesh, version)
            at, seen = lines.next(10)
            if seen != version:
                raise BenchError(f"{WORK}: version {seen} answered: "
                                 f"expected {version}")
            took.append((at - start) * 1000)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        mesh.remove(FILE)
        mesh.remove("change-service.yaml")
    return [report.bare(peer.name, WORK, effect_ms=statistics.median(took),
                        effect_ms_min=min(took), effect_ms_max=max(took),
                        rounds=TIMES)]
