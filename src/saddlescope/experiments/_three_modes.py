r"""Figure 2's problem: three modes with $s_n \propto n^{-\kappa}$, learned by a linear network or by linear attention, from any start, measured and foretold."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import runs
from ..flow import Trajectory, gradient_flows
from ..init import generator, put
from ..networks import AbstractNetwork
from ..series import crossing_time, find_plateaus
from ..specs import read_spec

LINEAR, ATTENTION = "linear", "attention"
MODES = 3
CONTEXT = 31
RTOL = 1e-8
MAX_STEPS = 100_000
#: Of one compiled call.
MEMBERS = 8
#: Part of the work that is running; the rest is theory.
RUNS = 0.6
#: A plateau is that of a saddle whose loss is nearer than this part of the smaller drop beside it.
NEAR = 0.25
#: Heights of theory and of the closed form are the same to this part of the first loss.
SAME = 1e-6

Progress = Callable[[float | None, str], None]


class Setting(NamedTuple):
    """One run of the figure.

    - `network`: linear | attention.
    - `kappa`: of the spectrum $s_n \\propto n^{-\\kappa}$, n = 1..3, of sum 1.
    - `scale`, `convention`: of the normal initial weights.
    - `manifold`: size of the large part of the start that lies on the manifold of rank one (linear) or of one head (attention); 0: none.
    """

    network: str
    kappa: float
    units: int
    scale: float
    convention: str = "weight"
    seed: int = 0
    manifold: float = 0.0

    def spec(self) -> dict[str, dict[str, Any]]:
        """As a specification, without the large part of the start."""
        s = spectrum(self.kappa).tolist()
        if self.network == LINEAR:
            network: dict[str, Any] = {"architecture": "fully_connected", "activation": "linear", "units": self.units}
            task: dict[str, Any] = {"kind": "linear_teacher", "singular_values": s}
        else:
            network = {"architecture": "attention", "units": self.units, "rank": 1, "input": "cubic"}
            task = {"kind": "in_context_regression", "eigenvalues": s, "context": CONTEXT}
        init = {"scale": self.scale, "convention": self.convention, "seed": self.seed}
        return {"network": network, "task": task, "init": init}


class Measured(NamedTuple):
    """A run, read.

    - `t`, `loss`: its curve.
    - `ends` [modes]: times at which the loss falls through the middle between two neighbouring saddles; NaN where it never does.
    - `plateaus`: how many the curve shows; `seen` [modes]: whether one is at the loss of saddle 0, 1, 2.
    - `predicted` [modes]: theory's ends, from data and initial weights alone; NaN where it gives none, or was not asked.
    - `bend`: time of half the first drop over the time of nine tenths of it: ln 2 / ln 10 = 0.30 if the drop is exponential from the start, near 1 if a plateau comes first.
    """

    setting: Setting
    t: np.ndarray
    loss: np.ndarray
    ends: np.ndarray
    plateaus: int
    seen: np.ndarray
    predicted: np.ndarray
    bend: float

    @property
    def durations(self) -> np.ndarray:
        """[modes]: of the plateaus at the three saddles, from one end to the next."""
        return np.diff(self.ends, prepend=0.0)

    @property
    def predicted_durations(self) -> np.ndarray:
        return np.diff(self.predicted, prepend=0.0)


def spectrum(kappa: float) -> np.ndarray:
    s = np.arange(1.0, MODES + 1) ** -kappa
    return s / s.sum()


def saddle_losses(network: str, kappa: float) -> np.ndarray:
    """Losses [modes + 1] of the saddles at which the first k modes are learned, and of the end; exact in the population."""
    s = spectrum(kappa)
    if network == LINEAR:
        gains = s**2  # white inputs
    else:
        # each head that has been learned takes lam / (1 + (1 + tr/lam)/N) off the mean squared error
        gains = s / (1 + (1 + s.sum() / s) / CONTEXT)
    first = s.sum() if network == ATTENTION else np.sum(s**2)
    return 0.5 * (first - np.concatenate([[0.0], np.cumsum(gains)]))


def follow(
    settings: Sequence[Setting], progress: Progress | None = None, *, foretold: Callable[[Setting], bool] | None = None
) -> list[Measured]:
    """Runs all settings, many at a time, reads each and asks theory about those for which `foretold` says so (all, unless given).

    **Raises:** `ComputationError` or `ValueError` if a run fails.
    """
    problems = [runs.prepare(read_spec(setting.spec())) for setting in settings]
    networks = [start(p.network, s) for p, s in zip(problems, settings, strict=True)]
    found: dict[int, Trajectory] = {}
    shapes: dict[tuple[str, int], list[int]] = {}
    for i, setting in enumerate(settings):
        shapes.setdefault((setting.network, setting.units), []).append(i)

    def told(part: float | None, text: str) -> None:
        if progress is not None:
            progress(RUNS * (len(found) + (part or 0.0) * len(members)) / len(settings), text)

    for members in shapes.values():
        # so many threads that each compiled call has MEMBERS: one program a shape
        made = gradient_flows(
            [networks[i] for i in members],
            [problems[i].objective for i in members],
            until="settled",
            rtol=RTOL,
            stiff=False,
            max_steps=MAX_STEPS,
            workers=-(-len(members) // MEMBERS),
            progress=told,
        )
        for i, run in zip(members, made, strict=True):
            if isinstance(run, Exception):
                raise run
            found[i] = run
    read = []
    for i, (setting, network, problem) in enumerate(zip(settings, networks, problems, strict=True)):
        asked = foretold is None or foretold(setting)
        if progress is not None and asked:
            progress(RUNS + (1 - RUNS) * i / len(settings), f"theory: {i} of {len(settings)}")
        read.append(_read(setting, found[i], _foretold(setting, network, problem.objective) if asked else None))
    return read


def start(network: AbstractNetwork, setting: Setting) -> AbstractNetwork:
    """The initial weights, with the large part on the manifold added where there is one.

    Linear: all units along one direction, in proportions drawn at random. Attention: the first head alone. Signs are those of the first mode on both sides (linear), or of the head's target (attention): a
    network that starts with the opposite sign has to unlearn first, and may come near the origin's saddle on the way.
    """
    if not setting.manifold:
        return network
    draw = generator(10_000 + setting.seed)
    arrays = {name: np.array(a) for name, a in network.arrays().items()}
    if setting.network == LINEAR:
        along = _unit(draw.standard_normal(setting.units))
        for name in arrays:
            direction = _unit(draw.standard_normal(arrays[name].shape[1:]))
            # the first mode is the first axis on both sides
            direction *= np.sign(direction[0])
            arrays[name] += setting.manifold * np.multiply.outer(along, direction)
    else:
        drawn = {name: _unit(draw.standard_normal(a.shape[1:])) for name, a in arrays.items()}
        # the head's function meets its target, E[y psi] = diag(s^2), with this sign
        drawn["value"] *= np.sign(np.sum(spectrum(setting.kappa) ** 2 * drawn["key"] * drawn["query"]) * drawn["value"])
        for name in arrays:
            arrays[name][0] += setting.manifold * drawn[name]
    return put(network, arrays)


def _unit(a: np.ndarray) -> np.ndarray:
    return a / np.linalg.norm(a)


def _read(setting: Setting, run: Trajectory, predicted: np.ndarray | None) -> Measured:
    losses = saddle_losses(setting.network, setting.kappa)
    levels = 0.5 * (losses[:-1] + losses[1:])
    crossings = [crossing_time(run.t, run.loss, run.speed, float(level)) for level in levels]
    ends = np.array([np.nan if t is None else t for t in crossings])
    plateaus = find_plateaus(run.t, run.loss, run.speed)
    drops = -np.diff(losses)
    reach = NEAR * np.minimum(drops, np.concatenate([[np.inf], drops[:-1]]))
    at = np.array([plateau.loss for plateau in plateaus])
    seen = np.array([bool(np.any(np.abs(at - h) <= r)) for h, r in zip(losses[:-1], reach, strict=True)])
    drop = float(run.loss[0]) - losses[1]
    half, most = (
        crossing_time(run.t, run.loss, run.speed, losses[1] + part * drop) if drop > 0 else None for part in (0.5, 0.1)
    )
    bend = np.nan if half is None or most is None else half / most
    none = np.full(MODES, np.nan)
    return Measured(setting, run.t, run.loss, ends, len(plateaus), seen, none if predicted is None else predicted, bend)


def _foretold(setting: Setting, network: AbstractNetwork, objective: Any) -> np.ndarray:
    prediction = runs.predict(network, objective, what_if=False)
    losses, found = saddle_losses(setting.network, setting.kappa), np.full(MODES, np.nan)
    heights = [*(stage.height for stage in prediction.stages), prediction.end.height]

    def place(height: float | None) -> int | None:
        near = int(np.argmin(np.abs(losses - (np.inf if height is None else height))))
        return near if height is not None and abs(losses[near] - height) <= SAME * losses[0] else None

    for stage, here, following in zip(prediction.stages, heights, heights[1:], strict=False):
        k = place(here)
        # an end lies half way to the next height: where theory merges plateaus it is another time
        if k is not None and place(following) == k + 1 and stage.t_end is not None and stage.status != "heuristic":
            found[k] = stage.t_end
    return found
