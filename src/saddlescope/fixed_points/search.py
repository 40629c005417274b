r"""Which of a narrow network's fixed points is this one? All that many random starts and deflation find, by loss.

That a plateau's fixed point is the lowest of its width, the best that so many units can do, is a claim about all the others. Linear networks have
a list of them; elsewhere many searches are the evidence, and their number is part of the answer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ..complexity import effective_width
from ..networks import AbstractNetwork
from ..objective import Objective
from .deflation import BATCH, VANISHED, Surface, newton_step, shortened, turned
from .linear import LinearSaddles, Subset, linear_saddles
from .polish import FLAT

Step = Callable[..., np.ndarray]

#: Fixed points whose functions differ by less than this part of max(rms f, rms y) are one.
SAME = 1e-5
#: Losses that differ by less than this part of the loss at f = 0 are one level.
LEVEL = 1e-9
#: Above so many weights nothing is searched for: a whole Hessian at every step would take longer than the run.
WEIGHTS = 200
#: Nor beyond so many multiplications for one Hessian: a search takes some ten thousand of them, here a few seconds.
WORK = 4e5
#: Sizes of random starts, in turn; at 1 the function of a homogeneous network is as large as the targets.
SCALES = (0.3, 1.0, 2.0)
#: A descent: at first steps of Levenberg-Marquardt, then Newton's with absolute curvatures.
MARQUARDT = 5
DESCENT = 60
#: A descent within this part of a minimum known, in function, ends there. (Nearer than minima are to each other, farther than rounding.)
BASIN = 1e-3
#: A descent that is this close to rest is finished by Newton's method.
CLOSE = 1e-5
#: (Measured on linear networks of width 2, whose saddles are known: 353 of 360 found in 120 searches, the lowest always.)
#: Signed searches, for saddles of index 1 to 3 in turn, and their steps. Deflation is repeated
#: until a round finds nothing (`FRUITLESS` in a row), at most so often.
SIGNED = 48
HIGHEST = 3
WANDERING = 40
ROUNDS = 6
FRUITLESS = 1
#: Curvatures below this part of the largest are taken as this, where a step has to stay finite.
FLAT_ENOUGH = 1e-6
#: Linear networks: so many of the lowest saddles are listed as networks. All are matched.
LISTED = 20


@dataclass(frozen=True)
class Known:
    """A fixed point found: the `network` there (None at the origin), its `loss`, relative `gradient` and effective `widths`.

    - `hits`: how many descents from random starts ended there; None where fixed points are enumerated.
    - `by`: what found it first: "descent", "signed" (Newton's method), "deflation", "given" or "enumeration".
    """

    network: AbstractNetwork | None
    loss: float
    gradient: float
    hits: int | None
    widths: tuple[int, ...]
    by: str


@dataclass(frozen=True)
class Match:
    """Which of the fixed points of its own width a network is at.

    - `rank`: its place by loss, 1 the lowest; equal losses share one. None where it is at none of them.
    - `of`: how many fixed points of its width are known; `levels`: how many different losses they have.
    - `distance`: of its function from the nearest, relative to max(rms f, rms y).
    - `gap`: the nearest's loss above the lowest's. `share`: the part of random starts whose descent ends there; None where enumerated.
    - `best`: it is at the lowest.
    - `method`: "exact" or "search", with `starts` descents of which `stalled` ended nowhere.
    - `continuum`: of an enumeration, that it takes some but not all modes of equal strength, any mixture of which would do.
    """

    rank: int | None
    of: int
    levels: int
    distance: float
    gap: float | None
    share: float | None
    best: bool
    method: str
    starts: int
    stalled: int
    continuum: bool = False

    @property
    def sentence(self) -> str:
        if self.of == 0:
            return "no fixed point that needs this width is known"
        exact = self.method == "exact"
        many = f"{'the ' if exact else ''}{self.of} fixed point{'s' * (self.of != 1)} that need{'s' * (self.of == 1)} this width"
        known = many if exact else f"{many}, found by {self.starts} random starts and deflation"
        if self.rank is None:
            return f"none of {known}"
        if self.continuum:
            return (
                f"one of a continuum of equally low ones{'' if self.best else ', not the lowest that need this width'}"
            )
        if self.of == 1:
            only = "the only fixed point that needs this width"
            return only + ("" if exact else f", as far as {self.starts} random starts and deflation find any")
        if self.levels == 1:
            return f"one of {known}, all with this loss"
        losses = f", with {self.levels} different losses" if self.levels < self.of else ""
        return f"{'the lowest' if self.best else f'number {self.rank} by loss'} of {known}{losses}"

    def as_json(self) -> dict[str, Any]:
        return {
            "rank": self.rank,
            "of": self.of,
            "levels": self.levels,
            "distance": self.distance,
            "gap": self.gap,
            "share": self.share,
            "best": self.best,
            "method": self.method,
            "starts": self.starts,
            "stalled": self.stalled,
            "continuum": self.continuum,
        }


@dataclass(frozen=True)
class Found:
    """The fixed points of a narrow network that are known, by loss.

    - `points`: lowest first, with those of narrower networks, which its width embeds. Enumerated: the lowest 20 of full width.
    - `widths`: the widths of the network.
    - `method`: "exact" where they are enumerated, "search", or "none" with a `reason`.
    - `starts`: descents from random starts, and how many of them `stalled` (came to rest nowhere, or only at infinity).
    - `searches`: signed and deflated searches besides.
    """

    points: tuple[Known, ...]
    widths: tuple[int, ...]
    method: str
    starts: int
    stalled: int
    searches: int
    reason: str | None
    objective: Objective
    outputs: tuple[np.ndarray, ...]  # sqrt(weight) f on the rows, of every point
    saddles: LinearSaddles | None = None

    @property
    def competitors(self) -> tuple[Known, ...]:
        """Those that need the whole width."""
        return tuple(point for point in self.points if point.widths == self.widths or self.method == "exact")

    @property
    def levels(self) -> int:
        """How many different losses the competitors have: symmetric solutions share one."""
        return _levels([point.loss for point in self.competitors], self._tolerance)

    @property
    def _tolerance(self) -> float:
        y, weight = np.asarray(self.objective.y), np.asarray(self.objective.weight)
        return LEVEL * (0.5 * float(np.sum(weight[:, None] * y**2)) + float(self.objective.irreducible))

    def match(self, network: AbstractNetwork) -> Match:
        """Which of them a network is at: the one whose function is within 1e-5 of its own, relative to max(rms f, rms y)."""
        if self.saddles is not None:
            return self._exact(self.saddles, network)
        places = [k for k, point in enumerate(self.points) if point.widths == self.widths]  # as `competitors`
        losses = [self.points[k].loss for k in places]
        starts, stalled = self.starts, self.stalled
        if not places:
            return Match(None, 0, 0, np.inf, None, None, False, self.method, starts, stalled)
        with jax.enable_x64(True):
            surface = Surface(network, self.objective)
            residual, _ = surface.linearise(surface.start)
        here, scale = residual + surface.target, surface.scale(residual)
        apart = [float(np.linalg.norm(self.outputs[k] - here)) / scale for k in places]
        nearest = int(np.argmin(apart))
        at, loss = apart[nearest] < SAME, losses[nearest]
        rank = 1 + sum(other < loss - self._tolerance for other in losses) if at else None
        hits = self.points[places[nearest]].hits
        share = hits / starts if at and hits is not None and starts else None
        gap = loss - losses[0]
        return Match(
            rank, len(places), self.levels, apart[nearest], gap, share, rank == 1, self.method, starts, stalled
        )

    def _exact(self, saddles: LinearSaddles, network: AbstractNetwork) -> Match:
        size = min(self.widths[0], len(saddles.strengths))
        near = saddles.nearest(network)
        at = near.distance < SAME and len(near.subset) == size
        rank = saddles.rank(near.subset) if at else None
        lowest = next(saddles.subsets(size))
        gap = saddles.loss(near.subset) - saddles.loss(lowest)
        best = at and gap <= self._tolerance
        count = saddles.count(size)
        # losses of all subsets would have to be listed to count the different ones: only equal strengths make equal losses in general
        levels = _levels([point.loss for point in self.points], self._tolerance) if count <= LISTED else count
        parts = zip(saddles.taken(near.subset), saddles.groups, strict=True)
        continuum = any(0 < taken < len(group) for taken, group in parts)
        return Match(rank, count, levels, near.distance, gap, None, best, "exact", 0, 0, continuum)


def fixed_points_of(
    network: AbstractNetwork,
    objective: Objective,
    *,
    starts: int = 50,
    seed: int = 0,
    deflations: int = 16,
    exact: bool = True,
) -> Found:
    r"""The fixed points of a narrow network, as far as random starts and deflation find them.

    **Arguments:**

    - `network`: its shapes; if it is at a fixed point, that one is among those found.
    - `starts`: descents from random weights, at several scales. Descents that come within a thousandth of a minimum known count as its.
    - `deflations`: searches from random weights with all that is known deflated; as many again until
        a round finds nothing, at most six times.
    - `exact`: enumerate where that is possible (linear units).
    - `seed`: of the starts.

    **Holds:** each point rests (relative gradient at most 1e-12, or what rounding leaves below 1e-9) at a finite distance, and their functions differ by
    more than 1e-5. That there are no others is only as sure as the number of starts. Where descent meets kinks it stalls, which is counted.

    Nothing is searched for above 200 weights, or where rows and weights are so many that it would take more than a few seconds.
    """
    widths = tuple(np.shape(lens.get()[0])[0] for lens in network.lenses())
    if exact:
        try:
            saddles = linear_saddles(network, objective)
        except ValueError:
            pass
        else:
            return _enumerated(saddles, objective, widths)
    weights = network.num_weights()
    if weights > WEIGHTS:
        reason = f"it has {weights} weights, more than {WEIGHTS}"
        return Found((), widths, "none", 0, 0, 0, reason, objective, ())
    rows = int(np.asarray(objective.y).size)
    if weights * (weights + 10) * rows > WORK:
        reason = f"{weights} weights on {rows} targets would take too long"
        return Found((), widths, "none", 0, 0, 0, reason, objective, ())
    with jax.enable_x64(True):
        search = _Search(network, objective, np.random.Generator(np.random.PCG64(seed)))
        search.given()
        search.descend(starts)
        search.follow(min(SIGNED, starts))
        search.deflate(deflations)
        return search.found(widths, None)


def _enumerated(saddles: LinearSaddles, objective: Objective, widths: tuple[int, ...]) -> Found:
    size = min(saddles.width, len(saddles.strengths))
    points = []
    for _, subset in zip(range(LISTED), saddles.subsets(size), strict=False):
        points.append(_listed(saddles, subset))
    return Found(tuple(points), widths, "exact", 0, 0, 0, None, objective, (), saddles)


def _listed(saddles: LinearSaddles, subset: Subset) -> Known:
    network = saddles.weights(subset)
    gradient = 0.0 if network is None else saddles.nearest(network).gradient
    return Known(network, saddles.loss(subset), gradient, None, (len(subset),), "enumeration")


@dataclass
class _Point:
    y: np.ndarray
    residual: np.ndarray
    gradient: float
    hits: int
    by: str
    minimum: bool


class _Search:
    """What is known so far, and the searches that add to it."""

    def __init__(self, network: AbstractNetwork, objective: Objective, rng: np.random.Generator):
        self.network, self.objective, self.rng = network, objective, rng
        self.surface = Surface(network, objective)
        self.points: list[_Point] = []
        self.starts = self.stalled = self.searches = self.drawn = 0
        self.template = self._template()

    def given(self) -> None:
        y, residual, relative, there = self.surface.settle(self.surface.start, 2)
        if there:
            self._add(y, residual, relative, "given", False)

    def descend(self, starts: int) -> None:
        """Descents from random weights, side by side."""
        s = self.surface
        self.starts = starts
        for first in range(0, starts, BATCH):
            ys = np.stack([self._start() for _ in range(min(BATCH, starts - first))])
            r, j, h = s.batch(ys)
            relative = s.relatives(r, j)
            damping = np.full(len(ys), 1e-3)
            active = np.ones(len(ys), bool)
            for count in range(DESCENT):
                for k in np.flatnonzero(active):
                    if self._ended(ys[k], r[k], relative[k]):
                        active[k] = False
                    elif damping[k] > 1e8 or not np.all(np.isfinite(h[k])):
                        active[k] = False
                        self.stalled += 1
                if not np.any(active):
                    break
                on = np.flatnonzero(active)
                normal = np.einsum("knv,knw->kvw", j[on], j[on]) if count < MARQUARDT else h[on]
                values, vectors = np.linalg.eigh(normal)
                sizes = np.abs(values)
                top = np.max(sizes, axis=1, keepdims=True)
                kept = sizes > FLAT * top
                along = np.einsum("kvw,knv,kn->kw", vectors, j[on], r[on], optimize=True)
                shifted = np.where(kept, sizes + damping[on, None] * top, 1.0)
                trial = ys.copy()
                trial[on] -= np.einsum("kvw,kw->kv", vectors, np.where(kept, along / shifted, 0.0))
                tr, tj, th = s.batch(trial)
                before, after = np.sum(r**2, axis=1), np.sum(tr**2, axis=1)
                # near the end the loss is flat to rounding, and only the gradient still tells
                after_relative = s.relatives(tr, tj)
                level = (after_relative < relative) & (after <= before * (1 + 1e-12))
                accepted = active & ((after < before) | level)
                relative = np.where(accepted, after_relative, relative)
                ys[accepted], r[accepted], j[accepted], h[accepted] = (a[accepted] for a in (trial, tr, tj, th))
                lower = np.where(damping < 1e-9, 0.0, damping / 10)
                damping = np.where(accepted, lower, np.clip(8 * damping, 1e-6, 1e9))
            self.stalled += int(np.sum(active))

    def follow(self, starts: int) -> None:
        """Signed searches for saddles: up along the k lowest curvatures, down along all others, where Newton's step goes near a saddle of index k."""
        up = 1 + np.arange(starts) % HIGHEST

        def step(on: np.ndarray, r: np.ndarray, j: np.ndarray, h: np.ndarray) -> np.ndarray:
            values, vectors = np.linalg.eigh(h)
            sizes = np.maximum(np.abs(values), FLAT_ENOUGH * np.max(np.abs(values), axis=1, keepdims=True))
            signs = np.where(np.arange(values.shape[1]) < up[on, None], -1.0, 1.0)
            along = np.einsum("kvw,knv,kn->kw", vectors, j, r, optimize=True)
            return -np.einsum("kvw,kw->kv", vectors, signs * along / np.where(sizes > 0, sizes, 1.0))

        self._wander(starts, step, "signed")

    def deflate(self, starts: int) -> None:
        """Deflated searches, again for as long as they find more."""

        def step(on: np.ndarray, r: np.ndarray, j: np.ndarray, h: np.ndarray) -> np.ndarray:
            known = np.stack([p.residual for p in self.points])
            steps = [newton_step(h[k], j[k].T @ r[k]) for k in range(len(on))]
            return np.stack([s * turned(self.surface, r[k], j[k], s, known) for k, s in enumerate(steps)])

        fruitless = 0
        for _ in range(ROUNDS):
            if starts == 0 or not self.points or fruitless == FRUITLESS:
                return
            fruitless = 0 if self._wander(starts, step, "deflation") else fruitless + 1

    def _wander(self, starts: int, step_of: Step, by: str) -> int:
        """Searches side by side that go where a rule says; how many new fixed points they end at."""
        s, new = self.surface, 0
        if starts == 0:
            return 0
        self.searches += starts
        ys = np.stack([self._start() for _ in range(starts)])
        active, sizes = np.ones(starts, bool), np.linalg.norm(ys, axis=1)
        for _ in range(WANDERING):
            r, j, h = s.batch(ys)
            relative = s.relatives(r, j)
            for k in np.flatnonzero(active):
                if not np.all(np.isfinite(h[k])):
                    active[k] = False
                elif relative[k] < CLOSE:
                    active[k] = False
                    y, residual, gradient, there = s.settle(ys[k])
                    new += there and self._add(y, residual, gradient, by, False)
            on = np.flatnonzero(active)
            if not on.size:
                break
            for k, step in zip(on, step_of(on, r[on], j[on], h[on]), strict=True):
                ys[k] += shortened(step, ys[k])
                if np.linalg.norm(ys[k]) < VANISHED * sizes[k]:
                    ys[k] = 0.0
        return new

    def found(self, widths: tuple[int, ...], reason: str | None) -> Found:
        s = self.surface
        points = []
        for p in self.points:
            network = s.network_at(p.y)
            needs = effective_width(network, self.objective, SAME).widths
            points.append((Known(network, s.loss(p.residual), p.gradient, p.hits, needs, p.by), p.residual + s.target))
        points.sort(key=lambda pair: pair[0].loss)
        return Found(
            tuple(p for p, _ in points),
            widths,
            "search",
            self.starts,
            self.stalled,
            self.searches,
            reason,
            self.objective,
            tuple(outputs for _, outputs in points),
        )

    def _ended(self, y: np.ndarray, residual: np.ndarray, relative: float) -> bool:
        """Whether a descent is at, or close to, a minimum; counts it."""
        s = self.surface
        loss = float(np.sum(residual**2))
        for p in self.points:
            if p.minimum and np.linalg.norm(p.residual - residual) < BASIN * s.scale(residual):
                if loss < float(np.sum(p.residual**2)) - 1e-9 * s.rms**2:
                    continue  # below it: on the way to another
                p.hits += 1
                return True
        if relative >= CLOSE:
            return False
        end, last, gradient, there = s.settle(y)
        if there:
            self._add(end, last, gradient, "descent", bool(np.linalg.norm(last + s.target) > BASIN * s.scale(last)))
        return there

    def _add(self, y: np.ndarray, residual: np.ndarray, gradient: float, by: str, minimum: bool) -> bool:
        """Whether it is new."""
        for p in self.points:
            if np.linalg.norm(p.residual - residual) < SAME * self.surface.scale(residual):
                p.hits += by == "descent"
                p.minimum |= minimum
                return False
        self.points.append(_Point(y, residual, gradient, int(by == "descent"), by, minimum))
        return True

    def _template(self) -> list[tuple[str, tuple[int, ...], float]]:
        """Name, shape and typical size of every array of weights: first-layer features of order 1, and each later layer's too."""
        x = np.asarray(self.objective.x)
        weight = np.asarray(self.objective.weight)
        size = math.sqrt(float(np.sum(weight[:, None] * x.reshape(len(x), -1) ** 2)) or 1.0)
        arrays = list(self.network.arrays().items())
        lifted = self.objective.lifted
        return [(name, np.shape(a), 1.0 if k or lifted else 1.0 / size) for k, (name, a) in enumerate(arrays)]

    def _start(self) -> np.ndarray:
        """Independent normal weights, at the scale whose turn it is."""
        s, scale = self.surface, SCALES[self.drawn % len(SCALES)]
        self.drawn += 1
        parts = [size * self.rng.normal(size=shape).ravel() for _, shape, size in self.template]
        y = np.concatenate(parts)
        degrees: Sequence[int | None] = [lens.facts.degree for lens in self.network.lenses()]
        order = self.network.homogeneity
        if order and all(degree is not None for degree in degrees):
            residual, _ = s.linearise(y)
            outputs = float(np.linalg.norm(residual + s.target))
            if outputs > 0 and s.rms > 0:
                y = y * (s.rms / outputs) ** (1.0 / order)
            return scale * y
        # a bounded unit is as large as the targets by its output weights
        last = self.template[-1][1]
        y[: y.size - math.prod(last)] *= scale
        residual, _ = s.linearise(y)
        outputs = float(np.linalg.norm(residual + s.target))
        if outputs > 0 and s.rms > 0:
            y[y.size - math.prod(last) :] *= s.rms / outputs
        return y


def _levels(losses: Sequence[float], tolerance: float) -> int:
    ordered = np.sort(np.asarray(losses))
    return int(ordered.size and 1 + np.sum(np.diff(ordered) > tolerance))
