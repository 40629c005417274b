"""The claims of Figure 2, B to D: what the paper says of spectrum and start in words, as slopes with bounds that do not come from the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._base import Claim, claim, claim_of_mean
from ._figure_2_sweeps import LARGEST_SMALL
from ._figure_2_width import ORDINALS, Sweeps, mean_claim, mean_ends
from ._growth import exponent, mean_of, slope
from ._three_modes import ATTENTION, LINEAR, MODES, spectrum

#: Corrections to laws for small scales are powers of the largest that is fitted (1e-5), or offsets beside times of at least 1/scale.
LINEAR_LAW, INVERSE_LAW = (0.995, 1.005), (-1.1, -0.9)
#: Of equal modes, between 1e-4 and 1e-3: a drop's length, 10, beside waits of a quarter of 1/scale at least, is 4% of the shorter one, and 2% of an exponent.
EQUAL_LAW = (-1.05, -0.95)
#: The first drop is exponential from the start: half of it after ln 2 / ln 10 = 0.30 of the time that nine tenths take; after a plateau nearly all of it.
EXPONENTIAL, AFTER_A_PLATEAU = (0.0, 0.5), (0.8, 1.0)
#: "Later plateaus stay": within a factor 2 in the geometric mean.
STAYS = (0.5, 2.0)
#: Of predicted ends over measured ones. A linear network's are a theorem: what is left is the error of both solvers, 1e-8 a step over at most 1e4 of them. Those of heads are asymptotic in the scale.
THEORY = {LINEAR: (0.0, 1e-4), ATTENTION: (0.0, 0.02)}
#: Slopes over kappa, as a part of what closed forms give: plateaus that overlap, as at kappa = 1/4, are off by up to a tenth; heads that take turns by chance may be the fastest of another direction.
OF_KAPPA, OF_KAPPA_HEADS, OF_KAPPA_LATER_HEADS = (0.9, 1.1), (0.75, 1.25), (0.5, 1.5)

WORDS = {LINEAR: "linear network", ATTENTION: "linear attention"}


def kappa(experiment: str, sweeps: Sweeps) -> list[Claim]:
    made = []
    for network in (LINEAR, ATTENTION):
        sweep, panel = sweeps["B", network, "weight"], f"B: {network}"
        steeper = np.array(sweep.values) > 0
        values = np.array(sweep.values)[steeper]
        waits = np.array([_waits(network, kappa, sweep.runs[0][0].setting) for kappa in values])
        for k in (1, 2, 0):
            found = slope(values, np.log(sweep.durations[:, steeper, k]))
            law = float(np.polyfit(values, np.log(waits[:, k]), 1)[0])
            what = "lengthens the first plateau, for the sum of s is fixed"
            what = f"shortens the {ORDINALS[k]} plateau" if k else what
            sentence = f"Smaller kappa {what}: slope of ln duration over kappa, {law:.3f} by the closed form."
            part = OF_KAPPA if network == LINEAR else OF_KAPPA_LATER_HEADS if k else OF_KAPPA_HEADS
            bounds = (min(law * end for end in part), max(law * end for end in part))
            made.append(mean_claim(experiment, panel, f"slope {k + 1}", sentence, found, bounds, status="heuristic"))
        flat = sweep.values.index(0.0)
        counts = [float(c) for c in sweep.counts[:, flat]]
        equal = sweeps["B, equal", network, "weight"]
        gaps = [exponent(equal.values, equal.durations[:, :, k]) for k in (1, 2)]
        if network == LINEAR:
            sentence = "kappa = 0 removes the plateaus after the first: one plateau."
            made.append(claim(experiment, panel, "equal modes", sentence, counts, (1, 1)))
            sentence = "kappa = 0: the time between the levels of the saddles does not depend on the scale: exponent 0."
            bounds = (-0.01, 0.01)
        else:
            sentence = "kappa = 0 leaves attention its three plateaus."
            made.append(claim(experiment, panel, "equal modes", sentence, counts, (3, 3)))
            sentence = "kappa = 0: each later plateau grows as one over the scale: exponent -1."
            bounds = EQUAL_LAW
        for k, found in zip((2, 3), gaps, strict=True):
            words = sentence.replace("each later plateau", f"the {ORDINALS[k - 1]} plateau")
            made.append(mean_claim(experiment, panel, f"equal modes, scale {k}", words, found, bounds))
    return made


def _waits(network: str, kappa: float, setting: Any) -> np.ndarray:
    """[modes]: how long the plateaus are in closed form, heads in units that do not depend on kappa: a head along direction k grows at a rate of s_k squared, from weights of the same size."""
    if network == LINEAR:
        return np.diff(mean_ends(setting.units, setting.scale, setting.convention, kappa), prepend=0.0)
    return np.diff(1 / spectrum(kappa) ** 2, prepend=0.0)


def manifold(experiment: str, sweeps: Sweeps) -> list[Claim]:
    made = []
    for network in (LINEAR, ATTENTION):
        sweep, panel = sweeps["C", network, "weight"], f"C: {network}"
        plain, large = ([row[j] for row in sweep.runs] for j in (0, 1))
        made += [
            claim(
                experiment, panel, "plateaus", "Two plateaus are left.", [float(run.plateaus) for run in large], (2, 2)
            ),
            claim(
                experiment,
                panel,
                "first plateau",
                "There is none at the loss of the origin (1: there is).",
                [float(run.seen[0]) for run in large],
                (0, 0),
            ),
            claim(
                experiment,
                panel,
                "later plateaus",
                "Plateaus at the losses of the second and third saddle (how many).",
                [float(np.sum(run.seen[1:])) for run in large],
                (2, 2),
            ),
            claim(
                experiment,
                panel,
                "exponential drop",
                "The first drop is exponential from the start: half of it within half the time of nine tenths.",
                [run.bend for run in large],
                EXPONENTIAL,
                status="heuristic",
            ),
            claim(
                experiment,
                panel,
                "drop after a plateau",
                "From small weights alone nearly all that time is waiting (the same measure).",
                [run.bend for run in plain],
                AFTER_A_PLATEAU,
                status="heuristic",
            ),
        ]
        ratio = mean_of([np.log(b.durations[2] / a.durations[2]) for a, b in zip(plain, large, strict=True)])
        sentence = "The third plateau stays as long as from small weights alone: ratio, geometric mean."
        low, high = (float(np.exp(end)) for end in ratio.interval)
        made.append(
            claim_of_mean(
                experiment,
                panel,
                "third plateau stays",
                sentence,
                float(np.exp(ratio.mean)),
                (low, high),
                STAYS,
                len(ratio.values),
                status="heuristic",
            )
        )
    return made


def scale(experiment: str, sweeps: Sweeps) -> list[Claim]:
    made = []
    laws = np.diff(1 / spectrum(1.0), prepend=0.0)  # 1/s1, 1/s2 - 1/s1, 1/s3 - 1/s2
    for network in (LINEAR, ATTENTION):
        for convention in ("weight", "layer"):
            sweep, panel = sweeps["D", network, convention], f"D: {network}, {convention}"
            middle = np.median(sweep.counts, axis=0)
            made += [
                claim(
                    experiment,
                    panel,
                    "small",
                    "Three plateaus at the smallest scale.",
                    [float(c) for c in sweep.counts[:, 0]],
                    (3, 3),
                ),
                claim(
                    experiment,
                    panel,
                    "large",
                    "No plateau at the largest.",
                    [float(c) for c in sweep.counts[:, -1]],
                    (0, 0),
                ),
                claim(
                    experiment,
                    panel,
                    "never more",
                    "Larger scales never have more plateaus (largest rise of the median count).",
                    [float(np.max(np.diff(middle), initial=0.0))],
                    (0, 0),
                    status="heuristic",
                ),
            ]
            kept = [j for j, value in enumerate(sweep.values) if value <= LARGEST_SMALL[network, convention]]
            scales = np.array(sweep.values)[kept]
            for k in range(MODES):
                durations = sweep.durations[:, kept, k]
                if network == LINEAR:
                    found = slope(-np.log(scales), durations)
                    ratio = mean_of(np.asarray(found.values) / laws[k])
                    law = ("1/s1", "1/s2 - 1/s1", "1/s3 - 1/s2")[k]
                    sentence = f"The {ORDINALS[k]} plateau grows as ({law}) ln(1/scale): slope as a part of it."
                    made.append(mean_claim(experiment, panel, f"law {k + 1}", sentence, ratio, LINEAR_LAW))
                else:
                    found = exponent(scales, durations)
                    sentence = f"The {ORDINALS[k]} plateau grows as one over the scale: exponent -1."
                    made.append(mean_claim(experiment, panel, f"law {k + 1}", sentence, found, INVERSE_LAW))
    return made


def theory(experiment: str, sweeps: Sequence[Any]) -> list[Claim]:
    """Theory's line against the points, for each network over all that was run and foretold."""
    made = []
    for network in (LINEAR, ATTENTION):
        errors = []
        for sweep in sweeps:
            if sweep.network != network:
                continue
            for run in (run for row in sweep.runs for run in row):
                there = np.isfinite(run.predicted) & np.isfinite(run.ends)
                if there.any():
                    errors.append(float(np.max(np.abs(run.predicted[there] / run.ends[there] - 1))))
        sentence = (
            f"Theory's line goes through the points: largest relative error of an end in the {WORDS[network]}, a run."
        )
        made.append(claim(experiment, f"theory: {network}", "error", sentence, errors, THEORY[network]))
    return made
