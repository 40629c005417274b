"""What a user says about the weights at the start: how they are drawn, or which file holds them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

SMALLEST_SCALE = 1e-75
"""Below it the squared speed of an attention head, which starts as the fourth power of the scale, leaves 64 bits."""


@dataclass(frozen=True, kw_only=True)
class GaussianSpec:
    r"""Independent normal weights.

    **Arguments:**

    - `scale`: $\epsilon$, the standard deviation of one weight.
    - `convention`: `"weight"`, `scale` as it stands; `"layer"`, divided by the square root of the number of weights in
        each array.
    - `seed`: of the generator; the same seed gives the same weights.
    """

    kind: ClassVar[str] = "gaussian"

    scale: float = 1e-3
    convention: Literal["weight", "layer"] = "weight"
    seed: int = 0

    def __post_init__(self):
        _check_drawn(self.scale, self.seed)


@dataclass(frozen=True, kw_only=True)
class BalancedSpec(GaussianSpec):
    """Normal input weights, and output weights that balance them: what the flow conserves starts at zero."""

    kind: ClassVar[str] = "balanced"


@dataclass(frozen=True, kw_only=True)
class LowRankSpec(GaussianSpec):
    """Weights in which all units share a few directions: the flow starts on an invariant manifold, or near it.

    **Arguments:** as in `GaussianSpec`, and

    - `rank`: the number of directions.
    """

    kind: ClassVar[str] = "low_rank"

    rank: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.rank < 1:
            raise ValueError(f"rank needs an integer of at least 1, found {self.rank}.")


@dataclass(frozen=True, kw_only=True)
class ArraysSpec:
    """Weights from a file of named arrays, an `.npz`.

    **Arguments:**

    - `file`: its path, relative to the specification's folder.
    """

    kind: ClassVar[str] = "arrays"

    file: str


INITS = {cls.kind: cls for cls in (GaussianSpec, BalancedSpec, LowRankSpec, ArraysSpec)}

InitSpec = GaussianSpec | ArraysSpec


def _check_drawn(scale: float, seed: int) -> None:
    if scale == 0:
        raise ValueError("zero scale is a critical point: nothing moves; choose e.g. 1e-3.")
    if scale < 0:
        raise ValueError(f"scale is a standard deviation and needs a positive number, found {scale}.")
    if scale < SMALLEST_SCALE:
        raise ValueError(
            f"scale = {scale} makes products of weights underflow in 64 bits: choose at least {SMALLEST_SCALE}."
        )
    if seed < 0:
        raise ValueError(f"seed needs an integer of at least 0, found {seed}.")
