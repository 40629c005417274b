r"""Two classes of handwritten digits, as Figure 3 and Table 1 train on them: data, singular values, and runs of linear and ReLU networks.

A linear network sees the data through $B = E[xy^\top]$ and $\Sigma = E[xx^\top]$ alone, and from small weights it moves in the Krylov space of $\Sigma$ on $B$: in $B, \Sigma B, \Sigma^2 B, \dots$ The
flow has seen only so many powers when the second drop is over. In an orthonormal basis Q of the first of them the weights UQ are normal with the same standard deviation, and their flow is that of
all the pixels but for what the powers left out do, and for pixels outside, which act with their initial size: both measured against a run of all pixels (claim "all pixels").
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import runs
from ..flow import Trajectory, gradient_descent, gradient_flow, gradient_flows
from ..init import gaussian
from ..networks import AbstractNetwork
from ..networks import build as network_of
from ..objective import Objective
from ..objective import build as objective_of
from ..series import crossing_time, find_plateaus
from ..tasks import Digits, Samples

#: Powers of Sigma on B; half as many again change no end by more than 1e-9 (measured on 8 x 8 pixels), and the flow of 28 x 28 is checked by a claim.
POWERS = 20
#: A run stops where this part of the second drop is left: what follows is slow fitting of rare pixels, without a plateau.
LEFT = 0.15
RTOL = 1e-8
#: Singular values of a ReLU network are taken each time it has made so many steps.
EVERY = 5
#: Part of the largest eigenvalue below which a direction of the inputs carries nothing, when the optimum is computed.
EMPTY = 1e-10

Progress = Callable[[float | None, str], None]


class Pair(NamedTuple):
    """Two classes: `x` [samples, pixels], `y` [samples, 2] one-hot.

    - `s`: both singular values of E[y x^T].
    - `losses`: of f = 0, of the best linear map of rank one, of the best.
    - `basis` [pixels, directions]: of the Krylov space.
    """

    classes: tuple[int, int]
    x: np.ndarray
    y: np.ndarray
    s: np.ndarray
    losses: np.ndarray
    basis: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.classes[0]}/{self.classes[1]}"


class PairRun(NamedTuple):
    """A run: its curve, `ends` of its two plateaus (NaN where there is none), how many `plateaus`, and at kept times the three largest singular values of U [times, 3].

    `resting`, `learned`: positions among the kept times of the second plateau's slowest point, and of the first at which no more than LEFT of the second drop is left.
    """

    t: np.ndarray
    loss: np.ndarray
    ends: np.ndarray
    plateaus: int
    kept_t: np.ndarray
    singular: np.ndarray
    resting: int
    learned: int
    predicted: np.ndarray

    @property
    def duration(self) -> float:
        """Of the second plateau."""
        return float(self.ends[1] - self.ends[0])

    @property
    def predicted_duration(self) -> float:
        return float(self.predicted[1] - self.predicted[0])


def pair(source: str, classes: tuple[int, int], per_class: int | None = None, file: Path | None = None) -> Pair:
    """Reads two classes, from `file` if there is one, and what theory needs of them."""
    own = None if file is None else str(file)
    data = Digits(source=source, classes=classes, per_class=per_class, file=own).data("vectors")  # type: ignore[arg-type]
    if not isinstance(data, Samples):
        raise TypeError("digits are samples")
    x = data.x[:, np.any(data.x != 0, axis=0)]  # a pixel that is never lit moves nothing
    y, count = data.y, len(data.x)
    sigma, b = x.T @ x / count, x.T @ y / count
    values, vectors = np.linalg.eigh(sigma)
    kept = values > EMPTY * values[-1]
    seen = (vectors[:, kept].T @ b) / np.sqrt(values[kept])[:, None]
    gains = np.linalg.svd(seen, compute_uv=False) ** 2
    total = np.mean(np.sum(y**2, axis=1))
    losses = 0.5 * (total - np.concatenate([[0.0], np.cumsum(gains)]))
    return Pair(classes, x, y, np.linalg.svd(b, compute_uv=False), losses, krylov(sigma, b, POWERS))


def described(source: str, units: int, file: Path | None) -> str:
    """Images and network, for the report."""
    if file is not None:
        return f"Images of {file.name}, {units} units; the outcomes expected are those of the images that come with the package"
    return f"MNIST, 784-{units}-2" if source == "mnist" else f"the 8 x 8 digits of scikit-learn, 64-{units}-2 (quick)"


def krylov(sigma: np.ndarray, b: np.ndarray, powers: int) -> np.ndarray:
    """An orthonormal basis of B, Sigma B, .., of at most `powers` of them, no more than there are pixels."""
    basis, block = np.zeros((len(b), 0)), b
    for _ in range(powers):
        for _ in range(2):  # twice, so that what rounding leaves is orthogonal too
            block = block - basis @ (basis.T @ block)
        block, _ = np.linalg.qr(block[:, : len(b) - basis.shape[1]])
        if not block.shape[1]:
            break
        basis = np.hstack([basis, block])
        block = sigma @ block
    return basis


def linear_runs(
    pairs: Sequence[tuple[Pair, int]],
    units: int,
    scale: float,
    progress: Progress | None = None,
    *,
    singular: bool = True,
) -> list[PairRun]:
    """A linear network on each (pair, seed), in its Krylov space, with theory's ends for all pixels; `singular`: whether singular values of U are wanted.

    **Raises:** `ComputationError` or `ValueError` if a run fails.
    """
    made = [_reduced(one, units, scale, seed) for one, seed in pairs]
    stops = [_stop(one) for one, _ in pairs]
    found = gradient_flows(
        [network for network, _ in made],
        [objective for _, objective in made],
        until="settled",
        rtol=RTOL,
        loss_stop=stops,
        keep_states=singular,
        progress=progress,
    )
    read = []
    for (one, seed), run in zip(pairs, found, strict=True):
        if isinstance(run, Exception):
            raise run
        predicted = np.full(2, np.nan)
        # of all pixels, as the levels of the run are: the best map of the Krylov space is not quite that of the pixels
        stages = runs.predict(*_whole(one, units, scale, seed), what_if=False).stages
        for k, stage in enumerate(stages[:2] if len(stages) == 2 else ()):
            predicted[k] = np.nan if stage.t_end is None else stage.t_end
        values = np.zeros((0, 3))
        if singular:
            values = np.array([_three(np.asarray(run.network(i).arrays()["u"])) for i in range(len(run.kept))])
        read.append(_read(_curve(run), run.state_index, values, one.losses, predicted))
    return read


def all_pixels(one: Pair, units: int, scale: float, seed: int) -> np.ndarray:
    """Ends [2] of the same run with every pixel: the weights of `linear_runs`, and normal ones beside them where that sees nothing."""
    whole, objective = _whole(one, units, scale, seed)
    run = gradient_flow(
        whole, objective, until="settled", rtol=RTOL, stiff=False, loss_stop=_stop(one), keep_states=False
    )
    return _read(_curve(run), run.state_index, np.zeros((0, 3)), one.losses, np.full(2, np.nan)).ends


def relu_run(
    one: Pair, units: int, scale: float, seed: int, learning_rate: float, steps: int, progress: Progress | None = None
) -> PairRun:
    """A ReLU network on all pixels by gradient descent, its singular values taken every few steps: states of this size are too large to keep.

    **Raises:** `ComputationError` if it diverges.
    """
    network = network_of("fully_connected", (one.x.shape[1],), 2, {"activation": "relu", "units": units})
    network = gaussian(network, scale=scale, seed=seed)
    objective = objective_of(Samples(one.x, one.y), network)
    curve, values, places = [], [_three(np.asarray(network.arrays()["u"]))], [0]
    for done in range(0, steps, EVERY):
        part = min(EVERY, steps - done)
        run = gradient_descent(network, objective, learning_rate=learning_rate, steps=part, compress=False)
        curve.append(np.stack([run.t + done * learning_rate, run.loss, run.speed])[:, 1 if done else 0 :])
        network = run.network(len(run.kept) - 1)
        values.append(_three(np.asarray(network.arrays()["u"])))
        places.append(done + part)
        if progress is not None:
            progress((done + part) / steps, f"step {done + part}, loss = {run.loss[-1]:.6g}")
    return _read(np.concatenate(curve, axis=1), np.array(places), np.array(values), None, np.full(2, np.nan))


def _reduced(one: Pair, units: int, scale: float, seed: int) -> tuple[AbstractNetwork, Objective]:
    z = one.x @ one.basis
    network = network_of("fully_connected", (z.shape[1],), 2, {"activation": "linear", "units": units})
    network = gaussian(network, scale=scale, seed=seed)
    return network, objective_of(Samples(z, one.y), network)


def _whole(one: Pair, units: int, scale: float, seed: int) -> tuple[AbstractNetwork, Objective]:
    """The network of all pixels whose weights in the Krylov space are those of `_reduced`."""
    reduced, _ = _reduced(one, units, scale, seed)
    arrays = {name: np.asarray(a) for name, a in reduced.arrays().items()}
    beside = scale * np.random.default_rng(seed).standard_normal((units, one.x.shape[1]))
    beside -= beside @ one.basis @ one.basis.T
    whole = network_of("fully_connected", (one.x.shape[1],), 2, {"activation": "linear", "units": units})
    whole = whole.with_arrays({"u": arrays["u"] @ one.basis.T + beside, "v": arrays["v"]})
    return whole, objective_of(Samples(one.x, one.y), whole)


def _stop(one: Pair) -> float:
    return float(one.losses[2] + LEFT * (one.losses[1] - one.losses[2]))


def _curve(run: Trajectory) -> np.ndarray:
    return np.stack([run.t, run.loss, run.speed])


def _read(
    curve: np.ndarray, places: np.ndarray, values: np.ndarray, losses: np.ndarray | None, predicted: np.ndarray
) -> PairRun:
    """`curve` [t, loss, speed][times]; singular `values` at these `places` of it; `losses` of the saddles and the end, None: read off the curve at its plateaus and its last point."""
    t, loss, speed = curve
    plateaus = find_plateaus(t, loss, speed)
    if losses is None:
        losses = np.array([*(p.loss for p in plateaus[:2]), float(loss[-1])])
    ends = np.full(2, np.nan)
    if len(losses) == 3:
        for k in range(2):
            end = crossing_time(t, loss, speed, float(0.5 * (losses[k] + losses[k + 1])))
            ends[k] = np.nan if end is None else end
    kept_t = t[places]
    resting = int(np.argmin(np.abs(kept_t - plateaus[1].t))) if len(plateaus) > 1 else 0
    low = losses[-1] + LEFT * (losses[-2] - losses[-1]) if len(losses) == 3 else float(loss[-1])
    learned = int(np.argmax(loss[places] <= low * (1 + 1e-9))) or len(kept_t) - 1
    return PairRun(t, loss, ends, len(plateaus), kept_t, values, resting, learned, predicted)


def _three(u: np.ndarray) -> np.ndarray:
    """The three largest singular values; squares are good to 1e-8 of the first, below any initial scale here times the root of the size."""
    gram = u.T @ u if u.shape[0] >= u.shape[1] else u @ u.T
    return np.sqrt(np.clip(np.linalg.eigvalsh(gram)[::-1][:3], 0.0, None))
