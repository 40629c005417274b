r"""How near a run came to the invariant manifold of a plateau's saddle, and whether its stay there says anything.

A saddle is approached along a manifold on which the wide network moves like the narrow one; the distance to it falls until the saddle's
unstable directions take over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..fixed_points import FixedPoint
from ..manifolds import AbstractManifold, Copies, Rank, Rays, interpretable, round_off_horizon
from ..networks import AbstractNetwork

#: A run has arrived once no more than this part of the drop before is left, and departed once this part of the drop after is done.
ARRIVED = 0.1
#: Distances are measured at every kept state of layers up to this many weights, beyond at three states a plateau.
EVERY_STATE = 200_000


@dataclass(frozen=True)
class Residence:
    """A run's stay near one manifold. Distances are Euclidean, in the weights of a layer; a list a hidden layer.

    - `kind`: of each layer's manifold: rank, rays, copies or active; None where the saddle needs every unit of it.
    - `t_arrival`, `t_departure`: times of the kept states at which a tenth of the drop before is left, and a tenth of the drop after is done.
        None after a plateau that the run did not leave.
    - `arrival`, `slowest`, `departure`: distances at these and at the slowest kept state.
    - `size`: |(u, v)| of the layer at the slowest state.
    - `horizon`: rounding alone would end a stay at this saddle after so long; None without exponential escape, and where rounding is relative (the
        origin, units that are exactly silent).
    - `interpretable`: False where rounding, not the initial weights, decided when the stay ended.
    - `distances` [snapshots, layers]: at every kept state; NaN where it was not measured.
    """

    kind: list[str | None]
    t_arrival: float
    t_departure: float | None
    arrival: list[float | None]
    slowest: list[float | None]
    departure: list[float | None]
    size: list[float]
    horizon: float | None
    interpretable: bool
    distances: np.ndarray


def residence(
    point: FixedPoint,
    networks: Sequence[AbstractNetwork],
    t: np.ndarray,
    loss: np.ndarray,
    snapshot: int,
    heights: tuple[float, float, float | None],
    window: tuple[float, float | None],
    rate: float | None,
) -> Residence:
    """The stay near a fixed point's manifolds.

    **Arguments:**

    - `networks`, `t`, `loss` [snapshots]: kept states; `snapshot`: the slowest of this plateau.
    - `heights`: of the plateau before (or the first loss), of this one, of the next (None if not known).
    - `window`: t_start and t_end of the plateau; the latter None if it was not left.
    - `rate`: of exponential escape, or None.
    """
    before, here, after = heights
    inside = t >= window[0]
    near = np.flatnonzero(inside & (loss - here <= ARRIVED * max(before - here, 0.0)))
    arrival = min(int(near[0]) if near.size else snapshot, snapshot)
    departure = len(t) - 1
    if window[1] is not None and after is not None:
        left = np.flatnonzero((t <= window[1]) & (here - loss <= ARRIVED * max(here - after, 0.0)))
        departure = max(int(left[-1]) if left.size else snapshot, snapshot)
    at = {arrival, snapshot, departure}
    layers = networks[0].lenses()
    if sum(part.size for lens in layers for part in lens.get()) <= EVERY_STATE:
        at = set(range(len(networks)))
    distances = np.full((len(networks), len(layers)), np.nan)
    for i in at:
        for layer, manifold in enumerate(point.manifolds):
            if manifold is not None:
                distances[i, layer] = manifold.distance(networks[i].lenses()[layer])
    size = [_size(lens) for lens in networks[snapshot].lenses()]
    cancels = [layer for layer, m in enumerate(point.manifolds) if isinstance(m, Rank | Rays | Copies)]
    horizon, says = None, True
    if cancels and rate is not None and rate > 0:
        horizon = round_off_horizon(rate)
        stayed = float(t[departure] - t[arrival]) if window[1] is not None else float(t[-1] - t[arrival])
        says = all(
            interpretable(stayed, rate, float(distances[arrival, k]), _size(networks[arrival].lenses()[k]))
            for k in cancels
        )

    def row(i: int) -> list[float | None]:
        return [None if np.isnan(d) else float(d) for d in distances[i]]

    return Residence(
        [None if m is None else _word(m) for m in point.manifolds],
        float(t[arrival]),
        float(t[departure]) if window[1] is not None else None,
        row(arrival),
        row(snapshot),
        row(departure),
        size,
        horizon,
        says,
        distances,
    )


def _size(lens) -> float:
    return float(np.sqrt(sum(np.sum(np.asarray(part, np.float64) ** 2) for part in lens.get())))


def _word(manifold: AbstractManifold) -> str:
    return type(manifold).__name__.lower()
