# SPDX-License-Identifier: Apache-2.0
"""Two sidecars as pods have them: redirected, told by the controller."""

import json
import os
import signal
import subprocess

from meshes import BIN

from .. import certs
from ..bed import wait_for
from ..origin import PORTS
from ..processes import tree
from .peer import Peer


class Eastwest(Peer):
    name = "eastwest"
    ns = "mesh"

    def start(self):
        pass

    def address(self, door):
        # The address of the Service: no pod has it, the sidecar takes it.
        return f"{self.service_ip(door)}:{PORTS[door][0]}"

    def service_ip(self, name):
        path = self.bed.mesh.state / "objects" / f"Service_mesh_{name}.json"
        return wait_for(
            lambda: json.loads(path.read_text())["spec"]["clusterIP"], 10,
            f"an address for Service {name}")

    def restart(self):
        """The containers' supervisor starts them anew, as a kubelet would."""
        before = self.sides()
        for pid in [pid for side in before for pid in side]:
            os.kill(pid, signal.SIGKILL)

        def anew():
            now = self.sides()
            return all(now) and not any(
                set(a) & set(b) for a, b in zip(now, before)) and \
                all(self.bed.pod("mesh", pod)["is_ready"]
                    for pod in ("client", "server"))
        wait_for(anew, 30, "eastwest: new sidecars")

    def tls_target(self):
        return self.server_ip, PORTS["http1"][0], "", ["eastwest/http1"]

    def tls_files(self):
        """A certificate as the controller would sign for the client."""
        path = self.folder / "client.pem"
        if not path.exists():
            folder = self.bed.mesh.state / "ca"
            authority = certs.Authority((folder / "ca.crt").read_bytes(),
                                        (folder / "ca.key").read_bytes())
            path.write_bytes(b"".join(authority.issue(
                "spiffe://cluster.local/ns/mesh/sa/client")))
        return path

    def controller(self):
        """The processes of the controller."""
        return tree(self.bed.controller())

    def sides(self):
        # Each stands below the process 1 of its container.
        found = []
        for pod in ("client", "server"):
            top = self._container(pod)["pid"]
            found.append(tree(top)[1:] if top else [])
        return found

    def _container(self, pod):
        return next(c for c in self.bed.pod("mesh", pod)["containers"]
                    if c["name"] == "eastwest-sidecar")

    def version(self):
        return subprocess.run([f"{BIN}/eastwest-sidecar", "--version"],
                              capture_output=True, text=True,
                              check=False).stdout.strip() or "eastwest"
