"""How far the ends of linear units' stages may be from the truth: the next order of theory, with factors that were measured.

The forms are derived, the factors chosen on random problems (docs/theory.md has these and how often the errors held). In units of 1 / (rate of the mode that escapes).
"""

import numpy as np

from .beside import Beside
from .formula import Logistic
from .modes import Modes
from .moments import Lines
from .reduced import span
from .stages import Saddles, Seen

#: Of what the neighbouring modes change by the end of a stage. True errors of the sum of logistic curves were at most 0.2 of it; the rest is for the correlations between
#: overlaps that few units have.
NEXT_ORDER = 0.5
#: Of what a mode keeps of the part that lies along modes learned before it: a half by theory; true errors were up to twice it.
KEPT = 3.0
#: Of the largest strength of a mode at the start: ln(s / (lam a) - 1) against ln(s / (lam a)), and weights that decay.
START = 0.5
#: The same for reduced dynamics without the rows that decay or stand still: true errors were up to 1.8 times it.
LEFT_OUT = 3.0
#: Of what decays in other combinations of units, squared: a half by theory; true errors were 0.3 to 0.4 of it, and more only where INTEGRATION covers them.
TURNED = 1.5
#: Of what stands still there, squared: a drop turned 1e-4 of it (3 inputs, 5 units). Nothing where modes commute.
STANDING = 1e-3
#: Of what slows a mode from beside (`beside`), over the whole wait: the first order of theory, which has the largest of any combination of units.
SLOWED = 1.2
#: Of the same in 1 / rate, times decaying over growing part at the start: a half by theory.
OPPOSITE = 1.0
#: Of (learning rate x rate)^2: measured 0.22 to 0.23 for learning rates from 0.01 to 0.3.
STEP = 0.3
#: Relative error of the estimate. 95 of 100 ends of 91 random problems that do not commute were within 5.5% (with up to 20 units 7.3%), the worst at 15%.
ESTIMATE = 0.1
#: Of ln(lambda tau^2 / s^2) / rate, 0 where modes commute: once grown along its own direction a mode still turns to where the loss is least, the slower the more its eigenvalues differ.
SPREAD = 1.0
#: Relative error of integration, and of rounding late in a run, both here and in the run that this is compared with.
INTEGRATION = 1e-6


def at_start(modes: Modes, others: Beside) -> float:
    """Largest strength of a mode at the start, growing and decaying parts alike, and of what lies beside the modes, relative to what the mode will be."""
    sizes = 0.5 * np.sum(modes.plus**2 + modes.minus**2, axis=1)
    return float(np.max((modes.lam * sizes + 2.0 * others.slowing) / modes.s))


def of_formula(one: Seen, logistic: Logistic, rank: int, modes: Modes, others: Beside) -> float | None:
    """The closed form's; None where the stage has no end. `rank`: how many modes the weights start."""
    k = len(one.learned)
    if one.t_end is None or k >= rank:
        return None
    at_end, alone = np.array(one.t_end), logistic.of_first(rank)
    before = float(np.max(1.0 - alone.share(at_end)[:k], initial=0.0))
    moved = abs(one.t_end - float(alone.half_drops()[k]))
    # what of the later modes lies along those before: as large as what is perpendicular, and used up differently
    along = np.sqrt(np.maximum(np.sum(modes.plus**2, axis=1) - modes.perpendicular**2, 0.0))
    parallel = Logistic.of(modes._replace(perpendicular=along), logistic.floor)
    beside = float(np.sum(parallel.share(at_end)[k + 1 :]))
    # and what of this mode lay there when those before were learned
    beside += float(np.sum(parallel.share(logistic.half_drops()[:k])[:, k]))
    kept = KEPT * _kept(k, one.t_end, logistic, modes)
    error = NEXT_ORDER * moved + (NEXT_ORDER * before + beside + kept + START * at_start(modes, others)) / modes.s[k]
    # rows beside a mode also turn what of it decays into what grows, which counts where a unit starts with much of the one and little of the other
    opposite = float(np.linalg.norm(modes.minus[k]) / max(modes.perpendicular[k], 1e-300))
    slowed = SLOWED * others.slowing[k] / modes.s[k]
    error += OPPOSITE * slowed * opposite / modes.s[k]
    return float(error + (slowed + INTEGRATION) * one.t_end)


def _kept(k: int, t: float, logistic: Logistic, modes: Modes) -> float:
    r"""What is left at the time `t` of mode k's part along the modes learned before, relative to what is perpendicular, squared.

    Along mode j, once that is learned, $(u, v)$ move with $(-s_j\lambda_k/\lambda_j, s_k; s_k, -s_j)$. That grows where k is worth more than j,
    $s_k^2/\lambda_k > s_j^2/\lambda_j$, and then k begins to take the place of j before it finds one of its own.
    """
    _, triangle = np.linalg.qr(modes.plus.T)
    s, lam = modes.s, modes.lam
    since = np.maximum(
        t - logistic.half_drops() - 1.0 / s, 0.0
    )  # a mode holds the others back once it is learned, not before
    found = 0.0
    for j in range(k):
        stay = np.linalg.eigvalsh([[-s[j] * lam[k] / lam[j], s[k]], [s[k], -s[j]]])[-1]
        along = float(triangle[j, k] / modes.perpendicular[k])
        found += along**2 * float(np.exp(2.0 * (stay - s[k]) * since[j]))
    return found


def of_reduction(
    one: Seen,
    name: str,
    first: float,
    learning_rate: float,
    lines: Lines,
    modes: Modes,
    others: Beside,
    saddles: Saddles,
) -> float | None:
    """That of the reduced dynamics called `name`; `first`: the end of the first stage."""
    if one.t_end is None:
        return None
    rate = saddles.escape_rate(one.learned)
    left_out = 0.0 if name == "every" else LEFT_OUT * at_start(modes, others)
    if name == "growing":
        left_out += _decaying(lines, modes, saddles, one.learned, first)
    return float(left_out / rate + INTEGRATION * one.t_end + STEP * learning_rate**2 * rate)


def of_estimate(one: Seen, modes: Modes, others: Beside) -> float | None:
    """That of modes taken to grow alone."""
    if one.t_end is None:
        return None
    k = min(len(one.learned), modes.s.size - 1)
    slowed = SLOWED * others.slowing[k] / modes.s[k]
    spread = float(np.log(modes.lam[k] * modes.tau[k] ** 2 / modes.s[k] ** 2))
    here = START * at_start(modes, others) + SPREAD * max(spread, 0.0)
    return float((ESTIMATE + slowed) * one.t_end + here / modes.s[k])


def _decaying(lines: Lines, modes: Modes, saddles: Saddles, learned: tuple[int, ...], t: float) -> float:
    """What the growing rows leave out and is still there at the first drop, `t`, along the direction that escapes from a saddle after it: relative to what
    grows along that direction, squared.

    Two parts: what decays meanwhile, whose share in that direction is known, and what stands still, of which the drop itself turns a small part (`STANDING`).
    """
    k = len(learned)
    if modes.commute or k == 0 or k >= modes.s.size or modes.perpendicular[k] == 0:
        return 0.0
    inputs, outputs = saddles.escape_direction(learned)
    basis = span(modes.plus)
    beside = modes.minus - (modes.minus @ basis) @ basis.T
    left = 0.5 * (inputs - outputs) * np.exp(-np.minimum(modes.s * t, 300.0))
    u = modes.into.T @ lines.u
    standing = u - modes.l @ (modes.l.T @ u)
    standing = standing - (standing @ basis) @ basis.T
    growth = modes.perpendicular[k] * np.exp(min(modes.s[k] * t, 300.0))
    return min(float(TURNED * np.sum((left @ beside) ** 2) + STANDING * np.sum(standing**2)) / growth**2, 1.0)
