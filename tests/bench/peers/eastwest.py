# SPDX-License-Identifier: Apache-2.0
"""Two sidecars as pods have them: redirected, told by the controller."""

import json
import subprocess

from meshes import BIN

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
        return f"{self._service_ip(door)}:{PORTS[door][0]}"

    def _service_ip(self, door):
        path = self.bed.mesh.state / "objects" / f"Service_mesh_{door}.json"
        return json.loads(path.read_text())["spec"]["clusterIP"]

    def sides(self):
        # Each stands below the process 1 of its container.
        return [tree(self._container(pod)["pid"])[1:]
                for pod in ("client", "server")]

    def _container(self, pod):
        return next(c for c in self.bed.pod("mesh", pod)["containers"]
                    if c["name"] == "eastwest-sidecar")

    def version(self):
        return subprocess.run([f"{BIN}/eastwest-sidecar", "--version"],
                              capture_output=True, text=True,
                              check=False).stdout.strip() or "eastwest"
