"""The claims of Figure 2 A: what width does to plateaus, in both conventions of the initial scale, against the closed form of a linear network's ends."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import digamma

from ._base import Claim, claim, claim_of_mean
from ._figure_2_sweeps import LARGE_SCALE, WIDTH_SCALE
from ._growth import Exponent, exponent, mean_of, slope
from ._three_modes import ATTENTION, LINEAR, MODES, spectrum

#: "Little effect": doubling the width changes a plateau by less than a tenth.
LITTLE = float(np.log(1.1) / np.log(2.0))
#: "Shorter": the slope is negative; and not steeper than if durations went as 1/width.
SHORTER = (-1.0, 0.0)
#: Of theory's slope, either way: |c|^2 spreads by (2/H)^(1/2), so that the mean of 128 seeds and more is known to a few percent; a later plateau has two such ends, at smaller rates.
OF_THEORY, OF_THEORY_LATER = 0.15, 0.2

ORDINALS = ("first", "second", "third")

Sweeps = Mapping[tuple[str, str, str], Any]


def mean_claim(
    experiment: str, panel: str, name: str, sentence: str, found: Exponent, bounds: tuple[float, float], **how
) -> Claim:
    """A claim about the mean of an exponent over seeds."""
    return claim_of_mean(
        experiment, panel, name, sentence, found.mean, found.interval, bounds, len(found.values), **how
    )


def width(experiment: str, sweeps: Sweeps, plateaus: int) -> list[Claim]:
    """`plateaus`: of how many of attention's plateaus slopes are claimed."""
    made = []
    for network in (LINEAR, ATTENTION):
        for convention in ("weight", "layer"):
            sweep, panel = sweeps["A", network, convention], f"A: {network}, {convention}"
            counts = [float(c) for c in sweep.counts.ravel()]
            made.append(claim(experiment, panel, "plateaus", "Three plateaus at every width.", counts, (3, 3)))
            if network == LINEAR:
                made += _linear(experiment, panel, sweep, convention)
            else:
                made += _heads(experiment, panel, sweep, convention, plateaus)
    small, large = sweeps["A", LINEAR, "weight"], sweeps["A, large scale", LINEAR, "weight"]
    heads = sweeps["A", ATTENTION, "weight"]
    slopes = exponent(heads.values, heads.durations[:, :, 0]).values
    for sweep, words, outcome in (
        (small, "1e-6", "holds"),
        (large, f"{LARGE_SCALE:.0e}".replace("e-0", "e-"), "fails"),
    ):
        linear = exponent(sweep.values, sweep.durations[:, :, 0])
        gap = mean_of(np.subtract(slopes, linear.values[: len(slopes)]))
        sentence = f"Width shortens attention's first plateau more than a linear network's that starts at {words}: difference of slopes below 0."
        how: dict[str, Any] = {"expected": outcome, "status": "heuristic"}
        made.append(mean_claim(experiment, "A: contrast", f"contrast at {words}", sentence, gap, SHORTER, **how))
        sentence = f"Width has little effect on a linear network's first plateau at {words}: slope of ln duration over ln width, of a tenth each time the width doubles at most."
        made.append(
            mean_claim(experiment, "A: contrast", f"little at {words}", sentence, linear, (-LITTLE, LITTLE), **how)
        )
    found = slope(np.log(small.values), small.durations[:, :, 0])
    theory = _fitted(small.values, _durations(small, "weight")[:, 0], np.asarray)
    ratio = mean_of(np.asarray(found.values) / theory)
    sentence = f"Width takes ln(H)/(2 s1) off a linear network's first plateau: slope over ln H as a part of theory's, {theory:.4f}."
    made.append(mean_claim(experiment, "A: linear, weight", "law", sentence, ratio, (1 - OF_THEORY, 1 + OF_THEORY)))
    return made


def _linear(experiment: str, panel: str, sweep: Any, convention: str) -> list[Claim]:
    """Slopes held against theory's: in the convention in which there is none, to the same distance as in the other."""
    made = []
    theory, size = (_durations(sweep, one) for one in (convention, "weight"))
    for k in range(MODES):
        found = exponent(sweep.values, sweep.durations[:, :, k])
        middle = _fitted(sweep.values, theory[:, k], np.log)
        reach = (OF_THEORY_LATER if k else OF_THEORY) * abs(_fitted(sweep.values, size[:, k], np.log))
        what = "little" if convention == "weight" else "hardly any"
        sentence = f"Width has {what} effect on the {ORDINALS[k]} plateau: slope of ln duration over ln width, {middle:.4f} by theory."
        bounds = (middle - reach, middle + reach)
        made.append(mean_claim(experiment, panel, f"slope {k + 1}", sentence, found, bounds, status="heuristic"))
    return made


def _heads(experiment: str, panel: str, sweep: Any, convention: str, plateaus: int) -> list[Claim]:
    made = []
    # heads that are divided by the root of their number wait longer
    expected = "holds" if convention == "weight" else "fails"
    for k in range(plateaus):
        found = exponent(sweep.values, sweep.durations[:, :, k])
        sentence = f"More heads shorten the {ORDINALS[k]} plateau: slope of ln duration over ln width below 0."
        how: dict[str, Any] = {"expected": expected, "status": "heuristic"}
        made.append(mean_claim(experiment, panel, f"slope {k + 1}", sentence, found, SHORTER, **how))
    return made


def _fitted(widths: Sequence[float], durations: np.ndarray, of: Any) -> float:
    """The slope of durations, or `of` them, over the logarithm of width."""
    return float(np.polyfit(np.log(widths), of(durations), 1)[0])


def _durations(sweep: Any, convention: str) -> np.ndarray:
    """[widths, modes]: mean durations by theory, were the sweep of this convention."""
    scale = WIDTH_SCALE[LINEAR, convention]
    return np.array([np.diff(mean_ends(int(h), scale, convention, 1.0), prepend=0.0) for h in sweep.values])


def mean_ends(units: int, scale: float, convention: str, kappa: float) -> np.ndarray:
    r"""[modes]: ends of a linear network's plateaus, $[\ln(2 s_k/|c_k|^2) + \ln(\sqrt2 - 1)]/(2 s_k)$ in the mean over normal initial weights.

    $|c_k|^2/\epsilon^2$ is chi-squared with H degrees of freedom less the k - 1 directions among the units that earlier modes have taken: along those a later mode cannot grow.

    **Holds** for small scales and white inputs.
    """
    s = spectrum(kappa)
    log_square = digamma((units - np.arange(MODES)) / 2) + np.log(2.0) + 2 * np.log(scale)
    if convention == "layer":
        log_square -= np.log(MODES * units)  # weights in a layer
    return (np.log(2 * s) + np.log(np.sqrt(2.0) - 1) - log_square) / (2 * s)
