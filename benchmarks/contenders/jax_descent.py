"""Gradient descent as one compiled scan in JAX: what is left of the usual loop when Python is taken out of it."""

import math
import time
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._base import AbstractContender, Reading, Solve

#: Steps compiled into one call: short ones for slow gradients, so that a deadline can be kept, long ones for fast.
BLOCKS = (16, 8192)
#: Gradients faster than this (seconds) take the long block.
FAST = 2e-4


class JaxDescent(AbstractContender):
    """`lax.scan` over steps, every loss kept."""

    name: ClassVar[str] = "JAX scan, gradient descent"
    descends: ClassVar[bool] = True

    def solver(self, problem, form: str) -> Solve:
        loss = problem.loss(form)

        @partial(jax.jit, static_argnums=2)
        def descend(y, rate, steps):
            def once(y, _):
                value, slope = jax.value_and_grad(loss)(y)
                return y - rate * slope, value

            return lax.scan(once, y, None, length=steps)

        start, block = problem.start(), None

        def solve(setting, until, levels, deadline=math.inf):
            nonlocal block
            with jax.enable_x64(True):
                if block is None:
                    block = BLOCKS[_seconds_a_step(descend, start, BLOCKS[0]) < FAST]
                y, rate, began = jnp.asarray(start), jnp.asarray(setting), time.monotonic()
                ends, done, total = Crossings(setting, levels), 0, int(np.ceil(until / setting)) + 1
                while done < total and not ends.complete and time.monotonic() - began < deadline:
                    y, losses = descend(y, rate, block)
                    losses = np.asarray(losses)
                    if not np.all(np.isfinite(losses)):
                        break
                    ends.see(done, losses)
                    done += block
            return Reading(ends.found, done, 0, done, 1.0 if ends.complete else done / total)

        return solve


class Crossings:
    """Reads the ends of stages from losses that arrive step by step, block by block; a line between two steps."""

    def __init__(self, rate: float, levels: np.ndarray):
        self.rate, self.levels = rate, levels
        self.found = np.full(len(levels), np.nan)
        self.last = np.inf

    @property
    def complete(self) -> bool:
        return not np.any(np.isnan(self.found))

    def see(self, first: int, losses: np.ndarray) -> None:
        """`losses` of steps first, first + 1, ..."""
        for i in np.flatnonzero(np.isnan(self.found)):
            below = losses < self.levels[i]
            if not np.any(below):
                continue
            k = int(np.argmax(below))
            before, after = (losses[k - 1] if k else self.last), losses[k]
            part = (before - self.levels[i]) / (before - after) if np.isfinite(before) else 1.0
            self.found[i] = (first + k - 1 + part) * self.rate
        self.last = losses[-1]


def _seconds_a_step(descend, start, steps: int) -> float:
    y = jnp.asarray(start)
    jax.block_until_ready(descend(y, 0.0, steps))
    began = time.perf_counter()
    jax.block_until_ready(descend(y, 0.0, steps))
    return (time.perf_counter() - began) / steps
