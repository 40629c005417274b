"""A prediction beside its run: which plateaus are the same, how far apart their ends are, and whether the expected error covers that."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..theory import Prediction
from ._random_problems import Drawn
from ._simulated import Simulated

#: Heights that differ by less than this part of the whole drop are one plateau: the constant that tells plateaus apart in a run.
SAME_HEIGHT = 1e-3
#: Persistence, in decades, between which a plateau is marginal (the plateaus' constants).
MARGINAL = (0.1, 0.3)


class Compared(NamedTuple):
    """One plateau that prediction and run share. Times in (learning rate) x (steps).

    - `predicted`, `expected_error`, `measured`, `measured_error`: of `t_end`. None where the run or the theory gives none.
    - `height_error`: difference of heights as a part of the first loss.
    - `width_of_drop`: measured, 90% to 10%.
    - `baseline`: what a plain rule says.
    - `read_off`: the run has no saddle for this height or the next, so that its end lies half way between losses read off its curve: nothing that theory could have said.
    - `recruited`: whether the unit that grew most is among those that theory named, and `named` how many it named; None where it names none, or many units of order 1 grow together.
    """

    family: str
    number: int
    stage: int
    status: str
    source: str
    separation: float
    scale: float
    predicted: float | None
    expected_error: float | None
    measured: float | None
    measured_error: float | None
    height_error: float | None
    width_of_drop: float | None
    baseline: float | None
    recruited: bool | None
    named: int | None
    read_off: bool

    @property
    def relative_error(self) -> float | None:
        """|predicted - measured| / measured."""
        if self.predicted is None or self.measured is None:
            return None
        return abs(self.predicted - self.measured) / self.measured

    @property
    def error_over_width(self) -> float | None:
        """|predicted - measured| / (time from 90% to 10% of the drop)."""
        if self.predicted is None or self.measured is None or not self.width_of_drop:
            return None
        return abs(self.predicted - self.measured) / self.width_of_drop

    @property
    def covered(self) -> bool | None:
        """Whether the expected error, with the run's own, covers the difference."""
        if self.predicted is None or self.measured is None or self.expected_error is None:
            return None
        return bool(abs(self.predicted - self.measured) <= self.expected_error + (self.measured_error or 0.0))

    @property
    def baseline_error(self) -> float | None:
        if self.baseline is None or self.measured is None:
            return None
        return abs(self.baseline - self.measured)


class Judged(NamedTuple):
    """One problem: prediction against run.

    - `abstained`: theory gave no stage with a time; `reason` its words.
    - `count_right`: as many plateaus; None where theory abstained.
    - `marginal`: a plateau of the run has a persistence between 0.1 and 0.3 decades, where a count is a matter of the constant.
    - `end_error`: difference of the heights of the end as a part of the first loss.
    - `seconds`: what the prediction took, compilation included.
    """

    family: str
    number: int
    separation: float
    scale: float
    predictor: str
    status: str
    abstained: bool
    reason: str
    count: int | None
    count_measured: int
    marginal: bool
    end_error: float | None
    compared: tuple[Compared, ...]
    seconds: float = 0.0

    @property
    def count_right(self) -> bool | None:
        return None if self.count is None else self.count == self.count_measured


def judge(
    drawn: Drawn,
    run: Simulated,
    prediction: Prediction,
    baselines: Sequence[float | None] = (),
    seconds: float = 0.0,
) -> Judged:
    """Compares a prediction with its run.

    Where there are as many plateaus on both sides they are paired in order, otherwise by height; then an end is compared where the next heights agree too, for it lies
    half way to them.

    **Arguments:** `baselines`: a plain rule's time for each plateau in order; may be shorter.
    """
    stages = prediction.stages
    timed = [s for s in stages if s.t_end is not None]
    # no plateau is an answer as well, where the theory that gave it knows the end
    abstained = bool(prediction.outside) or (not timed and (bool(stages) or prediction.end.height is None))
    statuses = {s.status for s in stages}
    status = next((s for s in ("outside assumptions", "heuristic", "asymptotic", "theorem") if s in statuses), "")
    known = [s.height for s in stages] + [prediction.end.height]
    seen = [s.height for s in run.stages] + [run.end]
    read_off = [s.height_source != "fixed_point" for s in run.stages] + [False]
    same = SAME_HEIGHT * (run.first - run.end)
    compared = []
    for k, stage in enumerate(stages):
        # as many plateaus on both sides are the same ones, and a wrong height is an error; otherwise only those with one height are
        place = k if len(stages) == len(run.stages) else _place(stage.height, seen[:-1], same)
        if place is None:
            continue
        other, following = run.stages[place], known[k + 1]
        next_same = following is not None and abs(following - seen[place + 1]) <= same
        next_same = next_same or len(stages) == len(run.stages)
        read = read_off[place] or read_off[place + 1]
        height = None if stage.height is None else abs(stage.height - other.height) / run.first
        recruited = None
        if stage.recruits and other.recruits and next_same:
            # at large scales several grow together: how many theory names is counted too
            recruited = other.recruits[0] in stage.recruits
        compared.append(
            Compared(
                drawn.family,
                drawn.number,
                place,
                stage.status,
                stage.source,
                drawn.separation,
                drawn.scale,
                stage.t_end if next_same and not read else None,
                stage.t_end_error,
                other.t_end,
                other.t_end_error,
                None if read_off[place] else height,
                other.width_of_drop,
                baselines[place] if place < len(baselines) else None,
                recruited,
                len(stage.recruits) if recruited is not None else None,
                read,
            )
        )
    end = prediction.end.height
    return Judged(
        drawn.family,
        drawn.number,
        drawn.separation,
        drawn.scale,
        prediction.predictor,
        status,
        abstained,
        "; ".join(prediction.outside) or next((s.reason for s in stages if s.t_end is None), ""),
        None if abstained else len(stages),
        len(run.stages),
        any(s.persistence is not None and MARGINAL[0] <= s.persistence <= MARGINAL[1] for s in run.stages),
        None if end is None else abs(end - run.end) / run.first,
        tuple(compared),
        seconds,
    )


def _place(height: float | None, heights: Sequence[float], same: float) -> int | None:
    if height is None or not heights:
        return None
    nearest = int(np.argmin(np.abs(np.asarray(heights) - height)))
    return nearest if abs(heights[nearest] - height) <= same else None


class Summary(NamedTuple):
    """What is said of some problems together. `expected`: median of the expected error of an end over the end itself; coverage is worth little where it is large."""

    problems: int
    abstained: float
    times: int
    read_off: int
    median: float | None
    percentile: float | None
    over_width_median: float | None
    over_width_percentile: float | None
    coverage: float | None
    counts_right: float | None
    outside_margin: int
    heights: float | None
    recruited: float | None
    better_than_baseline: float | None
    expected: float | None
    seconds: float | None


def summarize(judged: Sequence[Judged]) -> Summary:
    """Medians, 95th percentiles and rates over problems; None where there is nothing to say it of."""
    compared = [c for j in judged for c in j.compared if c.predicted is not None]
    relative = [c.relative_error for c in compared if c.relative_error is not None]
    over_width = [c.error_over_width for c in compared if c.error_over_width is not None]
    covered = [c.covered for c in compared if c.covered is not None]
    recruited = [c.recruited for c in compared if c.recruited is not None]
    heights = [c.height_error for j in judged for c in j.compared if c.height_error is not None]
    heights += [j.end_error for j in judged if j.end_error is not None and not j.abstained]
    counted = [j for j in judged if j.count_right is not None and not j.marginal]
    sharp = [c.expected_error / c.predicted for c in compared if c.expected_error is not None and c.predicted]
    gains = [
        c.baseline_error / max(abs(c.predicted - c.measured), c.measured_error or 0.0, 1e-15 * c.measured)
        for c in compared
        if c.baseline_error is not None and c.measured is not None and c.predicted is not None
    ]
    return Summary(
        len(judged),
        float(np.mean([j.abstained for j in judged])) if judged else 0.0,
        len(relative),
        sum(c.read_off for j in judged for c in j.compared),
        _percentile(relative, 50),
        _percentile(relative, 95),
        _percentile(over_width, 50),
        _percentile(over_width, 95),
        _mean(covered),
        _mean([bool(j.count_right) for j in counted]),
        len(counted),
        _percentile(heights, 95),
        _mean(recruited),
        _percentile(gains, 50),
        _percentile(sharp, 50),
        _percentile([j.seconds for j in judged], 50),
    )


def interval(values: Sequence[float], statistic, seed: int = 0, draws: int = 1000) -> tuple[float, float] | None:
    """A 95% interval of a statistic by drawing the values again with replacement."""
    if len(values) < 2:
        return None
    rng, known = np.random.default_rng(seed), np.asarray(values, float)
    found = [float(statistic(known[rng.integers(len(known), size=len(known))])) for _ in range(draws)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _percentile(values: Sequence[float], rank: float) -> float | None:
    return float(np.percentile(values, rank)) if len(values) else None


def _mean(values: Sequence[bool]) -> float | None:
    return float(np.mean(values)) if len(values) else None
