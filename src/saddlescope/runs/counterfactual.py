r"""The same problem on other data: white, or with a spectrum drawn anew.

What decides how fast things grow near the origin is the correlation of what a unit computes with the targets. Its spectrum is

- for units linear at the origin: the singular values of $E[\psi\, y^\top]$ (the inputs in place of $\psi$ where there is none), weights against readouts;
- for quadratic forms $\phi = u^\top A u$: the eigenvalues of $Q = E[A\,y]$, one form for each feature and output;
- for piecewise linear neurons with one output: $|E[y x]|$ over the positive targets and over the negative ones.

New data keep the inputs and get targets with another spectrum in the same directions. White data also get inputs without preferred directions: all rates are equal,
so that only the weights can separate the times of two directions.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from ..networks import AbstractNetwork
from ..objective import Objective
from ..units import AbstractUnit

#: Rates below this part of the largest carry nothing.
NEGLIGIBLE = 1e-9
#: Tables of forms beyond so many numbers are not made.
MOST_NUMBERS = 5_000_000

Change = Callable[[np.ndarray], np.ndarray]


class Spectrum(NamedTuple):
    """The rates of a problem at the origin and how to change them.

    - `rates` [modes]: from the largest down, positive.
    - `changed(change, white)`: the objective whose rates are `change(rates)`.
    """

    rates: np.ndarray
    changed: "Callable[[Change, bool], Objective]"

    @property
    def spread(self) -> float:
        """The largest rate over the smallest."""
        return float(self.rates[0] / self.rates[-1])

    def white(self) -> Objective:
        return self.changed(lambda rates: np.full(len(rates), rates.mean()), True)

    def redrawn(self, seed: int, size: float) -> Objective:
        """Each rate times a log-normal factor with standard deviation `size` of its logarithm."""
        factors = np.exp(size * np.random.default_rng([seed, 7]).standard_normal(len(self.rates)))
        return self.changed(lambda rates: rates * factors, False)


def spectrum_of(network: AbstractNetwork, objective: Objective) -> "Spectrum | str":
    """The spectrum of a problem, or the reason why none is known for these units and data."""
    lenses = network.lenses()
    facts, unit = lenses[0].facts, lenses[0].unit
    if facts.kinks and len(lenses) == 1:
        return _signs(network, objective)
    if all(lens.facts.linear for lens in lenses) or (
        network.form == "vectors" and all(lens.facts.order == 1 for lens in lenses)
    ):
        return _linear(network, objective)
    if len(lenses) == 1 and facts.degree == 2 and unit.psi_name is not None:
        return _forms(network, objective, unit)
    return f"no spectrum is known of units of order {facts.order} without a psi"


def _rows(network: AbstractNetwork, objective: Objective) -> np.ndarray:
    """psi, or inputs where there is none, [rows, features x psi], times the square root of the rows' weights."""
    x = np.asarray(objective.x, np.float64)
    if not objective.lifted and network.psi_name is not None:
        with jax.enable_x64(True):
            x = np.asarray(jax.vmap(network.psi)(x), np.float64)
    return np.sqrt(np.asarray(objective.weight))[:, None] * x.reshape(len(x), -1)


def _targets(objective: Objective) -> np.ndarray:
    return np.sqrt(np.asarray(objective.weight))[:, None] * np.asarray(objective.y, np.float64)


def _objective(objective: Objective, rows: np.ndarray, y: np.ndarray) -> Objective:
    """The objective with these rows and targets, which carry the roots of their weights; the weights stay where there are as many rows."""
    weight = np.asarray(objective.weight) if len(rows) == len(objective.weight) else np.ones(len(rows))
    root = np.sqrt(np.where(weight > 0, weight, 1.0))[:, None]
    shape = (len(rows), *np.shape(objective.x)[1:])
    return Objective(
        np.ascontiguousarray(rows / root).reshape(shape),
        np.ascontiguousarray(y / root),
        weight,
        np.float64(0.0),
        lifted=objective.lifted,
        psi_name=objective.psi_name,
    )


def _whitened(rows: np.ndarray) -> np.ndarray:
    """The rows turned and stretched until their second moments are a multiple of the identity on their span, of the same trace."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    some = values > 1e-7 * values[0]
    return (left[:, some] * np.sqrt(np.mean(values[some] ** 2))) @ right[some]


def _fitting(rows: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Targets on the rows that have this correlation with them and no part that the rows do not explain."""
    return rows @ np.linalg.pinv(rows.T @ rows, rcond=1e-12, hermitian=True) @ correlation


def _linear(network: AbstractNetwork, objective: Objective) -> "Spectrum | str":
    if not objective.lifted and network.psi_name not in (None, "inputs"):
        objective = _as_psi(network, objective)
    rows = _rows(network, objective)
    outputs = objective.y.shape[1]
    features = np.shape(network.lenses()[0].get()[1])[1]
    correlation = (rows.T @ _targets(objective)).reshape(features, -1, outputs)
    matrix = correlation.transpose(1, 0, 2).reshape(correlation.shape[1], -1)
    left, rates, right = np.linalg.svd(matrix, full_matrices=False)
    kept = rates > NEGLIGIBLE * rates[0]
    left, rates, right = left[:, kept], rates[kept], right[kept]

    def changed(change: Change, white: bool) -> Objective:
        new = (left * change(rates)) @ right
        flat = new.reshape(-1, features, outputs).transpose(1, 0, 2).reshape(-1, outputs)
        base = _whitened(rows) if white else rows
        return _objective(objective, base, _fitting(base, flat))

    return Spectrum(rates, changed)


def _as_psi(network: AbstractNetwork, objective: Objective) -> Objective:
    """The same objective with rows of psi in place of inputs."""
    with jax.enable_x64(True):
        psi = np.asarray(jax.vmap(network.psi)(np.asarray(objective.x)), np.float64)
    return Objective(psi, objective.y, objective.weight, objective.irreducible, lifted=True, psi_name=network.psi_name)


def _forms(network: AbstractNetwork, objective: Objective, unit: AbstractUnit) -> "Spectrum | str":
    if not objective.lifted:
        objective = _as_psi(network, objective)
    rows, outputs = _rows(network, objective), objective.y.shape[1]
    u, v = (np.asarray(a) for a in network.lenses()[0].get())
    weights, features = u.shape[1], v.shape[1]
    psi = rows.shape[1] // features
    if psi * weights**2 > MOST_NUMBERS:
        return f"tables of {psi} forms with {weights}^2 numbers are too large"
    with jax.enable_x64(True):
        table = np.asarray(jax.hessian(unit.lift)(np.zeros(weights)), np.float64) / 2
    table = table.reshape(psi, -1)  # form of g: sum over p of g_p table_p
    back = np.linalg.pinv(table)
    pairs = rows.T @ _targets(objective)
    forms = (pairs.reshape(features, psi, outputs).transpose(0, 2, 1) @ table).reshape(-1, weights, weights)
    values, vectors = np.linalg.eigh(forms)
    sizes = np.abs(values)
    kept = sizes > NEGLIGIBLE * sizes.max()
    # a head's form has each rate twice, with either sign: its factors are the same number
    order = np.argsort(-sizes[kept], kind="stable")
    rates, place = _distinct(sizes[kept][order])
    # |sum v u u^T - Q|^2 in place of the inputs' metric: no direction of u is preferred
    metric = np.linalg.inv(table @ table.T)
    root = np.linalg.cholesky(metric).T
    variance = float(np.trace(rows.T @ rows)) / (features * float(np.trace(metric)))

    def changed(change: Change, white: bool) -> Objective:
        new = np.zeros(sizes.shape)
        filled = np.zeros(np.count_nonzero(kept))
        filled[order] = change(rates)[place]
        new[kept] = filled
        turned = (vectors * (np.sign(values) * new)[:, None, :]) @ vectors.transpose(0, 2, 1)
        flat = turned.reshape(features, outputs, -1) @ back  # [features, outputs, psi]
        flat = flat.transpose(0, 2, 1).reshape(-1, outputs)
        base = np.sqrt(variance) * np.kron(np.eye(features), root) if white else rows
        return _objective(objective, base, _fitting(base, flat))

    return Spectrum(rates, changed)


def _distinct(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes, from the largest down, without repetitions to rounding, and the place of each among them."""
    apart = np.concatenate([[True], sizes[1:] < sizes[:-1] * (1 - 1e-9)])
    return sizes[apart], np.cumsum(apart) - 1


def _signs(network: AbstractNetwork, objective: Objective) -> "Spectrum | str":
    if network.form != "vectors" or objective.y.shape[1] != 1:
        return "the spectrum of piecewise linear units is known for neurons with one output"
    rows, y = _rows(network, objective), _targets(objective)
    groups = [g for g in (y[:, 0] > 0, y[:, 0] < 0) if np.any(g)]
    found = np.array([np.linalg.norm(rows[g].T @ y[g]) for g in groups])
    order = np.argsort(-found, kind="stable")
    groups, rates = [groups[i] for i in order], found[order]
    if rates[0] == 0.0:
        return "targets are zero"

    def changed(change: Change, white: bool) -> Objective:
        base = _whitened(rows) if white else rows
        new = y.copy()
        for g, wanted in zip(groups, change(rates), strict=True):
            new[g] *= wanted / np.linalg.norm(base[g].T @ y[g])
        return _objective(objective, base, new)

    return Spectrum(rates, changed)
