r"""A linear map to learn, given by its singular values: the task in which every plateau's height has a closed form.

With $\mathbb E\,yx^\top = \sum_k s_k l_k r_k^\top$ and inputs whose covariance has the $r_k$ as eigenvectors, a linear
network learns one direction after another in the order of $s_k$, and rests on plateaus at $L_k = \tfrac12 \sum_{j>k}
s_j^2/\lambda_j$.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from . import _keys
from ._base import AbstractTask, Moments, PopulationMoments, Samples
from ._random import Purpose, orthogonal, stream


@dataclass(frozen=True, kw_only=True)
class LinearTeacher(AbstractTask):
    r"""$y = Wx + \text{noise}$ with $\mathbb E\,yx^\top = \operatorname{diag}(s)$, $\mathbb E\,xx^\top =
    \operatorname{diag}(\lambda)$, so $W = \operatorname{diag}(s/\lambda)$; both bases turned at random if `rotate`.

    **Arguments:**

    - `singular_values`: s, from 0 up, in any order.
    - `input_eigenvalues`: lambda, from 0 up, one an input: the first belong to the singular values, the others to
        inputs that carry nothing. Above 0 where s is. Default: 1 everywhere.
    - `outputs`, `inputs`: numbers of each, at least as many as singular values. Default: as many as singular values,
        and as many as input eigenvalues.
    - `samples`: "population", or a number of Gaussian samples.
    - `seed`, `rotate`: of the draws (see `_random`); random orthogonal bases for inputs and outputs.
    - `noise`: standard deviation of Gaussian noise on each output.

    **Holds** exactly in the population; in a sample up to its fluctuations, of relative size samples^(-1/2).

    **Raises:** `ValueError` for keys that do not fit together.
    """

    kind: ClassVar[str] = "linear_teacher"
    forms: ClassVar[tuple[str, ...]] = ("vectors", "signals")

    singular_values: tuple[float, ...]
    input_eigenvalues: tuple[float, ...] | None = None
    outputs: int | None = None
    inputs: int | None = None
    samples: int | Literal["population"] = "population"
    seed: int = 0
    rotate: bool = False
    noise: float = 0.0

    def __post_init__(self):
        kind = self.kind
        s = _keys.row(kind, "singular_values", self.singular_values)
        inputs = None if self.inputs is None else _keys.integer(kind, "inputs", self.inputs)
        outputs = len(s) if self.outputs is None else _keys.integer(kind, "outputs", self.outputs)
        if self.input_eigenvalues is None:
            lam = (1.0,) * (len(s) if inputs is None else inputs)
        else:
            lam = _keys.row(kind, "input_eigenvalues", self.input_eigenvalues)
        inputs = len(lam) if inputs is None else inputs
        for key, count in (("inputs", inputs), ("outputs", outputs)):
            if count < len(s):
                asked = "input_eigenvalues" if key == "inputs" and self.inputs is None else key
                _keys.refuse(
                    kind,
                    asked,
                    f"at least {len(s)} {key}, one a singular value",
                    count,
                    "add to it or give fewer singular_values",
                )
        if len(lam) != inputs:
            needs = f"{inputs} numbers, one an input"
            _keys.refuse(kind, "input_eigenvalues", needs, len(lam), "complete it, or leave inputs out")
        for k, (strength, variance) in enumerate(zip(s, lam, strict=False)):
            if strength > 0 and variance == 0:
                needs = f"a number above 0, as singular_values[{k}] is {strength}"
                _keys.refuse(
                    kind, f"input_eigenvalues[{k}]", needs, variance, "an input that is always 0 teaches nothing"
                )
        resolved = {
            "singular_values": s,
            "input_eigenvalues": lam,
            "outputs": outputs,
            "inputs": inputs,
            "samples": _keys.sample_count(kind, self.samples),
            "seed": _keys.integer(kind, "seed", self.seed, least=0),
            "rotate": _keys.flag(kind, "rotate", self.rotate),
            "noise": _keys.number(kind, "noise", self.noise),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    def build(self, form: str) -> Samples | PopulationMoments:
        s, lam = np.array(self.singular_values), np.array(self.input_eigenvalues)
        inputs, outputs, rank = len(lam), int(self.outputs or len(s)), len(s)
        right, left = np.eye(inputs), np.eye(outputs)
        if self.rotate:
            right = orthogonal(self.seed, Purpose.INPUT_BASIS, inputs)
            left = orthogonal(self.seed, Purpose.OUTPUT_BASIS, outputs)
        strength = np.divide(s, lam[:rank], out=np.zeros(rank), where=s > 0)
        if self.samples == "population":
            modes = left[:, :rank]
            moments = Moments(
                "inputs",
                psi_psi=_symmetric((right * lam) @ right.T),
                psi_y=(right[:, :rank] * s) @ modes.T,
                y_y=_symmetric((modes * (strength * s)) @ modes.T) + self.noise * self.noise * np.eye(outputs),
            )
            return PopulationMoments((inputs,), outputs, {"inputs": moments})
        coordinates = stream(self.seed, Purpose.INPUTS).standard_normal((self.samples, inputs)) * np.sqrt(lam)
        y = (coordinates[:, :rank] * strength) @ left[:, :rank].T
        if self.noise > 0:
            y = y + self.noise * stream(self.seed, Purpose.NOISE).standard_normal((self.samples, outputs))
        return Samples(coordinates @ right.T, y)


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2
