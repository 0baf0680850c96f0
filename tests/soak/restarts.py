# SPDX-License-Identifier: Apache-2.0
"""Rolling restarts and deletions of pods, in turns, under load."""

import time

from .world import KINDS, World, summary


def _restart(world, count):
    """Up to one Deployment of each kind, at the same time."""
    names = [f"{kind}-moving" for kind in KINDS][:count]
    world.cluster.kubectl("rollout", "restart", "--namespace", world.ns,
                          *(f"deployment/{n}" for n in names))
    return names


def _delete(world, count):
    kinds = KINDS[:count]
    world.cluster.kubectl(
        "delete", "pod", "--namespace", world.ns, "--wait=false",
        *(world.pods(kind)[0] for kind in kinds))
    return [f"{kind}-moving" for kind in kinds]


def run(cluster, count, say, ns="soak-restarts"):
    """What is wrong, after count restarts and deletions."""
    with World(cluster, ns) as world:
        begin, done, turn = time.monotonic(), 0, 0
        while done < count:
            work = _delete if turn % 2 else _restart
            changed = work(world, count - done)
            for name in changed:
                cluster.rolled_out(ns, name)
            done, turn = done + len(changed), turn + 1
            if turn % 5 == 0:
                say(f"{done} of {count}: {summary(world.report())}")
        seconds = time.monotonic() - begin
        report, faults = world.finish(seconds)
    say(f"{done} restarts and deletions, {len(world.gone)} pods ended, "
        f"{seconds:.0f} s: {summary(report)}")
    return faults
