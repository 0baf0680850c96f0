# SPDX-License-Identifier: Apache-2.0
"""Load generators, and what they print. None of them is ours."""

import dataclasses
import json
import pathlib
import re
import resource
import statistics
import tempfile

from .errors import BenchError
from .processes import run

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Load:
    """What one run of a generator found. Latencies in ms."""

    requests: float
    seconds: float
    bytes: int = 0
    p50: float = None
    p99: float = None
    p999: float = None
    # Processor time of the generator, in seconds.
    cost: float = 0.0
    # Numbers that only this kind of load has, for the JSON.
    more: dict = dataclasses.field(default_factory=dict)

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


def wrk(netns, address, path, host, connections, seconds, closing=False,
        headers=()):
    """Closed loop, HTTP/1.1, one thread."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
            "--timeout", "10s", "-s", HERE / "wrk.lua", "-H", f"Host: {host}"]
    for header in [*headers, *(["Connection: close"] if closing else [])]:
        argv += ["-H", header]
    out, cost = _timed(netns, [*argv, f"http://{address}{path}"], seconds)
    load = parse_wrk(out, closing)
    load.cost = cost
    return load


def parse_h2load(text):
    """(requests that succeeded, seconds that were measured, bytes)."""
    found = re.search(
        r"finished in \S+, ([\d.]+) req/s.*?requests: .*? (\d+) done, "
        r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout"
        r".*?traffic: \S+ \((\d+)\) total", text, re.S)
    if not found:
        raise BenchError(f"h2load printed no result: {text[-500:]}")
    good, *bad = (int(found[i]) for i in (3, 4, 5, 6))
    if not good or any(bad):
        raise BenchError(f"h2load: {good} succeeded, {bad[0]} failed, "
                         f"{bad[1]} errored, {bad[2]} timed out")
    return good, good / float(found[1]), int(found[7])


def parse_log(text):
    """h2load's log, a line per request: [(start, status, duration)], times
    in microseconds, in the order of the starts."""
    return sorted(tuple(map(int, line.split())) for line in text.splitlines())


def since_due(log, rate, slack_us=1000):
    """Durations from when each request was due, so that what waited behind a
    slow response counts as slow too. Due times are one row at |rate|, laid so
    that half of the requests started after their time. |slack_us| is how late
    the generator's timers may be by themselves; only what is beyond it is
    added."""
    step = 1e6 / rate
    late = [start - i * step for i, (start, _, _) in enumerate(log)]
    middle = statistics.median(late)
    return [took + max(0.0, behind - middle - slack_us)
            for (_, _, took), behind in zip(log, late)]


def _load(good, seconds, size, cost, durations):
    ordered = sorted(durations)
    at = [percentile(ordered, p) for p in (50, 99, 99.9)]
    return Load(good, seconds, size,
                *(t / 1e3 if t is not None else None for t in at), cost)


def _h2load(netns, argv, seconds):
    """(what it printed, its log, its cost)."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", mode="r",
                                     encoding="ascii") as log:
        out, cost = _timed(
            netns, ["h2load", "-t1", f"--log-file={log.name}", *argv], seconds)
        return out, parse_log(log.read()), cost


def h2load(netns, url, host, seconds, more):
    """Closed loop, one thread: each stream asks again when answered."""
    argv = [f"-D{seconds}", "-H", f":authority: {host}", *more, url]
    out, log, cost = _h2load(netns, argv, seconds)
    return _load(*parse_h2load(out), cost, [took for _, _, took in log])


def constant(netns, address, path, host, connections, rate, seconds):
    """Open loop, HTTP/1.1: |rate| requests a second, whatever the answers do.
    The connections are opened one after the other, so that their timers
    together make an even row; it must divide by their number."""
    # As many a millisecond as make the row even, at least one.
    opened = max(1, round(rate / 1000))
    argv = ["--h1", f"-c{connections}", "-m1",
            f"-n{round(rate * seconds / connections) * connections}",
            f"-r{opened}", "--rate-period=1ms",
            f"--rps={rate / connections:.6f}", "-H", f":authority: {host}"]
    out, log, cost = _h2load(netns, [*argv, f"http://{address}{path}"],
                             seconds)
    found = _load(*parse_h2load(out), cost, since_due(log, rate))
    ordered = sorted(took for _, _, took in log)
    found.more = {f"{name}_sent_ms": percentile(ordered, p) / 1e3
                  for name, p in (("p50", 50), ("p99", 99), ("p999", 99.9))}
    found.more["rate"] = rate
    return found


def parse_iperf(text):
    """(bytes received, seconds)."""
    said = json.loads(text)
    if said.get("error"):
        raise BenchError(f"iperf3: {said['error']}")
    received = said["end"]["sum_received"]
    return int(received["bytes"]), float(received["seconds"])


def stream(netns, address, seconds, reverse=False):
    """One TCP connection filled as fast as it goes. A request is a MiB."""
    host, _, port = address.rpartition(":")
    argv = ["iperf3", "--client", host, "--port", port, "--json",
            "--time", seconds, *(["--reverse"] if reverse else [])]
    out, cost = _timed(netns, argv, seconds)
    size, took = parse_iperf(out)
    return Load(size / (1 << 20), took, size, cost=cost)
