r"""From a slow state to the fixed point beside it: reduce, polish the narrow network, embed it back, look whether the wide one rests.

The saddle that a plateau visits is a fixed point of a narrower network, embedded in the wide one's landscape. Found there it is exact, and
what is left of the wide gradient says so.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..complexity import TAU, Complexity, LayerView, NearReduction, effective_width, reduce
from ..embeddings import Mixing
from ..manifolds import AbstractManifold, Active, Copies, Rank, Rays
from ..networks import AbstractLens, AbstractNetwork
from ..objective import Objective
from ..results import RESULTS, ComputationError
from .deflation import Surface
from .polish import ROUNDING, ZERO_RESIDUAL, Polished, linearise, nearest_fixed_point, polish

#: A plateau at finite scale already shows the next unit: reduction is tried again with larger tolerances.
TOLERANCES = (TAU, 3e-2, 1e-1, 2.5e-1)
#: A network that no reduction fits is polished as it is up to this many weights.
WHOLE_WEIGHTS = 600
#: A fixed point whose function differs by at most this part of max(rms f, rms y) is the one visited; farther ones are compared.
NEAR = 0.1
#: Embedding adds rounding to the gradient, in proportion to the entries of its matrices.
EMBEDDED = 10 * ROUNDING


class Moved(NamedTuple):
    """How far the fixed point is from the state it was looked for from.

    - `weights`: Euclidean distance in all weights, relative to the larger of the two's size.
    - `function`: root mean square difference on the data, relative to max(rms f, rms y).
    """

    weights: float
    function: float


@dataclass(frozen=True)
class FixedPoint:
    r"""A place where the wide flow rests, with how it was made.

    - `network`: the wide network there. `loss`: its height.
    - `narrow`: the network of its effective width, at its own fixed point; None at the origin, and `network` itself where only the whole network led to
        a fixed point (which may need fewer units all the same: `complexity`).
    - `complexity`: width of each hidden layer, and the kind.
    - `embeddings`: matrices that carry `narrow` to `network`, one a hidden layer; empty at the origin and where nothing was left out.
    - `gradient`: $|\nabla L|$ of the wide network, relative to |residual| x (largest column of its Jacobian), which bounds it.
    - `narrow_gradient`: the same of the narrow one.
    - `moved`: how far it is from the state asked about.
    - `manifolds`: the invariant manifold of each hidden layer that the point lies on; None where no unit was left out.
    - `result`: successful, or not_stationary where the wide network still moves.
    """

    network: AbstractNetwork
    loss: float
    narrow: AbstractNetwork | None
    complexity: Complexity
    embeddings: tuple[Mixing, ...]
    gradient: float
    narrow_gradient: float
    moved: Moved
    manifolds: tuple[AbstractManifold | None, ...]
    result: RESULTS

    @property
    def constructions(self) -> tuple[str, ...]:
        """Which of Theorem 1's constructions embed it: "silent", "split", "proportional", "factorised"; () for a network of its own width."""
        if self.narrow is None:
            return ("silent",)
        found: set[str] = set()
        for embedding, lens in zip(self.embeddings, self.network.lenses(), strict=bool(self.embeddings)):
            found |= _constructions(embedding, lens.facts.linear)
        return tuple(name for name in ("silent", "split", "proportional", "factorised") if name in found)


def _constructions(embedding: Mixing, linear: bool) -> set[str]:
    a = embedding.a
    if linear:
        return {"factorised"} if len(a) > a.shape[1] else set()
    found = set()
    if (a == 0.0).all(axis=1).any():
        found.add("silent")
    members = (a != 0.0).sum(axis=0)
    for k in np.flatnonzero(members > 1):
        equal = np.abs(a[a[:, k] != 0.0, k])
        found.add("split" if np.ptp(equal) == 0.0 else "proportional")
    return found


def find(
    network: AbstractNetwork,
    objective: Objective,
    *,
    reach: float = np.inf,
    loss: float | None = None,
    farthest: float = np.inf,
    whole: bool = True,
    throw: bool = True,
) -> FixedPoint | None:
    r"""The fixed point near a slow state.

    **Arguments:**

    - `loss`: at the state (computed if left out). `reach`: accepted is a fixed point whose loss is within this of it.
    - `farthest`: and whose function differs by at most this part of max(rms f, rms y).
    - `whole`: try the network as it is last, if it has at most 600 weights: a fixed point that no narrower network has.

    Accepted is the first, over increasing tolerances of reduction (1%, 3%, 10%, 25% of the function), whose narrow fixed point keeps the width it was
    reduced to, whose loss is within reach, and whose embedding does not move. It is looked for by descent; where that moves the function by more
    than a tenth, also by Newton's method, and the nearer one counts.

    Returns None if there is none and `throw` is False.

    **Raises:** `ComputationError` (not_stationary) if there is none.
    """
    here = LayerView(network, 0, objective)
    if loss is None:
        loss = float(objective.loss_of(here.outputs))
    if not np.any(np.asarray(objective.y)):
        # nothing to learn: of a function that vanishes no reduction leaves out a small part, and no units at all do as well
        nothing = reduce(_silenced(network), objective)
        origin = _verified(None, nothing, network, objective, here, loss, reach)
        if origin is not None and origin.moved.function <= farthest:
            return origin
    best: FixedPoint | None = None
    tried = set()
    for tau in TOLERANCES:
        reduction = reduce(network, objective, tau)
        if reduction.complexity.widths in tried:
            continue
        tried.add(reduction.complexity.widths)
        for candidate in _candidates(reduction, network, objective, loss, reach):
            point = _verified(candidate, reduction, network, objective, here, loss, reach)
            if point is None or point.moved.function > farthest:
                continue
            if best is None or point.moved.function < best.moved.function:
                best = point
            if point.moved.function <= NEAR:
                break
        if best is not None:
            return best
    if whole and network.num_weights() <= WHOLE_WEIGHTS:
        polished = polish(network, objective, throw=False)
        moved = _moved(network, polished.network, here, objective)
        accepted = abs(polished.loss - loss) <= reach and moved.function <= farthest
        if polished.result is RESULTS.successful and accepted and not _at_infinity(polished.network, objective):
            complexity = effective_width(polished.network, objective)
            gradient = polished.gradient
            return FixedPoint(
                polished.network,
                polished.loss,
                polished.network,
                complexity,
                (),
                gradient,
                gradient,
                moved,
                (),
                RESULTS.successful,
            )
    if throw:
        raise ComputationError(RESULTS.not_stationary, "No fixed point was found near this state.")
    return None


def _candidates(reduction: NearReduction, network: AbstractNetwork, objective: Objective, loss: float, reach: float):
    """Fixed points of the narrow network, None for no network at all, within reach and of the width reduced to."""
    if reduction.network is None:
        yield None
        return
    for search in (polish, nearest_fixed_point):
        point = search(reduction.network, objective, throw=False)
        if point.result is not RESULTS.successful or abs(point.loss - loss) > reach:
            continue
        if effective_width(point.network, objective).widths != reduction.complexity.widths:
            continue
        if not _at_infinity(point.network, objective):
            yield point


def _at_infinity(network: AbstractNetwork, objective: Objective) -> bool:
    """Whether the gradient has vanished only because bounded units have large weights."""
    with jax.enable_x64(True):
        surface = Surface(network, objective)
        return surface.unbounded(surface.start, *surface.linearise(surface.start))


def _verified(
    candidate: Polished | None,
    reduction: NearReduction,
    network: AbstractNetwork,
    objective: Objective,
    here: LayerView,
    loss: float,
    reach: float,
) -> FixedPoint | None:
    if candidate is None:
        wide, embeddings, narrow, narrow_gradient = _silenced(network), (), None, 0.0
        if abs(float(objective.loss_of(LayerView(wide, 0, objective).outputs)) - loss) > reach:
            return None
    else:
        narrow, narrow_gradient = candidate.network, candidate.gradient
        try:
            wide, embeddings = reduction.back(narrow)
        except (
            ValueError
        ):  # the facts of the units refuse it: a solution of the narrow network, but no fixed point of the wide one
            return None
    gradient = relative_gradient(wide, narrow, objective)
    if gradient > EMBEDDED:
        return None
    manifolds = _manifolds(reduction, network, embeddings)
    moved = _moved(network, wide, here, objective)
    height = float(objective.loss_of(LayerView(wide, 0, objective).outputs)) if candidate is None else candidate.loss
    return FixedPoint(
        wide,
        height,
        narrow,
        reduction.complexity,
        embeddings,
        gradient,
        narrow_gradient,
        moved,
        manifolds,
        RESULTS.successful,
    )


def relative_gradient(wide: AbstractNetwork, narrow: AbstractNetwork | None, objective: Objective) -> float:
    """|grad L| of the wide network relative to |residual| x (largest column of the Jacobian) of the narrow one that it embeds.

    Relative to the residual alone at the origin, where it is exactly zero or of order 1.
    """
    with jax.enable_x64(True):
        objective = jax.tree.map(jnp.asarray, objective)
        wide = jax.tree.map(jnp.asarray, wide)
        gradient = float(np.linalg.norm(np.asarray(_gradient(wide, objective))))
        if narrow is None:
            residual = float(jnp.sqrt(objective.mean_square(objective.y)))
            return gradient / max(residual, 1e-300)
        narrow = jax.tree.map(jnp.asarray, narrow)
        residual, jacobian = (np.asarray(a) for a in linearise(narrow, objective, ravel_pytree(narrow)[0]))
        if np.linalg.norm(residual) <= ZERO_RESIDUAL * float(jnp.sqrt(objective.mean_square(objective.y))):
            return 0.0
        column = np.sqrt(np.max(np.sum(jacobian**2, axis=0), initial=0.0))
        return gradient / max(float(np.linalg.norm(residual) * column), 1e-300)


def _manifolds(
    reduction: NearReduction, network: AbstractNetwork, embeddings: tuple[Mixing, ...]
) -> tuple[AbstractManifold | None, ...]:
    """The invariant manifold of each hidden layer that an embedded point lies on, None where no unit was left out."""
    if reduction.network is None:
        return tuple(
            Active(np.zeros(len(lens.get()[0]), bool)) if lens.facts.silent and lens.tied is None else None
            for lens in network.lenses()
        )
    return tuple(_manifold(embedding.a, lens) for embedding, lens in zip(embeddings, network.lenses(), strict=True))


def _manifold(a: np.ndarray, lens: AbstractLens) -> AbstractManifold | None:
    if len(a) == a.shape[1]:
        return None
    if lens.facts.linear:
        return Rank(a.shape[1])
    made = a != 0.0
    groups = np.where(made.any(axis=1), np.argmax(made, axis=1), -1)
    signs = np.where(a.sum(axis=1) < 0, -1, 1)
    if np.max(np.bincount(groups[groups >= 0])) == 1:
        return Active(groups >= 0)
    if lens.facts.degree == 1:
        return Rays(groups, signs)
    # proportional units of another degree carry the fixed point over, but the flow leaves their set
    return Copies(groups, signs) if set(np.unique(np.abs(a))) <= {0.0, 1.0} else None


def _moved(before: AbstractNetwork, after: AbstractNetwork, here: LayerView, objective: Objective) -> Moved:
    old = np.concatenate([np.ravel(np.asarray(w)) for w in before.arrays().values()])
    new = np.concatenate([np.ravel(np.asarray(w)) for w in after.arrays().values()])
    size = max(float(np.linalg.norm(old)), float(np.linalg.norm(new)))
    weights = float(np.linalg.norm(old - new)) / size if size > 0 else 0.0
    return Moved(weights, here.distance(LayerView(after, 0, objective).outputs))


def _silenced(network: AbstractNetwork) -> AbstractNetwork:
    return network.with_arrays({name: np.zeros(a.shape) for name, a in network.arrays().items()})


@eqx.filter_jit
def _gradient(network, objective):
    return ravel_pytree(objective.loss_and_gradient(network)[1])[0]
