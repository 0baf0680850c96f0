# SPDX-License-Identifier: Apache-2.0
"""The controller or the API server is away for a while, under load."""

import contextlib
import time

from cluster import components
from cluster.namespaces import CLONE_NEWNET, enter
from kube import SYSTEM, poll

from .world import World, summary

CONTROLLER = "eastwest-controller"
# Seconds of load when all is there again. Without an API server nodes count as
# lost for a while after that, and their pods as not ready.
AFTER = 90


@contextlib.contextmanager
def without_controller(cluster):
    replicas = cluster.get("deployment", CONTROLLER,
                           SYSTEM)["spec"]["replicas"]

    def scale(count):
        cluster.kubectl("scale", f"--replicas={count}", "--namespace", SYSTEM,
                        f"deployment/{CONTROLLER}")

    scale(0)
    try:
        poll("end of the controllers", 60, lambda: not cluster.items(
            "pods", SYSTEM, "--selector",
            "app.kubernetes.io/component=controller"))
        yield
    finally:
        scale(replicas)
        cluster.rolled_out(SYSTEM, CONTROLLER)


@contextlib.contextmanager
def without_apiserver(cluster):
    # From where it can be asked whether it is ready.
    enter(cluster.state.netns, CLONE_NEWNET)
    # Not in order: that would take a minute, and tell its clients.
    cluster.state.kill("kube-apiserver")
    try:
        yield
    finally:
        components.apiserver(cluster.state)


OUTAGES = {"controller": without_controller, "apiserver": without_apiserver}


def run(cluster, what, minutes, say, ns=None):
    with World(cluster, ns or f"soak-{what}") as world:
        begin = time.monotonic()
        with OUTAGES[what](cluster):
            say(f"no {what} for {minutes:g} minutes")
            wait(time.monotonic() + 60 * minutes, world, say)
            say(f"{what} comes back: {summary(world.report())}")
        wait(time.monotonic() + AFTER, world, say)
        seconds = time.monotonic() - begin
        report, faults = world.finish(seconds)
    say(f"{what} away for {minutes:g} minutes, {seconds:.0f} s: "
        f"{summary(report)}")
    return faults


def wait(end, world, say):
    """Says how it goes each minute."""
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(60, left))
        if left > 60:
            say(summary(world.report()))
