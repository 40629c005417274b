r"""What a layer of linear units sees of its data: two matrices, whatever the layer is called.

A unit that is linear in $u$ computes $\phi_f(x; u) = \sum_p \psi_{fp}(x)\,u_p$, so that $f$ depends on the weights through $M = U V^\top$ alone
($U$ [weights, units], $V$ [features x outputs, units]). Where the features $f$ share one second moment and are not correlated with each other,
as those of one neuron, of one head on cubic features, or of a kernel on white patches side by side, but not those of heads on the tokens of a finite sample of prompts,

$$L = L(0) - \langle B, M\rangle + \tfrac12 \operatorname{tr} M^\top \Sigma M, \qquad \dot U = R V,\quad \dot V = R^\top U,\quad R = B - \Sigma M .$$
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from .._base import Problem

#: Second moments that differ by less than this part of the largest are the same: of rounding, 1e4 times.
SAME = 1e-10
#: What the features of a unit are called, by the form of its inputs.
FEATURES = {"signals": "patches of the signal", "tokens": "tokens of a prompt"}
SHARED = "needs {features} with one second moment that are not correlated with each other{example}: the function does not then determine the rank of the weights, and no formula gives the heights"
#: At most so many numbers are made of psi at once.
MOST = 2e8


class Lines(NamedTuple):
    r"""The problem of a layer of linear units.

    - `sigma` [weights, weights]: $\Sigma$; `b` [weights, features x outputs]: $B$.
    - `u` [weights, units], `v` [features x outputs, units]: at the start.
    - `height`: the loss of f = 0.
    - `target`: $E|y|^2$.
    """

    sigma: Float[np.ndarray, "weights weights"]
    b: Float[np.ndarray, "weights readouts"]
    u: Float[np.ndarray, "weights units"]
    v: Float[np.ndarray, "readouts units"]
    height: float
    target: float

    @property
    def whole_size(self) -> int:
        return self.u.size + self.v.size


def lines_of(problem: Problem) -> Lines | str:
    """The two matrices, or which assumption fails."""
    lenses = problem.network.lenses()
    if len(lenses) != 1 or not lenses[0].direct:
        return "needs one layer of units that is read out directly"
    lens = lenses[0]
    facts = lens.facts
    if not facts.linear or facts.order != 1:
        return f"needs units that are linear in their weights: these are of order {facts.order}" + (
            "" if facts.linear else " and not linear"
        )
    u, v = (np.asarray(a, dtype=np.float64) for a in lens.get())
    y, weight = np.asarray(problem.objective.y), np.asarray(problem.objective.weight)
    rows, features = y.shape[0], v.shape[1]
    if rows * features * u.shape[1] > MOST:
        return f"needs its features on the data in memory: {rows} x {features} x {u.shape[1]} numbers are too many"
    psi = np.sqrt(weight)[:, None, None] * rows_of(problem, u.shape[1])
    sigma = _shared_moment(psi)
    if sigma is None:
        form = lens.unit.form
        example = ", as they are where patches overlap" if form == "signals" else ""
        return SHARED.format(features=FEATURES.get(form, "features"), example=example)
    # matrix products throughout: with hundreds of inputs einsum's loops would cost seconds
    b = np.moveaxis(np.tensordot(psi, np.sqrt(weight)[:, None] * y, (0, 0)), 0, 1)
    target = float(np.sum(weight[:, None] * y**2)) + 2 * float(problem.objective.irreducible)
    return Lines(sigma, b.reshape(u.shape[1], -1), u.T, v.reshape(len(v), -1).T, 0.5 * target, target)


def rows_of(problem: Problem, weights: int) -> np.ndarray:
    r"""$\psi_{fp}$ on every row, [rows, features, weights]: the features of units with one weight each."""
    lens, objective = problem.network.lenses()[0], problem.objective
    if objective.lifted:
        # in NumPy alone: nothing has to be compiled for a prediction
        lift = np.stack([np.asarray(lens.unit.lift(one), dtype=np.float64) for one in np.eye(weights)])
        psi = np.asarray(objective.x).reshape(objective.x.shape[0], -1, lift.shape[1])
        return psi if np.array_equal(lift, np.eye(weights)) else psi @ lift.T
    single = lens.put(np.eye(weights), np.zeros((weights, *np.shape(lens.get()[1])[1:]))).lenses()[0]
    with jax.enable_x64(True):
        return np.moveaxis(np.asarray(objective.features(single)), 1, 2)


def _shared_moment(psi: np.ndarray) -> np.ndarray | None:
    """The second moment that all features have, [weights, weights]; None where they differ or are correlated with each other."""
    features = psi.shape[1]
    sigma = sum(psi[:, f].T @ psi[:, f] for f in range(features)) / features
    largest = float(np.abs(sigma).max(initial=0.0))
    for f in range(features):
        for g in range(f + 1):
            wanted = sigma if g == f else 0.0
            if np.abs(psi[:, f].T @ psi[:, g] - wanted).max() > SAME * largest:
                return None
    return sigma
