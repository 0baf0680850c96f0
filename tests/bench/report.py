# SPDX-License-Identifier: Apache-2.0
"""From samples to rows: medians, spread, JSON, tables."""

import re
import statistics

KEYS = ("peer", "work", "rps", "cpu_us", "p50_ms", "p99_ms", "p999_ms",
        "rss_idle_mib", "rss_load_mib")


def median(values):
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def of(rows, work):
    """The rows of a work; what grows has one row for each size."""
    return [r for r in rows if r["work"] == work or
            re.fullmatch(re.escape(work) + r"-\d+", r["work"])]


def rounded(value, digits=3):
    return None if value is None else round(value, digits)


def _tidy(found):
    return {key: rounded(value) if isinstance(value, float) else value
            for key, value in found.items()}


def bare(peer, work, **more):
    """A row for what isn't measured in requests."""
    return _tidy({**dict.fromkeys(KEYS), "peer": peer, "work": work, **more})


def costs(samples):
    """What requests cost: medians over the rounds of one run."""
    rates = [s.load.rps for s in samples]
    total = [s.per_request(s.cpu.total) for s in samples]

    def each(get):
        return median([get(s) for s in samples])
    return _tidy({
        "rps": median(rates), "cpu_us": median(total),
        "p50_ms": each(lambda s: s.load.p50),
        "p99_ms": each(lambda s: s.load.p99),
        "p999_ms": each(lambda s: s.load.p999),
        "rss_load_mib": each(lambda s: s.memory.rss),
        "pss_load_mib": each(lambda s: s.memory.pss),
        "cpu_user_us": each(lambda s: s.per_request(s.cpu.user)),
        "cpu_system_us": each(lambda s: s.per_request(s.cpu.system)),
        "cpu_client_us": each(lambda s: s.per_request(s.client.total)),
        "cpu_server_us": each(lambda s: s.per_request(s.server.total)),
        "mib_per_s": each(lambda s: s.load.bytes / s.load.seconds / (1 << 20)),
        "generator_cpu_us": each(lambda s: s.per_request(s.load.cost)),
        **{key: each(lambda s, key=key: s.load.more[key])
           for key in samples[0].load.more},
        "rounds": len(samples),
        "rps_min": min(rates), "rps_max": max(rates),
        "cpu_us_min": min(total), "cpu_us_max": max(total)})


def row(peer, work, samples, idle):
    """One object of the JSON list. |samples|: of sample.Sample; |idle|:
    measure.Memory before any load."""
    return {**bare(peer, work), **costs(samples),
            "rss_idle_mib": rounded(idle.rss),
            "pss_idle_mib": rounded(idle.pss)}


def _cell(value, form):
    return "–" if value is None else form.format(value)


COLUMNS = (
    ("peer", "peer", "{}"), ("requests/s", "rps", "{:,.0f}"),
    ("CPU µs", "cpu_us", "{:.1f}"), ("user", "cpu_user_us", "{:.1f}"),
    ("system", "cpu_system_us", "{:.1f}"),
    ("p50 ms", "p50_ms", "{:.2f}"), ("p99", "p99_ms", "{:.2f}"),
    ("p99.9", "p999_ms", "{:.2f}"),
    ("RSS MiB idle", "rss_idle_mib", "{:.1f}"),
    ("load", "rss_load_mib", "{:.1f}"),
    ("PSS idle", "pss_idle_mib", "{:.1f}"),
    ("load", "pss_load_mib", "{:.1f}"),
)


STREAMS = (
    ("peer", "peer", "{}"), ("MiB/s", "mib_per_s", "{:,.0f}"),
    ("CPU µs per MiB", "cpu_us", "{:.0f}"), ("user", "cpu_user_us", "{:.0f}"),
    ("system", "cpu_system_us", "{:.0f}"),
    ("RSS MiB load", "rss_load_mib", "{:.1f}"),
)
BODIES = (COLUMNS[0], STREAMS[1], *COLUMNS[1:])
IDLE = (
    ("peer", "peer", "{}"),
    ("bytes per connection", "bytes_per_connection", "{:,}"),
    ("PSS MiB before", "pss_idle_mib", "{:.1f}"),
    ("with all", "pss_load_mib", "{:.1f}"),
)
CHANGE = (
    ("peer", "peer", "{}"), ("ms, median", "effect_ms", "{:.0f}"),
    ("least", "effect_ms_min", "{:.0f}"), ("most", "effect_ms_max", "{:.0f}"),
)
GROWTH = (
    ("", "work", "{}"), ("CPU µs, client's side", "cpu_client_us", "{:.1f}"),
    ("both", "cpu_us", "{:.1f}"), ("RSS MiB idle", "rss_idle_mib", "{:.1f}"),
    ("PSS idle", "pss_idle_mib", "{:.1f}"),
    ("controller RSS", "controller_rss_mib", "{:.1f}"),
)


def columns_for(work):
    """The columns that tell something about this kind of work."""
    for start, columns in (
            ("tcp-", STREAMS), ("http1-64k", BODIES), ("http1-1m", BODIES),
            ("idle-", IDLE), ("route-change", CHANGE), ("rules", GROWTH),
            ("headers", GROWTH), ("routes", GROWTH), ("endpoints", GROWTH)):
        if work.startswith(start):
            return columns
    return COLUMNS


def table(rows, columns=None):
    """Markdown, readable as it is."""
    columns = columns or columns_for(rows[0]["work"])
    lines = [[title for title, _, _ in columns]]
    lines += [[_cell(r.get(key), form) for _, key, form in columns]
              for r in rows]
    widths = [max(len(line[i]) for line in lines)
              for i in range(len(columns))]
    shown = ["| " + " | ".join(
        c.ljust(w) if i == 0 else c.rjust(w)
        for i, (c, w) in enumerate(zip(line, widths))) + " |"
        for line in lines]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":")
                          for i, w in enumerate(widths)) + "|"
    return "\n".join([shown[0], rule, *shown[1:]])


def spread(rows):
    """How far the rounds lie apart, in percent of the median."""
    widest = [max(abs(r["cpu_us_max"] - r["cpu_us"]),
                  abs(r["cpu_us"] - r["cpu_us_min"])) / r["cpu_us"] * 100
              for r in rows if r.get("cpu_us")]
    return max(widest, default=0.0)


def ratios(rows, mine="eastwest"):
    """CPU and rate of |mine| over each other peer's: [(peer, cpu, rps)]."""
    by_peer = {r["peer"]: r for r in rows}
    own = by_peer.get(mine)
    if not own:
        return []
    found = []
    for peer, other in by_peer.items():
        if peer != mine and other["cpu_us"] and own["cpu_us"]:
            found.append((peer, own["cpu_us"] / other["cpu_us"],
                          own["rps"] / other["rps"]))
    return found


def added(rows, mine="eastwest"):
    """At a constant rate: what |mine| adds to the direct way's latency over
    what each other peer adds: [(peer, p50, p99)]. A peer that adds nothing
    can't be compared."""
    by_peer = {r["peer"]: r for r in rows if r.get("rate")}
    if mine not in by_peer or "direct" not in by_peer:
        return []

    def more(peer, key):
        return by_peer[peer][key] - by_peer["direct"][key]
    return [(peer, *(more(mine, key) / more(peer, key)
                     for key in ("p50_ms", "p99_ms")))
            for peer in by_peer if peer not in (mine, "direct") and
            more(peer, "p50_ms") > 0 and more(peer, "p99_ms") > 0]


def comparison(rows):
    """Lines below a table; none where nothing can be compared."""
    found = [f"* eastwest / {peer}: CPU {cpu:.2f}, rate {rate:.2f}"
             for peer, cpu, rate in ratios(rows)]
    found += [f"* eastwest / {peer}, latency added to direct: p50 {p50:.2f}, "
              f"p99 {p99:.2f}" for peer, p50, p99 in added(rows)]
    if found:
        found.append(f"* farthest round from its median: {spread(rows):.0f}% "
                     "of the CPU")
    return ["", *found] if found else []
