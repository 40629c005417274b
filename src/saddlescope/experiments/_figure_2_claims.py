"""The claims of Figure 2: what the paper says of width, spectrum and start in words, as slopes with bounds that do not come from the data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import digamma

from ._base import Claim, claim, claim_of_mean
from ._growth import Exponent, exponent, mean_of, slope
from ._three_modes import ATTENTION, LINEAR, MODES, spectrum

#: "Little effect": doubling the width changes a plateau by less than a tenth.
LITTLE = float(np.log(1.1) / np.log(2.0))
#: "Shorter": the slope is negative; and not steeper than if durations went as 1/width.
SHORTER = (-1.0, 0.0)
#: A mean of 32 seeds, whose |c|^2 spread by (2/H)^(1/2), is known to about a tenth.
OF_THEORY = (0.85, 1.15)
#: Corrections to laws for small scales are powers of the largest that is fitted (1e-5), or offsets beside times of at least 1/scale.
LINEAR_LAW, INVERSE_LAW = (0.995, 1.005), (-1.1, -0.9)
#: The first drop is exponential from the start: half of it after ln 2 / ln 10 = 0.30 of the time that nine tenths take; after a plateau nearly all of it.
EXPONENTIAL, AFTER_A_PLATEAU = (0.0, 0.5), (0.8, 1.0)
#: "Later plateaus stay": within a factor 2 in the geometric mean.
STAYS = (0.5, 2.0)
#: Of predicted ends over measured ones, where theory calls itself a theorem or asymptotic.
THEORY = (0.0, 0.02)

#: Laws for small scales are fitted up to here: a decade below where the first plateau goes at 16 units.
LARGEST_SMALL = {
    (LINEAR, "weight"): 1e-5,
    (LINEAR, "layer"): 1e-5,
    (ATTENTION, "weight"): 1e-2,
    (ATTENTION, "layer"): 3e-2,
}

ORDINALS = ("first", "second", "third")
WORDS = {LINEAR: "linear network", ATTENTION: "linear attention"}

Sweeps = Mapping[tuple[str, str, str], Any]


def _mean(
    experiment: str, panel: str, name: str, sentence: str, found: Exponent, bounds: tuple[float, float], **how
) -> Claim:
    return claim_of_mean(
        experiment, panel, name, sentence, found.mean, found.interval, bounds, len(found.values), **how
    )


def width(experiment: str, sweeps: Sweeps, plateaus: int) -> list[Claim]:
    made = []
    for network in (LINEAR, ATTENTION):
        for convention in ("weight", "layer"):
            sweep = sweeps["A", network, convention]
            panel = f"A: {network}, {convention}"
            made.append(
                claim(
                    experiment,
                    panel,
                    "plateaus",
                    "Three plateaus at every width.",
                    [float(c) for c in sweep.counts.ravel()],
                    (3, 3),
                )
            )
            for k in range(MODES if network == LINEAR else plateaus):
                found = exponent(sweep.values, sweep.durations[:, :, k])
                if network == LINEAR:
                    sentence = f"Width has little effect on the {ORDINALS[k]} plateau: slope of ln duration over ln width near 0."
                    bounds, expected = (-LITTLE, LITTLE), "holds"
                else:
                    sentence = (
                        f"More heads shorten the {ORDINALS[k]} plateau: slope of ln duration over ln width below 0."
                    )
                    # heads that are divided by the root of their number wait longer
                    bounds, expected = SHORTER, "holds" if convention == "weight" else "fails"
                made.append(
                    _mean(
                        experiment,
                        panel,
                        f"slope {k + 1}",
                        sentence,
                        found,
                        bounds,
                        expected=expected,
                        status="heuristic",
                    )
                )
    small, large = sweeps["A", LINEAR, "weight"], sweeps["A, large scale", LINEAR, "weight"]
    heads = exponent(sweeps["A", ATTENTION, "weight"].values, sweeps["A", ATTENTION, "weight"].durations[:, :, 0])
    for sweep, words, expected in ((small, "1e-6", "holds"), (large, "1e-2", "fails")):
        linear = exponent(sweep.values, sweep.durations[:, :, 0])
        gap = mean_of(np.subtract(heads.values, linear.values[: len(heads.values)]))
        sentence = f"Width shortens attention's first plateau more than a linear network's that starts at {words}: difference of slopes below 0."
        made.append(
            _mean(
                experiment,
                "A: contrast",
                f"contrast at {words}",
                sentence,
                gap,
                SHORTER,
                expected=expected,
                status="heuristic",
            )
        )
    found = slope(np.log(small.values), small.durations[:, :, 0])
    theory = float(np.polyfit(np.log(small.values), _first_ends(small.values), 1)[0])
    ratio = mean_of(np.asarray(found.values) / theory)
    sentence = f"Width takes ln(H)/(2 s1) off a linear network's first plateau: slope over ln H as a part of theory's, {theory:.4f}."
    made.append(_mean(experiment, "A: linear, weight", "law", sentence, ratio, OF_THEORY))
    return made


def _first_ends(widths: Sequence[float]) -> np.ndarray:
    """What the mean end of the first plateau has of the width: |c|^2 / eps^2 is chi-squared with H degrees of freedom."""
    return -digamma(np.asarray(widths) / 2) / (2 * spectrum(1.0)[0])


def kappa(experiment: str, sweeps: Sweeps) -> list[Claim]:
    made = []
    for network in (LINEAR, ATTENTION):
        sweep, panel = sweeps["B", network, "weight"], f"B: {network}"
        steeper = np.array(sweep.values) > 0
        values = np.array(sweep.values)[steeper]
        for k in (1, 2):
            found = slope(values, np.log(sweep.durations[:, steeper, k]))
            sentence = f"Smaller kappa shortens the {ORDINALS[k]} plateau: slope of ln duration over kappa above 0."
            made.append(_mean(experiment, panel, f"slope {k + 1}", sentence, found, (0.0, 5.0), status="heuristic"))
        found = slope(values, np.log(sweep.durations[:, steeper, 0]))
        sentence = "Smaller kappa lengthens the first plateau, for the sum of s is fixed: slope of ln duration over kappa below 0."
        made.append(_mean(experiment, panel, "slope 1", sentence, found, (-5.0, 0.0), status="heuristic"))
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
            bounds = INVERSE_LAW
        for k, found in zip((2, 3), gaps, strict=True):
            words = sentence.replace("each later plateau", f"the {ORDINALS[k - 1]} plateau")
            made.append(_mean(experiment, panel, f"equal modes, scale {k}", words, found, bounds))
    return made


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
                    made.append(_mean(experiment, panel, f"law {k + 1}", sentence, ratio, LINEAR_LAW))
                else:
                    found = exponent(scales, durations)
                    sentence = f"The {ORDINALS[k]} plateau grows as one over the scale: exponent -1."
                    made.append(_mean(experiment, panel, f"law {k + 1}", sentence, found, INVERSE_LAW))
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
        made.append(claim(experiment, f"theory: {network}", "error", sentence, errors, THEORY))
    return made
