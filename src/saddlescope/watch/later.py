r"""The end of a plateau that is not the first, from the probe's loss alone: what grows next is seen in it before a plain eye would call it a fall.

Behind the first drop the layers' gains are those of what has been learned, and q too. But the loss of a fixed batch stands still there up to what the next direction does, and near a saddle that
is of first order in what the direction computes, $L(t) = h - F(t)$, with F growing like a product of r small weights: $F \propto e^{t/T}$ for r = 2, and $F \propto (t^* - t)^{-r/(r-2)}$ for r > 2.
Each r and T (or t*) gives h and F by least squares; each is weighted by how well it fits, and the exit is where F is a tenth of h.

There is no forecast where that growth is not seen: it has to explain the loss better than a parabola that falls ever more slowly or evenly, by more than noise, and to be larger than the noise now.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .hypotheses import INDEPENDENT, Abstention, quantiles
from .recording import Recording
from .stalls import find_stalls

#: Orders that are tried, parts of the stall that are left out at its start (what was learned before still settles there), and snapshots in the rest.
ORDERS, WINDOWS, LEAST = (2, 3, 4), (0.25, 0.5), 10
#: Values of T, or of the time until t*, over the length of what is fitted.
PACES = np.geomspace(0.05, 2.0, 60)
#: F now over the standard deviation of what no law explains, and how many times a line has to miss more than the law, in squares.
SEEN, BETTER = 6.0, 4.0
#: The part of F by which the law itself may be off.
OFF = 0.05


class Later(NamedTuple):
    """The plateau's start and height; remaining steps, median and both ends; order; numbers."""

    start: int
    height: float
    middle: float
    low: float
    high: float
    order: int
    evidence: dict[str, float]


def later(seen: Recording, levels: list[float], width: float) -> Later | None:
    """The end of the plateau that the run is on after a drop; None where the loss is falling, and on none.

    **Arguments:** `levels`: parts of the height that F may be at the exit, equally likely (`law.unsaturated`).

    **Raises:** `Abstention` where what grows is not seen.
    """
    try:
        stalls = find_stalls(seen)
    except ValueError:
        return None
    if not stalls or not stalls[-1].ongoing or len(stalls) < 2:
        return None
    stall = stalls[-1]
    known = np.isfinite(seen.probe_loss) & (seen.step >= stall.start)
    step, loss = seen.step[known].astype(float), seen.probe_loss[known]
    # a tail that has more than halved since it began is no plateau, whatever it was before
    on = "on the slow fall to" if loss.size and loss[0] > 2 * stall.height > 0 else "on the plateau at"
    where = f"{on} {stall.height:.4g} since step {stall.start}, after {len(stalls) - 1} before it"
    times: list[NDArray] = []
    errors: list[NDArray] = []
    orders: list[int] = []
    grown = 0.0
    for window in WINDOWS:
        late = step >= step[0] + window * (step[-1] - step[0]) if step.size else np.zeros(0, bool)
        if late.sum() < LEAST or stall.height <= 0:
            continue
        t, y = step[late] - step[-1], loss[late]
        line = _misfit(np.stack([np.ones(t.size), t], axis=1), y)[0]
        for order in ORDERS:
            ends, missed, now = _laws(t, y, order, levels)
            right = np.isfinite(ends).all(axis=1) & (BETTER * missed < line) & (now > SEEN * np.sqrt(missed))
            times.append(ends[right].ravel())
            # a law that is off by a part of F explains no more than that
            off = missed[right] / np.maximum(missed[right].min(initial=np.inf) + (OFF * now[right]) ** 2, 1e-300)
            errors.append(np.repeat(off, len(levels)))
            orders += [order] * (int(right.sum()) * len(levels))
            grown = max(grown, float(np.max(now[right], initial=0.0)))
    if not times:
        raise Abstention(f"{where}: the probe's loss was seen less than {LEAST} times on it")
    found, missed = np.concatenate(times), np.concatenate(errors)
    if not found.size:
        raise Abstention(
            f"{where}: nothing that grows is seen in the probe's loss above what scatters or settles there"
        )
    weights = np.exp(-0.5 * INDEPENDENT * (missed - missed.min()))
    middle, low, high = quantiles(found, weights, width)
    order = int(np.round(np.average(orders, weights=weights)))
    return Later(stall.start, stall.height, middle, low, high, order, {"grown": grown / stall.height})


def _laws(t: NDArray, y: NDArray, order: int, levels: list[float]) -> tuple[NDArray, NDArray, NDArray]:
    """Exits [paces, levels], mean squared misfits and F now [paces]; NaN where nothing grows. `t` <= 0 ends at 0, now."""
    length = -t[0]
    ends, missed, grown = np.full((PACES.size, len(levels)), np.nan), np.full(PACES.size, np.nan), np.zeros(PACES.size)
    power = np.inf if order == 2 else order / (order - 2)
    for i, pace in enumerate(PACES * length):
        shape = np.exp(t / pace) if order == 2 else (1 - t / pace) ** -power
        missed[i], (height, slope) = _misfit(np.stack([np.ones(t.size), shape], axis=1), y)
        if not (slope < 0 < height):
            continue
        wanted = np.maximum(np.array(levels) * height / -slope, 1.0)  # the shape is 1 now
        grown[i] = -slope
        ends[i] = pace * np.log(wanted) if order == 2 else pace * (1 - wanted ** (-1 / power))
    return ends, missed, grown


def _misfit(design: NDArray, y: NDArray) -> tuple[float, NDArray]:
    """Mean squared misfit of least squares, per degree of freedom, and what was found."""
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ found
    return float(left @ left) / max(y.size - design.shape[1] - 1, 1), found
