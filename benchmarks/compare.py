"""One problem, everybody: settings of equal error found, then timed side by side."""

from dataclasses import replace

from contenders import AbstractContender, JaxDescent, contenders
from problems import Problem
from reference import Reference
from search import Rung, at_setting, cheapest, climb, descend
from timing import interleave

#: Errors of the stage ends at which contenders are compared.
TARGETS = (1e-3, 1e-6)


def compare(
    problem: Problem, ref: Reference, *, budget: float, rounds: int, targets=TARGETS, only=None, log=print
) -> dict:
    """Rows of the table of one problem, for each target, and the ladders behind them.

    **Arguments:** `budget`: seconds that one solve may take before it is extrapolated, and all rounds of one contender together.
    """
    everybody = {n: c for n, c in contenders().items() if only is None or c.ours or n in only}
    rows, ladders, rates = [], {}, {}
    if any(c.descends for c in everybody.values()):
        # all loops of gradient descent take the same steps: the fastest finds their rates
        finder = JaxDescent()
        rates = descend(finder.solver(problem, problem.forms[-1]), ref, targets, budget)
    for name, contender in everybody.items():
        refusal = contender.refuses(problem)
        log(f"  {problem.name}: {name}" + (f" (not run: {refusal})" if refusal else ""))
        if refusal:
            rows += [_row(name, form, t, None, refusal) for t in targets for form in contender.forms(problem)]
            continue
        first, *others = contender.forms(problem)
        if contender.descends:
            found = {t: at_setting(contender, problem, first, rates[t], ref, budget) for t in targets}
        else:
            ladders[name] = climb(contender, problem, first, ref, budget, min(targets))
            found = {t: cheapest(ladders[name], t) or _unfinished(ladders[name]) for t in targets}
        for target, rung in found.items():
            if rung is None:
                rows += [_row(name, f, target, None, "not reached at any tolerance") for f in (first, *others)]
                continue
            rows.append(_row(name, first, target, rung))
            rows += [_row(name, f, target, _elsewhere(contender, problem, f, rung, ref, budget)) for f in others]
    for target in targets:
        _time([r for r in rows if r["target"] == target and r["rung"]], everybody, problem, ref, rounds, budget)
    return {
        "problem": problem.name,
        "title": problem.title,
        "hard": problem.hard,
        "weights": problem.num_weights(),
        "samples": len(problem.data.x),
        "reference": {"ends": ref.ends.tolist(), "levels": ref.levels.tolist(), "error": ref.error, "until": ref.until},
        "rows": [_public(row) for row in rows],
        "ladders": {name: [vars(r) for r in rungs] for name, rungs in ladders.items()},
    }


def _elsewhere(
    contender: AbstractContender, problem: Problem, form: str, rung: Rung, ref: Reference, budget: float
) -> Rung:
    """The same setting on another form of the data; it can be no more exact than what it was found on."""
    other = at_setting(contender, problem, form, rung, ref, budget)
    return replace(other, how=other.how or rung.how) if rung.how else other


def _unfinished(rungs: list[Rung]) -> Rung | None:
    """The rung that was over the budget, if the ladder ended on one: a guess in the contender's favour, for it may not be exact enough."""
    return rungs[-1] if rungs[-1].error is None else None


def _row(name: str, form: str, target: float, rung: Rung | None, reason: str | None = None) -> dict:
    return {
        "contender": name,
        "form": form,
        "target": target,
        "rung": rung,
        "not_run": reason,
        "seconds": None,
        "ratio": None,
    }


def _time(rows: list[dict], everybody: dict[str, AbstractContender], problem, ref, rounds: int, budget: float) -> None:
    """Fills in seconds and ratios of the rows of one target."""
    jobs, measured = {}, {}
    for row in rows:
        if row["rung"].how is None:
            key = f"{row['contender']} on {row['form']}"
            solve = everybody[row["contender"]].solver(problem, row["form"])
            jobs[key] = lambda s=solve, r=row["rung"]: s(r.setting, ref.until, ref.levels)
            jobs[key]()  # compiles
            measured[key] = row
    timings = interleave(jobs, rounds, budget)
    ours = next((timings[k] for k, row in measured.items() if everybody[row["contender"]].ours), None)
    for key, row in measured.items():
        row["seconds"] = timings[key].summary()
        row["ratio"] = timings[key].over(ours) if ours else None
    for row in rows:
        if row["rung"].how is not None:
            guess = row["rung"].seconds
            row["seconds"] = {"median": guess, "smallest": None, "largest": None, "runs": 0}
            if ours:
                ratio = guess / ours.summary()["median"]
                row["ratio"] = {"median": ratio, "smallest": None, "largest": None, "runs": 0}


def _public(row: dict) -> dict:
    """A row of results.json, the same keys always."""
    rung = row["rung"]
    keys = ("setting", "error", "gradients", "hessians", "steps", "how")
    return {k: v for k, v in row.items() if k != "rung"} | {k: getattr(rung, k) if rung else None for k in keys}
