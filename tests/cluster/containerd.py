# SPDX-License-Identifier: Apache-2.0
"""The container runtime: its configuration, and images for it."""

import os
import socket
import subprocess

from . import build, images, network
from .namespaces import nsenter
from .state import CACHE, ClusterError

SOCKET = "/run/containerd/containerd.sock"
CRI = "plugins.'io.containerd.grpc.v1.cri'"

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc ends with "can't get
# final child's PID from pipe: EOF".
CONFIG = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{socket}"
[{cri}]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
[{cri}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def prepare(state):
    os.makedirs(state.path("config", "cni"))
    state.write("config", "cni", "10-cluster.conflist", text=network.cni())
    state.write("config", "containerd.toml", text=CONFIG.format(
        socket=SOCKET, cri=CRI, pause=build.PAUSE_IMAGE,
        cni=state.path("config", "cni")))


def start(state, start_component):
    keeper = state.pid("keeper")

    def ready():
        # Its /run is the keeper's, not this process's.
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(f"/proc/{keeper}/root{SOCKET}")
                return True
            except OSError:
                return False

    start_component(state, "containerd", [
        "containerd", "--config", state.path("config", "containerd.toml")],
        ready)
    load(state, pause_archive())


def load(state, *archives):
    """Imports OCI archives; a pod names the image as the archive does and
    sets no imagePullPolicy of Always."""
    for archive in archives:
        # As standard input: the path may not be the same for containerd.
        with open(archive, "rb") as file:
            done = subprocess.run(
                [*nsenter(state, mounts=True), "ctr", "--address", SOCKET,
                 "--namespace", "k8s.io", "images", "import", "-"],
                stdin=file, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode != 0:
            raise ClusterError(f"import of {archive}: {done.stdout.strip()}")


def pause_archive():
    program = build.pause_program()
    path = f"{CACHE}/images/pause.tar"
    return build.once(path, [program, build.PAUSE_IMAGE],
                      lambda: images.oci_archive(
                          path, build.PAUSE_IMAGE, {"/pause": program},
                          ["/pause"], "65535:65535"))
