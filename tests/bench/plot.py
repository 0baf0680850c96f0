# SPDX-License-Identifier: Apache-2.0
"""One SVG with a row of bars for each kind of work."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  pylint: disable=C0413

PANELS = (("rps", "requests/s (TCP: MiB/s)"),
          ("cpu_us", "CPU µs of both proxies, each"),
          ("p99_ms", "p99, ms"))
COLOURS = {"direct": "#9aa0a6", "eastwest": "#1a73e8", "haproxy": "#f29900",
           "nghttpx": "#188038", "envoy-h1": "#b31412", "envoy-h2": "#e06666"}


def _bars(axes, rows, key):
    shown = [r for r in rows if r[key] is not None and
             not (key == "cpu_us" and r["peer"] == "direct")]
    if not shown:
        axes.set_axis_off()
        return
    names = [r["peer"] for r in shown]
    values = [r[key] for r in shown]
    low, high = f"{key}_min", f"{key}_max"
    error = None
    if low in shown[0]:
        error = [[max(0, r[key] - r[low]) for r in shown],
                 [max(0, r[high] - r[key]) for r in shown]]
    ends = [r.get(high, r[key]) for r in shown]
    axes.barh(names, values, xerr=error, color=[COLOURS[n] for n in names],
              error_kw={"elinewidth": 0.8, "ecolor": "#444444"})
    axes.invert_yaxis()
    for name, value, end in zip(names, values, ends):
        axes.annotate(f"{value:,.3g}" if value < 1000 else f"{value:,.0f}",
                      (max(value, end), name), xytext=(3, 0), va="center",
                      textcoords="offset points", fontsize=7)
    axes.margins(x=0.22)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def write(path, rows, works):
    """A row for each of |works| (works.Work) that was done; whether there was
    any."""
    works = [w for w in works if any(r["work"] == w.name for r in rows)]
    if not works:
        return False
    # Text stays text: small, and found by a search.
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "eastwest"
    figure, grid = pyplot.subplots(
        len(works), len(PANELS), squeeze=False,
        figsize=(11, 0.6 + 1.75 * len(works)), layout="constrained")
    for line, work in zip(grid, works):
        mine = [r for r in rows if r["work"] == work.name]
        for axes, (key, title) in zip(line, PANELS):
            _bars(axes, mine, key)
            if axes.axison:
                axes.set_title(f"{work.name}: {title}", fontsize=8,
                               loc="left")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True
