"""What was aimed at, and whether it is met: computed from the results, never asserted."""

#: Why a problem or a growth is what it is, beside its counts.
BECAUSE = {
    "relu": "every kink is found and a step ends there, at any tolerance; steps over kinks are exact enough for the looser error",
    "linear, by plateau length": "weights grow exponentially there, and a step of order 8 covers a fixed part of that however small they are",
    "quadratic, by plateau length": "explicit steps at the limit of stability until a plateau has shown to be long",
}
#: A slope up to this counts as none: a factor 1.12 in cost for a factor 10 in size.
NO_GROWTH = 0.05


def targets(results: dict) -> list[dict]:
    """Rows {what, wanted, found, met, limit}; only those that this run has measured. `met` is None where an interval leaves it open."""
    rows = []
    for c in results["comparisons"]:
        rows += _against_diffrax(c) + _against_torch(c)
    for g in results["growth"]:
        rows += _growth(g)
    key = "import saddlescope, added to a bare interpreter (s)"
    if key in results["startup"]:
        seconds = results["startup"][key]["median"]
        rows.append(_row("import saddlescope", "< 0.3 s", f"{seconds:.2f} s", seconds < 0.3, "imports"))
    return rows


def _row(what: str, wanted: str, found: str, met: bool | None, limit: str) -> dict:
    return {"what": what, "wanted": wanted, "found": found, "met": met, "limit": "" if met else limit}


def _against_diffrax(c: dict) -> list[dict]:
    rows = []
    long = c["problem"] == "quadratic 1e-3"
    small = c["weights"] <= 1_000
    least = 5.0 if long else 3.0 if small else 1.0
    for target in sorted({r["target"] for r in c["rows"]}, reverse=True):
        mine = next(
            (r for r in c["rows"] if r["contender"] == "saddlescope" and r["target"] == target and r["seconds"]), None
        )
        where = f"{c['problem']}, error {target:g}"
        every = [r for r in c["rows"] if r["contender"].startswith("diffrax") and r["target"] == target and r["ratio"]]
        if mine is None or not every:
            continue
        # on the samples, which is what a user has, and on the few rows that stand for them, which our objective made
        for form in sorted({r["form"] for r in every}, reverse=True):
            theirs = [r for r in every if r["form"] == form]
            # a lower bound decides only where nobody got to the end
            theirs = [r for r in theirs if r["ratio"]["runs"]] or theirs
            best = min(theirs, key=lambda r: r["ratio"]["median"])
            sign = "" if best["ratio"]["runs"] else "> "
            found = f"{sign}{best['ratio']['median']:.2f}"
            if best["ratio"]["runs"]:
                found += f" [{best['ratio']['smallest']:.2f}, {best['ratio']['largest']:.2f}]"
            found += f" ({best['contender']})"
            data = "samples" if form == "samples" else "our compressed data"
            what = f"{where}: best of diffrax on {data} / ours"
            why = _why(limited_by(mine, best), c["problem"])
            rows.append(_row(what, f">= {least:g}", found, best["ratio"]["median"] >= least, why))
        theirs = [r for r in every if r["ratio"]["runs"]] or every
        counted = [r for r in theirs if r["gradients"] is not None]
        if long and counted:
            fewest = min(counted, key=lambda r: r["gradients"])
            ratio = fewest["gradients"] / max(mine["gradients"], 1)
            found = f"{ratio:.1f} ({fewest['contender']}; ours {mine['gradients']} gradients and {mine['hessians']} Hessians)"
            rows.append(
                _row(
                    f"{where}: gradients of diffrax / ours",
                    ">= 20",
                    found,
                    ratio >= 20,
                    "explicit steps at the limit of stability until a plateau has shown to be long, and 8 gradients in each stiff step",
                )
            )
    return rows


def _why(counts: str, name: str) -> str:
    return f"{counts}; {BECAUSE[name]}" if name in BECAUSE else counts


def limited_by(mine: dict, other: dict) -> str:
    """Evaluations or what one costs: which of the two makes the difference to another contender."""
    if not mine["gradients"] or not other["gradients"]:
        return "not known: the other's gradients cannot be counted"
    each = mine["seconds"]["median"] / mine["gradients"], other["seconds"]["median"] / other["gradients"]
    return (
        f"ours {mine['gradients']} gradients and {mine['hessians']} Hessians, {1e6 * each[0]:.1f} us a gradient in all; "
        f"theirs {other['gradients']}, {1e6 * each[1]:.1f} us"
    )


def _against_torch(c: dict) -> list[dict]:
    if not c["problem"].startswith("attention tokens"):
        return []
    rows = []
    for r in c["rows"]:
        if r["contender"].startswith("PyTorch") and r["ratio"]:
            kind = "extrapolated" if r["how"] else "measured"
            found = f"{r['ratio']['median']:.0f} ({kind})"
            rows.append(
                _row(
                    f"{c['problem']}, error {r['target']:g}: {r['contender']} / ours",
                    ">= 1000",
                    found,
                    r["ratio"]["median"] >= 1000,
                    "",
                )
            )
    return rows


def _growth(g: dict) -> list[dict]:
    rows = []
    if "target" in g:
        s = g["slopes"]["seconds"]
        found = f"{s['value']:.2f} [{s['low']:.2f}, {s['high']:.2f}]"
        e = g["slopes"]["evaluations"]["value"]
        bound = g["target"] or NO_GROWTH
        met = True if s["high"] <= bound else False if s["low"] > bound else None
        why = _why(f"slope of evaluations {e:.2f}", g["name"])
        rows.append(_row(f"{g['name']}: slope of seconds", f"<= {bound:g}", found, met, why))
    if "target_runs_per_second" in g:
        wanted = g["target_runs_per_second"]
        rows.append(
            _row(
                f"{g['name']}",
                f">= {wanted} runs/s",
                f"{g['runs_per_second']:.0f} runs/s",
                g["runs_per_second"] >= wanted,
                g["how"],
            )
        )
    return rows
