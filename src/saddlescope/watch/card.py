"""What a diagnosis says of one stall: kinds and advice, and the card they stand on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .foretold import Forecast
from .stalls import Stall

#: What a stall can be, and what to do about it.
KINDS = {
    "saddle": "wait, or start from larger weights: the wait is set by their scale",
    "converged": "stop: nothing is left to learn on this loss",
    "small learning rate": "raise the learning rate: the slope is there, the steps are too short",
    "large learning rate": "lower the learning rate: steps overshoot",
    "dead units": "restart with other weights, or an activation that passes gradients: these units pass nothing on",
    "saturated units": "lower the scale of weights or inputs: these units sit where their slope vanishes",
    "epochs": "the steps come from samples seen again: look at a loss on samples held out",
    "schedule": "the steps come from the learning rate: see its schedule",
    "frozen": "check requires_grad, the optimiser's groups and detach: these weights do not move",
    "noise": "lower the learning rate or take larger batches: noise holds the loss",
    "unknown": "load a checkpoint from it and ask saddlescope.watch.certify_torch(model, probe, targets), or certify_jax, whether it is a saddle or a minimum",
}

#: What to do where the run has left the stall.
PAST = {
    "saddle": "nothing now, the run has left it; to be over it sooner next time, start from larger weights",
    "unknown": "nothing now, the run has left it; if a checkpoint of steps {start} to {end} was kept, saddlescope.watch.certify_torch(model, probe, targets), or certify_jax, says of it whether it is near a saddle",
}
#: What to do where all but a small part is learned, and that part still falls: by more than this factor between the first and last quarter of a stretch.
STILL, FALLS = "stop if that is good enough: what is left of the loss still falls", 1.1
#: The same factor where nobody would say any more that the loss stands.
HALVES = 2.0


@dataclass(frozen=True)
class Card:
    """One stall's diagnosis.

    `kind`: one of `KINDS`; `sentence`: why, in words and numbers; `advice`; `layer` and `width_kind` with `effective_width` [layers], those of `layers`, for a saddle; `order`;
    `wait` how its length depends on the scale, in words; `forecast` where the run is still on it; `evidence`: every number that was looked at.
    """

    kind: str
    sentence: str
    stall: Stall
    evidence: dict[str, float]
    layer: str | None = None
    width_kind: str | None = None
    effective_width: tuple[float, ...] = ()
    order: int | None = None
    forecast: Forecast | None = None
    layers: tuple[str, ...] = ()
    wait: str = ""
    advice: str = field(init=False)

    def __post_init__(self) -> None:
        advice = KINDS[self.kind] if self.stall.ongoing else PAST.get(self.kind, KINDS[self.kind])
        if self.kind == "converged" and self.evidence.get("fell", 1.0) > FALLS:
            advice = STILL
        object.__setattr__(self, "advice", advice.format(start=self.stall.start, end=self.stall.end))

    @property
    def falls(self) -> bool:
        """Whether the loss more than halves on the stretch: slow against all that it fell before, and no standing still."""
        return self.evidence.get("fell", 1.0) > HALVES

    @property
    def where(self) -> str:
        """The height and the steps, in words; of a loss that still falls, by how much."""
        s = self.stall
        still = ", still there" if s.ongoing else ""
        if self.falls:
            return f"loss {s.height:.4g}, falling to 1/{self.evidence['fell']:.3g} in steps {s.start} to {s.end}"
        return f"loss {s.height:.4g}, steps {s.start} to {s.end}{still}"

    @property
    def units(self) -> str:
        """Of a saddle, in words: the units in use in every layer, which layer takes up another next, and how the wait depends on the scale."""
        seen = [
            f"{w:.0f} in layer {name!r}"
            for name, w in zip(self.layers, self.effective_width, strict=True)
            if np.isfinite(w)
        ]
        if self.width_kind == "origin":
            words = "the origin: no unit is in use"
        elif seen:
            words = f"units in use: {', '.join(seen)} ({self.width_kind})"
        else:
            words = "how many units are in use was not seen"
        if self.layer is not None:
            words += f"; layer {self.layer!r} takes up the next"
        if self.wait:
            words += f"; {self.wait}"
        return words

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "sentence": self.sentence,
            "advice": self.advice,
            "stall": self.stall.as_json(),
            "layer": self.layer,
            "width_kind": self.width_kind,
            "effective_width": [plain_number(w) for w in self.effective_width],
            "order": self.order,
            "forecast": None if self.forecast is None else self.forecast.as_json(),
            "evidence": {name: plain_number(value) for name, value in self.evidence.items()},
        }


def plain_number(value: float) -> float | None:
    """Itself, or None where it is not finite."""
    return float(value) if np.isfinite(value) else None
