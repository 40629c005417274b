"""How often `find_plateaus` sees a plateau where there is none, and whether its constants decide what it sees.

Run as `python benchmarks/plateau_nulls.py` (`--seeds N`, default 200) to print the two tables of docs/plateaus.md. The
nulls are series without a plateau, drawn with a seed; the staircases have as many as they have modes, and are sampled
as sparsely as a record of a run may be.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from saddlescope.series import PlateauConstants, find_plateaus

Series = tuple[np.ndarray, np.ndarray, np.ndarray]  # t, loss, speed


# ---------------------------------------------------------------------------------------------------- staircases


def linear_modes(t: np.ndarray, rates, inverse_variances, starts) -> Series:
    """The exact flow of a two-layer linear network from aligned, balanced weights.

    Mode k: a' = 2 a (s - lam a), loss lam/2 (s/lam - a)^2, |grad|^2 = 2 a (s - lam a)^2; its height before it is
    learned is s^2 / (2 lam). **Arguments:** `rates` s, `inverse_variances` lam, `starts` a(0), one each a mode.
    """
    loss, squared_speed = np.zeros_like(t), np.zeros_like(t)
    for s, lam, start in zip(rates, inverse_variances, starts, strict=True):
        with np.errstate(over="ignore", under="ignore"):
            left = 1 / (1 + np.exp(2 * s * t - np.log(s / (lam * start) - 1)))  # 1 - lam a / s
            learned = 1 / (1 + np.exp(np.log(s / (lam * start) - 1) - 2 * s * t))
        loss += s**2 / (2 * lam) * left**2
        squared_speed += 2 * (s / lam) * learned * (s * left) ** 2
    return t, loss, np.sqrt(squared_speed)


def sparse_times(curve: Callable[[np.ndarray], Series], end: float, *, decades=0.3, loss_error=1e-4) -> np.ndarray:
    """As few times as a record may have: log10(speed) moves by at most `decades` a sample, and a line through the
    losses is within `loss_error` x the first loss."""
    fine = np.linspace(0.0, end, 400_001)
    t, loss, speed = curve(fine)
    bend = np.abs(np.gradient(np.gradient(loss, t), t)) / (8 * loss_error * loss[0])
    # with bend h^2 = 1 a line is off by loss_error; 1/40: a step of the solver is never longer than that part of the run
    density = np.abs(np.gradient(np.log10(speed), t)) / decades + np.sqrt(bend) + 40 / end
    passed = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, passed[-1], int(passed[-1]) + 2), passed, fine)


def staircase(rates, inverse_variances, start: float, *, tail: float = 1.3) -> Series:
    """Sparse exact series of a linear network whose modes all start at `start`; ends at `tail` x the last half-rise."""

    def curve(t):
        return linear_modes(t, rates, inverse_variances, np.full(len(rates), start))

    slowest = min(rates)
    return curve(sparse_times(curve, tail * np.log(1 / start) / (2 * slowest) + 6 / slowest))


# every plateau of these has a persistence of 0.39 decades or more, so that no constant halved or doubled is near it
STAIRCASES: dict[str, tuple[Series, int]] = {
    **{f"two modes, a0 = 1e-{d}": (staircase((1.0, 0.3), (1.0, 1.0), 10.0**-d), 2) for d in (4, 6, 8, 10, 12)},
    "three modes, a0 = 1e-8": (staircase((2.0, 0.8, 0.3), (1.0, 0.7, 0.4), 1e-8), 3),
    "four modes, a0 = 1e-10": (staircase((4.0, 2.0, 0.8, 0.3), (1.0, 1.0, 1.0, 1.0), 1e-10), 4),
}


# ---------------------------------------------------------------------------------------------------------- nulls


def _times(rng, end: float) -> np.ndarray:
    """Evenly spaced, geometric or random times from 0 to `end`, 200 to 2000 of them."""
    count = int(rng.integers(200, 2000))
    return (
        np.linspace(0, end, count),
        np.concatenate([[0.0], np.geomspace(end * 1e-6, end, count - 1)]),
        np.sort(np.concatenate([[0.0, end], rng.uniform(0, end, count - 2)])),
    )[rng.integers(3)]


def _sum_of_exponentials(rng, count: int, t=None) -> Series:
    rates = 10 ** rng.uniform(-1, 1, count)
    heights = rng.uniform(0.1, 1, count)
    t = _times(rng, 20 / rates.min()) if t is None else t
    terms = np.exp(-2 * rates * t[:, None])
    return t, terms @ heights, np.sqrt(terms @ (2 * rates * heights))


def exponential(rng) -> Series:
    """One exponential decay, down to the rounding of the loss."""
    return _sum_of_exponentials(rng, 1)


def exponentials(rng) -> Series:
    """Two to eight exponentials with rates over two decades."""
    return _sum_of_exponentials(rng, int(rng.integers(2, 9)))


def power_law(rng) -> Series:
    """(1 + t)^-p, p from 0.2 to 3, over 1 to 1e6 times."""
    p = rng.uniform(0.2, 3)
    t = _times(rng, 10 ** rng.uniform(0, 6))
    return t, (1 + t) ** -p, np.sqrt(p * (1 + t) ** (-p - 1))


def learning_rate_steps(rng) -> Series:
    """Exponentials against steps, the learning rate divided or multiplied several times on the way."""
    steps = np.arange(int(rng.integers(300, 2000)), dtype=float)
    changes = np.sort(rng.choice(steps.size - 20, int(rng.integers(1, 5)), replace=False) + 10)
    factors = np.concatenate([[1.0], rng.choice([0.1, 0.3, 0.5, 2.0, 3.0], changes.size)])
    rate = np.cumprod(factors)[np.searchsorted(changes, steps, side="right")]
    learned = np.concatenate([[0.0], np.cumsum(rate)[:-1]])
    _, loss, speed = _sum_of_exponentials(rng, 3, learned * 10 / learned[-1])
    # half the logs record |grad|, half the root of the fall per step
    return steps, loss, speed * np.sqrt(rate) if rng.integers(2) else speed


def white_noise(rng) -> Series:
    """A constant loss and speed, each with white noise of 0.01 % to 10 %."""
    count = int(rng.integers(200, 5000))
    noise = 10 ** rng.uniform(-4, -1)
    speed = np.abs(1 + noise * rng.standard_normal(count))
    return np.arange(count, dtype=float), 1 + noise * rng.standard_normal(count), speed


def small_white_speed(rng) -> Series:
    """A constant loss with white noise; the speed is the length of a white vector of 1 to 20 entries."""
    count = int(rng.integers(200, 5000))
    speed = np.linalg.norm(rng.standard_normal((count, int(rng.integers(1, 21)))), axis=1)
    return np.arange(count, dtype=float), 1 + 1e-3 * rng.standard_normal(count), speed


def noisy_decay(rng) -> Series:
    """Exponentials; loss with white noise, speed with noise both in proportion and added."""
    t, loss, speed = _sum_of_exponentials(rng, int(rng.integers(1, 5)))
    noise = 10 ** rng.uniform(-4, -1)
    speed = speed * np.exp(noise * rng.standard_normal(t.size))
    return (
        t,
        loss + noise * loss[0] * rng.standard_normal(t.size),
        np.abs(speed + noise * speed[0] * rng.standard_normal(t.size)),
    )


def noisy_gradient_on_a_clean_loss(rng) -> Series:
    """Exponentials with an exact loss, and a speed with noise in proportion only."""
    t, loss, speed = _sum_of_exponentials(rng, int(rng.integers(1, 5)))
    return t, loss, speed * np.exp(10 ** rng.uniform(-4, -1) * rng.standard_normal(t.size))


def converged_tail(rng) -> Series:
    """Exponentials that end on a floor of 1e-11: hundreds of false minima, all at the final loss."""
    t, loss, speed = _sum_of_exponentials(rng, int(rng.integers(1, 5)))
    more = int(rng.integers(300, 1500))
    t = np.concatenate([t, t[-1] + np.arange(1, more + 1) * (t[-1] - t[-2])])
    loss = np.concatenate([loss, np.full(more, loss[-1])]) + 0.3
    floor = 1e-11 * 10 ** (0.7 * rng.standard_normal(t.size))
    return t, loss + 2e-16 * rng.standard_normal(t.size), np.hypot(np.concatenate([speed, np.zeros(more)]), floor)


def relu_kinks(rng) -> Series:
    """A decay whose speed jumps up or down by 5 % to a factor 3 at 1 to 12 kinks, its loss continuous.

    Each piece decays exponentially; a kink is an event (duplicated time) or crossed by a step of 1e-9 to 1e-6 between
    short ones, as a solver with error control does.
    """
    end, kinks = 10.0, int(rng.integers(1, 13))
    times = np.sort(rng.uniform(0.02, 0.9, kinks)) * end
    ups = rng.uniform(np.log10(1.05), np.log10(3), kinks) * rng.choice([-1, 1, 1], kinks)
    pieces, log_speed, start = [], 0.0, 0.0
    for stop, jump in zip([*times, end], [*ups, 0.0], strict=True):
        tiny = (stop - start) * 10 ** rng.uniform(-9, -6)
        located = rng.integers(2)
        near = np.concatenate([[0.0 if located else 0.5], np.geomspace(1, 1e5, 8)]) * tiny
        away = np.linspace(0, stop - start, int(rng.integers(4, 40)))[1:-1]
        t = np.minimum(start + np.unique(np.concatenate([near, away[away > near[-1]], stop - start - near])), stop)
        slope = rng.uniform(0.2, 1.5)  # decades per unit of time
        pieces.append((t, log_speed - slope * (t - start), slope))
        log_speed = pieces[-1][1][-1] + jump
        start = stop
    t = np.concatenate([p[0] for p in pieces])
    log = np.concatenate([p[1] for p in pieces])
    rate = np.concatenate([np.full(p[0].size, 2 * np.log(10) * p[2]) for p in pieces])
    # exact within a piece; across the tiny step between two pieces a line is
    fall = -np.diff(10 ** (2 * log)) / rate[1:]
    first = np.cumsum([p[0].size for p in pieces])[:-1]
    fall[first - 1] = 10 ** (2 * log[first - 1]) * np.diff(t)[first - 1]
    loss = 0.1 + np.concatenate([np.cumsum(fall[::-1])[::-1], [0.0]])
    return t, loss, 10**log


def hundred_kinks(rng) -> Series:
    """`relu_kinks` is sparse; here 100 kinks up of 5 to 15 % along a decay, all located."""
    times = np.sort(rng.uniform(0, 10, 100))
    t = np.sort(np.concatenate([np.linspace(0, 10, 300), times, times]))
    jumps = rng.uniform(np.log10(1.05), np.log10(1.15), 100)
    passed = np.searchsorted(times, t, side="left")
    passed[1:] += (np.diff(t) == 0) & np.isin(t[1:], times)
    log = -0.5 * t + np.concatenate([[0.0], np.cumsum(jumps)])[passed]
    squared = 10 ** (2 * log)
    fall = np.diff(t) * (squared[1:] + squared[:-1]) / 2
    return t, np.concatenate([np.cumsum(fall[::-1])[::-1], [0.0]]), 10**log


def sliding(rng) -> Series:
    """Exponentials, their speed flickering up by 5 % to a factor 3 for one to three samples at a time.

    So does |grad L| of a ReLU network that slides along a kink: the loss follows neither branch, but falls smoothly.
    """
    t, loss, speed = _sum_of_exponentials(rng, int(rng.integers(1, 5)))
    up = np.zeros(t.size)
    for start in np.flatnonzero(rng.uniform(size=t.size) < rng.uniform(0.02, 0.2)):
        up[start : start + int(rng.integers(1, 4))] = rng.uniform(np.log10(1.05), np.log10(3))
    return t, loss, speed * 10**up


def correlated_noise(rng) -> Series:
    """Constants with noise of correlation 0.9 from one sample to the next, 1 % of the loss and 10 % of the speed."""
    noise = rng.standard_normal((2, 3000))
    for i in range(1, noise.shape[1]):
        noise[:, i] = 0.9 * noise[:, i - 1] + np.sqrt(1 - 0.9**2) * noise[:, i]
    return np.arange(3000.0), 1 + 0.01 * noise[0], np.exp(0.1 * noise[1])


NULLS: dict[str, Callable[[np.random.Generator], Series]] = {
    null.__name__: null
    for null in (
        exponential,
        exponentials,
        power_law,
        learning_rate_steps,
        white_noise,
        small_white_speed,
        noisy_decay,
        noisy_gradient_on_a_clean_loss,
        converged_tail,
        relu_kinks,
        hundred_kinks,
        sliding,
    )
}
# a null that the definition is not made for
BEYOND = {"correlated_noise": correlated_noise}


def count_false(null: Callable, seeds: int, constants: PlateauConstants | None = None) -> int:
    """Of `seeds` series, those in which a plateau is seen."""
    constants = constants or PlateauConstants()
    return sum(bool(find_plateaus(*null(np.random.default_rng(seed)), constants)) for seed in range(seeds))


def variations() -> dict[str, PlateauConstants]:
    """Each constant that decides, halved and doubled."""
    names = ("persistence", "loss_difference", "start_ratio", "noise_factor", "kink_jump", "kink_ratio")
    usual = PlateauConstants()
    return {
        f"{name} x {factor:g}": replace(usual, **{name: factor * getattr(usual, name)})
        for name in names
        for factor in (0.5, 2.0)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="series drawn of each null")
    seeds = parser.parse_args().seeds
    varied = {"as they are": PlateauConstants(), **variations()}
    print(f"| null | series with a plateau, of {seeds} |\n|---|---|")
    for name, null in {**NULLS, **BEYOND}.items():
        print(f"| {name} | {count_false(null, seeds)} |")
    print("\n| constants | staircases changed | false, all nulls |\n|---|---|---|")
    usual = {name: find_plateaus(*series) for name, (series, _) in STAIRCASES.items()}
    for name, constants in varied.items():
        changed = sum(find_plateaus(*series, constants) != usual[key] for key, (series, _) in STAIRCASES.items())
        false = sum(count_false(null, seeds, constants) for null in NULLS.values())
        print(f"| {name} | {changed} of {len(STAIRCASES)} | {false} of {seeds * len(NULLS)} |")


if __name__ == "__main__":
    main()
