# SPDX-License-Identifier: Apache-2.0
"""The benchmark's own parts, and one short run of it."""
import json
import os
import subprocess

import pytest

import meshes as m
from bench import growth, load, measure, plot, report, sample, works
from bench.errors import BenchError

WRK = ('Running 1s test\nRESULT {"requests": 1000, "seconds": 2.0, '
       '"bytes": 4096, "connect": 0, "read": %d, "write": 0, "timeout": 0, '
       '"status": %d, "p50_us": 1000.0, "p99_us": 2500.0, "p999_us": 3000}\n')
H2LOAD = """\
finished in 4.01s, 500.00 req/s, 11.06MB/s
requests: 1000 total, 1000 started, 1000 done, {good} succeeded, {bad} \
failed, 0 errored, 0 timeout
status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.00MB (1048576) total, 10B (10) headers (space savings 0.00%)
"""


def test_wrk_output():
    found = load.parse_wrk(WRK % (0, 0))
    assert (found.rps, found.bytes) == (500, 4096)
    assert (found.p50, found.p99, found.p999) == (1, 2.5, 3)


@pytest.mark.parametrize("read,status,word", [(3, 0, "read"),
                                              (0, 2, "status")])
def test_wrk_errors_end_a_run(read, status, word):
    with pytest.raises(BenchError, match=word):
        load.parse_wrk(WRK % (read, status))


def test_wrk_without_result():
    with pytest.raises(BenchError, match="no result"):
        load.parse_wrk("unable to connect")


def test_wrk_closed_connections_are_asked_for():
    assert load.parse_wrk(WRK % (3, 0), closing=True).requests == 1000


def test_h2load_output():
    """The time is that of the measured part, without the warm-up."""
    assert load.parse_h2load(H2LOAD.format(good=1000, bad=0)) == \
        (1000, 2.0, 1048576)
    with pytest.raises(BenchError, match="7 failed"):
        load.parse_h2load(H2LOAD.format(good=993, bad=7))
    with pytest.raises(BenchError, match="no result"):
        load.parse_h2load("")


def test_percentile():
    values = list(range(1, 1001))
    assert [load.percentile(values, p) for p in (50, 99, 99.9)] == \
        [500, 990, 999]
    assert load.percentile([5], 99.9) == 5
    assert load.percentile([], 50) is None


def test_latency_counts_from_when_a_request_was_due():
    """One stall of 50 ms on a row of 1 ms: whoever waited behind it counts
    as late, though sent late and answered at once."""
    rows, now = [], 0
    for number in range(1000):
        due = number * 1000
        now = max(due, now)
        took = 50000 if number == 600 else 100
        rows.append((now, 200, took))
        if number == 600:
            now += took
    log = load.parse_log("\n".join("\t".join(map(str, r)) for r in rows))
    found = load.since_due(log, 1000)
    assert found[0] == 100
    assert found[600] == 50000
    # The next was due 49 ms before it was sent; 1 ms is the timers' own.
    assert found[601] == 48000 + 100
    assert sum(t > 100 for t in found) == 1 + 48
    assert found[-1] == 100


def test_iperf_output():
    text = json.dumps({"end": {"sum_received": {"bytes": 2 << 30,
                                                "seconds": 2.0}}})
    assert load.parse_iperf(text) == (2 << 30, 2.0)
    with pytest.raises(BenchError, match="busy"):
        load.parse_iperf(json.dumps({"error": "the server is busy"}))


def test_what_the_kernel_says():
    tick = measure.TICK
    fields = ["S"] + ["0"] * 10 + [str(3 * tick), str(tick)] + ["0"] * 30
    assert measure.parse_stat("7 (a) b) " + " ".join(fields)) == (3, 1)
    assert measure.parse_rollup(
        "0-1 ---p 0 00:00 0 [rollup]\nRss:   8 kB\nPss:   4 kB\n"
        "Pss_Anon:   2 kB\n") == (8192, 4096)


def test_own_use_is_measured():
    before = measure.cpu([os.getpid()])
    while (measure.cpu([os.getpid()]) - before).total < 0.05:
        pass
    used = measure.cpu([os.getpid()]) - before
    assert used.total == pytest.approx(used.user + used.system, abs=0.05)
    here = measure.memory([os.getpid()])
    assert 1 < here.pss <= here.rss


def taken(rate, cost, p50=1.0):
    """A sample with that many requests/s and µs each, half at each side."""
    half = measure.Cpu(rate * cost / 2e6, rate * cost / 2e6, 0)
    return sample.Sample(load.Load(rate, 1.0, 0, p50, 2 * p50, 3 * p50), half,
                         half, rate, measure.Memory(9, 8))


def rows():
    idle = measure.Memory(7, 5)
    return [report.row("direct", works.FIRST, [taken(5000, 0, 0.5)], idle),
            report.row("eastwest", works.FIRST,
                       [taken(100, 20), taken(300, 40), taken(200, 25)], idle),
            report.row("haproxy", works.FIRST, [taken(100, 50, 2)], idle)]


def test_a_row_has_the_medians():
    row = rows()[1]
    assert set(report.KEYS) <= set(row)
    assert (row["rps"], row["cpu_us"], row["cpu_us_max"]) == (200, 25, 40)
    assert (row["rss_idle_mib"], row["rss_load_mib"]) == (7, 9)
    assert (row["cpu_client_us"], row["rounds"]) == (12.5, 3)
    json.dumps(row)


def test_ratios():
    assert report.ratios(rows()) == [("haproxy", 0.5, 2.0)]
    assert report.ratios(rows()[:1]) == []
    constant = [{**r, "rate": 1000} for r in rows()]
    assert report.added(constant) == [
        ("haproxy", pytest.approx(1 / 3), pytest.approx(1 / 3))]
    assert report.added(rows()) == []


def test_table():
    lines = report.table(rows()).splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert "| 5,000 |" in " ".join(lines[2].split())


def test_table_without_a_value():
    row = report.bare("eastwest", "idle-plain", bytes_per_connection=1279)
    assert "1,279" in report.table([row]) and "–" in report.table([row])


def test_plot(tmp_path):
    assert plot.write(tmp_path / "a.svg", rows(), works.WORKS)
    text = (tmp_path / "a.svg").read_text()
    assert text.count("eastwest</text>") == 3 and works.FIRST in text
    assert not plot.write(tmp_path / "b.svg", [], works.WORKS)


def test_growth_makes_what_it_says():
    for make in (growth.rules, growth.headers):
        made = make(100)
        sizes = [len(r["spec"]["rules"]) for r in made]
        assert sum(sizes) == 100 and max(sizes) == 16
        assert "matches" not in made[-1]["spec"]["rules"][-1]
    slices = growth.endpoints(10000)
    every = {e["addresses"][0] for s in slices for e in s["endpoints"]}
    assert len(every) == 10000
    assert sum(o["kind"] == "HTTPRoute" for o in growth.routes(100)) == 100


def run(*arguments):
    return subprocess.run(
        [str(m.ROOT / "dev"), "bench", *arguments], text=True, timeout=120,
        capture_output=True, check=False,
        env={**os.environ, "EASTWEST_BIN": m.BIN})


def test_a_wrong_name_is_named():
    done = run("--only", "eastwest,nginx")
    assert done.returncode == 1
    assert "--only: 'nginx': expected some of direct, eastwest" in done.stderr
    assert run("--rounds", "0").returncode == 2


def test_short_run(tmp_path):
    """All of it in small: a mesh, two peers, load, report."""
    done = run("--only", "direct,eastwest", "--work",
               f"{works.FIRST},http1-1k-1000rps", "--seconds", "1", "--rounds",
               "1", "--json", str(tmp_path / "j"), "--plot",
               str(tmp_path / "s.svg"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "j").read_text())
    assert [(r["peer"], r["work"]) for r in found] == [
        (peer, work) for work in (works.FIRST, "http1-1k-1000rps")
        for peer in ("direct", "eastwest")]
    for row in found:
        assert set(report.KEYS) <= set(row)
        assert row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"]
    direct, own = found[:2]
    assert direct["cpu_us"] == 0 and own["cpu_us"] > 1
    assert own["rss_idle_mib"] > 1 and own["cpu_server_us"] > 1
    assert "eastwest" in done.stdout and (tmp_path / "s.svg").exists()
