r"""The closed form where modes commute: each grows alone, along a logistic curve of its own.

$$a_k(t) = \frac{s_k/\lambda_k}{1 + (s_k/(\lambda_k a_{k0}) - 1)\, e^{-2 s_k t}}, \qquad a_{k0} = |c_{k\perp}|^2/2,
\qquad L = L_\infty + \sum_k \tfrac{\lambda_k}{2} (s_k/\lambda_k - a_k)^2 .$$

For balanced weights along one mode this is Saxe, McClelland & Ganguli (2014). For random small weights the effective start is the part of the mode's overlap
that is perpendicular, in the space of units, to those of the modes before: what lies along them is used up by these. Its half-drop alone is at
$\frac{1}{2 s_k}[\ln(2 s_k/(\lambda_k |c_{k\perp}|^2)) + \ln(\sqrt2 - 1)]$; read off the sum, it also contains what the neighbouring modes have fallen by then.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .modes import Modes

#: Samples of the curve around each drop, and how many of its time constants they span: to 1e-5 of the mode's own drop on both sides.
AROUND, SPAN = 160, 12.0
BETWEEN = 200
#: Halvings of an interval of time: to rounding.
HALVINGS = 60


class Logistic(NamedTuple):
    r"""Modes that grow independently.

    - `s`, `lam` [modes]; `wait` [modes]: $\ln(s/(\lambda a_0) - 1)$, infinite for a mode that nothing starts; `floor`: the loss below them all.
    """

    s: Float[np.ndarray, " modes"]
    lam: Float[np.ndarray, " modes"]
    wait: Float[np.ndarray, " modes"]
    floor: float

    @classmethod
    def of(cls, modes: Modes, floor: float) -> "Logistic":
        """With $\\lambda = s^2/\\tau^2$, so that heights are right also where modes do not commute, and the formula an estimate."""
        lam = (modes.s / modes.tau) ** 2
        with np.errstate(divide="ignore"):
            ratio = modes.s / (lam * 0.5 * modes.perpendicular**2)
        # a mode that starts at half its strength or more is not waited for; `small` tells
        return cls(modes.s, lam, np.log(np.maximum(ratio - 1.0, 1.0)), floor)

    def of_first(self, count: int) -> "Logistic":
        """The first modes alone; what the others lack belongs to the floor."""
        return Logistic(self.s[:count], self.lam[:count], self.wait[:count], self.floor)

    def later(self, decades: float) -> "Logistic":
        """From weights smaller by so many decades."""
        return self._replace(wait=self.wait + 2.0 * np.log(10.0) * decades)

    def share(self, t: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time modes"]:
        """a lambda / s: from nearly 0 to 1."""
        return 1.0 / (1.0 + np.exp(np.minimum(self.wait - 2.0 * self.s * np.asarray(t)[..., None], 700.0)))

    def loss(self, t: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        return self.floor + 0.5 * np.sum(self.s**2 / self.lam * (1.0 - self.share(t)) ** 2, axis=-1)

    def speed(self, t: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """|grad L|: its square is what the loss loses in a unit of time."""
        share = self.share(t)
        return np.sqrt(np.sum(2.0 * self.s**3 / self.lam * share * (1.0 - share) ** 2, axis=-1))

    def half_drops(self) -> Float[np.ndarray, " modes"]:
        """When each mode alone has lost half of its loss; infinite for a mode that nothing starts."""
        return (self.wait + np.log(np.sqrt(2.0) - 1.0)) / (2.0 * self.s)

    def times(self) -> Float[np.ndarray, " time"]:
        """Samples that show every drop and every plateau between."""
        moving = np.isfinite(self.wait)
        ends, rates = self.half_drops()[moving], self.s[moving]
        last = float(np.max(ends + SPAN / rates))
        near = (ends[:, None] + np.linspace(-SPAN, SPAN, AROUND) / rates[:, None]).ravel()
        grid = np.unique(np.concatenate([np.linspace(0.0, last, BETWEEN), near]))
        return grid[(grid >= 0) & (grid <= last)]

    def crossing(self, level: float) -> float | None:
        """When the loss falls through `level`, by halving."""
        moving = np.isfinite(self.wait)
        low, high = 0.0, float(np.max(self.half_drops()[moving] + 2 * SPAN / self.s[moving]))
        if self.loss(np.array(low)) <= level or self.loss(np.array(high)) > level:
            return None
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.loss(np.array(middle)) > level else (low, middle)
        return 0.5 * (low + high)
