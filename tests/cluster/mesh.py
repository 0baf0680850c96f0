# SPDX-License-Identifier: Apache-2.0
"""Eastwest in the cluster: its image and its chart."""

import subprocess

from . import archives, containerd, crds
from .state import REPOSITORY, ClusterError, say

CHART = f"{REPOSITORY}/charts/eastwest"
NAMESPACE = "eastwest-system"
RELEASE = "eastwest"

NEXT = """\
Next, for example:
  ./dev cluster helm test eastwest -n eastwest-system
  ./dev cluster kubectl create namespace shop
  ./dev cluster kubectl label namespace shop eastwest.dev/inject=enabled"""


def image():
    """Builds the programs and the image; returns its archive."""
    done = subprocess.run([f"{REPOSITORY}/dev", "build", "release"])
    if done.returncode != 0:
        raise ClusterError("./dev build release failed")
    return archives.eastwest()


def install(state, archive, *options):
    """The chart as it is, and all of it ready."""
    containerd.load(state, archive)
    try:
        crds.client(state, "helm", "install", RELEASE, CHART, "--namespace",
                    NAMESPACE, "--create-namespace", "--wait", "--timeout=2m",
                    *options)
    except ClusterError as error:
        pods = crds.kubectl(state, "--namespace", NAMESPACE, "get", "pods",
                            fail=False)
        logs = crds.kubectl(state, "--namespace", NAMESPACE, "logs", "--tail=5",
                            "--prefix", "--selector",
                            "app.kubernetes.io/name=eastwest", fail=False)
        raise ClusterError(f"{error}\n{pods}{logs}") from None
    say("Eastwest is installed and ready")
