r"""How the units of one layer move, each in a residual that is given: what every reduced motion is made of.

The network enters a unit's motion through the residual alone,
$\dot u_i = E[v_i\, \partial_u \phi(x; u_i)\, (y - f)]$, $\dot v_i = E[\phi(x; u_i)\, (y - f)]$. A few units that carry $f$ can so be moved together, and all
others after them, in a residual that no longer asks how many there are.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np

from ...networks import AbstractLens
from ...objective import Objective

#: Units as rows of one array [units, size]: u, then v flattened.
Units = np.ndarray
Velocity = Callable[[Units], Units]

#: Numbers in one table of products of rows and weights.
MOST_NUMBERS = 2e7
#: Random parallelograms that tell a quadratic form from another formula of its degree.
PROBES = 4


class AbstractMotion(abc.ABC):
    r"""Units of one layer on the rows of an objective, in NumPy.

    Rows carry the square root of their weight, so that sums over them are means: `target` [rows, outputs], a residual $e$ of the same
    shape is sqrt(weight) (y - f), and the loss is $\frac12 |e|^2$ + `irreducible`.

    **What a newcomer must write:** `parts`, `in_residual`, `slopes`.
    """

    def __init__(self, lens: AbstractLens, objective: Objective):
        u, v = (np.asarray(a, np.float64) for a in lens.get())
        self.lens, self.objective = lens, objective
        self.weights, self.readout = u.shape[1], v.shape[1:]
        self.size = self.weights + v.shape[1] * v.shape[2]
        self.start: Units = np.concatenate([u, v.reshape(len(v), -1)], axis=1)
        self.root = np.sqrt(np.asarray(objective.weight, np.float64))
        self.target = self.root[:, None] * np.asarray(objective.y, np.float64)
        self.irreducible = float(objective.irreducible)
        #: a loss that no network of this kind is below
        self.bound = objective.lower_bound()
        #: root mean square of the target: what contributions are compared with
        self.scale = float(np.sqrt(np.sum(self.target**2) + 2 * self.irreducible))

    @abc.abstractmethod
    def parts(self, units: Units) -> np.ndarray:
        """phi v of each unit on the rows, [units, rows, outputs]."""

    @abc.abstractmethod
    def in_residual(self, residual: np.ndarray) -> Velocity:
        """The velocity of units in a fixed residual, as a function of them."""

    @abc.abstractmethod
    def slopes(self, units: Units, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of f [rows x outputs, units x size], and of each unit's velocity in the fixed residual [units, size, size]."""

    def split(self, units: Units) -> tuple[np.ndarray, np.ndarray]:
        """u [units, weights] and v [units, features, outputs]."""
        return units[:, : self.weights], units[:, self.weights :].reshape(-1, *self.readout)

    def residual(self, units: Units, others: np.ndarray | float = 0.0) -> np.ndarray:
        """What is left of the target when these units, and `others` [rows, outputs], are taken off."""
        return self.target - self.parts(units).sum(axis=0) - others

    def coupled(self, units: Units, others: np.ndarray | float = 0.0) -> tuple[np.ndarray, Units]:
        """The residual that these units leave together with `others`, and their velocity in it."""
        residual = self.residual(units, others)
        return residual, self.in_residual(residual)(units)

    def loss(self, residual: np.ndarray) -> float:
        return 0.5 * float(np.sum(residual**2)) + self.irreducible

    def contributions(self, units: Units) -> np.ndarray:
        """Root mean square of phi v of each unit, relative to that of the target."""
        return np.sqrt(np.sum(self.parts(units) ** 2, axis=(1, 2))) / self.scale

    def jacobian(self, units: Units, residual: np.ndarray) -> np.ndarray:
        """Of the velocity of these units together: minus the Hessian of their loss. [n, n], n = units x size."""
        outputs, own = self.slopes(units, residual)
        jacobian = -outputs.T @ outputs
        for i, block in enumerate(own):
            part = slice(i * self.size, (i + 1) * self.size)
            jacobian[part, part] += block
        return jacobian


@eqx.filter_jit
def _features(lens: AbstractLens, objective: Objective, u: jax.Array) -> jax.Array:
    return jax.vmap(lambda one: objective.unit_features(lens, one), out_axes=1)(u)


def features_of(lens: AbstractLens, objective: Objective, u: np.ndarray) -> np.ndarray:
    """phi of every row for input weights u [units, weights]: [rows, units, features]."""
    with jax.enable_x64(True):
        # of the network only what a unit is: other initial weights, or widths, are no other program
        one = lens.of(lens.put(*(np.asarray(a[:1]) for a in lens.get())))
        return np.asarray(_features(one, objective, u), np.float64)


def _probes(size: int) -> np.ndarray:
    """Input weights at which a formula is looked at: sums of two unit vectors, then corners of random parallelograms."""
    a, b = np.triu_indices(size)
    p, q = np.random.default_rng(0).standard_normal((2, PROBES, size))
    return np.concatenate([np.eye(size)[a] + np.eye(size)[b], p + q, p - q, p, q])


class QuadraticForms(AbstractMotion):
    r"""Units with $\phi_f(x; u) = u^\top A_{xf}\, u$: quadratic neurons, their kernels, and attention heads with separate keys and queries alike.

    In a fixed residual $\dot v_{fo} = u^\top Q_{fo}\, u$ and $\dot u = 2 \sum_{fo} v_{fo} Q_{fo}\, u$ with $Q_{fo} = E[A_{xf}\,(y - f)_o]$.

    `forms` [rows, features, weights, weights], symmetric, are read off the formula: $\phi$ at the unit vectors and at sums of two.
    """

    def __init__(self, lens: AbstractLens, objective: Objective):
        super().__init__(lens, objective)
        w = self.weights
        a, b = np.triu_indices(w)
        values = features_of(lens, objective, _probes(w))[:, : len(a)] * self.root[:, None, None]
        values = values.transpose(0, 2, 1)
        forms = np.zeros((len(self.root), self.readout[0], w, w))
        forms[:, :, a, b] = values / 2
        diagonal = np.arange(w)
        forms[:, :, diagonal, diagonal] /= 2  # phi at twice a unit vector is four times that at it
        square = forms[:, :, diagonal, diagonal]
        forms[:, :, a, b] -= np.where(a == b, 0.0, (square[:, :, a] + square[:, :, b]) / 2)
        forms[:, :, b, a] = forms[:, :, a, b]
        self.forms = forms
        self._flat = forms.reshape(-1, w * w)

    @classmethod
    def refuses(cls, lens: AbstractLens, objective: Objective) -> str | None:
        """None where phi is a quadratic form in u, looked at for random weights, and its table fits in memory."""
        u, v = lens.get()
        size = u.shape[1]
        if lens.facts.degree != 2 or lens.facts.kinks:
            return "phi is no quadratic form in u: its degree is not 2"
        if len(objective.y) * v.shape[1] * size**2 > MOST_NUMBERS:
            return f"tables of {size}^2 products on {len(objective.y)} rows do not fit in memory"
        plus, minus, one, other = np.split(features_of(lens, objective, _probes(size))[:, -4 * PROBES :], 4, axis=1)
        # a form is what obeys the law of parallelograms
        if np.max(np.abs(plus + minus - 2 * one - 2 * other)) > 1e-9 * max(np.max(np.abs(one)), 1e-300):
            return "phi is no quadratic form in u"
        return None

    def features(self, u: np.ndarray) -> np.ndarray:
        """phi [units, rows, features]."""
        square = (u[:, :, None] * u[:, None, :]).reshape(len(u), self.weights**2)
        return (square @ self._flat.T).reshape(len(u), len(self.root), self.readout[0])

    def parts(self, units: Units) -> np.ndarray:
        u, v = self.split(units)
        return np.matmul(self.features(u), v)

    def matrices(self, residual: np.ndarray) -> np.ndarray:
        """Q [features, outputs, weights, weights]."""
        return np.tensordot(residual, self.forms, axes=(0, 0)).transpose(1, 0, 2, 3)

    def in_residual(self, residual: np.ndarray) -> Velocity:
        features, outputs = self.readout
        w, pairs = self.weights, features * outputs
        # one matrix product for all units: columns are (pair, weight)
        table = np.ascontiguousarray(
            self.matrices(residual).reshape(pairs, w, w).transpose(2, 0, 1).reshape(w, pairs * w)
        )

        def velocity(units: Units) -> Units:
            u, v = units[:, :w], units[:, w:]
            if pairs == 1:  # without the overhead of many small products
                along = u @ table
                return np.concatenate([2 * v * along, np.einsum("ia,ia->i", along, u)[:, None]], axis=1)
            along = (u @ table).reshape(-1, pairs, w)
            moved = np.empty_like(units)
            moved[:, :w] = 2 * np.matmul(v[:, None, :], along)[:, 0]
            moved[:, w:] = np.matmul(along, u[:, :, None])[:, :, 0]
            return moved

        return velocity

    def slopes(self, units: Units, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = self.split(units)
        count, w, (features, outputs) = len(u), self.weights, self.readout
        rows = len(self.root)
        along = np.einsum("kfab,ib->ikfa", self.forms, u, optimize=True)
        phi = np.einsum("ikfa,ia->ikf", along, u)
        jacobian = np.zeros((rows, outputs, count, self.size))
        jacobian[:, :, :, :w] = 2 * np.einsum("ikfa,ifo->koia", along, v, optimize=True)
        by_v = np.zeros((rows, outputs, count, features, outputs))
        for o in range(outputs):
            by_v[:, o, :, :, o] = phi.transpose(1, 0, 2)
        jacobian[:, :, :, w:] = by_v.reshape(rows, outputs, count, -1)
        q = self.matrices(residual)
        own = np.zeros((count, self.size, self.size))
        own[:, :w, :w] = 2 * np.einsum("ifo,foab->iab", v, q)
        mixed = 2 * np.einsum("foab,ib->iafo", q, u).reshape(count, w, -1)
        own[:, :w, w:] = mixed
        own[:, w:, :w] = mixed.transpose(0, 2, 1)
        return jacobian.reshape(rows * outputs, -1), own
