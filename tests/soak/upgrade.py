# SPDX-License-Identifier: Apache-2.0
"""From the chart and the programs of an earlier commit to those of now, and
then away with them, under load."""

import os
import subprocess
import sys
import time

from cluster import mesh
from cluster.state import REPOSITORY, ClusterError
from kube import (CHART, RELEASE, SYSTEM, Refusals, idle, load_image,
                  namespace, pod)

from .world import KINDS, World, summary

QUIET = 10  # seconds of load between two steps

# With the modules of that commit, which knows the files of its image.
ARCHIVE = """
import sys
from cluster import images, rootfs
images.oci_archive(sys.argv[1], sys.argv[2], rootfs.files(sys.argv[3]), [],
                   rootfs.USER)
"""


def _run(*words, cwd, **more):
    done = subprocess.run(words, cwd=cwd, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(words[:3])}: {done.stderr[-2000:]}")


def prepared(commit):
    """The folder of the commit's files, and its image's tag and archive."""
    full = subprocess.run(["git", "rev-parse", "--verify", "--short=12",
                           f"{commit}^{{commit}}"], cwd=REPOSITORY, text=True,
                          capture_output=True).stdout.strip()
    if not full:
        raise ClusterError(f"{commit!r}: expected a commit")
    folder = f"{REPOSITORY}/build/soak/{full}"
    archive = f"{folder}/build/eastwest.tar"
    if not os.path.exists(archive):
        os.makedirs(folder, exist_ok=True)
        _run("sh", "-c", f'git archive "$1" | tar -x -C "$2"', "sh", full,
             folder, cwd=REPOSITORY)
        _run("./dev", "build", "release", cwd=folder)
        _run(sys.executable, "-c", ARCHIVE, archive,
             f"localhost/eastwest:{full}", f"{folder}/build/release/bin",
             cwd=folder, env={**os.environ, "PYTHONPATH": f"{folder}/tests"})
    return folder, full, archive


def _roll(cluster, world):
    names = [f"{kind}-moving" for kind in KINDS]
    cluster.kubectl("rollout", "restart", "--namespace", world.ns,
                    *(f"deployment/{n}" for n in names))
    for name in names:
        cluster.rolled_out(world.ns, name)


def _images(cluster, ns):
    return {c["image"] for p in cluster.items("pods", ns)
            for c in p["spec"].get("initContainers", [])}


def _upgrade(cluster, world, say):
    cluster.helm("upgrade", RELEASE, CHART, "--namespace", SYSTEM,
                 "--reset-values", "--wait", "--timeout=3m")
    say(f"upgraded: {summary(world.report())}")
    time.sleep(QUIET)
    # Old and new sidecars talk to each other.
    _roll(cluster, world)
    time.sleep(QUIET)
    return ([] if len(_images(cluster, world.ns)) == 2 else
            [f"images {_images(cluster, world.ns)}: expected old and new"])


def _uninstall(cluster, world, say):
    with Refusals(cluster, world.ns) as refusals:
        cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait")
    cluster.apply(pod(world.ns, "late", idle()))
    made = cluster.pod_ready(world.ns, "late")
    say(f"uninstalled: of {refusals.asked} pods {len(refusals.refused)} "
        "refused")
    time.sleep(QUIET)
    faults = [f"refused: {text}" for text in refusals.refused[:3]]
    if made["spec"].get("initContainers"):
        faults.append("a pod was injected after the end")
    return faults


def run(cluster, before, say, ns="soak-upgrade"):
    """before: what prepared() gave."""
    folder, tag, archive = before
    load_image(cluster, archive)
    cluster.uninstall()
    try:
        cluster.apply(namespace(SYSTEM, False))
        cluster.helm("install", RELEASE, f"{folder}/charts/eastwest",
                     "--namespace", SYSTEM, "--wait", "--timeout=3m",
                     "--set", f"image.tag={tag}")
        with World(cluster, ns) as world:
            begin = time.monotonic()
            time.sleep(QUIET)
            faults = _upgrade(cluster, world, say)
            faults += _uninstall(cluster, world, say)
            seconds = time.monotonic() - begin
            report, found = world.finish(seconds)
        say(f"from {tag} to now, and uninstalled, {seconds:.0f} s: "
            f"{summary(report)}")
        return faults + found
    finally:
        # Also what did not become ready.
        cluster.uninstall()
        mesh.refresh(cluster.state)
