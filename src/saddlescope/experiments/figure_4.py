r"""Figure 4: units without a manifold for one unit less, and units that behave as others do.

**The criterion.** A *second plateau* is a plateau after the first drop, found by the detector of every run (a minimum of the speed with a persistence of 0.1 decades and a loss of its own, differences of 1e-3 of
the whole drop), while at least a twentieth of the loss is still to be learned. It is *clean* from a persistence of 0.3 decades on, the end of the band that the detector calls marginal. "No second plateau" is a number: the part of the
seeds with a clean one is at most 0.2. From 16 seeds on, all of them are enough for the 95% interval of that part to lie beyond 0.8.

**Settings** (10 units unless said otherwise, 48 samples of 2 normal inputs, one shared data seed, normal weights):

- *tanh, sine, sigmoid*: one output, a teacher of two such units with input weights of length 3 at right angles: they saturate, or turn over, on the data. Scale 1e-3. Tanh and sine are of order 1 without a rank-one
    manifold; sigmoid is of order 0, so f is not small where the weights are, and what it learns first is the mean.
- *cubic* (order 3) and *x tanh x* (order 2): a teacher of two such units, of strengths 1 and 0.7; scale 3e-2 for cubic units, 1e-3 for x tanh x and for quadratic units beside them (at 1e-2 the two fastest units are too close in one of two seeds). Units separate by their own
    size.
- *softmax attention* (6 heads, separate key and query of rank 1): in-context regression with 200 prompts of 8 pairs, eigenvalues 1/2, 1/2. Scale 1e-2. Heads are of order 0: a head begins with the mean token.

**Where tanh has one.** The same measure for tanh units over width, scale and task: the saturating teacher above, and an aligned task of two modes, y = W x with singular values 1 and 0.4, for which many tanh units of small weights are
as good as linear ones. The map says where a clean second plateau is found.

**What fails:** that units without such a manifold show no second plateau. On these tasks all of them rest a second time: sine for 1.5 to 2.5 decades of speed, sigmoid for 0.4 to 0.6 (at 0.057 of the first loss, just above what counts as on the way), softmax heads for 1.8, on several levels. Tanh on the
saturating teacher rests too, in every seed, but for 0.13 to 0.33 decades only: 13 of 16 in the detector's marginal band, three clean, so that the claim about clean ones holds but is undecided beyond these seeds. Cubic networks do not always rest on one unit: participation is 1.12 in the median of 16, and up to 2.07. So the lack of a manifold for one unit less does not by itself say that there is no
second plateau: width, scale and task decide, as the map shows for tanh. (Expected outcomes come from the same seeds: the first two, then all 16.)

Nothing is claimed here of saddles: it is the curve that is looked at.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import plots
from ..fixed_points import certify
from ..flow import gradient_flow
from ..init import gaussian
from ..networks import AbstractNetwork, build
from ..objective import Objective
from ..series import PlateauConstants, find_plateaus
from ..tasks import InContextRegression, Samples
from ..units import NEURONS
from ._base import Claim, Outcome, Progress, claim, claim_of_mean, claim_of_part, expecting, part_interval
from ._mixtures import participation
from ._staircases import table

NAME = "figure-4"
TITLE = "Figure 4: other units, with and without a second plateau"

SEEDS, QUICK_SEEDS, MAP_SEEDS = 16, 2, 6
#: Of softmax heads, whose runs are dear; one where quick.
DEAR = 3
UNITS, SAMPLES, MAX_STEPS = 10, 48, 4000
#: So much of the first loss is left where a rest on the way still counts.
LEFT = 0.05
MARGINAL = PlateauConstants().marginal
#: What counts as nearly no seed, and as nearly every one.
FEW, MOST = (0.0, 0.2), (0.8, 1.0)
#: By how many units a layer is carried on its second plateau where units separate: one, and half of a second at most.
ONE = (1.0, 1.5)
#: How a run ends that has come to its end.
ENDS = ("settled", "converged")


class Panel(NamedTuple):
    """A network on data; `paper`: whether the paper expects a second plateau, as of units that grow one after the other."""

    network: dict[str, Any]
    objective: Objective
    scale: float
    paper: bool
    seeds: int = SEEDS


#: (panel, claim) that are known to fail, quick or not: findings, not to be tuned away.
FAILS: set[tuple[str, str]] = {
    *((name, "second plateaus") for name in ("tanh", "sine", "sigmoid", "softmax attention")),
    *((name, "clean second plateaus") for name in ("sine", "sigmoid", "softmax attention")),
}


#: And those that fail with all seeds alone.
WHOLE_FAILS = {("cubic", "one unit")}


def teacher(activation: str, strengths: tuple[float, ...], length: float) -> Objective:
    """y = sum_k strength_k phi(length e_k . x) over normal inputs, of root mean square 1."""
    x = np.random.Generator(np.random.PCG64(4)).normal(size=(SAMPLES, 2))
    with jax.enable_x64(True):
        phi = np.asarray(NEURONS[activation]().activation(length * x))
    return _objective(x, (phi @ np.array(strengths))[:, None])


def aligned() -> Objective:
    """Two modes of singular values 1 and 0.4, on inputs that are exactly white."""
    x = np.random.Generator(np.random.PCG64(4)).normal(size=(SAMPLES, 2))
    x = np.linalg.qr(x)[0] * np.sqrt(SAMPLES)
    return Objective(x, x * np.array([1.0, 0.4]), np.full(SAMPLES, 1.0 / SAMPLES), np.float64(0.0))


def prompts() -> Objective:
    """In-context regression on whole sequences."""
    data = InContextRegression(eigenvalues=[0.5, 0.5], context=8, samples=200, seed=4).data("tokens")
    assert isinstance(data, Samples)
    return Objective(data.x, data.y, data.weight, np.float64(0.0))


def _objective(x: np.ndarray, y: np.ndarray) -> Objective:
    y = y / np.sqrt(np.mean(y**2))
    return Objective(x, y, np.full(len(x), 1.0 / len(x)), np.float64(0.0))


def neurons(activation: str, units: int = UNITS) -> dict[str, Any]:
    return {"architecture": "fully_connected", "activation": activation, "units": units}


def panels() -> dict[str, Panel]:
    heads = {"architecture": "attention", "units": 6, "rank": 1, "softmax": True}
    return {
        "tanh": Panel(neurons("tanh"), teacher("tanh", (1.0, 0.7), 3.0), 1e-3, False),
        "sine": Panel(neurons("sine"), teacher("sine", (1.0, 0.7), 3.0), 1e-3, False),
        "sigmoid": Panel(neurons("sigmoid"), teacher("sigmoid", (1.0, -0.7), 3.0), 1e-3, False),
        "cubic": Panel(neurons("cubic"), teacher("cubic", (1.0, 0.7), 1.0), 3e-2, True),
        "x tanh x": Panel(neurons("xtanhx"), teacher("xtanhx", (1.0, 0.7), 1.0), 1e-3, True),
        "quadratic, for comparison": Panel(neurons("quadratic"), teacher("quadratic", (1.0, 0.7), 1.0), 1e-3, True),
        "softmax attention": Panel(heads, prompts(), 1e-2, False, DEAR),
    }


class Seen(NamedTuple):
    """A run's curve, and the persistence (in decades) of its most persistent plateau after the first drop; 0 without any.

    `carried`: by how many units the layer is carried on the first of them (participation); None without any.
    """

    curve: plots.Curve
    persistence: float
    number: int
    ended: str
    carried: float | None = None


def look(network: AbstractNetwork, objective: Objective) -> Seen:
    """One gradient flow, read off its curve."""
    run = gradient_flow(
        network,
        objective,
        until="settled",
        rtol=1e-6,
        max_steps=MAX_STEPS,
        can_rest=lambda state: certify(state, objective).rests,
        throw=False,
    )
    first, drop = float(run.loss[0]), float(run.loss[0] - run.loss[-1])
    found = [
        p
        for p in find_plateaus(run.t, run.loss, run.speed)
        if p.index > 0 and p.loss < first - 1e-2 * drop and p.loss - run.loss[-1] >= LEFT * drop
    ]
    rests = np.array([[p.t, p.loss / first] for p in found]).reshape(-1, 2)
    thin = np.unique(np.linspace(0, len(run.t) - 1, 1500).astype(int))
    curve = plots.Curve(run.t[thin], run.loss[thin] / first, rests)
    carried = None
    if found:
        state = run.network(int(np.argmin(np.abs(run.state_index - found[0].index))))
        carried = participation(*(np.asarray(part) for part in state.lenses()[0].get()))
    return Seen(curve, max((p.persistence for p in found), default=0.0), len(found), run.ended, carried)


def _started(panel: dict[str, Any], objective: Objective, scale: float, seed: int) -> AbstractNetwork:
    options = {key: value for key, value in panel.items() if key != "architecture"}
    empty = build(panel["architecture"], objective.x.shape[1:], objective.y.shape[1], options)
    return gaussian(empty, scale=scale, seed=seed)


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Runs every unit over seeds, then tanh units over width, scale and task, and draws curves and maps."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = panels()
    seen: dict[str, list[Seen]] = {}
    for k, (name, panel) in enumerate(chosen.items()):
        seen[name] = []
        seeds = panel.seeds if not quick else QUICK_SEEDS if panel.seeds == SEEDS else 1
        for seed in range(seeds):
            progress(0.6 * (k + seed / seeds) / len(chosen), f"figure 4: {name}, seed {seed}")
            seen[name].append(look(_started(panel.network, panel.objective, panel.scale, seed), panel.objective))
    maps = _maps(quick, progress)
    claims = [one for name, panel in chosen.items() for one in _claims(name, panel, seen[name])] + _map_claims(maps)
    claims = expecting(claims, FAILS if quick else FAILS | WHOLE_FAILS)
    pictured = _drawn(maps, quick)
    progress(0.95, "figure 4: drawing")
    drawn = {name: [one.curve for one in runs] for name, runs in seen.items()}
    pictures = list(plots.save(plots.curves_and_maps(drawn, pictured), out / "figure-4"))
    return Outcome(
        claims,
        pictures,
        _table(seen, pictured),
        f"{QUICK_SEEDS if quick else SEEDS} seeds, fewer of softmax attention. {__doc__}",
    )


def clean(runs: list[Seen]) -> list[bool]:
    """Which runs have a clean second plateau."""
    return [one.persistence >= MARGINAL for one in runs]


def _claims(name: str, panel: Panel, runs: list[Seen]) -> list[Claim]:
    part, word = (MOST, "Nearly every") if panel.paper else (FEW, "Hardly any")
    rested = [one.number > 0 for one in runs]
    made = []
    for what, values in (("second plateaus", rested), ("clean second plateaus", clean(runs))):
        sentence = f"{word} seed rests a second time{', and cleanly' if 'clean' in what else ', marginally or not'} (part of the seeds)."
        made.append(claim_of_part(NAME, name, what, sentence, values, part))
    if panel.paper:
        # seeds without a second plateau are counted above
        carried = [one.carried for one in runs if one.carried is not None]
        sentence = "Where it rests a second time one unit carries the layer, as of quadratic units (participation)."
        made.append(claim(NAME, name, "one unit", sentence, carried, ONE))
    sentence = "Every run ended by itself, at an optimum or at rest, and none by the number of its steps (1: yes)."
    ended = [float(one.ended in ENDS) for one in runs]
    return [*made, claim(NAME, name, "ended", sentence, ended, (1.0, 1.0))]


WIDTHS, MAP_SCALES = (3, 10, 30), (1e-2, 1e-4)


def _maps(quick: bool, progress: Progress) -> dict[str, np.ndarray]:
    """For each task, which runs have a clean second plateau [widths, scales, seeds]."""
    found = {}
    widths = WIDTHS[1:2] if quick else WIDTHS
    tasks = map_tasks()
    for number, (title, objective) in enumerate(tasks.items()):
        hits = np.zeros((len(widths), len(MAP_SCALES), MAP_SEEDS), bool)
        for i, width in enumerate(widths):
            progress(0.6 + 0.3 * (number + i / len(widths)) / len(tasks), f"figure 4: {title}, {width} units")
            for k, scale in enumerate(MAP_SCALES):
                runs = [
                    look(_started(neurons("tanh", width), objective, scale, s), objective) for s in range(MAP_SEEDS)
                ]
                hits[i, k] = clean(runs)
        found[title] = hits
    return found


def map_tasks() -> dict[str, Objective]:
    return {"tanh, two aligned modes": aligned(), "tanh, two saturating units": teacher("tanh", (1.0, 0.7), 3.0)}


def _drawn(maps: dict[str, np.ndarray], quick: bool) -> list[plots.Map]:
    rows = [f"{width} units" for width in (WIDTHS[1:2] if quick else WIDTHS)]
    columns = [f"scale {scale:g}" for scale in MAP_SCALES]
    return [plots.Map(title, rows, columns, hits.mean(axis=2)) for title, hits in maps.items()]


def _map_claims(maps: dict[str, np.ndarray]) -> list[Claim]:
    modes, saturating = maps.values()
    large, small = (f"scale {scale:g}" for scale in MAP_SCALES)
    made = []
    for which, scale, bounds, word in ((-1, small, MOST, "Nearly every"), (0, large, FEW, "Hardly any")):
        sentence = (
            f"{word} tanh network rests a second time on two aligned modes at {scale}, over widths (part of the runs)."
        )
        made.append(claim_of_part(NAME, "map", f"aligned modes, {scale}", sentence, modes[:, which].ravel(), bounds))
    sentence = f"At {small} tanh networks rest a second time more rarely on the saturating teacher than on two aligned modes, over widths (difference of the parts)."
    more, fewer = (hits[:, -1].ravel() for hits in (modes, saturating))
    difference, interval = _difference(more, fewer)
    return [*made, claim_of_mean(NAME, "map", "task decides", sentence, difference, interval, (0.0, 1.0), len(more))]


def _difference(more: np.ndarray, fewer: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Of two parts, with its 95% interval (Newcombe 1998, method 10)."""
    parts = float(np.mean(more)), float(np.mean(fewer))
    (low1, high1), (low2, high2) = part_interval(more), part_interval(fewer)
    difference = parts[0] - parts[1]
    below = np.hypot(parts[0] - low1, high2 - parts[1])
    above = np.hypot(high1 - parts[0], parts[1] - low2)
    return difference, (difference - float(below), difference + float(above))


def _table(seen: dict[str, list[Seen]], maps: list[plots.Map]) -> str:
    rows = [("units", "with a second plateau", "marginal", "clean", "persistence, median", "from, to")]
    for name, runs in seen.items():
        strength = [one.persistence for one in runs]
        number = sum(one.number > 0 for one in runs)
        clean = sum(p >= MARGINAL for p in strength)
        rows.append(
            (
                name,
                f"{number} of {len(runs)}",
                str(number - clean),
                str(clean),
                f"{np.median(strength):.2f}",
                f"{min(strength):.2f}, {max(strength):.2f}",
            )
        )
    for one in maps:
        for word, parts in zip(one.rows, one.parts, strict=True):
            cells = [f"{column}: {part:.1f} clean" for column, part in zip(one.columns, parts, strict=True)]
            rows.append((f"{one.title}, {word}", *cells, *[""] * (5 - len(cells))))
    return table(rows)
