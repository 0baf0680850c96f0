# SPDX-License-Identifier: Apache-2.0
"""Eastwest in the cluster: its image and its chart."""

import os
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
    _load(state, archive)
    _helm(state, "install", *options)
    say("Eastwest is installed and ready")


def refresh(state):
    """In a cluster that runs already: the image and the chart as they are
    now."""
    replaced = _load(state, image())
    _helm(state, "upgrade", "--install")
    if replaced:
        # The image's name is the same, so its pods don't change by themselves.
        for verb in ("restart", "status"):
            crds.kubectl(state, "--namespace", NAMESPACE, "rollout", verb,
                         "deployment", "--selector",
                         f"app.kubernetes.io/instance={RELEASE}")
        say("Eastwest was replaced by what is built now")


def _load(state, archive):
    """False if the cluster has exactly this image."""
    with open(f"{archive}.key", encoding="utf-8") as file:
        key = file.read()
    loaded = state.path("config", "eastwest.key")
    if os.path.exists(loaded):
        with open(loaded, encoding="utf-8") as file:
            if file.read() == key:
                return False
    containerd.load(state, archive)
    state.write("config", "eastwest.key", text=key)
    return True


def _helm(state, *words):
    try:
        crds.client(state, "helm", *words, RELEASE, CHART, "--namespace",
                    NAMESPACE, "--create-namespace", "--wait", "--timeout=2m")
    except ClusterError as error:
        pods = crds.kubectl(state, "--namespace", NAMESPACE, "get", "pods",
                            fail=False)
        logs = crds.kubectl(state, "--namespace", NAMESPACE, "logs", "--tail=5",
                            "--prefix", "--selector",
                            "app.kubernetes.io/name=eastwest", fail=False)
        raise ClusterError(f"{error}\n{pods}{logs}") from None
