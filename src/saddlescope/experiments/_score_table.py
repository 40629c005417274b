"""The score as text: every family as it is, by source, separation and status, its worst ends, and what was not answered."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from ..specs import read_spec, resolved
from ..tasks import TASKS
from . import _rows
from ._random_problems import Drawn, problem
from ._scored import Compared, Judged, Summary, summarize

#: Families in which f is a product of more than two small factors: error is measured against the width of the transition.
SLOW = ("quadratic", "attention", "deep linear")
#: Edges of (1 - s2/s1) ln(1/scale).
STRATA = (0.0, 2.0, 4.0, 8.0, np.inf)
WORST = 5
HEAD = (
    "problems",
    "abstain",
    "ends",
    "read off",
    "median",
    "95%",
    "/width 50%",
    "/width 95%",
    "covered",
    "expected 50%",
    "count",
    "heights 95%",
    "unit",
    "seconds 50%",
)


def _cells(s: Summary) -> tuple[str, ...]:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    def small(value: float | None) -> str:
        return "-" if value is None else f"{value:.1e}"

    return (
        str(s.problems),
        percent(s.abstained),
        str(s.times),
        str(s.read_off),
        small(s.median),
        small(s.percentile),
        small(s.over_width_median),
        small(s.over_width_percentile),
        percent(s.coverage),
        small(s.expected),
        f"{percent(s.counts_right)} of {s.outside_margin}",
        small(s.heights),
        percent(s.recruited),
        "-" if s.seconds is None else f"{s.seconds:.2g}",
    )


def score_table(by_family: dict[str, list[Judged]], failures: list[str], seconds: list[float], folder: Path) -> str:
    rows: list[tuple[str, ...]] = [("family", *HEAD)]
    strata: list[tuple[str, ...]] = [("family", "(1 - s2/s1) ln(1/scale)", *HEAD)]
    statuses: list[tuple[str, ...]] = [("family", "status", *HEAD)]
    for family, group in by_family.items():
        rows.append((family, *_cells(summarize(group))))
        for low, high in pairwise(STRATA):
            inside = [j for j in group if low <= j.separation < high]
            if inside:
                strata.append((family, f"{low:g} to {high:g}", *_cells(summarize(inside))))
        for status in ("theorem", "asymptotic", "heuristic"):
            inside = [j for j in group if j.status == status]
            if inside:
                statuses.append((family, status, *_cells(summarize(inside))))
    sources: list[tuple[str, ...]] = [("family", "source", *HEAD)]
    for family, group in by_family.items():
        for source in ("closed form", "quadrature", "reduced ODE"):
            inside = [
                j._replace(compared=chosen)
                for j in group
                if (chosen := tuple(c for c in j.compared if c.source == source))
            ]
            if inside:
                sources.append((family, source, *_cells(summarize(inside))))
    parts = [
        _rows.aligned(rows),
        "By how a time was obtained\n" + _rows.aligned(sources),
        "By how far timescales are apart\n" + _rows.aligned(strata),
        "By the weakest status of a prediction\n" + _rows.aligned(statuses),
        "Worst ends (a specification of each beside this table, in scoreboard/worst)\n" + _worst(by_family, folder),
        "Numbers of plateaus that differ, none marginal\n" + (_differing(by_family) or "none"),
        "Why theory abstains\n" + (_abstentions(by_family) or "it does not"),
    ]
    if failures:
        parts.append("Not scored\n" + "\n".join(failures))
    if seconds:
        parts.append(
            f"A prediction takes {np.median(seconds):.2g} s (median), {np.max(seconds):.2g} s (longest, compilation included)."
        )
    return "\n\n".join(parts)


def _worst(by_family: dict[str, list[Judged]], folder: Path) -> str:
    (folder / "worst").mkdir(exist_ok=True)
    rows = [
        (
            "family",
            "problem",
            "plateau",
            "scale",
            "predicted",
            "expected +-",
            "measured",
            "+-",
            "/width",
            "status",
            "facts of the problem",
        )
    ]
    for family, group in by_family.items():
        ends = [(c, j) for j in group for c in j.compared if c.relative_error is not None]
        ends.sort(key=lambda pair: -(pair[0].relative_error or 0.0))
        for c, j in ends[:WORST]:
            drawn = problem(family, c.number)
            spec = read_spec(drawn.spec)
            name = f"{family.replace(', ', '-').replace(' ', '-').lower()}-{c.number}.toml"
            (folder / "worst" / name).write_text(resolved(spec, spec.read_task(TASKS)), encoding="utf-8")
            rows.append(
                (
                    family,
                    str(c.number),
                    str(c.stage),
                    f"{c.scale:.1e}",
                    f"{c.predicted:.7g}",
                    "-" if c.expected_error is None else f"{c.expected_error:.1e}",
                    f"{c.measured:.7g}",
                    "-" if c.measured_error is None else f"{c.measured_error:.1e}",
                    "-" if c.error_over_width is None else f"{c.error_over_width:.1e}",
                    c.status,
                    facts(drawn, c, j),
                )
            )
    return _rows.aligned(rows)


def facts(drawn: Drawn, c: Compared, j: Judged) -> str:
    """What a reader should know first about a large error; what causes it is for docs/scoreboard.md to say."""
    words = []
    if c.covered is False:
        words.append("not covered by its expected error")
    ratios = np.divide(drawn.singular_values[1:], drawn.singular_values[:-1])
    closest = float(np.max(ratios))
    if drawn.family in SLOW:
        words.append(f"scale {drawn.scale:.1e}: corrections are powers of it")
    else:
        small = drawn.scale ** (2 * (1 - closest))
        words.append(f"eps^(2(1-s'/s)) = {small:.1e} for the closest pair (ratio {closest:.2f})")
    if j.marginal:
        words.append("a plateau is marginal")
    return "; ".join(words)


def _differing(by_family: dict[str, list[Judged]]) -> str:
    wrong = [j for group in by_family.values() for j in group if j.count_right is False and not j.marginal]
    return "\n".join(
        f"{j.family} {j.number}: predicted {j.count}, seen {j.count_measured}, scale {j.scale:.1e}, separation {j.separation:.2f}"
        for j in wrong
    )


def _abstentions(by_family: dict[str, list[Judged]]) -> str:
    lines = []
    for family, group in by_family.items():
        reasons = [j.reason for j in group if j.abstained]
        lines += [f"{family}: {reasons.count(reason)} x {reason}" for reason in dict.fromkeys(reasons)]
    return "\n".join(lines)
