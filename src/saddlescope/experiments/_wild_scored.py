"""Sealed forecasts against what happened: the exit of a training, what plain rules would have said, and planted stalls against their diagnoses."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..watch import Card, Recording
from ..watch.forecast import FALL
from ._wild_cases import Case
from ._wild_training import Trained, sealed_lines

#: The probe's variation at which exponential extrapolation calls the plateau over: the geometric mean at the exit of digits MLPs.
LEARNED = 0.3
#: A rule that never sees an exit is this far off.
FARTHEST = 100.0
HALF = 0.5


class Scored(NamedTuple):
    """A training's forecast at half its plateau. `exit` None: it did not come; `predicted` None: abstained, for `reason`. `made_at`: the step of the forecast; `seen_until`: its last snapshot."""

    case: Case
    exit: float | None
    made_at: int | None
    seen_until: int | None
    predicted: float | None
    low: float | None
    high: float | None
    status: str
    reason: str
    order: int | None
    exponential: float | None
    line: float | None
    half_height: float | None

    @property
    def error(self) -> float | None:
        return None if self.predicted is None or self.exit is None else abs(self.predicted / self.exit - 1)

    @property
    def covered(self) -> bool | None:
        if self.exit is None or self.low is None or self.high is None:
            return None
        return self.low <= self.exit <= self.high

    @property
    def needed(self) -> float | None:
        """The width of the interval, over that which it has, at which its nearer end is the exit."""
        if self.covered is None or self.seen_until is None or self.predicted is None:
            return None
        remaining, middle, low, high = (
            (end or 0.0) - self.seen_until for end in (self.exit, self.predicted, self.low, self.high)
        )
        end = high if remaining > middle else low
        return float(np.log(remaining / middle) / np.log(end / middle)) if end > 0 and end != middle else np.inf


def fitted_width(groups: Sequence[Sequence[float]], part: float) -> float:
    """The width that so large a part of forecasts needs at most, every group (family) of them weighing the same."""
    values = np.concatenate([np.asarray(group) for group in groups])
    weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in groups if len(group)])
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(cumulative, part)])


def score(case: Case, trained: Trained) -> Scored:
    """The last forecast that was sealed before half of the plateau had passed.

    **Raises:** `ValueError` where a seal is broken.
    """
    lines = sealed_lines(trained.sealed)
    r = trained.recording
    found = crossing(r, 1 - FALL)
    if found is None:
        last = lines[-1]["forecast"]
        return Scored(case, None, None, None, None, None, None, last["status"], last["reason"], None, None, None, None)
    before = [line for line in lines if line["step"] <= HALF * found]
    if not before:
        return Scored(
            case,
            found,
            None,
            None,
            None,
            None,
            None,
            "abstains",
            "no forecast was due before half of the plateau",
            None,
            None,
            None,
            None,
        )
    line = before[-1]
    told, at = line["forecast"], int(line["step"])
    low, high = told["interval"] or (None, None)
    seen = r.until(at)
    return Scored(
        case,
        found,
        at,
        told["step"],
        told["exit"],
        low,
        high,
        told["status"],
        told["reason"],
        told["order"],
        exponential(seen),
        straight(seen),
        crossing(r, 0.5),
    )


def crossing(recording: Recording, part: float) -> float | None:
    """The step at which the probe's loss first falls through a part of its first value, on lines between snapshots."""
    known = np.isfinite(recording.probe_loss)
    step, loss = recording.step[known].astype(float), recording.probe_loss[known]
    below = np.flatnonzero(loss < part * loss[0])
    if not below.size or below[0] == 0:
        return None
    i = int(below[0])
    return float(step[i - 1] + (loss[i - 1] - part * loss[0]) / (loss[i - 1] - loss[i]) * (step[i] - step[i - 1]))


def exponential(seen: Recording) -> float | None:
    """Where a line through ln q over the last half of what was seen reaches `LEARNED`."""
    s, q = _last_half(seen.step, seen.variation)
    if s.size < 3 or np.any(q <= 0):
        return None
    slope, start = np.polyfit(s, np.log(q), 1)
    return float((np.log(LEARNED) - start) / slope) if slope > 0 else None


def straight(seen: Recording) -> float | None:
    """Where a line through the loss over the last half of what was seen has fallen by a tenth of the height."""
    s, loss = _last_half(seen.step, seen.probe_loss)
    if s.size < 3:
        return None
    slope, start = np.polyfit(s, loss, 1)
    first = float(seen.probe_loss[np.isfinite(seen.probe_loss)][0])
    return float(((1 - FALL) * first - start) / slope) if slope < 0 else None


def _last_half(step: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(values)
    s, v = step[known].astype(float), values[known]
    late = s >= 0.5 * (s[-1] if s.size else 0)
    return s[late], v[late]


def rule_error(predicted: float | None, actual: float) -> float:
    """Of a plain rule: `FARTHEST` where it sees no exit."""
    return FARTHEST if predicted is None else min(abs(predicted / actual - 1), FARTHEST)


def mean_errors(scored: Sequence[Scored]) -> list[float]:
    """Of knowing the mean exit of each network and optimiser over its scales and seeds, this one included."""
    known = [s for s in scored if s.exit is not None]
    groups: dict[tuple[Any, ...], list[float]] = {}
    for s in known:
        groups.setdefault(_network(s.case), []).append(float(s.exit or 0.0))
    return [
        abs(float(np.mean(groups[_network(s.case)])) / float(s.exit or 1.0) - 1) for s in known if s.error is not None
    ]


def _network(case: Case) -> tuple[Any, ...]:
    return (case.family, case.task, case.kind, case.depth, case.activation, case.optimiser)


def exponents(scored: Sequence[Scored]) -> dict[tuple[Any, ...], list[float]]:
    """Slope of ln(exit) over ln(scale), one a seed, by network: of those with three scales and more."""
    groups: dict[tuple[Any, ...], dict[int, list[tuple[float, float]]]] = {}
    for s in scored:
        if s.exit is not None:
            groups.setdefault(_network(s.case), {}).setdefault(s.case.seed, []).append((s.case.scale, s.exit))
    found = {}
    for network, seeds in groups.items():
        slopes = [float(np.polyfit(*np.log(np.array(pairs)).T, 1)[0]) for pairs in seeds.values() if len(pairs) >= 3]
        if slopes:
            found[network] = slopes
    return found


#: Kinds whose planted stall is the one that the training begins on, whatever comes after it; of the others it is the longest.
FROM_THE_START = ("saddle", "schedule")


def said(cards: Sequence[Card], kind: str) -> str:
    """What the planted stall of a training was called; "no stall" where there was none."""
    if not cards:
        return "no stall"
    return (
        cards[0].kind if kind in FROM_THE_START else max(cards, key=lambda card: card.stall.end - card.stall.start).kind
    )
