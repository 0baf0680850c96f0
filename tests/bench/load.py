# SPDX-License-Identifier: Apache-2.0
"""Load generators, and what they print. None of them is ours."""

import dataclasses
import json
import pathlib
import re
import resource
import tempfile

from .errors import BenchError
from .processes import run

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Load:
    """What one run of a generator found. Latencies in ms."""

    requests: int
    seconds: float
    bytes: int = 0
    p50: float = None
    p99: float = None
    p999: float = None
    # Processor time of the generator, in seconds.
    cost: float = 0.0

    @property
    def rps(self):
        return self.requests / self.seconds


def percentile(ordered, percent):
    """The smallest value that |percent| of all don't exceed."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def _children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed(netns, argv, seconds):
    before = _children()
    out = run(netns, argv, seconds + 30)
    return out, _children() - before


def parse_wrk(text, closing=False):
    """With |closing|, the end of a connection is what was asked for, and wrk
    counts it as an error of reading."""
    found = re.search(r"^RESULT (.*)$", text, re.M)
    if not found:
        raise BenchError(f"wrk printed no result: {text[-500:]}")
    said = json.loads(found[1])
    bad = {k: said[k] for k in ("connect", "read", "write", "timeout",
                                "status") if said[k]}
    if closing:
        bad.pop("read", None)
    if bad or not said["requests"]:
        raise BenchError(f"wrk: {said['requests']} responses, errors: {bad}")
    return Load(said["requests"], said["seconds"], said["bytes"],
                said["p50_us"] / 1e3, said["p99_us"] / 1e3,
                said["p999_us"] / 1e3)


def wrk(netns, address, path, host, connections, seconds, closing=False):
    """Closed loop, HTTP/1.1, one thread."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s",
            "--timeout", "10s", "-s", HERE / "wrk.lua", "-H", f"Host: {host}"]
    if closing:
        argv += ["-H", "Connection: close"]
    out, cost = _timed(netns, [*argv, f"http://{address}{path}"], seconds)
    load = parse_wrk(out, closing)
    load.cost = cost
    return load


def parse_h2load(text, log):
    """|log|: lines of start, status, microseconds."""
    found = re.search(
        r"finished in ([\d.]+)(s|ms).*?requests: .*? (\d+) done, "
        r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout"
        r".*?traffic: \S+ \((\d+)\) total", text, re.S)
    if not found:
        raise BenchError(f"h2load printed no result: {text[-500:]}")
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    good = int(found[4])
    if not good or any(int(found[i]) for i in (5, 6, 7)):
        raise BenchError(f"h2load: {found[0].splitlines()[-1]}; "
                         f"{found[4]} succeeded, {found[5]} failed, "
                         f"{found[6]} errored, {found[7]} timed out")
    times = sorted(int(line.split()[2]) for line in log.splitlines())
    at = [percentile(times, p) for p in (50, 99, 99.9)]
    return Load(good, seconds, int(found[8]),
                *(t / 1e3 if t is not None else None for t in at))


def h2load(netns, address, path, host, connections, streams, seconds,
           body=None, headers=()):
    """Closed loop, HTTP/2, one thread."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", mode="r",
                                     encoding="ascii") as log:
        argv = ["h2load", "-t1", f"-c{connections}", f"-m{streams}",
                f"-D{max(1, round(seconds))}", f"--log-file={log.name}",
                "-H", f":authority: {host}"]
        for header in headers:
            argv += ["-H", header]
        if body:
            argv += ["-d", body]
        out, cost = _timed(netns, [*argv, f"http://{address}{path}"], seconds)
        load = parse_h2load(out, log.read())
    load.cost = cost
    return load
