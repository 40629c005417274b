r"""How long a run can stay near a saddle before rounding, not its initial weights, decides when it leaves.

A residence ends when the distance from the manifold has grown from its value at arrival, $d$, to the size of the weights: after
$\ln(|\theta| / d)\,/\,s$ at a rate $s$. Each step rounds weights of size $|\theta|$ to $u\,|\theta|$, with $u$ half the spacing of floating-point numbers at 1, so a $d$ below that is
replaced by rounding, and every residence of that saddle is cut to the same $\ln(1/u)\,/\,s$.
"""

import numpy as np
from numpy.typing import DTypeLike

#: A seed of an escape counts from this many times u |theta|: an exactly rank-one product is stored 2 u |theta| from its manifold,
#: and residences that rounding ends have been measured at ln(1/u)/s - 0.8/s to + 2.8/s.
MARGIN = 10.0


def unit_round_off(dtype: DTypeLike = np.float64) -> float:
    """u, the largest relative error of one rounding: 1.1e-16 in 64 bits, 6.0e-8 in 32."""
    return float(np.finfo(dtype).eps) / 2


def round_off_horizon(rate: float, dtype: DTypeLike = np.float64) -> float:
    r"""$\ln(1/u)\,/\,s$: about $36.7 / s$ in 64 bits, $16.6 / s$ in 32.

    **Arguments:**

    - `rate`: $s > 0$, the rate in 1/t at which the distance from the manifold grows.
    - `dtype`: of the weights during the run.

    **Holds** up to $O(1)/s$, because an escape ends at some fraction of $|\theta|$ and rounding adds up over steps. Measured from an exactly
    rank-one start in a rotated basis with $s = 1/2$: 73.4 in 64 bits and 33.4 in 32, against 73.5 and 33.3 from this formula; 72.0 to 79.1 over
    tolerances of the flow from 1e-12 to 1e-6.

    **Raises:** `ValueError` where the rate is not positive: nothing grows exponentially, and there is no horizon.
    """
    if not rate > 0:
        raise ValueError(
            f"A round-off horizon needs a rate > 0: found {rate}. Without exponential escape rounding does not grow "
            "exponentially either."
        )
    return float(np.log(1 / unit_round_off(dtype)) / rate)


def interpretable(
    duration: float,
    rate: float,
    distance: float,
    size: float,
    grown: float | None = None,
    dtype: DTypeLike = np.float64,
) -> bool:
    r"""Whether a residence at a saddle says something about the initial weights, not about rounding.

    It does not if

    $$d < c\,u\,|\theta| \qquad\text{or}\qquad \text{duration} > \frac1s \ln\frac{|\theta_{\mathrm{end}}|}{c\,u\,|\theta|} ,$$

    with $c = 10$ (`MARGIN`), because $d$ on the manifold itself is not 0 but rounding. The second condition is the first for whatever part of $d$ really
    grows, which can be smaller than $d$.

    **Arguments:**

    - `duration`: of the residence, in t; infinite where it did not end.
    - `rate`: $s > 0$, the rate in 1/t of the escape.
    - `distance`: $d$, to the manifold on arrival.
    - `size`: $|\theta|$ on arrival, over those weights that $d$ is a difference of: they are what is rounded.
    - `grown`: $|\theta_{\mathrm{end}}|$, the size of what has grown, on leaving. `size` if left out, and the second bound is then `round_off_horizon` less $2.3 / s$.
    - `dtype`: of the weights during the run.

    **Applies** where weights of order 1 nearly cancel: to `Rank`, `Rays` and `Copies`, with the weights of their groups for `size`. **Not at the origin, nor for
    `Active`** (nor where zeros of the axes carry the manifold): there small weights are stored as such and each is rounded relative to itself, so that
    exact zeros stay and a scale of 1e-30 is as good as 1e-3. Give those weights' own size, `size=distance`, and what they grew to as `grown`: the first
    condition is then never met, and the second asks only that the residence is no longer than growth from $c\,u\,d$ allows.

    **Holds** up to $O(1)/s$ in the duration. Well within it rounding moves the end by about $u\,|\theta| / (d s)$, and the solver by more: a $d$ below the flow's
    absolute tolerance grows with steps that are not controlled for it. With $d / |\theta|$ = 1e-10, a residence of 44.5 ended late by 1.3, 0.1, 0.002 at rtol = 1e-6, 1e-8,
    1e-10. A residence with algebraic escape (order 2 or more)
    has no rate; the first condition alone is then the question, $d \ge c\,u\,|\theta|$.

    **Raises:** `ValueError` where `rate` or `size` is not positive, or `duration` or `distance` is negative or no number.
    """
    for name, value in (("duration", duration), ("distance", distance)):
        if not value >= 0:
            raise ValueError(f"A residence has {name} >= 0: found {value}.")
    end = size if grown is None else grown
    if not (0 < size < np.inf and 0 < end < np.inf):
        raise ValueError(
            f"A residence needs weights of a finite size > 0: found size={size} and grown={grown}. At the origin give the size of "
            "the small weights on arrival."
        )
    longest = round_off_horizon(rate, dtype) + float(np.log(end) - np.log(size) - np.log(MARGIN)) / rate
    return distance >= MARGIN * unit_round_off(dtype) * size and duration <= longest
