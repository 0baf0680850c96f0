# SPDX-License-Identifier: Apache-2.0
"""Command line of the long runs."""

import argparse
import os
import sys
import time
import types

from cluster import __main__ as command
from cluster import archives, mesh
from cluster.state import ClusterError
from kube import Cluster, load_image

from . import outage, restarts, upgrade, weights


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def parse():
    parser = argparse.ArgumentParser(
        prog="./dev soak", description="Long runs under load, in a cluster of "
        "their own or in the one that $EASTWEST_CLUSTER names: 100 requests "
        "of HTTP/1.1 and 100 of gRPC per second, and 20 streams.")
    parser.add_argument("--restarts", type=int, metavar="N",
                        help="rolling restarts and deletions of pods")
    parser.add_argument("--outage", choices=sorted(outage.OUTAGES),
                        help="who is away")
    parser.add_argument("--minutes", type=float, default=10,
                        help="how long (10)")
    parser.add_argument("--weights", type=int, metavar="N",
                        help="patches of a route, seen by 10 clients")
    parser.add_argument("--services", type=int, default=1000,
                        help="with --weights: that many Services, each with "
                        "5 endpoints, and N patches more (1000)")
    parser.add_argument("--upgrade-from", metavar="COMMIT",
                        help="its chart and programs to those of now")
    args = parser.parse_args()
    if not (args.restarts or args.outage or args.weights
            or args.upgrade_from):
        parser.error("expected --restarts, --outage, --weights or "
                     "--upgrade-from")
    return args


def work(cluster, args, before):
    """(what, faults) of each run."""
    if args.restarts:
        yield "restarts", restarts.run(cluster, args.restarts, say)
    if args.outage:
        yield f"outage of {args.outage}", outage.run(
            cluster, args.outage, args.minutes, say)
    if args.weights:
        yield "weights", weights.run(cluster, args.services, args.weights,
                                     say)
    if args.upgrade_from:
        yield f"upgrade from {args.upgrade_from}", upgrade.run(
            cluster, before, say)


def main():
    args = parse()
    cluster = Cluster(os.environ.get("EASTWEST_CLUSTER")
                      or f"soak-{os.getpid()}")
    mine = cluster.state.pid("keeper") is None
    failed = False
    try:
        # While there is a network: a build may have to fetch something.
        before = args.upgrade_from and upgrade.prepared(args.upgrade_from)
        if mine:
            command.up(cluster.state, types.SimpleNamespace(no_mesh=False))
        else:
            mesh.refresh(cluster.state)
        load_image(cluster, archives.workloads())
        for what, faults in work(cluster, args, before):
            for fault in faults[:20]:
                say(fault)
            say(f"{what}: {len(faults)} faults")
            failed = failed or bool(faults)
    except ClusterError as error:
        say(error)
        failed = True
    finally:
        if mine:
            command.down(cluster.state, None)
    return failed


if __name__ == "__main__":
    sys.exit(main())
