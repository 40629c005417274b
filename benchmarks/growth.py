"""How our cost grows with what a user makes larger: slopes of log cost against log size, with their intervals."""

import importlib
import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

import problems
from saddlescope.flow import gradient_flow
from saddlescope.objective import build
from saddlescope.series import crossing_time, find_plateaus
from timing import interleave
from yardstick import MARGIN

RTOL = 1e-6


@dataclass(frozen=True)
class Slope:
    """Of a least-squares line through logarithms, with its 95 % interval (Student's t)."""

    value: float
    low: float
    high: float


def slope(x, y) -> Slope:
    """**Raises:** `ValueError` for fewer than three points, which have no interval."""
    x, y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    if x.size < 3:
        raise ValueError(f"A slope with an interval needs three points or more: found {x.size}.")
    centred = x - x.mean()
    value = float(centred @ y / (centred @ centred))
    left = y - y.mean() - value * centred
    error = math.sqrt(float(left @ left) / (x.size - 2) / float(centred @ centred))
    half = float(student.ppf(0.975, x.size - 2)) * error
    return Slope(value, value - half, value + half)


def _solve(problem, until: float):
    return gradient_flow(
        problem.network, problem.objective(problem.forms[-1]), until=until, rtol=RTOL, keep_states=False
    )


def _last_level(problem) -> float:
    """Half way down the last drop."""
    run = _solve(problem, problem.until)
    heights = [p.loss for p in find_plateaus(run.t, run.loss, run.speed)] + [float(run.loss[-1])]
    return (heights[-1] + heights[-2]) / 2


def _end(problem, level: float | None = None) -> tuple[float, float]:
    """(time a little after the last stage end, that end). `level`: of the loss there, if it is that of another problem."""
    level = _last_level(problem) if level is None else level
    run = _solve(problem, problem.until)
    end = crossing_time(run.t, run.loss, run.speed, level)
    if end is None:
        raise RuntimeError(f"{problem.title}: the loss does not fall to {level:.3g} until t = {problem.until:g}.")
    return MARGIN * end, end


def _measure(cases: dict[float, tuple], rounds: int, patience: float) -> list[dict]:
    """Points {size, length, seconds, gradients, hessians}; `cases`: size -> (problem, until, length)."""
    runs = {size: _solve(problem, until) for size, (problem, until, _) in cases.items()}
    jobs = {str(size): lambda p=problem, u=until: _solve(p, u) for size, (problem, until, _) in cases.items()}
    timings = interleave(jobs, rounds, patience)
    return [
        {
            "size": size,
            "length": cases[size][2],
            "seconds": timings[str(size)].summary(),
            "gradients": int(run.cost["gradient_evaluations"]),
            "hessians": int(run.cost["hessian_evaluations"]),
        }
        for size, run in runs.items()
    ]


def _curve(name: str, axis: str, points: list[dict], against: str = "size", **more) -> dict:
    """One measured growth with its slopes, in seconds and in gradients."""
    x = [p[against] for p in points]
    slopes = {
        "seconds": vars(slope(x, [p["seconds"]["median"] for p in points])),
        "evaluations": vars(slope(x, [p["gradients"] + p["hessians"] for p in points])),
    }
    return {"name": name, "axis": axis, "against": against, "points": points, "slopes": slopes} | more


def plateau_length(kind: str, quick: bool, rounds: int, patience: float) -> dict:
    """Longer plateaus from smaller weights: logarithmic for linear units, as 1 / scale for quadratic ones."""
    if kind == "linear":
        scales = (1e-2, 1e-4, 1e-8, 1e-12) if quick else tuple(10.0**-k for k in range(2, 13))
        made = {s: problems.linear(scale=s, until=25.0 + 8.0 * math.log(1e-2 / s)) for s in scales}
    else:
        scales = (1e-2, 10**-2.5, 1e-3) if quick else tuple(10.0 ** (-k / 2) for k in range(4, 9))
        made = {s: problems.quadratic(s, 1.3 / s) for s in scales}
    # plateaus of larger weights run into each other: the levels are those of the smallest, the same for all
    level = _last_level(made[min(made)])
    cases = {s: (p, *_end(p, level)) for s, p in made.items()}
    points = _measure(cases, rounds, patience)
    return _curve(f"{kind}, by plateau length", "time of the last stage end", points, "length", target=0.2)


def samples(quick: bool, rounds: int, patience: float) -> dict:
    """More samples, read once; `reading`: seconds to compress them."""
    counts = (100, 1_000, 10_000) if quick else (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
    made = {n: problems.linear(samples=n) for n in counts}
    reading = {}
    for n, p in made.items():
        build(p.data, p.network, compress=True)  # compiles
        began = time.perf_counter()
        build(p.data, p.network, compress=True)
        reading[n] = time.perf_counter() - began
    cases = {n: (p, *_end(p)) for n, p in made.items()}
    points = [p | {"reading": reading[p["size"]]} for p in _measure(cases, rounds, patience)]
    return _curve("linear 10-50-5, by samples", "samples", points, target=0.0)


def width(quick: bool, rounds: int, patience: float) -> dict:
    """Wider linear networks, the weight of the whole layer kept: scale / sqrt(width)."""
    widths = (10, 100, 1_000) if quick else (10, 30, 100, 300, 1_000, 3_000, 10_000)
    made = {h: problems.linear(units=h, scale=1e-3 * math.sqrt(50 / h)) for h in widths}
    cases = {h: (p, *_end(p)) for h, p in made.items()}
    return _curve("linear 10-H-5, by width", "width H", _measure(cases, rounds, patience), target=0.0)


def _cost(run) -> dict:
    """Of one run of a batch, which hands back an exception in place of one that could not start."""
    if isinstance(run, Exception):
        raise run
    return run.cost


def batch_flow():
    """The function that runs many networks as one compiled call, if this version has one."""
    return getattr(importlib.import_module("saddlescope.flow"), "gradient_flows", None)


def runs(kind: str, quick: bool, patience: float) -> dict:
    """Runs that differ in their seed: one compiled call for all where there is one, otherwise one after another."""
    make = {
        "linear 2-50-2": lambda seed: problems.small_linear(seed),
        "linear 10-50-5": lambda seed: problems.linear(seed=seed),
        "quadratic 1e-2": lambda seed: problems.quadratic(1e-2, seed=seed),
    }[kind]
    counts = (1, 4, 16) if quick else tuple(4**k for k in range(7))
    first = make(0)
    until, _ = _end(first)
    goal, many = first.objective(first.forms[-1]), batch_flow()
    points = []
    for count in counts:
        networks = [make(seed).network for seed in range(count)]

        def solve(networks=networks):
            if many is not None:
                return [_cost(run) for run in many(networks, goal, until=until, rtol=RTOL, keep_states=False)]
            return [gradient_flow(n, goal, until=until, rtol=RTOL, keep_states=False).cost for n in networks]

        solve()
        began = time.perf_counter()
        costs = solve()
        seconds = time.perf_counter() - began
        points.append(
            {
                "size": count,
                "length": until,
                "seconds": {"median": seconds, "smallest": seconds, "largest": seconds, "runs": 1},
                "gradients": int(sum(c["gradient_evaluations"] for c in costs)),
                "hessians": int(sum(c["hessian_evaluations"] for c in costs)),
            }
        )
        if 4 * seconds > patience:
            break
    best = max(p["size"] / p["seconds"]["median"] for p in points)
    how = "one compiled call" if many is not None else "one after another: this version has no call for many runs"
    found = {"name": f"{kind}, by runs", "axis": "runs", "against": "size", "points": points, "how": how}
    found["runs_per_second"] = best
    found["target_runs_per_second"] = {"linear 2-50-2": 1000, "linear 10-50-5": 400, "quadratic 1e-2": 80}[kind]
    if len(points) >= 3:
        found = _curve(
            found.pop("name"), found.pop("axis"), found.pop("points"), **{k: found[k] for k in found if k != "against"}
        )
    return found


def everything(quick: bool, rounds: int, patience: float, log=print, before: list[dict] | None = None) -> list[dict]:
    """Every growth; those that `before` has already are taken from there."""
    known = {g["name"]: g for g in before or []}
    found = []
    for name, make in (
        ("linear, by plateau length", lambda: plateau_length("linear", quick, rounds, patience)),
        ("quadratic, by plateau length", lambda: plateau_length("quadratic", quick, rounds, patience)),
        ("linear 10-50-5, by samples", lambda: samples(quick, rounds, patience)),
        ("linear 10-H-5, by width", lambda: width(quick, rounds, patience)),
        *((f"{kind}, by runs", lambda kind=kind: runs(kind, quick, patience)) for kind in RUNS),
    ):
        if name not in known:
            log(f"  growth: {name}")
        found.append(known.get(name) or make())
    return found


RUNS = ("linear 2-50-2", "linear 10-50-5", "quadratic 1e-2")
