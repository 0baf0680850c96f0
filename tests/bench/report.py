# SPDX-License-Identifier: Apache-2.0
"""From samples to rows: medians, spread, JSON, tables."""

import statistics

KEYS = ("peer", "work", "rps", "cpu_us", "p50_ms", "p99_ms", "p999_ms",
        "rss_idle_mib", "rss_load_mib")


def median(values):
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def rounded(value, digits=3):
    return None if value is None else round(value, digits)


def row(peer, work, samples, idle):
    """One object of the JSON list: medians over the rounds of one run.
    |samples|: of sample.Sample; |idle|: measure.Memory before any load."""
    rates = [s.load.rps for s in samples]
    costs = [s.per_request(s.cpu.total) for s in samples]
    found = {
        "peer": peer, "work": work,
        "rps": median(rates),
        "cpu_us": median(costs),
        "p50_ms": median([s.load.p50 for s in samples]),
        "p99_ms": median([s.load.p99 for s in samples]),
        "p999_ms": median([s.load.p999 for s in samples]),
        "rss_idle_mib": idle.rss,
        "rss_load_mib": median([s.memory.rss for s in samples]),
        "pss_idle_mib": idle.pss,
        "pss_load_mib": median([s.memory.pss for s in samples]),
        "cpu_user_us": median([s.per_request(s.cpu.user) for s in samples]),
        "cpu_system_us": median([s.per_request(s.cpu.system)
                                 for s in samples]),
        "mib_per_s": median([s.load.bytes / s.load.seconds / (1 << 20)
                             for s in samples]),
        "generator_cpu_us": median([s.per_request(s.load.cost)
                                    for s in samples]),
        "rounds": len(samples),
        "rps_min": min(rates), "rps_max": max(rates),
        "cpu_us_min": min(costs), "cpu_us_max": max(costs),
    }
    return {key: rounded(value) if isinstance(value, float) else value
            for key, value in found.items()}


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


def table(rows, columns=COLUMNS):
    """Markdown, readable as it is."""
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
