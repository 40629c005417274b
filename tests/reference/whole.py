"""Whole networks of small units by SciPy's LSODA, from gradients written by hand: what reduced motions are held to.

Explicit solvers need a step of the order of one on plateaus of 1/scale; LSODA with a Jacobian does not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

State = np.ndarray
#: (loss, velocity) of a state
Flow = Callable[[State], tuple[float, State]]


@dataclass(frozen=True)
class Run:
    """`loss` and `speed` at any time up to `t_end`; `steps` are the solver's."""

    flow: Flow
    steps: np.ndarray
    state: Callable[[float], State]

    def loss(self, t: float) -> float:
        return self.flow(self.state(t))[0]

    def crossing(self, level: float) -> float:
        """The first time at which the loss falls through `level`."""
        losses = np.array([self.loss(t) for t in self.steps])
        first = int(np.argmax(losses < level))
        assert losses[first] < level < losses[0]
        return float(brentq(lambda t: self.loss(t) - level, self.steps[first - 1], self.steps[first], xtol=1e-10))

    def width(self, high: float, low: float) -> float:
        """Time from 90% to 10% of a drop."""
        return self.crossing(low + 0.1 * (high - low)) - self.crossing(low + 0.9 * (high - low))


def run(flow: Flow, start: State, t_end: float, rtol: float = 1e-11) -> Run:
    scale = float(np.sqrt(np.mean(start**2)))
    found = solve_ivp(
        lambda t, y: flow(y)[1], (0.0, t_end), start, "LSODA", rtol=rtol, atol=1e-12 * scale, dense_output=True
    )
    assert found.success, found.message
    return Run(flow, found.t, found.sol)


def quadratic(b: np.ndarray, covariance: np.ndarray, units: int) -> Flow:
    """y = x^T B x, x Gaussian: L = 1/2 [tr(DS)^2 + 2 tr(DSDS)], D = B - sum v u u^T. State: u [units, inputs], then v [units]."""
    inputs = len(b)

    def flow(y):
        u, v = y[: units * inputs].reshape(units, inputs), y[units * inputs :]
        ds = (b - np.einsum("i,ia,ib->ab", v, u, u)) @ covariance
        residual = np.trace(ds) * covariance + 2 * covariance @ ds
        along = u @ residual
        loss = 0.5 * (np.trace(ds) ** 2 + 2 * np.trace(ds @ ds))
        return loss, np.concatenate([(2 * v[:, None] * along).ravel(), np.sum(along * u, axis=1)])

    return flow


def heads(eigenvalues: np.ndarray, context: int, units: int, rank: int = 1) -> Flow:
    """In-context regression on cubic features, separate keys and queries: E(y-f)^2 = tr L - 2 <L^2, M> + tr(M^T C M L).

    State: key [units, rank, inputs] and query, then value [units].
    """
    lam, size = np.diag(eigenvalues), len(eigenvalues)
    c = lam @ lam * (1 + 1 / context) + np.trace(lam) / context * lam

    def flow(y):
        weights = y[: units * 2 * rank * size].reshape(units, 2, rank, size)
        k, q, v = weights[:, 0], weights[:, 1], y[units * 2 * rank * size :]
        m = np.einsum("i,ira,irb->ab", v, k, q)
        residual = lam @ lam - c @ m @ lam
        loss = 0.5 * (np.trace(lam) - 2 * np.sum(lam @ lam * m) + np.trace(m.T @ c @ m @ lam))
        kept = np.empty_like(weights)
        kept[:, 0] = v[:, None, None] * (q @ residual.T)
        kept[:, 1] = v[:, None, None] * (k @ residual)
        return loss, np.concatenate([kept.ravel(), np.einsum("ira,ab,irb->i", k, residual, q)])

    return flow


def neurons(activation: Callable, slope: Callable, x: np.ndarray, y: np.ndarray, units: int) -> Flow:
    """sum_i v_i s(u_i . x) on samples, one output. State: u [units, inputs], then v [units]."""
    samples, inputs = x.shape

    def flow(state):
        u, v = state[: units * inputs].reshape(units, inputs), state[units * inputs :]
        z = x @ u.T
        phi = activation(z)
        error = y[:, 0] - phi @ v
        moved = (slope(z) * error[:, None]).T @ x / samples * v[:, None]
        return 0.5 * float(np.mean(error**2)), np.concatenate([moved.ravel(), phi.T @ error / samples])

    return flow
