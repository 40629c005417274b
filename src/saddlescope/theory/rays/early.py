r"""The early phase of piecewise linear units on rays: each unit alone, in closed form.

While the network's output is still negligible, a unit sees only what a line of rays pulls at: $z_k' = b_k \zeta$ where $z_k > 0$, else 0, and
$\zeta' = \sum_{z_k > 0} b_k z_k$, with $\zeta = v \cdot g$. Between two kinks this is a hyperbolic function of time; a coordinate that reaches 0 stays there, because only
its own samples move it. So every unit settles after at most as many kinks as the line has rays, on rays of one sign, and then grows at the rate $|b_A|$ of the rays
$A$ that it is still active on.
"""

from typing import NamedTuple

import numpy as np


class Settled(NamedTuple):
    r"""Where units end on one line, and the start that would have led there without kinks.

    - `active` [units, members]: rays that the unit stays active on.
    - `z` [units, members], `readout` [units]: effective values at t = 0: those of the growing direction, traced back at its rate, and those that do not move. 0 where a
        kink is still to come when the early phase is cut off.
    - `growing` [units]: signed amplitude of the growing direction in them; its sign is that of the targets that the unit fits.
    - `rate` [units]: $|b_A|$.
    - `time` [units]: of the last kink.
    - `pending` [units]: whether a kink is still to come when the early phase is cut off.
    - `z_join` [units, members], `readout_join` [units]: what has to be added at that time: the shrinking direction, or all of a unit that is pending.
    """

    active: np.ndarray
    z: np.ndarray
    readout: np.ndarray
    growing: np.ndarray
    rate: np.ndarray
    time: np.ndarray
    pending: np.ndarray
    z_join: np.ndarray
    readout_join: np.ndarray


def settle(z: np.ndarray, readout: np.ndarray, pull: np.ndarray, until: float = np.inf) -> Settled:
    r"""The early phase of every unit on one line.

    **Arguments:** `z` [units, members], `readout` [units] ($\zeta$) at t = 0, `pull` [members] ($b$); `until`: when the early phase is cut off.

    **Holds** exactly for constant pulls: up to terms of the network's output over its target at the time of the last kink.
    """
    z, zeta = np.array(z, np.float64), np.array(readout, np.float64)
    active = z > 0
    time = np.zeros(len(z))
    moving = np.ones(len(z), bool)
    for _ in range(z.shape[1] + 1):
        rate, push = _rate_and_push(active, z, pull)
        kink, when = _next_kink(active, z, zeta, pull, rate, push)
        moving &= np.isfinite(when) & (time + np.where(np.isfinite(when), when, 0.0) <= until)
        if not np.any(moving):
            break
        at = np.flatnonzero(moving)
        z[at], zeta[at] = _move(active[at], z[at], zeta[at], pull, rate[at], push[at], when[at])
        time[at] += when[at]
        z[at, kink[at]], active[at, kink[at]] = 0.0, False
    rate, push = _rate_and_push(active, z, pull)
    safe = np.where(rate > 0, rate, 1.0)
    _, when = _next_kink(active, z, zeta, pull, rate, push)
    pending = np.isfinite(when)
    growing = np.where(rate > 0, (push / safe + zeta) / np.sqrt(2), 0.0)
    shrinking = np.where(rate > 0, (push / safe - zeta) / np.sqrt(2), 0.0)
    z_then, zeta_then = z, zeta
    with np.errstate(under="ignore", invalid="ignore"):
        effective = growing * np.exp(-rate * time)
        if np.isfinite(until):
            z_then, zeta_then = _move(active, z, zeta, pull, safe, push, np.where(rate > 0, until - time, 0.0))
        left = np.where(rate > 0, shrinking * np.exp(-rate * np.where(rate > 0, until - time, 0.0)), 0.0)
    along = np.where(active, pull, 0.0) / safe[:, None]
    still = np.where(active, z - along * (push / safe)[:, None], 0.0)
    there = pending[:, None]
    return Settled(
        active,
        np.where(there, 0.0, along * effective[:, None] / np.sqrt(2) + still),
        np.where(pending, 0.0, np.where(rate > 0, effective / np.sqrt(2), zeta)),
        np.where(pending, 0.0, effective),
        rate,
        time,
        pending,
        np.where(active, np.where(there, z_then, along * left[:, None] / np.sqrt(2)), 0.0),
        np.where(pending, zeta_then, -left / np.sqrt(2)),
    )


def _rate_and_push(active: np.ndarray, z: np.ndarray, pull: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = np.where(active, pull, 0.0)
    return np.linalg.norm(used, axis=1), np.sum(used * z, axis=1)


def _next_kink(active, z, zeta, pull, rate, push) -> tuple[np.ndarray, np.ndarray]:
    r"""The member that reaches 0 first and after how long; infinite where none does.

    $\int \zeta = \alpha e^{\sigma t} + \beta e^{-\sigma t} - \alpha - \beta$ has to reach $-z_k / b_k$: a quadratic equation for $e^{\sigma t}$, of which the smallest root above 1 counts.
    """
    safe = np.where(rate > 0, rate, 1.0)
    alpha = (0.5 * (zeta / safe + push / safe**2))[:, None]
    beta = (0.5 * (-zeta / safe + push / safe**2))[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        level = np.where(active, -z / pull, np.inf)
        middle = alpha + beta + level
        root = np.sqrt(np.where(middle**2 >= 4 * alpha * beta, middle**2 - 4 * alpha * beta, np.nan))
        larger = 0.5 * (middle + np.where(middle >= 0, root, -root))
        roots = np.stack([larger / alpha, beta / larger])
        elapsed = np.where(roots > 1, np.log(roots) / safe[:, None], np.inf)
    elapsed = np.where(active & (rate > 0)[:, None], np.min(elapsed, axis=0), np.inf)
    kink = np.argmin(elapsed, axis=1)
    return kink, elapsed[np.arange(len(z)), kink]


def _move(active, z, zeta, pull, rate, push, elapsed) -> tuple[np.ndarray, np.ndarray]:
    """z and zeta after a time without a kink."""
    grown, shrunk = np.expm1(rate * elapsed), np.expm1(-rate * elapsed)
    sinh, cosh_1 = 0.5 * (grown - shrunk), 0.5 * (grown + shrunk)
    integral = zeta * sinh / rate + push * cosh_1 / rate**2
    return np.where(active, z + pull * integral[:, None], z), zeta * (1 + cosh_1) + push * sinh / rate
