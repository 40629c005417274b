r"""Scoreboard: the theory's plateaus against simulated ones, on random problems that nothing was tuned on.

**Problems.** Eight families, drawn as `_random_problems` states and frozen there.

**Predicted** from data and initial weights alone, by `theory.predict`. **Simulated** by gradient flow at rtol 1e-10, each time with an error from a companion run, plateaus read
by the definitions of every run. What theory does not answer counts as an abstention.

**Compared** are plateaus in order where there are as many on both sides, and otherwise those whose heights agree within 1e-3 of the whole drop, with their ends where the next heights agree
too: an end lies half way between. Where a run has read a height off its curve (no saddle near enough), its end is not one that theory could state; the table counts these.

**Measures.** Relative error of an end; error over the width of the transition (time from 90% to 10% of the drop); coverage, the part of ends whose error is within the expected one
(with the run's own); heights as parts of the first loss; number of plateaus, where no plateau of the run has a persistence between 0.1 and 0.3 decades;
the unit recruited. **Small scale** means at most 1e-4 where f is a product of two small factors, and at most 1e-3 where of more.
**Plain rules** beside: $\tfrac1s\ln\tfrac1\epsilon$ (order 1), the blow-up time of the first unit (order 2), $\epsilon^{2-p}/((p-2)s)$ (deep).

Intervals are of the statistic, 95%, by drawing problems again with replacement.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import plots, runs
from ..specs import read_spec
from ..theory import Problem as Asked
from ..theory import outside, predict
from ._base import Claim, Outcome, Progress
from ._baselines import baselines
from ._in_processes import in_processes
from ._random_problems import FAMILIES, Drawn, problem
from ._score_table import SLOW, score_table
from ._scored import Compared, Judged, Summary, interval, judge, summarize
from ._simulated import Simulated, Store, simulate

NAME = "scoreboard"
TITLE = "Scoreboard: predicted against simulated plateaus on random problems"

PROBLEMS, QUICK_PROBLEMS = 200, 1
SMALL_SCALE = {True: 1e-3, False: 1e-4}
#: An error below this would mean that the prediction has seen the run.
LEAST = 1e-16

#: (family, claim) that are known to fail, of the full list and of the quick one: findings, not to be tuned away (docs/scoreboard.md explains each).
FAILS: dict[bool, set[tuple[str, str]]] = {
    False: {
        *((family, "plateaus") for family in ("linear", "ReLU", "quadratic", "deep linear")),
        *((family, "heights") for family in ("ReLU", "quadratic", "attention", "deep linear")),
        ("ReLU", "heights, small scale"),
        *(("linear, non-commuting", name) for name in ("heights", "heights, small scale")),
    },
    True: set(),
}


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Predicts and simulates every problem; runs that are stored in `out` are not simulated again."""
    count = QUICK_PROBLEMS if quick else PROBLEMS
    folder = out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    problems = [problem(family, number) for number in range(count) for family in FAMILIES]
    store = Store(folder / "simulated.jsonl")
    judged: list[Judged] = []
    failures: list[str] = []
    done = 0
    # neighbours of one shape share compiled programs
    problems.sort(key=lambda drawn: (list(FAMILIES).index(drawn.family), _shape(drawn.spec), drawn.number))
    for share in in_processes(score, [(drawn, store.get(drawn.spec)) for drawn in problems]):
        for scored in share:
            done += 1
            progress(0.95 * done / len(problems), f"scoreboard: {scored.drawn.family} {scored.drawn.number}")
            if scored.run is not None and store.get(scored.drawn.spec) is None:
                store.put(scored.drawn.spec, scored.run)
            failures += [f"{scored.drawn.family} {scored.drawn.number}: {words}" for words in scored.failures]
            judged += [scored.judged] if scored.judged is not None else []
    seconds = [j.seconds for j in judged]
    order = list(FAMILIES)
    judged.sort(key=lambda j: (order.index(j.family), j.number))
    progress(0.96, "scoreboard: drawing")
    by_family = {family: [j for j in judged if j.family == family] for family in FAMILIES}
    (folder / "compared.json").write_text(_as_json(judged) + "\n", encoding="utf-8")
    claims = [c for family, group in by_family.items() for c in _claims(family, group, quick)]
    figure = plots.scoreboard(
        {
            family: [e for j in group for c in j.compared if (e := _end(c)) is not None]
            for family, group in by_family.items()
        },
        {family: _words(summarize(group)) for family, group in by_family.items()},
    )
    pictures = list(plots.save(figure, out / NAME))
    table = score_table(by_family, failures, seconds, folder)
    setting = f"{count} problems a family{' (quick)' if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, pictures, table, setting, _summary(judged))


class Scored(NamedTuple):
    """A problem with its run and its judgement, as far as there are any, and what went wrong in words."""

    drawn: Drawn
    run: Simulated | None
    judged: Judged | None
    failures: tuple[str, ...] = ()


def score(item: tuple[Drawn, Simulated | None]) -> Scored:
    """Simulates a problem, unless that has been done, and judges what theory says of it."""
    drawn, run = item
    if run is None:
        try:
            run = simulate(drawn.spec)
        except Exception as error:  # the next problem does not pay for this one, and the score says what it was
            return Scored(drawn, None, None, (f"{type(error).__name__}: {error}",))
    if run.ended not in ("settled", "converged"):
        return Scored(drawn, run, None, (f"the run ended as {run.ended} after {run.steps} steps",))
    made = runs.prepare(read_spec(drawn.spec))
    failures: tuple[str, ...] = ()
    began = time.monotonic()
    try:
        prediction = predict(made.network, made.objective)
    except Exception as error:  # a theory that breaks has not answered, and the score says with what
        reason = f"{type(error).__name__}: {error}"
        prediction = outside(Asked(made.network, made.objective), (reason,))
        failures = (f"prediction failed with {reason}",)
    took = time.monotonic() - began
    judged = judge(drawn, run, prediction, baselines(drawn, made.network, made.objective), took)
    return Scored(drawn, run, judged, failures)


def _shape(spec: dict[str, dict[str, Any]]) -> str:
    """The sizes in a spec: its whole numbers, and the lengths of its lists."""

    def sizes(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: sizes(v) for key, v in sorted(value.items()) if key not in ("seed", "scale")}
        return len(value) if isinstance(value, list | tuple) else value if isinstance(value, int | str) else None

    return json.dumps([sizes(spec["network"]), sizes(spec["task"])])


def _claims(family: str, group: Sequence[Judged], quick: bool) -> list[Claim]:
    """What is asked of a theory, of each family."""
    slow = family in SLOW
    small = [j for j in group if j.scale <= SMALL_SCALE[slow]]
    ends = [c for j in small for c in j.compared if c.predicted is not None and c.measured is not None]
    compared = [c for j in group for c in j.compared]
    known = [j for j in group if not j.abstained]
    heights = [c.height_error for c in compared if c.height_error is not None]
    heights += [j.end_error for j in known if j.end_error is not None]
    found: list[Claim] = []

    def add(name: str, sentence: str, values: Sequence[Any], statistic, bounds: tuple[float, float]) -> None:
        numbers = [float(v) for v in values if v is not None]
        value = float(statistic(np.asarray(numbers))) if numbers else None
        outcome = "holds" if value is not None and bounds[0] <= value <= bounds[1] else "fails"
        condition = None
        if value is None and quick and known:
            # the few problems of a quick run need not contain what the claim is about
            outcome, condition = "conditional", "none of the few problems of a quick run has such a number"
        expected = "fails" if (family, name) in FAILS[quick] else outcome if condition else "holds"
        span = interval(numbers, statistic)
        made = Claim(
            NAME, family, name, sentence, value, span, bounds, len(numbers), outcome, expected, condition=condition
        )
        found.append(made)

    def high(values: np.ndarray) -> float:
        return float(np.percentile(values, 95))

    if slow:
        errors, what = (
            [c.error_over_width for c in ends],
            "error of an end over the width of its transition, small scale",
        )
        add("median", f"Median {what}.", errors, np.median, (LEAST, 0.05))
        add("95th percentile", f"95th percentile of the {what}.", errors, high, (LEAST, 0.3))
    else:
        errors, what = [c.relative_error for c in ends], "relative error of an end, small scale"
        add("median", f"Median {what}.", errors, np.median, (LEAST, 1e-3))
        add("95th percentile", f"95th percentile of the {what}.", errors, high, (LEAST, 1e-2))
    gains = [_gain(c) for c in ends]
    sentence = "How many times nearer than the plain rule, median, small scale."
    add("better than the plain rule", sentence, gains, np.median, (5.0, 1e12))
    add("heights", "Largest error of a height, as a part of the first loss.", heights, np.max, (0.0, 1e-6))
    counted = [j.count_right for j in known if not j.marginal]
    add("plateaus", "Part of problems with the right number of plateaus, none marginal.", counted, np.mean, (0.99, 1.0))
    # the same where the initial weights are small: above, it is a matter of definition whether t = 0 counts as a plateau
    below = [j for j in small if not j.abstained]
    heights = [c.height_error for j in below for c in j.compared if c.height_error is not None]
    heights += [j.end_error for j in below if j.end_error is not None]
    sentence = "Largest error of a height, as a part of the first loss, small scale."
    add("heights, small scale", sentence, heights, np.max, (0.0, 1e-6))
    counted = [j.count_right for j in below if not j.marginal]
    sentence = "Part of problems with the right number of plateaus, none marginal, small scale."
    add("plateaus, small scale", sentence, counted, np.mean, (0.99, 1.0))
    covered = [c.covered for c in compared]
    add("coverage", "Part of ends whose error is within the expected one.", covered, np.mean, (0.95, 1.0))
    add(
        "abstention", "Part of problems that theory does not answer.", [j.abstained for j in group], np.mean, (0.0, 0.1)
    )
    recruited = [c.recruited for c in compared if c.recruited is not None]
    if recruited:
        sentence = "Part of drops in which the unit that grew most is among those that theory named."
        add("recruited", sentence, recruited, np.mean, (0.99, 1.0))
        named = [c.named for c in compared if c.named is not None]
        add("units named", "How many units theory names for a drop, on average.", named, np.mean, (1.0, 1.5))
    return found


def _gain(c: Compared) -> float | None:
    if c.baseline_error is None or c.predicted is None or c.measured is None:
        return None
    return c.baseline_error / max(abs(c.predicted - c.measured), c.measured_error or 0.0, LEAST * c.measured)


def _end(c: Compared) -> plots.ScoredEnd | None:
    if c.predicted is None or c.measured is None:
        return None
    return plots.ScoredEnd(c.predicted, c.measured, c.status, c.baseline)


def _words(s: Summary) -> str:
    if not s.times:
        return f"abstains in {s.abstained:.0%}"
    return f"{s.times} ends, median error {s.median:.1e}"


def _summary(judged: Sequence[Judged]) -> str:
    s = summarize(judged)
    if not s.times or s.median is None or s.percentile is None:
        return f"{s.problems} problems; theory abstains in all of them."
    return (
        f"{s.problems} problems, {s.times} ends of plateaus: relative error {s.median:.1e} (median), {s.percentile:.1e} (95th percentile); "
        f"the expected error covers {s.coverage or 0:.1%}; theory abstains in {s.abstained:.1%} of the problems."
    )


def _as_json(judged: Sequence[Judged]) -> str:
    rows = [j._asdict() | {"compared": [c._asdict() for c in j.compared]} for j in judged]
    return json.dumps({"schema": "saddlescope.scoreboard/1", "problems": rows}, indent=1, default=float)
