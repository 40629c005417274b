r"""Which method suits the motion now: judged by what a unit of time costs with each.

An explicit step cannot be longer than `reach` / (fastest rate); a Rosenbrock step costs more, by a factor that grows with the number of
weights. So the explicit method hands over where it has been pressed against its limit for a while, and the other hands back where its own steps, held by
accuracy, are not longer by that factor.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from ._base import AbstractMethod

#: An explicit step is pressed from this part of its stability limit on (the controller hovers at 0.8 to 1 of it).
PRESSED = 0.6
#: Pressed steps before a change (Hairer & Wanner, IV.2, take as many), before the first one (a short tail is not worth compiling another program), and
#: how far a change that did not pay raises that number.
PATIENCE, FIRST_PATIENCE, LONGEST_PATIENCE = 15, 60, 960
#: A change takes about so many stiff steps that are still too short; as much is spent on pressed steps before it, so that one that does not pay costs no
#: more than twice what was needed. (Measured on quadratic units and attention: 8 and more wait too long, and 0 changes to and fro.)
RUN_UP = 4
#: Stiff steps that are too short in a row before the explicit method takes over.
SHORT = 3
#: A step that is to be longer by this factor than the last is on its way: the first stiff steps are as short as explicit ones.
GROWING = 1.5
#: A change that is taken back within so many steps did not pay.
TRIAL = 12


def worth(num_weights: int) -> float:
    """About how many explicit steps a Rosenbrock step of so many weights costs, where a gradient costs little: timed 2.2, 5.5, 3.9 and 42 of them at 16, 60, 72 and 225 weights."""
    return 1.0 + num_weights / 25 + (num_weights / 38) ** 2


def shortest_patience(num_weights: int) -> int:
    """Pressed steps before a change that nothing speaks against."""
    return max(PATIENCE, round(RUN_UP * worth(num_weights)))


class Switch(NamedTuple):
    """What the choice of method remembers.

    - `stiff`: 1 while the Rosenbrock method is in use.
    - `evidence`: steps in a row that speak for a change.
    - `patience`: how many it takes to leave the explicit method.
    - `since`: accepted steps at the last change.
    """

    stiff: Array
    evidence: Array
    patience: Array
    since: Array

    @classmethod
    def start(cls, num_weights: int) -> "Switch":
        zero = jnp.zeros((), jnp.int64)
        return cls(zero, zero, zero + max(FIRST_PATIENCE, shortest_patience(num_weights)), zero)

    @classmethod
    def of(cls, packed: Int[Array, " 4"]) -> "Switch":
        return cls(*packed)

    def packed(self) -> Int[Array, " 4"]:
        return jnp.stack(self)

    def after(
        self, method: AbstractMethod, stretch: Array, h: Array, size: Array, reach: float, n: int, accepted: Array
    ) -> tuple["Switch", Array]:
        """After an accepted step of size h, with the next of size `size` proposed: the choice, and the next size.

        **Arguments:**

        - `stretch`: h times the fastest rate.
        - `reach`: of the explicit method.
        """
        one = jnp.ones((), jnp.int64)
        if method.reach < float("inf"):
            evidence = jnp.where(stretch > PRESSED * reach, self.evidence + 1, jnp.maximum(self.evidence - 1, 0))
            change = evidence >= self.patience
            changed = Switch(one, 0 * one, self.patience, accepted + 1)
        else:
            # what the next step would be worth to the explicit method; one that still grows as fast as it may does not say yet
            short = (stretch * size / h < worth(n) * reach) & (size < GROWING * h)
            evidence = jnp.where(short, self.evidence + 1, 0)
            change = evidence >= SHORT
            hasty = accepted - self.since < TRIAL
            doubled = jnp.minimum(2 * self.patience, LONGEST_PATIENCE)
            patience = jnp.where(hasty, doubled, shortest_patience(n))
            changed = Switch(0 * one, 0 * one, patience, accepted + 1)
            fits = 0.9 * reach * h / jnp.where(stretch > 0, stretch, reach)
            size = jnp.where(change, jnp.minimum(size, fits), size)
        kept = self._replace(evidence=evidence)
        return Switch(*(jnp.where(change, a, b) for a, b in zip(changed, kept, strict=True))), size
