"""What Figure 2 varies: its plan, the runs of each panel for both networks, and what they leave."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ._base import Progress
from ._three_modes import ATTENTION, LINEAR, Measured, Setting, follow

NETWORKS = (LINEAR, ATTENTION)
UNITS = 16
SCALE = {LINEAR: 1e-6, ATTENTION: 1e-3}
#: In A: attention's plateaus are clear at 1e-2 already and their slope over width is that at 1e-3 (measured), for a tenth of the work.
WIDTH_SCALE = {
    (LINEAR, "weight"): 1e-6,
    (LINEAR, "layer"): 1e-5,
    (ATTENTION, "weight"): 1e-2,
    (ATTENTION, "layer"): 1e-1,
}
#: The scale at which width is felt as much by a linear network.
LARGE_SCALE = 1e-2
#: Norm of the large part in each layer: a learned head has about 1.2, a learned linear mode 0.7.
MANIFOLD = 2.0
SCALES = {
    (LINEAR, "weight"): (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    (LINEAR, "layer"): (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    (ATTENTION, "weight"): (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
    (ATTENTION, "layer"): (3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0),
}

#: Laws for small scales are fitted up to here: a decade below where the first plateau goes at 16 units.
LARGEST_SMALL = {
    (LINEAR, "weight"): 1e-5,
    (LINEAR, "layer"): 1e-5,
    (ATTENTION, "weight"): 1e-2,
    (ATTENTION, "layer"): 3e-2,
}
#: Of so many seeds theory is asked.
FORETOLD = 32
#: At kappa = 0, where heads take turns by chance: a later plateau may last a quarter of 1/scale, which at 1e-2 is no longer than a drop.
EQUAL_SCALES = {LINEAR: (1e-8, 1e-5), ATTENTION: (1e-4, 1e-3)}


class Plan(NamedTuple):
    """What is varied, and over how many seeds.

    - `width_seeds`: of each network in A; `start_seeds` of C, whose waits differ most from seed to seed; `seeds` of the rest. Each with the values varied a multiple of the members of a compiled call.
    - `width_plateaus`: of how many plateaus attention's slopes over width are claimed: the later ones need many seeds.
    - `whole`: all scales of D, or four.
    """

    widths: tuple[int, ...]
    kappas: tuple[float, ...]
    width_seeds: dict[str, int]
    width_plateaus: int
    seeds: int
    start_seeds: int
    whole: bool


FULL = Plan((8, 16, 32, 64, 128), (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5), {LINEAR: 256, ATTENTION: 32}, 3, 16, 16, True)
QUICK = Plan((UNITS, 128), (0.0, 0.5, 1.0, 1.5), {LINEAR: 128, ATTENTION: 16}, 1, 4, 16, False)


class Sweep(NamedTuple):
    """Runs over one thing varied: `runs` [seeds][values]."""

    panel: str
    network: str
    convention: str
    values: tuple[float, ...]
    runs: list[list[Measured]]

    @property
    def durations(self) -> np.ndarray:
        """[seeds, values, modes]."""
        return np.array([[run.durations for run in row] for row in self.runs])

    @property
    def predicted(self) -> np.ndarray:
        return np.array([[run.predicted_durations for run in row] for row in self.runs])

    @property
    def counts(self) -> np.ndarray:
        """[seeds, values]: plateaus of each run."""
        return np.array([[run.plateaus for run in row] for row in self.runs])


def settings(plan: Plan) -> list[tuple[str, str, str, tuple[float, ...], list[list[Setting]], bool]]:
    """All that is run: panel, network, convention, values, settings [seeds][values], and whether theory is asked."""
    made = []

    def add(panel: str, network: str, convention: str, values: Sequence[float], seeds: int, of, foretold=True) -> None:
        # theory costs as much as these runs: when quick it is asked in B alone
        foretold = foretold and (plan.whole or panel == "B")
        rows = [[of(value, seed) for value in values] for seed in range(seeds)]
        made.append((panel, network, convention, tuple(values), rows, foretold))

    for network in NETWORKS:
        for convention in ("weight", "layer"):
            scale = WIDTH_SCALE[network, convention]

            def wide(value, seed, network=network, convention=convention, scale=scale):
                return Setting(network, 1.0, int(value), scale, convention, seed)

            add("A", network, convention, plan.widths, plan.width_seeds[network], wide)
        scale = SCALE[network]
        if network == LINEAR:
            # the scale of attention's width sweep, for the comparison; most of these plateaus are not separable
            add(
                "A, large scale",
                network,
                "weight",
                plan.widths,
                plan.width_seeds[network],
                lambda value, seed: Setting(LINEAR, 1.0, int(value), LARGE_SCALE, "weight", seed),
                False,
            )

        def flat(value, seed, network=network, scale=scale):
            return Setting(network, value, UNITS, scale, "weight", seed)

        add("B", network, "weight", plan.kappas, plan.seeds, flat)

        def equal(value, seed, network=network):
            return Setting(network, 0.0, UNITS, value, "weight", seed)

        add("B, equal", network, "weight", EQUAL_SCALES[network], plan.seeds, equal, False)

        def large(value, seed, network=network, scale=scale):
            return Setting(network, 1.0, UNITS, scale, "weight", seed, value)

        add("C", network, "weight", (0.0, MANIFOLD), plan.start_seeds, large)
        for convention in ("weight", "layer"):
            scales = SCALES[network, convention]
            kept = scales if plan.whole else (scales[0], _small(network, convention)[-1], *scales[-2:])

            def scaled(value, seed, network=network, convention=convention):
                return Setting(network, 1.0, UNITS, value, convention, seed)

            add("D", network, convention, kept, plan.seeds, scaled)
    return made


def _small(network: str, convention: str) -> tuple[float, ...]:
    return tuple(s for s in SCALES[network, convention] if s <= LARGEST_SMALL[network, convention])


def measure(plan: Plan, progress: Progress) -> list[Sweep]:
    """Runs all of it, sweep by sweep."""
    planned = settings(plan)
    sizes = np.array(
        [len(rows) * len(values) * (5 if network == ATTENTION else 1) for _, network, _, values, rows, _ in planned]
    )
    done, total = 0.0, float(sizes.sum())
    sweeps = []
    for size, (panel, network, convention, values, rows, foretold) in zip(sizes, planned, strict=True):

        def told(
            part: float | None, text: str, base=done, size=size, words=f"{panel}, {network}, {convention}"
        ) -> None:
            progress(0.95 * (base + size * (part or 0.0)) / total, f"figure 2: {words}: {text}")

        # theory costs as much as these runs: when quick it is asked in B alone, for one seed
        asked = foretold and (plan.whole or panel == "B")
        found = follow(
            [setting for row in rows for setting in row],
            told,
            foretold=lambda setting, asked=asked: asked and setting.seed < (FORETOLD if plan.whole else 1),
        )
        width = len(values)
        runs_of = [found[i * width : (i + 1) * width] for i in range(len(rows))]
        sweeps.append(Sweep(panel, network, convention, values, runs_of))
        done += size
    return sweeps
