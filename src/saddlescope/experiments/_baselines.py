r"""Plain rules for when a plateau ends, which a theory has to beat.

To leading order at zero f is a product of p small factors. With p = 2 a direction of strength s grows like $e^{st}$, so it takes about
$\tfrac1s\ln\tfrac1\epsilon$; with more, a product of equal factors blows up at $\epsilon^{-(p-2)} / ((p-2)\,s)$. Where units are quadratic forms of their
weights the plain rule is better than that: the blow-up time of the first unit in the residual of the start, which says nothing of later ones.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from ..networks import AbstractNetwork
from ..objective import Objective
from ._random_problems import Drawn

#: Followed until a weight has grown by this factor: what is left to the blow-up is 1/(2 mu v), short by a part of the inverse square.
GROWN = 1e4


def baselines(drawn: Drawn, network: AbstractNetwork, objective: Objective) -> list[float | None]:
    """A time for each plateau in order; None where the rule says nothing."""
    factors, lenses = network.homogeneity, network.lenses()
    if factors is None:
        return []
    if factors == 2:
        return [float(np.log(1 / drawn.scale) / s) for s in drawn.singular_values]
    if len(lenses) == 1 and lenses[0].facts.degree == 2:
        u, v = (np.asarray(a, np.float64) for a in lenses[0].get())
        if v[0].size == 1:
            return [blow_up(_form(network, objective), u, v[:, 0, 0])]
    return [float(drawn.scale ** -(factors - 2) / ((factors - 2) * s)) for s in drawn.singular_values]


def blow_up(form: np.ndarray, u: np.ndarray, v: np.ndarray) -> float | None:
    r"""When the first of some units runs away in a residual that stays as it is, $\dot v = u^\top Q u$, $\dot u = 2 v Q u$.

    **Arguments:** `form` [weights, weights]: Q. `u` [units, weights], `v` [units].

    **Holds** to 1e-6 of the time; None where no unit runs away.
    """
    top = float(np.max(np.abs(np.linalg.eigvalsh(form))))
    size = float(np.max(np.abs(np.hstack([u, v[:, None]]))))
    if top == 0.0 or size == 0.0:
        return None

    # in units of the largest weight and of the time that it takes, so that tolerances mean the same at every scale
    def velocity(_, state):
        a, b = state[: u.size].reshape(u.shape), state[u.size :]
        moved = a @ (form / top)
        return np.concatenate([(2 * b[:, None] * moved).ravel(), np.sum(a * moved, axis=1)])

    def grown(_, state):
        return np.max(np.abs(state[u.size :])) - GROWN

    grown.terminal = True
    start = np.concatenate([u.ravel(), v]) / size
    found = solve_ivp(velocity, (0.0, 1e6), start, method="DOP853", rtol=1e-9, atol=1e-9, events=grown)
    if not found.t_events[0].size:
        return None
    a, b = found.y[: u.size, -1].reshape(u.shape), found.y[u.size :, -1]
    first = int(np.argmax(np.abs(b)))
    rate = float(a[first] @ (form / top) @ a[first] / (a[first] @ a[first]))
    return float((found.t_events[0][0] + 1 / (2 * rate * b[first])) / (top * size))


def _form(network: AbstractNetwork, objective: Objective) -> np.ndarray:
    """Q with E[phi(x; u) y] = u^T Q u."""
    with jax.enable_x64(True):
        lens = network.lenses()[0]
        u, v = (np.asarray(a) for a in lens.get())
        silent = lens.of(lens.put(np.zeros_like(u[:1]), np.zeros_like(v[:1])))

        def correlation(one):
            return objective.correlation(silent, one)[0, 0]

        return np.asarray(jax.hessian(correlation)(jnp.zeros(u.shape[1])), np.float64) / 2
