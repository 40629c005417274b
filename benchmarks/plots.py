"""The pictures of the page: ratios, work against precision, growth."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

#: of all pictures: enough to read on a screen, light enough to be kept with the text
DPI = 110
OURS = "#c0392b"
#: Of tab10, without the red that is ours.
OTHERS = (0, 1, 2, 4, 5, 6, 7, 8, 9)


def ratios(comparisons: list[dict], target: float, path: Path) -> None:
    """How many times longer each contender takes than ours: filled where measured, hollow where extrapolated."""
    rows = [
        (c, [r for r in c["rows"] if r["target"] == target and r["ratio"] and r["contender"] != "saddlescope"])
        for c in comparisons
    ]
    names = list(dict.fromkeys(f"{r['contender']} ({r['form']})" for _, part in rows for r in part))
    figure, axes = plt.subplots(figsize=(8.5, 0.32 * len(names) + 1.2), layout="constrained")
    for k, (comparison, part) in enumerate(rows):
        colour = plt.get_cmap("tab10")(k)
        for i, r in enumerate(part):
            at = names.index(f"{r['contender']} ({r['form']})") + 0.08 * (k - len(rows) / 2)
            q = r["ratio"]
            if q["runs"]:
                axes.plot([q["smallest"], q["largest"]], [at, at], color=colour, lw=1)
            axes.plot(
                q["median"],
                at,
                "o",
                ms=4,
                color=colour,
                mfc=colour if q["runs"] else "none",
                label=comparison["problem"] if i == 0 else None,
            )
    axes.axvline(1, color=OURS, lw=1)
    axes.set(
        xscale="log",
        yticks=range(len(names)),
        yticklabels=names,
        xlabel=f"seconds / ours, at error {target:g} of the stage ends",
    )
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=7, loc="upper right")
    _save(figure, path)


def precision(curves: list[dict], path: Path) -> None:
    """Error of the stage ends against seconds (above) and evaluations of gradient and Hessian (below)."""
    figure, grid = plt.subplots(
        2, len(curves), figsize=(4.2 * len(curves), 6.4), layout="constrained", squeeze=False, sharey=True
    )
    names = list(dict.fromkeys(n for c in curves for n in c["curves"]))
    for column, c in zip(grid.T, curves, strict=True):
        for name, rungs in c["curves"].items():
            ours = name.startswith("saddlescope")
            k = names.index(name)
            style = {
                "color": OURS if name == "saddlescope" else plt.get_cmap("tab10")(OTHERS[k % len(OTHERS)]),
                "lw": 2 if ours else 1,
                "ls": "-" if ours else "--",
                "ms": 3,
            }
            exact = [r for r in rungs if 0 < r["error"] < 1]
            column[0].plot([r["seconds"] for r in exact], [r["error"] for r in exact], "o", **style, label=name)
            counted = [r for r in exact if r["gradients"] is not None]
            column[1].plot(
                [r["gradients"] + r["hessians"] for r in counted],
                [r["error"] for r in counted],
                "o",
                **style,
                label=name,
            )
        column[0].set(title=c["title"], xlabel="seconds, warm")
        column[1].set(xlabel="gradients + Hessians")
        for axes in column:
            axes.set(xscale="log", yscale="log")
            axes.xaxis.set_minor_formatter(NullFormatter())  # they run into each other
            axes.grid(alpha=0.3)
    for axes in grid[:, 0]:
        axes.set_ylabel("largest relative error of a stage end")
    grid[0, 0].legend(fontsize=7)
    _save(figure, path)


def growth(curves: list[dict], path: Path) -> None:
    """Seconds and evaluations against what grows, with fitted slopes."""
    figure, grid = plt.subplots(2, len(curves), figsize=(2.6 * len(curves), 5.2), layout="constrained", squeeze=False)
    for column, c in zip(grid.T, curves, strict=True):
        x = [p[c["against"]] for p in c["points"]]
        seconds = [p["seconds"] for p in c["points"]]
        column[0].fill_between(
            x, [s["smallest"] for s in seconds], [s["largest"] for s in seconds], color=OURS, alpha=0.2, lw=0
        )
        column[0].plot(x, [s["median"] for s in seconds], "o-", color=OURS, ms=3)
        column[1].plot(x, [p["gradients"] + p["hessians"] for p in c["points"]], "o-", color="k", ms=3)
        for axes, key in zip(column, ("seconds", "evaluations"), strict=True):
            axes.set(xscale="log", yscale="log", xlabel=c["axis"])
            axes.xaxis.set_minor_formatter(NullFormatter())  # labels of a short axis would overlap
            if s := c.get("slopes"):
                axes.set_title(f"slope {s[key]['value']:.2f} [{s[key]['low']:.2f}, {s[key]['high']:.2f}]", fontsize=8)
            axes.grid(alpha=0.3)
        column[0].annotate(c["name"], (0.5, 1.18), xycoords="axes fraction", ha="center", fontsize=8)
    grid[0, 0].set_ylabel("seconds")
    grid[1, 0].set_ylabel("gradients + Hessians")
    _save(figure, path)


def _save(figure, path: Path) -> None:
    # no date and no version inside, so that the same numbers give the same file
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
