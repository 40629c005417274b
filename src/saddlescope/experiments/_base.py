"""What a claim is: a sentence of the paper with a number, bounds with two sides, and an outcome that nobody edits."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Progress = Callable[[float | None, str], None]

#: How the condition of a claim begins that its interval does not decide.
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A sentence, measured over seeds.

    - `value`: the median over seeds; `interval`: their smallest and largest value. Where the sentence speaks of the mean over seeds: the mean, and its 95% interval; where it speaks of a part of
        the seeds: that part, and its 95% interval.
    - `bounds`: between which every seed, the interval of the mean, or the part of the seeds has to lie for the claim to hold.
    - `outcome`: "holds" or "fails", or "conditional" with the `condition`. A claim of a mean or a part whose 95% interval lies neither within nor beyond the bounds says so in `condition`, whatever its
        outcome: it is `undecided`, for these seeds are too few for its bounds.
    - `expected`: the outcome committed beside the code: a change is an error.
    - `status`: theorem | asymptotic | heuristic | conjecture.
    """

    experiment: str
    panel: str
    name: str
    sentence: str
    value: float | None
    interval: tuple[float, float] | None
    bounds: tuple[float, float]
    seeds: int
    outcome: str
    expected: str = "holds"
    status: str = "asymptotic"
    condition: str | None = None

    @property
    def undecided(self) -> bool:
        """Whether more seeds might turn the outcome: neither shown nor refuted."""
        return self.condition is not None and self.condition.startswith(UNDECIDED)

    def as_json(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "panel": self.panel,
            "name": self.name,
            "sentence": self.sentence,
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "bounds": list(self.bounds),
            "seeds": self.seeds,
            "outcome": self.outcome,
            "condition": self.condition,
            "expected": self.expected,
            "status": self.status,
        }


def claim(
    experiment: str,
    panel: str,
    name: str,
    sentence: str,
    values: Sequence[float | None],
    bounds: tuple[float, float],
    *,
    expected: str = "holds",
    status: str = "asymptotic",
) -> Claim:
    """A claim over seeds: it holds if every seed has a number and lies within the bounds, both included."""
    known = [float(v) for v in values if v is not None and np.isfinite(v)]
    holds = len(known) == len(values) > 0 and all(bounds[0] <= v <= bounds[1] for v in known)
    return Claim(
        experiment,
        panel,
        name,
        sentence,
        float(np.median(known)) if known else None,
        (min(known), max(known)) if known else None,
        bounds,
        len(values),
        "holds" if holds else "fails",
        expected,
        status,
    )


def claim_of_mean(
    experiment: str,
    panel: str,
    name: str,
    sentence: str,
    mean: float,
    interval: tuple[float, float],
    bounds: tuple[float, float],
    seeds: int,
    *,
    expected: str = "holds",
    status: str = "asymptotic",
) -> Claim:
    """A claim about a mean over seeds: it holds if the 95% interval of the mean lies within the bounds, both included."""
    known = bool(np.all(np.isfinite([mean, *interval])))
    holds = known and bounds[0] <= interval[0] <= interval[1] <= bounds[1]
    return Claim(
        experiment,
        panel,
        name,
        sentence,
        float(mean) if known else None,
        (float(interval[0]), float(interval[1])) if known else None,
        bounds,
        seeds,
        "holds" if holds else "fails",
        expected,
        status,
        undecided(interval, bounds) if known else None,
    )


def claim_of_part(
    experiment: str,
    panel: str,
    name: str,
    sentence: str,
    happened: Sequence[bool],
    bounds: tuple[float, float],
    *,
    expected: str = "holds",
    status: str = "asymptotic",
) -> Claim:
    """A claim about the part of the seeds in which something happened: it holds if that part lies within the bounds, both included. The interval is that of the part beyond these seeds, which
    may leave it undecided: all of n seeds lie clearly above a part of 0.8 from n = 16 on."""
    if not len(happened):
        return claim(experiment, panel, name, sentence, [], bounds, expected=expected, status=status)
    part = float(np.mean(happened))
    outcome = "holds" if bounds[0] <= part <= bounds[1] else "fails"
    interval = part_interval(happened)
    words = undecided(interval, bounds)
    return Claim(
        experiment, panel, name, sentence, part, interval, bounds, len(happened), outcome, expected, status, words
    )


def undecided(interval: tuple[float, float], bounds: tuple[float, float]) -> str | None:
    """Words for an interval that lies neither within the bounds nor beyond them; None where it decides."""
    within = bounds[0] <= interval[0] and interval[1] <= bounds[1]
    if within or interval[1] < bounds[0] or interval[0] > bounds[1]:
        return None
    return f"{UNDECIDED}: the 95% interval reaches across a bound, so that more seeds might turn the outcome"


def part_interval(happened: Sequence[bool]) -> tuple[float, float]:
    """The 95% interval of a part, of n tries (Wilson 1927)."""
    n, z = len(happened), 1.959963984540054
    part = float(np.mean(happened))
    centre = (part + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * float(np.sqrt(part * (1 - part) / n + z**2 / (4 * n**2)))
    # at the ends Wilson's interval reaches the end itself, to rounding
    return (0.0 if part == 0 else centre - reach), (1.0 if part == 1 else centre + reach)


def expecting(claims: Sequence[Claim], fails: Collection[tuple[str, str]]) -> list[Claim]:
    """The claims, of which those whose (panel, name) is listed are known to fail."""
    return [replace(c, expected="fails") if (c.panel, c.name) in fails else c for c in claims]


@dataclass(frozen=True)
class Outcome:
    """What an experiment leaves: its claims, pictures and record files (paths in the report's directory), a table of text and a few words for the report."""

    claims: list[Claim]
    pictures: list[Path] = field(default_factory=list)
    table: str = ""
    setting: str = ""
    summary: str = ""
    files: list[Path] = field(default_factory=list)


class Experiment(Protocol):
    """One file of this room. `title` heads the report; calling it computes and draws into `out`."""

    NAME: str
    TITLE: str

    def reproduce(self, out: Path, quick: bool, progress: Progress) -> Outcome: ...
