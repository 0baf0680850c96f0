# SPDX-License-Identifier: Apache-2.0
"""The test bed: one local mesh with two pairs of pods, client and server.

The pods of namespace `mesh` have sidecars, with the redirection that
eastwest-init makes. Those of namespace `plain` have none: there the peers run,
and there direct requests go. All pods are joined the same way, over the
mesh's hub.
"""

import pathlib
import resource
import shutil
import signal
import tempfile
import time

import meshes as m
from localmesh.state import State, request

from . import certs
from .errors import BenchError
from .origin import PORTS, Origin

NAMESPACES = ("plain", "mesh")
WEIGHTS = (90, 10)
HEADER = ("x-version", "v2")


def backends(name):
    return [m.backend(f"{name}-v{i}", PORTS[name][i - 1], weight=w)
            for i, w in enumerate(WEIGHTS, 1)]


def rules(name):
    """By header to version 2, the rest by weight: what every peer does."""
    header = [{"type": "Exact", "name": HEADER[0], "value": HEADER[1]}]
    return [{"matches": [{"headers": header}],
             "backendRefs": [m.backend(f"{name}-v2", PORTS[name][1])]},
            {"backendRefs": backends(name)}]


def manifests():
    found = []
    for ns in NAMESPACES:
        found += [m.namespace(ns, ns == "mesh"),
                  m.pod(ns, "client", account="client"),
                  m.pod(ns, "server", account="server",
                        labels={"app": "server"})]
    for name, ports in PORTS.items():
        protocol = {"http2": "kubernetes.io/h2c", "grpc": "grpc",
                    "tcp": "tcp", "http1": "http"}[name]
        versions = [(f"{name}-v{i}", port) for i, port in
                    enumerate(ports, 1) if len(ports) > 1]
        for part, port in [(name, ports[0]), *versions]:
            found.append(m.service("mesh", part, {"app": "server"}, port, port,
                                   protocol))
        if not versions:
            continue
        kind = "GRPCRoute" if name == "grpc" else "HTTPRoute"
        found.append(m.route(kind, "mesh", name, name, rules(name)))
    return found


def wait_for(condition, seconds, what):
    """Polls until it gives something true; an OSError is a no."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            found = condition()
            if found:
                return found
        except (OSError, BenchError) as error:
            last = error
        time.sleep(0.02)
    raise BenchError(f"{what}: not within {seconds} s" +
                     (f"; last: {last}" if last else ""))


class Bed:
    """Use as a context manager."""

    def __init__(self, name, keep=False):
        # For all that is started from here: a thousand connections each.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._keep = keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eastwest-bench."))
        self.mesh = m.Mesh(name, self.folder / "manifests")
        self.certs = certs.write(self.folder / "certs")
        self._origins = []

    def __enter__(self):
        try:
            self.mesh.write("bench.yaml", manifests())
            self.mesh.up()
            for ns in NAMESPACES:
                self._origins.append(Origin(self.netns(ns, "server"),
                                            self.folder / f"origin-{ns}"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        # A second Ctrl-C must not keep us from clearing up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for origin in self._origins:
            origin.stop()
        self.mesh.down()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def check(self):
        for origin in self._origins:
            origin.check()

    # What the peers need to know.

    def controller(self):
        """The id of the controller's process."""
        return request(State(self.mesh.name), {"request": "status"})[
            "controller"]

    def pod(self, ns, name):
        return self.mesh.pod(f"{ns}/{name}")

    def netns(self, ns, name):
        return self.pod(ns, name)["netns"]

    def ip(self, ns, name):
        return self.pod(ns, name)["ips"][0]
