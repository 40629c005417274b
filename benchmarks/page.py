"""results.json as a page of the docs: tables, pictures, and what is missed."""

import math
from pathlib import Path

import plots
from search import GIVEN_UP
from targets import targets

INTRO = """# Benchmarks

How fast saddlescope gets the stage ends of a run, beside what else one could use. `make bench` measures everything again and writes this page, the
pictures and [benchmarks/results.json](../benchmarks/results.json); nothing on it is typed by hand.

**How to read it.** Every contender gets the same samples, the same first weights and the same loss in double precision, and is compared at *equal achieved
error*: the largest relative error of a stage end against a reference (SciPy's DOP853 at rtol 1e-12, cross-checked by ours). Each goes down a ladder of
tolerances, or learning rates, and the cheapest rung that is exact enough is timed. Ratios are its seconds over ours, in the same round, so that more than 1
means ours is faster; median of {rounds} rounds in random order, [smallest, largest]. Times are warm; compiling is in the table of first answers. "samples": the
data as users write them; "compressed": our objective, the few rows with the same second moments, given to them too. Stage ends are read in the
way that is best for each: dense output or events where there are any, otherwise a cubic through losses and slopes; gradient descent reads every step.
Contenders in JAX and SciPy differentiate our loss with `jax.grad` and `jax.hessian`; diffrax's controller is proportional-integral (0.3, 0.3). Everybody stops soon
after the last stage end. Ours also writes the whole loss curve, samples inside steps included, which the others do not.
**>**: given up after about {budget:g} s, or not exact enough by then, so a lower bound; **about**: gradient descent, as many steps as its learning rate needs
times the measured time of one. results.json says which (`how`).
"""


def write(results: dict, folder: Path) -> None:
    """Writes docs/benchmarks.md and its pictures into `folder`."""
    parts = [INTRO.format(rounds=results["rounds"], budget=results["budget"]), _machine(results)]
    if results["quick"]:
        parts.append("**This is the short form** (`--quick`): fewer problems, rounds and sizes.\n")
    parts.append(_targets(results))
    comparisons = results["comparisons"]
    if comparisons:
        parts.append("## Side by side\n")
        for target in sorted({r["target"] for c in comparisons for r in c["rows"]}, reverse=True):
            name = f"benchmarks-ratios-{target:.0e}.png".replace("e-0", "e-")
            plots.ratios(comparisons, target, folder / name)
            parts.append(
                f"![How many times longer each contender takes than saddlescope, at an error of {target:g}]({name})\n"
            )
        parts += [_comparison(c) for c in comparisons]
    if results["precision"]:
        plots.precision(results["precision"], folder / "benchmarks-precision.png")
        parts.append("## Work and precision\n\nOne warm solve each; all on the compressed data.\n")
        parts.append("![Error of the stage ends against seconds and against evaluations](benchmarks-precision.png)\n")
    if results["first_answers"]:
        parts.append(_first(results["first_answers"]))
    if results["growth"]:
        plots.growth(results["growth"], folder / "benchmarks-growth.png")
        parts.append(_growth(results["growth"]))
    if results["startup"]:
        parts.append(_startup(results["startup"]))
    (folder / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


def _machine(results: dict) -> str:
    a = results["about"]
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items() if version)
    return (
        f"Measured on {a['cores']} cores of {a['processor']}, Python {a['python']}, {versions}. {results['minutes']:.0f} minutes. {results.get('note', '')}".rstrip()
        + "\n"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def number(value: float | None, digits: int = 2) -> str:
    """Two digits, as people write them."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "none"
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if -3 <= power < 5:
        return f"{value:.{max(digits - 1 - power, 0)}f}"
    return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def spread(s: dict | None, how: str = "") -> str:
    if s is None:
        return ""
    if not s["runs"]:
        return ("> " if how.startswith(GIVEN_UP) else "about ") + number(s["median"])
    return number(s["median"]) + (f" [{number(s['smallest'])}, {number(s['largest'])}]" if s["runs"] > 1 else " (once)")


def _targets(results: dict) -> str:
    said = {True: "met", False: "**missed**", None: "open: the interval holds both"}
    rows = [[t["what"], t["wanted"], t["found"], said[t["met"]], t["limit"]] for t in targets(results)]
    return "## Targets\n\n" + _table(["what", "wanted", "found", "", "what limits it"], rows) if rows else ""


def _comparison(c: dict) -> str:
    ref = c["reference"]
    head = ["contender", "data", "setting", "error", "seconds", "/ ours", "gradients", "Hessians", "steps"]
    text = [f"### {c['title']}\n", f"{c['hard'].capitalize()}. {c['weights']} weights, {c['samples']} samples."]
    text.append(
        f"Stage ends {', '.join(f'{t:.4f}' for t in ref['ends'])} (two tight solves agree to {number(ref['error'])}).\n"
    )
    for target in sorted({r["target"] for r in c["rows"]}, reverse=True):
        rows = [_line(r) for r in c["rows"] if r["target"] == target]
        text.append(f"At an error of {target:g}:\n\n" + _table(head, rows))
    return "\n".join(text)


def _line(r: dict) -> list[str]:
    if r["not_run"]:
        return [r["contender"], r["form"], "", "", f"not run: {r['not_run']}", "", "", "", ""]
    counts = ["not counted" if r[k] is None else str(r[k]) for k in ("gradients", "hessians", "steps")]
    error = "not run to the end" if r["error"] is None else number(r["error"])
    return [
        r["contender"],
        r["form"],
        number(r["setting"]),
        error,
        spread(r["seconds"], r["how"] or ""),
        spread(r["ratio"], r["how"] or ""),
        *counts,
    ]


def _first(found: list[dict]) -> str:
    head = [
        "problem",
        "contender",
        "data",
        "nothing compiled, s",
        "compiled programs kept, s",
        "of which imports, s",
        "peak memory, MB",
    ]
    rows = [
        [
            f["problem"],
            f["contender"],
            f["form"],
            number(f["cold"]),
            number(f["kept"]),
            number(f["import"]),
            f"{f['bytes'] / 2**20:.0f}",
        ]
        for f in found
    ]
    intro = "## First answers\n\nA new process, from its start to the stage ends at an error of 1e-6, once with an empty and once with a filled compilation cache.\n\n"
    return intro + _table(head, rows)


def _growth(found: list[dict]) -> str:
    text = ["## How our cost grows\n\nSlopes of log cost against log size, with 95 % intervals; rtol 1e-6, warm.\n"]
    rows = []
    for c in found:
        s = c.get("slopes")
        cells = [
            f"{s[k]['value']:.3f} [{s[k]['low']:.3f}, {s[k]['high']:.3f}]" if s else ""
            for k in ("seconds", "evaluations")
        ]
        sizes = [p[c["against"]] for p in c["points"]]
        more = f"{c['runs_per_second']:.0f} runs/s, {c['how']}" if "runs_per_second" in c else ""
        if "reading" in c["points"][-1]:
            more = f"compressing once: {number(c['points'][0]['reading'])} to {number(c['points'][-1]['reading'])} s"
        rows.append([c["name"], f"{number(sizes[0])} to {number(sizes[-1])}", *cells, more])
    text.append(_table(["", "from, to", "slope of seconds", "slope of evaluations", ""], rows))
    text.append("![Seconds and evaluations against plateau length, samples, width and runs](benchmarks-growth.png)\n")
    return "\n".join(text)


def _startup(found: dict) -> str:
    return "## The command line\n\n" + _table(
        ["", "seconds"], [[name.removesuffix(" (s)"), spread(s)] for name, s in found.items()]
    )
