# SPDX-License-Identifier: Apache-2.0
"""Command line: ./dev bench."""

import argparse
import json
import os
import signal
import sys
import time

from . import measure, report, sample
from .bed import Bed, wait_for
from .errors import BenchError
from .peers import PEERS
from .processes import run
from .works import WORKS

CORES = 2


def say(text):
    print(text, file=sys.stderr, flush=True)


def names(text, known, what):
    found = text.split(",")
    for name in found:
        if name not in known:
            raise BenchError(f"{what} is {name!r}: expected of "
                             + ", ".join(known))
    return [name for name in known if name in found]


def parser():
    top = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    top.add_argument("--quick", action="store_true",
                     help="the most telling kinds of work, in three minutes")
    top.add_argument("--only", metavar="PEERS", help="such as eastwest,direct")
    top.add_argument("--work", metavar="WORKS", help="such as http1-1k-32")
    top.add_argument("--seconds", type=float, help="of each measurement")
    top.add_argument("--rounds", type=int, help="of which medians are taken")
    top.add_argument("--json", metavar="FILE", help="where to write all rows")
    top.add_argument("--keep", action="store_true",
                     help="leave configurations and logs of the peers in /tmp")
    return top


def serves(peer):
    """Until the whole way of the peer works."""
    def once():
        peer.check()
        run(peer.client_netns, ["curl", "-sS", "--fail-with-body", "-m", "5",
                                "-H", "Host: http1",
                                f"http://{peer.address('http1')}/"], 10)
        return True
    wait_for(once, 20, f"{peer.name}: a first answer")


def main():
    args = parser().parse_args()
    # Equal for all, whatever the machine has.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    peers = names(args.only, PEERS, "--only") if args.only else list(PEERS)
    known = {w.name: w for w in WORKS}
    works = [known[n] for n in names(args.work, known, "--work")] \
        if args.work else [w for w in WORKS if w.quick or not args.quick]
    rounds = args.rounds or 3
    seconds = args.seconds or 3
    started = time.monotonic()
    with Bed(f"bench{os.getpid()}", args.keep) as bed:
        made = []
        try:
            for name in peers:
                peer = PEERS[name](bed)
                made.append(peer)
                peer.start()
            for peer in made:
                serves(peer)
            idle = {p.name: measure.largest(p.sides()) for p in made}
            say(f"bench: all serve after {time.monotonic() - started:.0f} s")
            rows = measured(made, works, rounds, seconds, idle)
        finally:
            for peer in made:
                peer.stop()
    for work in works:
        mine = [r for r in rows if r["work"] == work.name]
        print(f"\n{work.name}: {work.text}\n\n{report.table(mine)}")
        for peer, cpu, rps in report.ratios(mine):
            print(f"eastwest / {peer}: CPU {cpu:.2f}, requests/s {rps:.2f}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    say(f"bench: {time.monotonic() - started:.0f} s")
    return 0


def measured(peers, works, rounds, seconds, idle):
    rows = []
    for work in works:
        able = [p for p in peers if work.door in p.doors]
        samples = {p.name: [] for p in able}
        for number in range(rounds):
            for peer in able:
                one = sample.take(peer, work, seconds)
                samples[peer.name].append(one)
                say(f"bench: {work.name} {number + 1}/{rounds} {peer.name}: "
                    f"{one.load.rps:,.0f}/s, "
                    f"{one.per_request(one.cpu.total):.1f} us")
        rows += [report.row(name, work.name, some, idle[name])
                 for name, some in samples.items()]
    return rows


def _interrupt(number, frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main())
    except BenchError as problem:
        say(f"bench: {problem}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
