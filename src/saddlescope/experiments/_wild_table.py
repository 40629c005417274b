"""What the trainings in the wild came to, in words and rows."""

from collections.abc import Sequence

import numpy as np

from .. import plots
from ..watch import KINDS
from . import _rows
from ._wild_cases import FAMILIES
from ._wild_scored import Scored, exponents, mean_errors, rule_error
from ._wild_stalls import RECIPES

MEAN = "the answer's mean"


def rules(known: Sequence[Scored], group: Sequence[Scored]) -> dict[str, list[float]]:
    return {
        "an exponential": [rule_error(s.exponential, s.exit or 1.0) for s in known],
        "a line through the loss": [rule_error(s.line, s.exit or 1.0) for s in known],
        MEAN: mean_errors(group),
    }


def end(s: Scored) -> plots.ScoredEnd | None:
    if s.predicted is None or s.exit is None:
        return None
    return plots.ScoredEnd(s.predicted, s.exit, "heuristic" if s.status == "heuristic" else "asymptotic", s.exponential)


def words(group: Sequence[Scored]) -> str:
    errors = [s.error for s in group if s.error is not None]
    if not errors:
        return f"abstains in {len(group)} of {len(group)}"
    return f"{len(errors)} of {len(group)}, median error {np.median(errors):.1%}"


def summary(scored: Sequence[Scored], truths: Sequence[tuple[str, str, bool]]) -> str:
    errors = [s.error for s in scored if s.error is not None and FAMILIES[s.case.family].asked]
    right = np.mean([kind == label for kind, label, _ in truths])
    return f"{len(errors)} plateaus forecast at half their length: median error {np.median(errors):.1%}; {len(truths)} planted stalls, {right:.0%} called what they are."


def _kind(family: str) -> str:
    found = FAMILIES[family]
    return "control" if not found.asked else "tuned on" if found.tuned else "new data" if found.blind else "held out"


def table(by_family: dict[str, list[Scored]], truths: Sequence[tuple[str, str, bool]]) -> str:
    head = (
        "family",
        "",
        "trainings",
        "exits",
        "forecast",
        "median",
        "90%",
        "covered",
        "exponential",
        "line",
        "mean",
        "forecast/exit",
        "half height/exit",
    )
    rows: list[tuple[str, ...]] = [head]
    for family, group in by_family.items():
        known = [s for s in group if s.error is not None]
        exits = [s for s in group if s.exit is not None]
        errors = [float(s.error or 0.0) for s in known]
        plain = [f"{np.median(of):.1%}" if of else "-" for of in rules(known, group).values()]
        ratios = [s.predicted / s.exit for s in known if s.predicted and s.exit]
        late = [s.half_height / s.exit for s in exits if s.half_height and s.exit]
        rows.append(
            (
                family,
                _kind(family),
                str(len(group)),
                str(len(exits)),
                str(len(known)),
                f"{np.median(errors):.1%}" if errors else "-",
                f"{np.percentile(errors, 90):.1%}" if errors else "-",
                f"{np.mean([bool(s.covered) for s in known]):.0%}" if known else "-",
                *plain,
                f"{np.median(ratios):.2f}" if ratios else "-",
                f"{np.median(late):.2f}" if late else "-",
            )
        )
    slopes = [("network", "exponent", "seeds")]
    for network, values in exponents([s for group in by_family.values() for s in group]).items():
        slopes.append(
            (
                " ".join(str(part) for part in network[1:]),
                f"{np.mean(values):.2f} [{min(values):.2f}, {max(values):.2f}]",
                str(len(values)),
            )
        )
    reasons = sorted(
        {(s.case.family, s.reason.split(":")[0]) for group in by_family.values() for s in group if s.predicted is None}
    )
    labels = [*KINDS, "no stall"]
    said_of = [("planted \\ said", *labels)]
    for kind in RECIPES:
        said_of.append((kind, *(str(sum(k == kind and label == other for k, label, _ in truths)) for other in labels)))
    return "\n\n".join(
        (
            _rows.aligned(rows),
            "Exponent of the exit against the scale\n" + _rows.aligned(slopes),
            "Why there is no forecast\n"
            + ("\n".join(f"{family}: {reason}" for family, reason in reasons) or "there always is one"),
            "Planted stalls and what was said of them\n" + _rows.aligned(said_of),
        )
    )
