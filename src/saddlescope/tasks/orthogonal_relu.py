r"""Orthogonal inputs: the task on which ReLU networks learn in stages that can be written down.

On orthogonal inputs one ReLU unit can fit all targets of one sign and nothing else, so the network fits the sign with
the larger $|\tfrac1n\sum y_k x_k|$ first, rests at $L = \tfrac1{2n}\sum_{\text{not fitted}} y_k^2$, and then fits the
other.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import _keys
from ._base import AbstractTask, Samples
from ._random import Purpose, orthogonal


@dataclass(frozen=True, kw_only=True)
class OrthogonalReLU(AbstractTask):
    r"""Inputs $x_k = \text{norms}_k\, e_k$ with targets $y_k$; n samples in n dimensions.

    The default is x = (1.5, 0), (0, 1) with y = ±sqrt 2: losses 1, 1/2, 0, rays at 0 and 90 degrees.

    **Arguments:**

    - `norms`: lengths of the inputs, above 0.
    - `targets`: a number for each input, or a list of numbers for several outputs.
    - `rotate`, `seed`: turns the inputs by a random orthogonal matrix drawn from the seed (see `_random`).

    **Raises:** `ValueError` for lists that do not fit together.
    """

    kind: ClassVar[str] = "orthogonal_relu"
    forms: ClassVar[tuple[str, ...]] = ("vectors", "signals")

    norms: tuple[float, ...] = (1.5, 1.0)
    targets: tuple[float, ...] | tuple[tuple[float, ...], ...] = (math.sqrt(2), -math.sqrt(2))
    rotate: bool = False
    seed: int = 0

    def __post_init__(self):
        kind = self.kind
        norms = _keys.row(kind, "norms", self.norms, positive=True)
        targets: Any = self.targets
        nested = isinstance(targets, list | tuple | np.ndarray) and len(targets) > 0 and np.ndim(targets[0]) > 0
        targets = _keys.rows(kind, "targets", targets) if nested else _keys.row(kind, "targets", targets, signed=True)
        if len(targets) != len(norms):
            _keys.refuse(
                kind,
                "targets",
                f"{len(norms)} entries, one an input of norms",
                len(targets),
                "complete the shorter list",
            )
        resolved = {
            "norms": norms,
            "targets": targets,
            "rotate": _keys.flag(kind, "rotate", self.rotate),
            "seed": _keys.integer(kind, "seed", self.seed, least=0),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    def build(self, form: str) -> Samples:
        x = np.diag(self.norms)
        if self.rotate:
            x = x @ orthogonal(self.seed, Purpose.INPUT_BASIS, len(self.norms)).T
        return Samples(x, np.array(self.targets))
