r"""Invariant manifolds of a layer, and how far from one a network is.

Unit $i$ of a layer is one row $\theta_i = (u_i, v_i)$. On each of these sets the gradient of every squared loss, on any data, is tangent
to the set, so that gradient flow stays on it. Which sets do follows from the facts about $\phi$. From small weights a run comes near one
after another, each with room for more units, and stays for as long as it takes to move away.
"""

import abc

import equinox as eqx
import jax
import numpy as np

from ..networks import AbstractLens, AbstractNetwork, require_lens
from ..objective import Objective
from ..units import Facts

#: A network is on a manifold where its distance is at most this part of the layer's weights: rounding, with two decades to spare.
TOLERANCE = 1e-12


class AbstractManifold(eqx.Module):
    r"""A set $\mathcal M$ of weights of one layer that gradient flow does not leave.

    All of them are cones, $c\,\mathcal M = \mathcal M$ for $c > 0$, in the rows $\theta$ [units, weights + features $\times$ outputs].

    **What a newcomer must write:** `refuses` (which facts it needs), `project` (the nearest point of one matrix of rows) and `normal_part`
    (what of a velocity leads off it). These are formulas and refuse nothing; everything else follows, and does.

    **Holds** exactly, to rounding: for every squared loss, any data, any layer of any network whose lens has these facts. Nothing
    is said about the layers before and after it.

    **Raises:** every method below with a lens raises `ValueError` where the units' facts do not make the set invariant, or the labels do not
    fit the layer.

    **Source:** Zhang, Saxe & Latham (ICLR 2026), Theorem 3, for one unit less; products and symmetries of its four sets here.
    """

    @abc.abstractmethod
    def refuses(self, facts: Facts) -> str | None:
        """None where the set is invariant for units with these facts, otherwise the reason why not."""

    @abc.abstractmethod
    def project(self, theta: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        """The nearest point to `theta` [units, columns], whose first `inputs` columns are u."""

    @abc.abstractmethod
    def normal_part(self, point: np.ndarray, flow: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        """`flow` [units, columns] less the nearest velocity with which one stays on the set, from a point on it."""

    def misfit(self, units: int) -> str | None:
        """Why the set is none of a layer with so many units, or None."""
        return None

    def require(self, lens: AbstractLens) -> None:
        """Raises `ValueError` where this is no invariant set of the layer."""
        require_lens(lens, type(self).__name__)
        misfit = self.misfit(len(lens.get()[0]))
        if misfit is not None:
            raise ValueError(f"{type(self).__name__} does not fit {lens.network.title}: {misfit}")
        reason = self.refuses(lens.facts) or lens.tied
        if reason is not None:
            raise ValueError(f"{type(self).__name__} is not invariant for {type(lens.unit).__name__} units: {reason}")

    def nearest(self, lens: AbstractLens) -> AbstractNetwork:
        """The network with the nearest weights of this layer on the set, in NumPy float64; all other weights stay."""
        point, size = self._nearest(lens)
        return _with(lens, size * point)

    def distance(self, lens: AbstractLens) -> float:
        r"""$d(\theta, \mathcal M)$: Euclidean, over u and v of this layer, exact to rounding of $|\theta|$."""
        theta, size = _scaled(_rows(lens))
        point, _ = self._nearest(lens)
        return size * float(np.linalg.norm(theta - point))

    def contains(self, lens: AbstractLens, tolerance: float = TOLERANCE) -> bool:
        r"""Whether $d(\theta, \mathcal M) \le$ `tolerance` $\times\, |\theta|$, over the weights of this layer."""
        theta, size = _scaled(_rows(lens))
        return self.distance(lens) <= tolerance * size * float(np.linalg.norm(theta))

    def normal(self, lens: AbstractLens, objective: Objective) -> float:
        r"""How much of the flow leads off the set: $|P_\perp \nabla L| / |\nabla L|$ of this layer's weights, at the nearest point.

        0 where the gradient vanishes, rounding on the set where the theorem holds. It means nothing at a fixed point, where the
        gradient itself is rounding.
        """
        point, size = self._nearest(lens)
        network = _with(lens, size * point)
        with jax.enable_x64(True):
            gradient = _rows(lens.of(_gradient(network, objective)))
        flow, _ = _scaled(-gradient)
        length = float(np.linalg.norm(flow))
        if length == 0.0:
            return 0.0
        inputs = lens.get()[0].shape[1]
        return float(np.linalg.norm(self.normal_part(point, flow, inputs, lens.facts))) / length

    def _nearest(self, lens: AbstractLens) -> tuple[np.ndarray, float]:
        """The nearest rows, and the power of two that they are to be multiplied with."""
        self.require(lens)
        theta, size = _scaled(_rows(lens))
        return self.project(theta, lens.get()[0].shape[1], lens.facts), size


def _rows(lens: AbstractLens) -> np.ndarray:
    """(u, v) of every unit in one row: [units, weights + features x outputs]."""
    u, v = (np.asarray(part, np.float64) for part in lens.get())
    return np.hstack([u, v.reshape(len(u), -1)])


def _with(lens: AbstractLens, theta: np.ndarray) -> AbstractNetwork:
    u, v = lens.get()
    return lens.put(theta[:, : u.shape[1]], theta[:, u.shape[1] :].reshape(v.shape))


def _scaled(theta: np.ndarray) -> tuple[np.ndarray, float]:
    """`theta` over a power of two, to be about 1 where its squares would underflow, and that power."""
    if not np.all(np.isfinite(theta)):
        raise ValueError(
            "A distance needs finite weights: this layer has infinite ones, or ones that are no numbers. Take an earlier state."
        )
    largest = float(np.max(np.abs(theta), initial=0.0))
    size = float(np.ldexp(1.0, int(np.frexp(largest)[1]) - 1)) if largest > 0.0 else 1.0
    return theta / size, size


@eqx.filter_jit
def _gradient(network: AbstractNetwork, objective: Objective) -> AbstractNetwork:
    return objective.loss_and_gradient(network)[1]
