# SPDX-License-Identifier: Apache-2.0
"""Eastwest beside Envoy, HAProxy and nghttpx, in one run."""

import argparse
import json
import os
import pathlib
import platform
import signal
import sys
import time

from . import install, plot, report
from .bed import Bed
from .errors import BenchError
from .peers import PEERS, USUAL
from .suite import EXTRAS, NAMES, Suite
from .works import FIRST, WORKS

CORES = 2
QUICK_SECONDS, SECONDS, ROUNDS = 2, 3, 3
SVG = install.BUILD / "bench.svg"


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def names(text, known, option):
    """A list as --only and --work take it, in the order of |known|."""
    wanted = text.split(",")
    for name in wanted:
        if name not in known:
            raise BenchError(f"{option}: {name!r}: expected some of "
                             + ", ".join(known))
    return [name for name in known if name in wanted]


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = "number above 0"


def parser():
    top = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="WORKS: " + "\n       ".join(
            [w.name for w in WORKS] + list(EXTRAS)) +
        "\nPEERS: " + ", ".join(PEERS))
    top.add_argument("--quick", action="store_true",
                     help="the most telling works, within three minutes")
    top.add_argument("--only", metavar="PEERS", help="eastwest,direct,...")
    top.add_argument("--work", metavar="WORKS", help=f"{FIRST},...")
    top.add_argument("--seconds", type=positive, help="of a measurement "
                     f"(default {SECONDS}; quick {QUICK_SECONDS}, and 1 but "
                     "for the first work)")
    top.add_argument("--rounds", type=positive, help="of which medians are "
                     f"taken (default {ROUNDS}; quick: 2 but for the first)")
    top.add_argument("--json", metavar="FILE", help="all rows, and more keys "
                     "than the tables show")
    top.add_argument("--plot", metavar="FILE", default=SVG, type=pathlib.Path,
                     help=f"SVG (default {SVG.relative_to(install.ROOT)})")
    top.add_argument("--keep", action="store_true",
                     help="leave the peers' configurations and logs in /tmp")
    return top


def chosen(args):
    """(names of peers, names of works)."""
    peers = names(args.only, list(PEERS), "--only") if args.only \
        else USUAL
    if args.work:
        return peers, names(args.work, list(NAMES), "--work")
    if args.quick:
        return peers, [w.name for w in WORKS if w.quick]
    return peers, list(NAMES)


def pace(args):
    """Functions from a work's name to rounds and seconds."""
    def rounds(name):
        return args.rounds or (2 if args.quick and name != FIRST else ROUNDS)

    def seconds(name):
        if args.seconds or not args.quick:
            return args.seconds or SECONDS
        return QUICK_SECONDS if name == FIRST else 1
    return rounds, seconds


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file
                  if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, " \
           f"{len(os.sched_getaffinity(0))} cores, Linux {platform.release()}"


def shown(suite, peers):
    lines = [machine(), "; ".join(p.version() for p in peers)]
    for work, text in suite.texts.items():
        mine = report.of(suite.rows, work)
        lines += ["", f"## {work}", "", text, "", report.table(mine)]
        lines += report.comparison(mine)
    lines += ["", *(f"Failed: {error}" for error in suite.errors)]
    return "\n".join(lines).rstrip()


def measured(args):
    """The suite after its run, and the peers' line of versions."""
    wanted, works = chosen(args)
    with Bed(f"bench{os.getpid()}", args.keep) as bed:
        peers = []
        try:
            for name in wanted:
                peers.append(PEERS[name](bed))
                peers[-1].start()
            for peer in peers:
                peer.serves()
                peer.verifies()
            suite = Suite(peers, *pace(args), say)
            suite.run(works)
            return suite, shown(suite, peers)
        finally:
            for peer in peers:
                peer.stop()


def main():
    args = parser().parse_args()
    # Two for all of it: peers, generator, app; whatever the machine has.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    if args.only is None or "envoy" in args.only:
        install.envoy()
    started = time.monotonic()
    suite, text = measured(args)
    print(text, flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(
            json.dumps(suite.rows, indent=1) + "\n", encoding="utf-8")
    args.plot.parent.mkdir(parents=True, exist_ok=True)
    if plot.write(args.plot, suite.rows, WORKS):
        say(f"plot: {args.plot}")
    say(f"took {time.monotonic() - started:.0f} s")
    return 1 if suite.errors else 0


def _interrupt(number, frame):
    # A second one must not keep us from clearing up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _interrupt)
    try:
        sys.exit(main())
    except BenchError as problem:
        say(problem)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
