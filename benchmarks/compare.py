"""One problem, everybody: settings of equal error found, then timed side by side."""

from contenders import AbstractContender, JaxDescent, contenders
from search import GIVEN_UP, Bench, Rung, at_setting, best_bound, cheapest, climb, descend
from search import public as public_rung
from timing import interleave

#: Errors of the stage ends at which contenders are compared.
TARGETS = (1e-3, 1e-6)


def compare(bench: Bench, *, rounds: int, targets: tuple[float, ...] = TARGETS, log=print) -> dict:
    """Rows of the tables of one problem, and the ladders behind them, as they stand in results.json.

    **Arguments:** `rounds`: of the timing; a contender that has used the bench's budget is left out of later ones.
    """
    problem, ref, everybody = bench.problem, bench.ref, contenders()
    rows, ladders = [], {}
    # all loops of gradient descent take the same steps: the fastest finds their rates
    rates = descend(bench, JaxDescent(), problem.forms[-1], targets)
    for name, contender in everybody.items():
        refusal = contender.refuses(problem)
        log(f"  {problem.name}: {name}" + (f" (not run: {refusal})" if refusal else ""))
        if refusal:
            rows += [_row(name, form, t, None, refusal) for t in targets for form in contender.forms(problem)]
            continue
        try:
            rows += _settings(bench, contender, targets, rates, ladders)
        except Exception as error:
            # somebody's failure is a row of the table, not the end of everybody else's
            why = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            rows += [_row(name, form, t, None, why) for t in targets for form in contender.forms(problem)]
    for target in targets:
        _time([r for r in rows if r["target"] == target and r["rung"]], everybody, bench, rounds)
    return {
        "problem": problem.name,
        "title": problem.title,
        "hard": problem.hard,
        "weights": problem.num_weights(),
        "samples": len(problem.data.x),
        "reference": {
            "ends": ref.ends.tolist(),
            "levels": ref.levels.tolist(),
            "error": ref.error,
            "until": ref.until,
        },
        "rows": [public(row) for row in rows],
        "ladders": {name: [public_rung(r) for r in rungs] for name, rungs in ladders.items()},
    }


def _settings(
    bench: Bench, contender: AbstractContender, targets: tuple[float, ...], rates: dict, ladders: dict
) -> list[dict]:
    """The rows of one contender, each with the rung that is to be timed; its ladder goes into `ladders`."""
    name, rows = contender.name, []
    first, *others = contender.forms(bench.problem)
    if contender.descends:
        found = {t: at_setting(bench, contender, first, rates[t]) for t in targets}
    else:
        ladders[name] = climb(bench, contender, first, min(targets))
        found = {t: cheapest(ladders[name], t) or best_bound(ladders[name], t) for t in targets}
    for target, rung in found.items():
        if rung is None:
            rows += [_row(name, f, target, None, "not reached at any tolerance") for f in (first, *others)]
            continue
        rows.append(_row(name, first, target, rung))
        if rung.how and rung.how.startswith(GIVEN_UP):
            rows += [_row(name, f, target, None, f"given up on {first} already") for f in others]
        else:
            rows += [_row(name, f, target, at_setting(bench, contender, f, rung)) for f in others]
    return rows


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


def _time(rows: list[dict], everybody: dict[str, AbstractContender], bench: Bench, rounds: int) -> None:
    """Fills in seconds and ratios of the rows of one target."""
    jobs, measured, ref = {}, {}, bench.ref
    for row in rows:
        if row["rung"].how is None:
            key = f"{row['contender']} on {row['form']}"
            solve = bench.solver(everybody[row["contender"]], row["form"])
            jobs[key] = lambda s=solve, r=row["rung"]: s(r.setting, ref.until, ref.levels)
            measured[key] = row
    timings = interleave(jobs, rounds, bench.budget)
    ours = next((timings[k] for k, row in measured.items() if everybody[row["contender"]].ours), None)
    for key, row in measured.items():
        row["seconds"] = timings[key].summary()
        row["ratio"] = timings[key].over(ours) if ours else None
    for row in rows:
        if row["rung"].how is not None:
            row["seconds"] = _guess(row["rung"].seconds)
            row["ratio"] = _guess(row["rung"].seconds / ours.summary()["median"]) if ours else None


def _guess(value: float) -> dict:
    """Not measured to the end: no spread and no runs."""
    return {"median": value, "smallest": None, "largest": None, "runs": 0}


def public(row: dict) -> dict:
    """A row of results.json, the same keys always."""
    rung = row["rung"]
    keys = ("setting", "error", "gradients", "hessians", "steps", "how")
    return {k: v for k, v in row.items() if k != "rung"} | {k: getattr(rung, k) if rung else None for k in keys}
