r"""The certificate of a plateau: which narrow network's saddle it is, how that is embedded, and how sure all of it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fixed_points import FixedPoint, Landscape, Match, Moved
from .residence import Residence

#: What one of the things counted by a kind is called.
NAMES = {"rank": "rank", "rays": "ray", "copies": "distinct unit", "active": "active unit", "none": "unit"}


@dataclass(frozen=True)
class Card:
    r"""What is known of the saddle beyond height, width and kind.

    - `constructions`: those of Theorem 1 that embed it: silent, split, proportional, factorised; () for a network of its own width.
    - `gradient`, `narrow_gradient`: relative |grad L| of the embedded point and of the narrow network.
    - `moved`: how far the fixed point is from the state it was found from, in weights and in function.
    - `landscape`: its Hessian, how the flow leaves it, and what a silent unit would learn next.
    - `match`: which of the fixed points of its width it is; None where that was not asked, and `unmatched` says why.
    - `residence`: distance to its invariant manifolds along the run; None for an end.
    - `units`, `carrying` [hidden layers]: how many there are, and how many of them are not silent there.
    """

    widths: tuple[int, ...]
    kind: str
    constructions: tuple[str, ...]
    gradient: float
    narrow_gradient: float
    moved: Moved
    landscape: Landscape
    match: Match | None
    unmatched: str | None
    residence: Residence | None
    units: tuple[int, ...]
    carrying: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """The certificate in words."""
        parts = [self._place(), self._among(), self._leaving()]
        return "; ".join(part for part in parts if part) + "."

    def _place(self) -> str:
        if self.kind == "origin":
            return f"the origin: all {_joined(self.units)} units silent"
        what = "minimum" if self.landscape.escape.law == "none" else "saddle"
        if self.widths == self.units and self.kind in ("none", "rank"):
            return f"a {what if what == 'minimum' else 'fixed point'} that needs all {_joined(self.units)} units"
        counted = NAMES[self.kind]
        if len(self.widths) > 1:
            found = f"effective widths {_joined(self.widths)} of {_joined(self.units)} units"
        elif self.kind == "rank":
            found = f"rank {self.widths[0]} in {self.units[0]} units"
        elif self.kind == "active":
            found = f"{self.widths[0]} of {self.units[0]} units active"
        else:
            found = f"{self.widths[0]} {counted}{'s' * (self.widths[0] != 1)} carried by {self.carrying[0]} of {self.units[0]} units"
        how = f" (embedding: {', '.join(self.constructions)})" if self.constructions else ""
        return f"the {what} of the width-{_joined(self.widths)} network: {found}{how}"

    def _among(self) -> str:
        if self.match is None:
            return ""
        return self.match.sentence

    def _leaving(self) -> str:
        escape, seen = self.landscape.escape, self.landscape
        if seen.global_optimum:
            return "a global optimum: no further unit could lower the loss"
        if escape.law == "exponential":
            found = f"left exponentially at rate {escape.rate:.6g}"
            return found if seen.index is None else f"index {_range(seen.index_interval)}, {found}"
        if escape.law == "algebraic":
            return f"left algebraically, by terms of degree {escape.degree} that the Hessian does not see"
        return ""


def _joined(numbers: tuple[int, ...]) -> str:
    return " and ".join(str(n) for n in numbers)


def _range(interval: tuple[int, int] | None) -> str:
    if interval is None:
        return "unknown"
    low, high = interval
    return str(low) if low == high else f"{low} to {high}"


def carrying(point: FixedPoint) -> tuple[int, ...]:
    """How many units of each hidden layer are not silent at a fixed point."""
    counts = []
    for lens in point.network.lenses():
        u, v = (np.asarray(part) for part in lens.get())
        counts.append(int(np.sum(np.any(u != 0.0, axis=1) & np.any(v != 0.0, axis=(1, 2)))))
    return tuple(counts)


def as_json(card: Card | None) -> dict[str, Any] | None:
    """A certificate as plain values for summary.json; None where no fixed point was accepted."""
    if card is None:
        return None
    seen, stay, match = card.landscape, card.residence, card.match
    unit = seen.insertion
    return {
        "sentence": card.sentence,
        "embedded_by": list(card.constructions),
        "units": list(card.units),
        "carrying": list(card.carrying),
        "gradient": card.gradient,
        "narrow_gradient": card.narrow_gradient,
        # at the origin any state is as far away as it is large
        "moved": {"weights": None if card.kind == "origin" else card.moved.weights, "function": card.moved.function},
        "index_interval": None if seen.index_interval is None else list(seen.index_interval),
        "nullity_interval": None if seen.nullity_interval is None else list(seen.nullity_interval),
        "symmetries": seen.symmetries,
        "lowest_eigenvalue": seen.lowest,
        "largest_eigenvalue": seen.largest,
        "blocks": None if seen.parts is None else {name: list(ends) for name, ends in seen.parts.items()},
        "hessian": seen.method,
        "no_index": seen.reason,
        "escape_strength": seen.escape.strength,
        "insertion": None
        if unit is None
        else {"relative": unit.relative, "value": unit.value, "u": np.asarray(unit.u).tolist(), "exact": unit.exact},
        "global_optimum": seen.global_optimum,
        "match": None if match is None else match.as_json(),
        "no_match": card.unmatched,
        "manifold": None
        if stay is None
        else {
            "kind": stay.kind,
            "t_arrival": stay.t_arrival,
            "t_departure": stay.t_departure,
            "arrival": stay.arrival,
            "slowest": stay.slowest,
            "departure": stay.departure,
            "size": stay.size,
            "round_off_horizon": stay.horizon,
            "interpretable": stay.interpretable,
        },
    }
