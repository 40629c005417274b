r"""Linear regression inside a prompt: the task on which attention heads are learned one after another.

Each sample is a regression problem of its own: N pairs (x, w.x) as context, then a query whose target is asked for.
Linear attention sees a prompt only through $\beta = \tfrac1N\sum_n y_n x_n$ and the query, and predicts $\beta^\top M
x_q$.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from . import _keys
from ._base import AbstractTask, Moments, PopulationMoments, Samples
from ._random import Purpose, stream


@dataclass(frozen=True, kw_only=True)
class InContextRegression(AbstractTask):
    r"""$y = w\cdot x_q$ from N pairs $(x_n, w\cdot x_n)$; $w \sim \mathcal N(0, I)$, $x \sim \mathcal N(0, \Lambda)$.

    **Arguments:**

    - `eigenvalues`: diagonal of Lambda, above 0, one an input.
    - `context`: N, the number of context tokens; the query is not counted.
    - `samples`: "population" (cubic features only), or a number of prompts.
    - `seed`: of the draws (see `_random`); both forms show the same prompts.

    **Shapes:** "cubic": x `[samples, 2, inputs]`, beta then x_q. "tokens": x `[samples, N + 1, inputs + 1]`, a token is
    its inputs then its target, and the last one is the query, with target 0. y `[samples, 1]`.

    **Holds** exactly in the population, with psi = beta x_q^T: E[beta beta^T] = Lambda^2 (1 + 1/N) + (tr Lambda / N)
    Lambda, E[psi y] = Lambda^2, E[y^2] = tr Lambda.

    **Raises:** `ValueError` for keys out of range, and on `data` for tokens from the population.
    """

    kind: ClassVar[str] = "in_context_regression"
    forms: ClassVar[tuple[str, ...]] = ("cubic", "tokens")

    eigenvalues: tuple[float, ...]
    context: int
    samples: int | Literal["population"] = "population"
    seed: int = 0

    def __post_init__(self):
        kind = self.kind
        resolved = {
            "eigenvalues": _keys.row(kind, "eigenvalues", self.eigenvalues, positive=True),
            "context": _keys.integer(kind, "context", self.context),
            "samples": _keys.sample_count(kind, self.samples),
            "seed": _keys.integer(kind, "seed", self.seed, least=0),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    def build(self, form: str) -> Samples | PopulationMoments:
        lam = np.array(self.eigenvalues)
        if self.samples == "population":
            if form == "tokens":
                needs = "a number for an attention network on tokens, whose loss has no closed form"
                way_out = 'set input = "cubic" under [network], or samples = 2000, for example'
                _keys.refuse(self.kind, "samples", needs, self.samples, way_out)
            return PopulationMoments((2, len(lam)), 1, {"cubic": cubic_moments(lam, self.context)})
        size = (self.samples, self.context + 1, len(lam))
        inputs = stream(self.seed, Purpose.INPUTS).standard_normal(size) * np.sqrt(lam)
        w = stream(self.seed, Purpose.TASK_VECTORS).standard_normal((self.samples, len(lam)))
        return as_tokens(w, inputs) if form == "tokens" else as_cubic(w, inputs)


def cubic_moments(lam: np.ndarray, context: int) -> Moments:
    """Returns the exact moments of psi_(a,b) = beta_a x_b with y; `lam [D]` is the diagonal of Lambda, P = D^2."""
    beta_beta = np.diag(lam**2 * (1 + 1 / context) + lam.sum() / context * lam)
    # beta depends on w and the context, x_q on neither
    return Moments("cubic", np.kron(beta_beta, np.diag(lam)), np.diag(lam**2).reshape(-1, 1), np.array([[lam.sum()]]))


def as_cubic(w: np.ndarray, inputs: np.ndarray) -> Samples:
    """Returns (beta, x_q) and w.x_q from `w [samples, D]` and `inputs [samples, N + 1, D]`, the query last."""
    targets = np.einsum("pnd,pd->pn", inputs, w)
    beta = np.einsum("pn,pnd->pd", targets[:, :-1], inputs[:, :-1]) / (inputs.shape[1] - 1)
    return Samples(np.stack([beta, inputs[:, -1]], axis=1), targets[:, -1:])


def as_tokens(w: np.ndarray, inputs: np.ndarray) -> Samples:
    """Returns the same prompts as tokens (inputs, target), the query's target 0."""
    targets = np.einsum("pnd,pd->pn", inputs, w)
    x = np.concatenate([inputs, targets[:, :, None]], axis=2)
    x[:, -1, -1] = 0.0
    return Samples(x, targets[:, -1:])
