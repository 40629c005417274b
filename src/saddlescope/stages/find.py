"""From a run to its stages: plateaus of the curve, each with the saddle it visits, and the times between them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..complexity import Complexity, effective_width, inner_ranks
from ..fixed_points import FixedPoint, certify, find, landscape, match_of
from ..networks import AbstractNetwork
from ..objective import Objective
from ..series import PlateauConstants, crossing_time, find_plateaus, slowest_point
from ._base import End, Stage, Width
from .arrival import NEAR, at, beside, oscillation
from .card import Card, carrying
from .residence import residence

#: Accepted is a fixed point whose loss lies within this part of the smaller neighbouring drop of the loss at the slowest point.
REACH = 0.25
#: A plateau's fixed point differs from its slowest state by at most this part of max(rms f, rms y): farther ones are not what it visits.
FARTHEST = 0.3
#: Ends of a run that stay where they are.
AT_REST = ("converged", "settled")


class Run:
    """What stages are found from: a curve, some networks along it, and how it ended. Nothing here knows who moved the weights.

    **Arguments:**

    - `t`, `loss`, `speed` [time]: the curve.
    - `networks`: kept along the run; `positions` their places on the curve, first and last among them.
    - `objective`: the loss.
    - `ended`: as in `flow.Trajectory`.
    - `cards`: whether stages get their certificates (index, match, stay): most of the work, and of no use where only heights and times are asked for.
    """

    def __init__(
        self,
        t: np.ndarray,
        loss: np.ndarray,
        speed: np.ndarray,
        networks: Sequence[AbstractNetwork],
        positions: np.ndarray,
        objective: Objective,
        ended: str,
        *,
        cards: bool = True,
    ):
        self.cards = cards
        self.t, self.loss, self.speed = t, loss, speed
        self.networks, self.positions = networks, np.asarray(positions)
        self.objective, self.ended = objective, ended
        self.first, self.last = float(loss[0]), float(loss[-1])

    def snapshot_near(self, position: int, drop: float) -> int:
        """The slowest kept state whose loss is that of the curve at `position`, to a thousandth of the whole drop."""
        near = np.abs(self.loss[self.positions] - self.loss[position]) <= 1e-3 * drop
        if not np.any(near):
            return int(np.argmin(np.abs(self.positions - position)))
        candidates = np.flatnonzero(near)
        return int(candidates[np.argmin(self.speed[self.positions[candidates]])])

    def fixed_point_near(
        self, snapshot: int, loss: float, reach: float, *, whole: bool = False, farthest: float = np.inf
    ) -> FixedPoint | None:
        """`fixed_points.find` for a kept state; None after an interrupt, when nobody wants to wait for a search."""
        if self.ended == "interrupted":
            return None
        network = self.networks[snapshot]
        return find(network, self.objective, loss=loss, reach=reach, whole=whole, farthest=farthest, throw=False)

    def complexity_at(self, snapshot: int) -> Complexity:
        return effective_width(self.networks[snapshot], self.objective)


def find_stages(run: Run, constants: PlateauConstants | None = None) -> tuple[tuple[Stage, ...], End]:
    """The stages of a run, t = 0 first where it is one, and its end.

    Definitions are those of `Stage`. The plateau that a run stopped on is listed with `censored` True if a fixed point is near its last state and
    the flow could not rest there.
    """
    constants = constants or PlateauConstants()
    drop = run.first - run.last
    plateaus = list(find_plateaus(run.t, run.loss, run.speed, constants))
    places = [(p.index, p.persistence) for p in plateaus]
    losses = [float(run.loss[i]) for i, _ in places]

    # the end first: the last stage ends half way to it
    final_drop = (losses[-1] - run.last) if losses else drop
    final = len(run.positions) - 1
    # without a plateau there is no drop to compare with: only what lies at the last loss itself
    reach = REACH * final_drop if losses else max(1e-3 * run.last, 1e-6 * run.first)
    last = run.fixed_point_near(final, run.last, reach, whole=True)
    lingers = last is None and len(losses) > 1 and final_drop <= REACH * (losses[-2] - losses[-1])
    if lingers and run.ended not in AT_REST:
        # still at the last plateau found: what it will fall to is not known yet, so only the drop before it counts
        last = run.fixed_point_near(final, run.last, REACH * (losses[-2] - losses[-1]))
    part = constants.loss_difference
    arrived = last is not None and (run.ended in AT_REST or at(last, run.last, run.first, part))
    stopped_on, listed = None, False
    if run.ended not in AT_REST and last is not None and last.moved.function <= NEAR:
        # whether it is the saddle of the last plateau found, of which the curve has shown enough
        listed = bool(losses) and abs(last.loss - losses[-1]) <= max(abs(last.loss - run.last), part * drop)
        near = lingers or not losses or abs(last.loss - run.last) <= part * max(drop, final_drop, 0.0)
        slowing = _decades_slower(run, places[-1][0] if places else 0) >= constants.persistence
        # dead units keep a network at rest that its embedding, with silent ones in their place, is not; mid-way to rest it is the reverse
        states = (last.network, run.networks[final])
        if (
            (listed or beside(last))
            and (near or slowing)
            and not any(certify(state, run.objective).rests for state in states)
        ):
            stopped_on = last
    stages: list[Stage] = []
    saddles: list[FixedPoint | None] = []
    for k, (index, _) in enumerate(places):
        above = losses[k - 1] - losses[k] if k else np.inf
        below = losses[k] - (losses[k + 1] if k + 1 < len(losses) else run.last)
        snapshot = 0 if index == 0 else run.snapshot_near(index, drop)
        reach = REACH * min(above, below)
        if (
            stopped_on is not None
            and listed
            and k == len(places) - 1
            and abs(stopped_on.loss - losses[k]) <= REACH * above
        ):
            reach = REACH * above if np.isfinite(above) else 1e-3 * run.last
        # the loss alone does not tell: the function itself has to be near
        saddles.append(run.fixed_point_near(snapshot, losses[k], reach, farthest=FARTHEST))
        stages.append(_stage(run, index, snapshot, saddles[-1], places[k][1]))
    if stopped_on is not None:
        same = bool(stages) and abs(stages[-1].height - stopped_on.loss) <= 1e-3 * max(
            abs(stages[-1].height), run.first * 1e-3
        )
        if not same:
            after = np.arange(run.loss.size) > (places[-1][0] if places else -1)
            there = np.flatnonzero(after & (np.abs(run.loss - stopped_on.loss) <= abs(run.last - stopped_on.loss)))
            slowest = int(there[np.argmin(run.speed[there])]) if there.size else run.loss.size - 1
            snapshot = run.snapshot_near(slowest, max(drop, 1e-6 * run.first))
            stages.append(_stage(run, slowest, snapshot, stopped_on, None))
        stages[-1] = replace(stages[-1], stopped_on=True)
    end = replace(_end(run, last if arrived else None, final), oscillation=oscillation(run.loss, part))
    heights = [stage.height for stage in stages]
    known_next = last.loss if last is not None and stopped_on is None else None
    if stages and known_next is not None and known_next >= heights[-1] - part * drop:
        known_next = None  # still the saddle that it has left
    if run.ended in AT_REST and known_next is None:
        known_next = run.last
    following = [*heights[1:], known_next] if stages else []
    stages = _timed(run, stages, following)
    if stopped_on is not None and len(saddles) < len(stages):
        saddles.append(stopped_on)
    placed = [
        _placed(run, stage, point, heights[k - 1] if k else run.first, following[k])
        for k, (stage, point) in enumerate(zip(stages, saddles, strict=True))
    ]
    return tuple(placed), end


def _decades_slower(run: Run, since: int) -> float:
    """By how many decades the speed has fallen from its last maximum: more than nothing where a run stops before the middle of a plateau."""
    top = since + int(np.argmax(run.speed[since:]))
    lowest = float(np.min(run.speed[top:]))
    return float(np.log10(run.speed[top] / lowest)) if lowest > 0 else 0.0


def _stage(run: Run, index: int, snapshot: int, saddle: FixedPoint | None, persistence: float | None) -> Stage:
    if saddle is not None:
        complexity, height, source = saddle.complexity, saddle.loss, "fixed_point"
        card = _card(run, saddle)
    else:
        complexity = run.complexity_at(snapshot)
        height = slowest_point(run.t, run.loss, run.speed, index)[1]
        source, card = "curve", None
    return Stage(
        height=height,
        height_source=source,
        t_start=0.0,
        t_end=None,
        level=None,
        censored=True,
        persistence=persistence,
        effective_width=_plain(complexity.widths),
        kind=complexity.kind,
        kinds=_kinds(complexity),
        speed=float(run.speed[index]),
        snapshot=snapshot,
        index=card.landscape.index if card else None,
        nullity=card.landscape.nullity if card else None,
        escape=card.landscape.escape.as_json() if card else {"law": "unknown", "rate": None, "degree": None},
        card=card,
        inner_rank=inner_ranks(run.networks[snapshot] if saddle is None else saddle.network, run.objective),
    )


def _card(run: Run, point: FixedPoint) -> Card | None:
    """The certificate, but for what the run's times tell; None where nobody asked for it."""
    if not run.cards:
        return None
    match, unmatched = match_of(point, run.objective)
    return Card(
        widths=point.complexity.widths,
        kind=point.complexity.kind,
        constructions=point.constructions,
        gradient=point.gradient,
        narrow_gradient=point.narrow_gradient,
        moved=point.moved,
        landscape=landscape(point, run.objective),
        match=match,
        unmatched=unmatched,
        residence=None,
        units=tuple(len(lens.get()[0]) for lens in point.network.lenses()),
        carrying=carrying(point),
    )


def _placed(run: Run, stage: Stage, point: FixedPoint | None, before: float, after: float | None) -> Stage:
    """The stage with its stay near the saddle's manifolds, once its times are known."""
    if stage.card is None or point is None:
        return stage
    card, escape = stage.card, stage.card.landscape.escape
    if card.landscape.global_optimum is None and after is not None and after < stage.height:
        # the run itself has shown that there is something lower
        card = replace(card, landscape=replace(card.landscape, global_optimum=False))
    stay = residence(
        point,
        run.networks,
        run.t[run.positions],
        run.loss[run.positions],
        stage.snapshot,
        (before, stage.height, after),
        (stage.t_start, stage.t_end),
        escape.rate if escape.law == "exponential" else None,
    )
    return replace(stage, card=replace(card, residence=stay))


def _timed(run: Run, stages: list[Stage], following: list[float | None]) -> list[Stage]:
    timed: list[Stage] = []
    start = 0.0
    for stage, height in zip(stages, following, strict=True):
        level = None if height is None else 0.5 * (stage.height + height)
        end = None if level is None else crossing_time(run.t, run.loss, run.speed, level)
        level = level if end is not None else None
        timed.append(replace(stage, t_start=start, t_end=end, level=level, censored=end is None))
        start = end if end is not None else start
    return timed


def _end(run: Run, last: FixedPoint | None, final: int) -> End:
    if last is not None:
        card = _card(run, last)
        return End(
            last.loss,
            _plain(last.complexity.widths),
            last.complexity.kind,
            card.landscape.index if card else None,
            card.landscape.nullity if card else None,
            inner_ranks(last.network, run.objective),
            _kinds(last.complexity),
            card,
        )
    complexity = run.complexity_at(final)
    return End(run.last, _plain(complexity.widths), complexity.kind, None, None, kinds=_kinds(complexity))


def _kinds(complexity: Complexity) -> list[str] | None:
    return list(complexity.kinds) if len(complexity.kinds) > 1 else None


def _plain(widths: tuple[int, ...]) -> Width:
    return widths[0] if len(widths) == 1 else list(widths)
