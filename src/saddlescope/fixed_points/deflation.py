r"""One more fixed point beside those that are known: deflation.

Newton's method from the same start ends at the same fixed point. It does not if the gradient is multiplied by what is infinite at the known ones,

$$m(\theta) = \prod_r \left(1 + \frac{1}{|F(\theta) - F_r|^2}\right), \qquad m\,\nabla L = 0 ,$$

with F the function on the data. Deflation is in the function, as weights of one function make continua (permutations, rescalings, rotations) that
a distance in weights would leave standing. With $s = -H^{-1} \nabla L$ Newton's step for the deflated gradient is a multiple of s,

$$d = \tau s, \qquad \tau = \frac{1}{1 - \nabla \log m \cdot s} ,$$

by Sherman & Morrison, so that known fixed points push along Newton's own line: negative $\tau$ turns away from one ahead.

**Source:** Farrell, Birkisson & Funke (2015), for boundary value problems and a distance in the unknowns.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..complexity import LayerView
from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS
from .hessian import hessian
from .polish import FLAT, NEWTON_WEIGHTS, ROUNDING, STATIONARY, ZERO_RESIDUAL, Polished, linearise

#: Functions whose root mean square difference, relative to max(rms f, rms y), is below this are the same fixed point.
KNOWN = 1e-6
ITERATIONS = 60
#: Points that one program works on at once.
BATCH = 50
#: A deflated search that is this close to rest is finished by Newton's method alone.
CLOSE = 1e-4
#: A step is at most this part of the size of the weights: far away a quadratic model means nothing.
LONGEST = 0.25
#: How far a start at a known fixed point is moved, relative to its weights, in turn.
PUSHES = (0.1, 0.3, 1.0, 1.0, 2.0, 2.0)
#: A fixed point at a finite distance is at most this part of the weights away by Newton's estimate; one at infinity never is.
SETTLED = 1e-4
#: The function depends on a direction of the weights by this part (of what it does on the stiffest) and the residual still pulls along it by that
#: cosine: a bounded unit on its way to infinity, as its gradient vanishes while its direction does not. Smaller parts are symmetries, to rounding.
FADING = (1e-11, 1e-5)
PULL = 1e-3
#: Weights that shrink below this part of what they were are on their way to zero.
VANISHED = 1e-6
#: A unit is saturated if its features, less those at u = 0, change by less than this part when u is doubled.
SATURATED = 1e-3


class Surface:
    """A narrow network's loss as a function of a vector of weights, by the compiled programs of `polish`. To be used in a 64-bit scope."""

    def __init__(self, network: AbstractNetwork, objective: Objective):
        self.network = jax.tree.map(jnp.asarray, network)
        self.objective = jax.tree.map(jnp.asarray, objective)
        start, self._unravel = ravel_pytree(self.network)
        self.start = np.asarray(start)
        self.irreducible = float(objective.irreducible)
        root = np.sqrt(np.asarray(objective.weight))[:, None]
        self.target = (root * np.asarray(objective.y)).reshape(-1)
        #: rms y, what no network explains included
        self.rms = float(np.sqrt(np.sum(self.target**2) + 2 * self.irreducible))
        self.zero = ZERO_RESIDUAL * float(np.linalg.norm(self.target))

    def linearise(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """sqrt(weight) (f - y), and its Jacobian."""
        residual, jacobian = linearise(self.network, self.objective, y)
        return np.asarray(residual), np.asarray(jacobian)

    def hessian(self, y: np.ndarray) -> np.ndarray:
        return hessian(self._unravel(jnp.asarray(y)), self.objective)

    def network_at(self, y: np.ndarray) -> AbstractNetwork:
        return jax.tree.map(lambda a: np.asarray(a) if eqx.is_array(a) else a, self._unravel(jnp.asarray(y)))

    def loss(self, residual: np.ndarray) -> float:
        return 0.5 * float(np.sum(residual**2)) + self.irreducible

    def scale(self, residual: np.ndarray) -> float:
        """max(rms f, rms y)."""
        return max(float(np.linalg.norm(residual + self.target)), self.rms, 1e-300)

    def relative(self, residual: np.ndarray, jacobian: np.ndarray) -> float:
        """|grad L| relative to |residual| x (largest column of the Jacobian); 0 where the fit is perfect."""
        return float(self.relatives(residual[None], jacobian[None])[0])

    def relatives(self, residuals: np.ndarray, jacobians: np.ndarray) -> np.ndarray:
        """The same at many points."""
        size = np.linalg.norm(residuals, axis=1)
        column = np.sqrt(np.max(np.sum(jacobians**2, axis=1), axis=1, initial=0.0))
        gradient = np.linalg.norm(residuals[:, None, :] @ jacobians, axis=(1, 2))
        return np.where(size <= self.zero, 0.0, gradient / np.maximum(size * column, 1e-300))

    def newton(self, y: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        return newton_step(self.hessian(y), gradient)

    def batch(self, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Residuals, Jacobians and Hessians at up to 50 points, by one program of its own."""
        filled = np.concatenate([ys, np.zeros((BATCH - len(ys), ys.shape[1]))])
        return tuple(np.array(a[: len(ys)]) for a in _batch(self.network, self.objective, filled))  # type: ignore

    def settle(self, y: np.ndarray, iterations: int = 12) -> tuple[np.ndarray, np.ndarray, float, bool]:
        """Newton's method to the end from close by: weights, residual, relative gradient, and whether a fixed point is really there.

        It is not where rounding leaves more than 1e-9 of the gradient, or where Newton's method would still go far: a gradient also vanishes
        towards infinity.
        """
        residual, jacobian = self.linearise(y)
        relative = self.relative(residual, jacobian)
        step = self.newton(y, jacobian.T @ residual)
        for _ in range(iterations):
            if relative <= STATIONARY:
                break
            trial, trial_jacobian = self.linearise(y + step)
            closer = self.relative(trial, trial_jacobian)
            if not closer < relative:
                break
            y, residual, jacobian, relative = y + step, trial, trial_jacobian, closer
            step = self.newton(y, jacobian.T @ residual)
        there = relative <= ROUNDING and np.linalg.norm(step) <= SETTLED * np.linalg.norm(y)
        return y, residual, relative, (bool(there) or relative == 0.0) and not self.unbounded(y, residual, jacobian)

    def unbounded(self, y: np.ndarray, residual: np.ndarray, jacobian: np.ndarray) -> bool:
        """Whether the gradient is small only because bounded units have large weights: a fixed point at infinity."""
        if all(lens.facts.degree is not None for lens in self.network.lenses()):
            return False
        if np.linalg.norm(residual) > self.zero:
            left, size, _ = np.linalg.svd(jacobian, full_matrices=False)
            fading = (size > FADING[0] * size[0]) & (size < FADING[1] * size[0])
            if np.any(np.abs(left[:, fading].T @ residual) > PULL * np.linalg.norm(residual)):
                return True
        for layer, lens in enumerate(self.network_at(y).lenses()):
            u, v = (np.asarray(part) for part in lens.get())
            phi, doubled, none = (
                LayerView(lens.put(factor * u, v), layer, self.objective).phi for factor in (1.0, 2.0, 0.0)
            )
            from_none = np.sum((phi - none) ** 2, axis=(0, 2))
            if np.any((from_none > 0) & (np.sum((doubled - phi) ** 2, axis=(0, 2)) < SATURATED**2 * from_none)):
                return True
        return False


def deflate(
    network: AbstractNetwork,
    objective: Objective,
    known: Sequence[AbstractNetwork],
    *,
    seed: int = 0,
    iterations: int = ITERATIONS,
) -> Polished | None:
    r"""Another fixed point of this width, of any index, looked for from `network` with the `known` ones deflated; None if the search finds none.

    **Arguments:**

    - `network`: the start. At a known fixed point it is first pushed off, by a tenth of its weights, then by more.
    - `known`: fixed points, of any width: only their functions count.
    - `seed`: of the pushes.

    **Holds:** what is returned rests (relative gradient at most 1e-12, or what rounding leaves below 1e-9), is at a finite distance, and its function differs
    from every known one by more than 1e-6 of max(rms f, rms y). None proves nothing: there may be others. Its effective width may be below its
    width: the fixed points of narrower networks are among those of this one.

    **Raises:** `ValueError` above 500 weights.
    """
    if network.num_weights() > NEWTON_WEIGHTS:
        raise ValueError(
            f"deflate needs the whole Hessian at every step: {network.title} has {network.num_weights()} weights, more than {NEWTON_WEIGHTS}. "
            "Reduce it to its effective width first."
        )
    with jax.enable_x64(True):
        surface = Surface(network, objective)
        outputs = np.asarray(objective.weight) ** 0.5
        taken = [(outputs[:, None] * (_outputs(n, surface) - np.asarray(objective.y))).reshape(-1) for n in known]
        rng = np.random.Generator(np.random.PCG64(seed))
        size = np.linalg.norm(surface.start) or 1.0
        at_known = nearest_distance(surface, surface.linearise(surface.start)[0], taken) < 1e-3
        for push in PUSHES if at_known else (0.0, *PUSHES[1:]):
            direction = rng.normal(size=surface.start.size)
            found = deflated(
                surface, surface.start + push * size * direction / np.linalg.norm(direction), taken, iterations
            )
            if found is not None:
                y, residual, relative, count = found
                return Polished(surface.network_at(y), surface.loss(residual), relative, count, RESULTS.successful)
    return None


def deflated(
    surface: Surface, y: np.ndarray, taken: Sequence[np.ndarray], iterations: int = ITERATIONS
) -> tuple[np.ndarray, np.ndarray, float, int] | None:
    """Deflated Newton from y: weights, residual, relative gradient and steps of a new fixed point, or None. `taken` are the known ones' residuals."""
    known = np.reshape(np.asarray(taken), (len(taken), surface.target.size))
    residual, jacobian = surface.linearise(y)
    start = np.linalg.norm(y)
    for count in range(iterations):
        if not np.all(np.isfinite(jacobian)):
            return None
        relative = surface.relative(residual, jacobian)
        apart = nearest_distance(surface, residual, known)
        if relative < CLOSE * min(1.0, apart):
            end, last, relative, there = surface.settle(y)
            if there and nearest_distance(surface, last, known) > KNOWN:
                return end, last, relative, count
            if relative < STATIONARY:
                return None
        step = surface.newton(y, jacobian.T @ residual)
        step = shortened(step * turned(surface, residual, jacobian, step, known), y)
        y = y + step
        if np.linalg.norm(y) < VANISHED * start:  # the origin: towards it every size is the same to a relative gradient
            y = np.zeros_like(y)
        residual, jacobian = surface.linearise(y)
    return None


def newton_step(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Newton's step to a fixed point of any index; flat directions, which are symmetries, are left alone."""
    values, vectors = np.linalg.eigh(hessian)
    kept = np.abs(values) > FLAT * np.max(np.abs(values), initial=0.0)
    return -vectors @ np.where(kept, (vectors.T @ gradient) / np.where(kept, values, 1.0), 0.0)


def nearest_distance(surface: Surface, residual: np.ndarray, taken: Sequence[np.ndarray] | np.ndarray) -> float:
    """Root mean square difference from the nearest of some functions, relative to max(rms f, rms y)."""
    if len(taken) == 0:
        return np.inf
    return float(np.min(np.linalg.norm(np.asarray(taken) - residual, axis=1)) / surface.scale(residual))


def turned(surface: Surface, residual: np.ndarray, jacobian: np.ndarray, step: np.ndarray, known: np.ndarray) -> float:
    """tau."""
    if len(known) == 0:
        return 1.0
    scale = surface.rms or 1.0
    apart = (residual - known) / scale
    square = np.maximum(np.sum(apart**2, axis=1), 1e-300)
    # grad log(1 + 1/d) = -grad d / (d (1 + d)), with grad d = 2 J^T (F - F_r) / scale^2
    along = 2 * apart @ (jacobian @ step) / scale
    denominator = 1 + np.sum(along / (square * (1 + square)))
    return 1.0 / denominator if abs(denominator) > 1e-12 else 1e12


def shortened(step: np.ndarray, y: np.ndarray) -> np.ndarray:
    size, longest = np.linalg.norm(step), LONGEST * max(float(np.linalg.norm(y)), 1e-3)
    return step if size <= longest else step * (longest / size)


def _outputs(network: AbstractNetwork, surface: Surface) -> np.ndarray:
    return np.asarray(_evaluate(jax.tree.map(jnp.asarray, network), surface.objective))


@eqx.filter_jit
def _evaluate(network, objective):
    return objective.outputs(network)


@eqx.filter_jit
def _batch(network, objective, ys):
    _, unravel = ravel_pytree(network)

    def residual(y):
        return objective.residual(unravel(y)).reshape(-1)

    def at(y):
        here, jacobian = residual(y), jax.jacfwd(residual)(y)
        bent = jax.jacfwd(jax.grad(lambda z: jnp.dot(here, residual(z))))(y)  # `here` held fixed
        matrix = jacobian.T @ jacobian + bent
        return here, jacobian, 0.5 * (matrix + matrix.T)

    return jax.vmap(at)(ys)
