r"""What is measured of one hidden layer at one step: effective widths, balance, the nearest invariant manifold, dead and saturated units.

Effective widths are those of `complexity`, of what the layer passes on, $S = \sum_i \phi_i v_i$, on the probe: the fewest directions (rank), rays, copies or
active units that change S by at most tau times its root mean square (for the last hidden layer of a model with targets: or that of the
targets, if larger). For the last hidden layer that is the model's function. For others it asks more of the units than the model's function would.
"""

from typing import Any

import numpy as np

from ..complexity import TAU
from ..complexity.active import by_activity
from ..complexity.merged import by_merging
from ..manifolds import AbstractManifold, Active, Copies, Rank, Rays
from .shown import Shown, ShownView

#: Above this many contributing units, pairs of units are not compared: the time for it grows with their square.
MOST_MERGED = 1024
#: Rays and copies are not asked for on more rows x features than this.
NAMES = (
    "rank",
    "rays",
    "copies",
    "active",
    "units",
    "imbalance",
    "manifold_distance",
    "size",
    "dead",
    "saturated",
    "linear",
)


def noise_floor(epsilon: float) -> float:
    r"""How much of S may be rounding where weights are kept with this spacing of numbers, as a part of the root sum of squares of what units contribute.

    Rounding moves every weight by at most $\epsilon / 2$ of itself, root mean square $\epsilon / \sqrt{12}$ at most; S, a sum of products of two of them, then moves by
    $\epsilon / \sqrt 6$ of $\sqrt{\sum_i |\phi_i v_i|^2}$. Three times that.
    """
    return 3 * epsilon / np.sqrt(6)


def measure(shown: Shown, *, reference: float = 0.0, epsilon: float = 0.0, origin: bool = False) -> dict[str, float]:
    """All measures of a layer by name; NaN where one does not apply or could not be computed.

    **Arguments:**

    - `reference`: root mean square of the targets, for the layer whose S is the model's output.
    - `epsilon`: spacing of numbers at 1 of the weights' type (2^-23 for float32, 2^-7 for bfloat16).
    - `origin`: whether the whole model's output is constant to tau: then no unit is needed, in any layer.
    """
    found: dict[str, float] = dict.fromkeys(NAMES, np.nan) | shown.extra
    found |= {"units": float(len(shown.u)), "dead": shown.dead, "saturated": shown.saturated}
    exact = not shown.exact
    found["linear"] = float(exact and shown.facts.linear)
    found["size"] = float(np.hypot(np.linalg.norm(shown.u), np.linalg.norm(shown.v)))
    finite = all(np.all(np.isfinite(a)) for a in (shown.u, shown.v, shown.phi))
    if not finite:
        return found
    view: Any = ShownView(shown, reference)
    noise = noise_floor(epsilon) * float(np.linalg.norm(view.contribution))
    tau = max(TAU, noise / view.scale if view.scale > 0 else 0.0)
    if exact and shown.sides is not None:
        a, b, factor = shown.sides
        total = a**2 + factor * b**2
        found["imbalance"] = (a**2 - factor * b**2) / total if total > 0 else np.nan
    if origin or view.scale == 0.0 or np.linalg.norm(view.outputs) <= tau * view.scale:
        found |= {"rank": 0.0, "active": 0.0} | ({"copies": 0.0, "rays": 0.0} if exact else {})
        if exact and shown.plain and shown.facts.silent:
            found["manifold_distance"] = found["size"]
        if shown.facts.degree != 1:
            found["rays"] = np.nan
        return found
    active = by_activity(view, tau)
    found["rank"], found["active"] = (
        float(rank(shown.sum() / np.sqrt(len(shown.phi)), view.scale, tau)),
        float(active.width),
    )
    manifolds: list[AbstractManifold] = []
    if exact and shown.facts.linear:
        manifolds.append(Rank(int(found["rank"])))
    labels = np.asarray(active.labels)
    manifolds.append(Active(tuple(labels >= 0)))
    if exact and active.width <= MOST_MERGED:
        merged = by_merging(view, tau)
        if merged is not None:
            rays = shown.facts.degree == 1
            found["rays" if rays else "copies"] = float(merged.width)
            signs = _signs(shown, merged.labels)
            manifolds.append((Rays if rays else Copies)(_alone(merged.labels, shown.facts.silent), signs))
    if exact and shown.plain:
        found["manifold_distance"] = _nearest(manifolds, shown)
    return found


def rank(outputs: np.ndarray, scale: float, tau: float) -> int:
    """The fewest singular directions of `outputs` without which they change by at most tau x scale: the best truncation (Eckart & Young)."""
    small = outputs @ outputs.T if outputs.shape[0] < outputs.shape[1] else outputs.T @ outputs
    squares = np.maximum(np.linalg.eigvalsh(small), 0.0)  # increasing
    return int(squares.size - np.searchsorted(np.cumsum(squares), (tau * scale) ** 2, "right"))


def _alone(labels: np.ndarray, silent: bool) -> np.ndarray:
    """Labels for a manifold: where silence is no invariant set, each dropped unit is left free."""
    labels = np.array(labels)
    if not silent:
        dropped = np.flatnonzero(labels < 0)
        labels[dropped] = labels.max(initial=-1) + 1 + np.arange(dropped.size)
    return labels


def _signs(shown: Shown, labels: np.ndarray) -> np.ndarray | None:
    """Which units of a group are its mirror images: those whose features on the probe point the other way (odd), or whose u does (even)."""
    if shown.facts.parity == "none":
        return None
    signs = np.ones(len(labels), int)
    rows = shown.u
    for label in np.unique(labels[labels >= 0]):
        group = np.flatnonzero(labels == label)
        first = group[np.argmax(np.linalg.norm(rows[group], axis=1))]
        signs[group] = np.where(rows[group] @ rows[first] < 0, -1, 1)
    return signs


def _nearest(manifolds: list[AbstractManifold], shown: Shown) -> float:
    theta = np.hstack([shown.u, shown.v.reshape(len(shown.u), -1)])
    largest = float(np.max(np.abs(theta), initial=0.0))
    if largest == 0.0:
        return 0.0
    theta = theta / largest
    distances = []
    for manifold in manifolds:
        if manifold.refuses(shown.facts) is not None or _everything(manifold, len(theta)):
            continue
        point = manifold.project(theta, shown.u.shape[1], shown.facts)
        distances.append(largest * float(np.linalg.norm(theta - point)))
    return min(distances, default=np.nan)


def _everything(manifold: AbstractManifold, units: int) -> bool:
    """Whether the set is all weights: nothing to be near to."""
    if isinstance(manifold, Rank):
        return manifold.width >= units
    if isinstance(manifold, Active):
        return all(manifold.kept)
    if isinstance(manifold, Rays | Copies):
        return -1 not in manifold.groups and len(set(manifold.groups)) == units
    return False
