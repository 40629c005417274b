r"""One hidden layer of somebody's model as units, on the probe: what a lens shows, whoever's the model is.

Unlike a lens of `networks`, this one cannot put weights back and run the whole model again at every question: beside a training that would
cost more than the training. It knows what the units pass on to the layer that reads them, $S = \sum_i \phi_i v_i$, and asks how much *that* changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float

from ..units import Facts

#: Outputs of a layer that reductions look at.
MOST_OUTPUTS = 64


@dataclass
class Shown:
    r"""A hidden layer on the probe.

    **Arguments:**

    - `name`, `kind`: of the layer, and which lens it is seen through.
    - `exact`: "" where the layer is exactly units $\phi(x; u_i) v_i$ with these facts in training, otherwise what is not so, in a sentence.
    - `u` [units, weights], `v` [units, features, outputs], `phi` [rows, units, features]: in float64.
    - `facts`: of $\phi$ as a function of u.
    - `again`: u [n, weights] -> phi [rows, n, features] of other input weights, n at most the number of units; None where that cannot be computed.
    - `dead`, `saturated`: fractions of units; NaN where that is no question.
    - `sides`: the two sets of weights, as norms, that the flow keeps in balance, and the factor between their squares; None where it keeps none.
    - `last`: whether the model's output is S itself, up to a constant.
    - `plain`: whether u and v are the weights that are trained, not products of them: only then does the flow keep sets of them.
    - `extra`: further measures by name.
    """

    name: str
    kind: str
    exact: str
    u: Float[np.ndarray, "units weights"]
    v: Float[np.ndarray, "units features outputs"]
    phi: Float[np.ndarray, "rows units features"]
    facts: Facts
    again: Callable[[np.ndarray], np.ndarray | None] | None = None
    dead: float = float("nan")
    saturated: float = float("nan")
    sides: tuple[float, float, float] | None = None
    last: bool = False
    plain: bool = True
    extra: dict[str, float] = field(default_factory=dict)

    def sum(self) -> Float[np.ndarray, "rows outputs"]:
        """S on every row: what the layer passes on, without constants."""
        return np.tensordot(self.phi, self.v, axes=((1, 2), (0, 1)))


class ShownView:
    """A shown layer in the terms of `complexity.LayerView`, so that its reductions work on it: the change is that of S.

    Of more than 64 outputs, 64 random orthogonal combinations are looked at: squares of changes are right on average, to 18% where they are of one direction
    and less where of several.

    `reference` is what S counts as small against, besides its own root mean square: that of the targets where S is the model's output.
    """

    def __init__(self, shown: Shown, reference: float = 0.0):
        self.shown = shown
        self.u, self.v = shown.u, shown.v
        outputs = self.v.shape[2]
        if outputs > MOST_OUTPUTS:
            drawn = np.random.default_rng(0).normal(size=(outputs, MOST_OUTPUTS))
            self.v = self.v @ (np.linalg.qr(drawn)[0] * np.sqrt(outputs / MOST_OUTPUTS))
        self.phi = shown.phi / np.sqrt(max(len(shown.phi), 1))
        self.outputs = np.tensordot(self.phi, self.v, axes=((1, 2), (0, 1)))
        self.scale = float(max(np.linalg.norm(self.outputs), reference))
        # a sum over features and outputs, unit by unit: through the small Gram matrices, as phi v itself may be large
        gram = np.einsum("kif,kig->ifg", self.phi, self.phi, optimize=True)
        square = np.einsum("ifg,ifo,igo->i", gram, self.v, self.v, optimize=True)
        self.contribution = np.sqrt(np.maximum(square, 0.0))
        self.lens = SimpleNamespace(facts=shown.facts)

    def features_of(self, u: np.ndarray) -> np.ndarray:
        made = None if self.shown.again is None else self.shown.again(u)
        if made is not None:
            return made / np.sqrt(max(len(self.shown.phi), 1))
        # without a formula only the layer's own units have features: reductions that pick one of a group need no other
        own = {row.tobytes(): i for i, row in enumerate(self.u)}
        return self.phi[:, [own[row.tobytes()] for row in np.asarray(u)]]

    def change(self, u: np.ndarray, v: np.ndarray, phi: np.ndarray) -> float:
        if self.scale == 0.0:
            return 0.0
        outputs = np.tensordot(phi, v, axes=((1, 2), (0, 1)))
        return float(np.linalg.norm(outputs - self.outputs)) / self.scale
