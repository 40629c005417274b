r"""The truth that theory is held to: a run with its error bars, its plateaus read by the same definitions as in `run`.

Two things make hundreds of runs affordable, and change nothing: certificates of saddles are left out, and the hidden units of linear layers are turned
into few (`flow.compress`), also for what is asked of the kept states.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .. import runs
from ..complexity import LayerView
from ..fixed_points import certify
from ..flow import compress, gradient_flow
from ..networks import AbstractNetwork
from ..runs.run import with_errors
from ..series import crossing_time
from ..specs import read_spec
from ..stages import Run, find_stages

RTOL = 1e-10
MAX_STEPS = 100_000
#: Part of what a stored run is known by: another number where a run of the same spec would come out otherwise.
VERSION = 1
#: A unit is recruited in a drop if its contribution grows by at least this part of what the fastest one gains.
RECRUITED = 0.5


@dataclasses.dataclass(frozen=True)
class SimulatedStage:
    """A plateau of a run. As in `stages.Stage`, and

    - `width_of_drop`: time from 90% to 10% of the drop that ends it.
    - `recruits`: units whose contribution to f grew most in that drop, the first most of all; empty for units of order 1, of which
        many grow together.
    """

    height: float
    height_source: str
    t_end: float | None
    t_end_error: float | None
    persistence: float | None
    width_of_drop: float | None
    recruits: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Simulated:
    """A run: how it `ended`, its stages and the height of its end; `first`: the loss at t = 0."""

    ended: str
    first: float
    stages: tuple[SimulatedStage, ...]
    end: float
    steps: int
    seconds: float


def simulate(spec: dict[str, dict[str, Any]]) -> Simulated:
    """The run of one spec, until it is within 1e-6 of its first loss of a known optimum or rests."""
    problem = runs.prepare(read_spec(spec))
    network, objective = narrowed(problem.network), problem.objective
    run = gradient_flow(
        network,
        objective,
        until="settled",
        rtol=RTOL,
        max_steps=MAX_STEPS,
        can_rest=lambda state: certify(state, objective).rests,
        throw=False,
    )
    networks = [run.network(i) for i in range(len(run.states))]
    seen = Run(run.t, run.loss, run.speed, networks, run.state_index, objective, run.ended, cards=False)
    stages, end = find_stages(seen)
    stages, _ = with_errors(stages, run, problem._replace(network=network), 8, None)
    heights = [*(stage.height for stage in stages), end.height]
    snapshots = [*(stage.snapshot for stage in stages), len(networks) - 1]
    found = []
    for k, stage in enumerate(stages):
        width = _width_of_drop(run.t, run.loss, run.speed, heights[k], heights[k + 1])
        grew = _recruits(networks[snapshots[k]], networks[snapshots[k + 1]], objective)
        found.append(
            SimulatedStage(
                stage.height, stage.height_source, stage.t_end, stage.t_end_error, stage.persistence, width, grew
            )
        )
    return Simulated(
        run.ended, float(run.loss[0]), tuple(found), end.height, int(run.cost["steps"]), float(run.cost["seconds"])
    )


def narrowed(network: AbstractNetwork) -> AbstractNetwork:
    """The same network with at most as many units as its [U, V] has columns, where the units are linear; otherwise itself.

    **Holds** exactly: loss, speed and every function of the product are the same along the flow, to rounding.
    """
    way = compress(network)
    return way.narrow if way.rotates else network


def _width_of_drop(t: np.ndarray, loss: np.ndarray, speed: np.ndarray, above: float, below: float) -> float | None:
    early, late = (crossing_time(t, loss, speed, below + part * (above - below)) for part in (0.9, 0.1))
    return None if early is None or late is None else late - early


def _recruits(before: AbstractNetwork, after: AbstractNetwork, objective) -> tuple[int, ...]:
    lenses = after.lenses()
    if len(lenses) > 1 or lenses[0].facts.order < 2:
        return ()
    grew = LayerView(after, 0, objective).contribution - LayerView(before, 0, objective).contribution
    order = np.argsort(-grew, kind="stable")
    return tuple(int(i) for i in order if grew[i] >= RECRUITED * grew[order[0]] > 0)


class Store:
    """Runs that are done, a line each in one file, so that an interrupted score goes on where it was.

    A run is known by its spec and the constants it was made with; lines of another kind, half written ones among them, are left alone.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lines: dict[str, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    stored = json.loads(line)
                    self._lines[stored["key"]] = stored["run"]
                except (ValueError, KeyError, TypeError):
                    continue

    def get(self, spec: dict) -> Simulated | None:
        stored = self._lines.get(key_of(spec))
        if stored is None:
            return None
        stages = tuple(SimulatedStage(**(s | {"recruits": tuple(s["recruits"])})) for s in stored["stages"])
        return Simulated(**(stored | {"stages": stages}))

    def put(self, spec: dict, run: Simulated) -> None:
        stored = {"key": key_of(spec), "run": dataclasses.asdict(run)}
        self._lines[stored["key"]] = stored["run"]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(stored) + "\n")


def key_of(spec: dict) -> str:
    return hashlib.sha256(json.dumps([spec, RTOL, MAX_STEPS, VERSION], sort_keys=True).encode()).hexdigest()[:24]
