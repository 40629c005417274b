r"""Diagonal linear networks in closed form: two layers whose modes do not meet, each from any pair of weights.

With $f = \sum_k u_k v_k \psi_k$, uncorrelated $\psi_k$ of variance $\lambda_k$ and $E[\psi_k y] = s_k$: $\dot u = v\,(s - \lambda u v)$, $\dot v = u\,(s - \lambda u v)$, so that $p = u + v$ grows by $e^{\tau}$ and
$q = u - v$ shrinks by it, $\tau = \int (s - \lambda u v)\,dt$. For $E = e^{2\tau}$

$$\dot E = -\tfrac{\lambda p_0^2}{2} E^2 + 2 s E + \tfrac{\lambda q_0^2}{2}, \qquad E(0) = 1,$$

whose coefficients do not change: with roots $E_- < 0 < E_+$, $(E_+ - E)/(E - E_-)$ decays at the rate $\sqrt{4 s^2 + \lambda^2 p_0^2 q_0^2}$. Nothing here is a limit of small weights.

Source: Saxe, McClelland & Ganguli (2014) for u = v; Pesme & Flammarion (2023) for these networks.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq


@dataclass(frozen=True)
class Diagonal:
    """`s`, `lam` [modes]: correlation and variance; `u`, `v` [modes]: weights at t = 0, u + v not 0; `rest`: the loss that no mode takes."""

    s: np.ndarray
    lam: np.ndarray
    u: np.ndarray
    v: np.ndarray
    rest: float = 0.0

    def strengths(self, t: float) -> np.ndarray:
        """u_k v_k at a time [modes]."""
        p, q = (self.u + self.v) ** 2, (self.u - self.v) ** 2
        root = np.sqrt(4 * self.s**2 + self.lam**2 * p * q)
        high = (2 * self.s + root) / (self.lam * p)
        low = -q / (p * high)  # Vieta: the sum of two nearly equal numbers would lose it
        part = (high - 1) / (1 - low) * np.exp(-root * t)
        grown = (high + part * low) / (1 + part)
        return 0.25 * (p * grown - q / grown)

    def loss(self, t: float) -> float:
        return self.rest + 0.5 * float(np.sum(self.lam * (self.s / self.lam - self.strengths(t)) ** 2))

    def crossing(self, level: float, until: float) -> float:
        """When the loss, which only falls, is at `level`."""
        return float(brentq(lambda t: self.loss(t) - level, 0.0, until, xtol=1e-300, rtol=1e-14))
