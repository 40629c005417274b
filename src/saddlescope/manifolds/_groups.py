r"""Units in groups, up to the symmetry $u \to -u$: what copies and rays have in common."""

from collections.abc import Iterator

import equinox as eqx
import numpy as np

from ..units import Facts
from ._base import AbstractManifold


def _integers(labels) -> tuple[int, ...]:
    return tuple(int(label) for label in labels)


class AbstractGroups(AbstractManifold):
    r"""Units in groups of equals, in some sense, up to the symmetry of $\phi$.

    Where $\phi$ is even in $u$, $(u, v)$ and $(-u, v)$ are the same function; where it is odd, $(u, v)$ and $(-u, -v)$ are.

    **Arguments:**

    - `groups` [units]: a label from 0 for each unit, the same within a group; -1 for silent units, $(u, v) = 0$.
    - `signs` [units]: 1, or -1 for units that are to be turned by the symmetry before they are compared. All 1 if left out.

    **Raises:** `ValueError` if a label is below -1, a sign is not 1 or -1, or there are not as many signs as labels.
    """

    groups: tuple[int, ...] = eqx.field(static=True, converter=_integers)
    signs: tuple[int, ...] | None = eqx.field(
        static=True, default=None, converter=lambda signs: None if signs is None else _integers(signs)
    )

    def __check_init__(self):
        if min(self.groups, default=0) < -1:
            raise ValueError(
                f"{type(self).__name__} needs labels from 0, or -1 for silent units: found {min(self.groups)} in groups="
                f"{self.groups}."
            )
        if self.signs is not None and (len(self.signs) != len(self.groups) or not set(self.signs) <= {-1, 1}):
            raise ValueError(
                f"{type(self).__name__} needs a sign, 1 or -1, for each of {len(self.groups)} labels: found signs={self.signs}."
            )

    def misfit(self, units: int) -> str | None:
        if len(self.groups) == units:
            return None
        return f"{len(self.groups)} labels need as many units, this layer has {units}. Label every unit, alone where it is free."

    def refuses(self, facts: Facts) -> str | None:
        if -1 in self.groups and not facts.silent:
            return "a silent unit stays silent only where phi(x; 0) = 0, which this phi is not. Give it a label of its own."
        if self.signs is not None and -1 in self.signs and facts.parity == "none":
            return "a sign of -1 needs phi odd or even in u, and this phi is neither. Leave the signs out."
        return None

    def members(self) -> Iterator[np.ndarray]:
        """The indices of the units of each group, silent ones left out."""
        labels = np.array(self.groups, int)
        for label in np.unique(labels[labels >= 0]):
            yield np.flatnonzero(labels == label)

    def turned(self, theta: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        """Rows with the units of sign -1 turned; twice is the identity."""
        if self.signs is None:
            return theta
        signs = np.array(self.signs, np.float64)[:, None]
        # even: u alone turns; odd: u and v
        return np.hstack([signs * theta[:, :inputs], (signs if facts.parity == "odd" else 1.0) * theta[:, inputs:]])
