r"""Silent units: what says nothing learns nothing."""

import equinox as eqx
import numpy as np

from ..units import Facts
from ._base import AbstractManifold


class Active(AbstractManifold):
    r"""Only the units in `kept` are active (Theorem 3, silent units; one unit less is all but one).

    $$u_i = 0, \quad v_i = 0 \qquad (i \text{ not kept}), \qquad d^2 = \sum_{i \text{ not kept}} |\theta_i|^2 .$$

    A silent unit has $\nabla_{v_i} = E[\phi(x; 0) \cdots] = 0$ and $\nabla_{u_i} = v_i^\top \cdots = 0$.

    **Arguments:**

    - `kept` [units]: True for units that are free.
    - `outputs`: whether output weights of silent units have to be zero too. Without it, $u_i = 0$ is the whole condition, which needs $\phi$ of order 2 or
        more in $u$, so that $\nabla_{u_i}$ vanishes because $\partial_u \phi(x; 0)$ does.

    **Holds** exactly, to rounding, where $\phi(x; 0) = 0$. `outputs=False` is refused below order 2: linear and tanh units with $u = 0$, $v \neq 0$ move at once, and
    a ReLU stays only by the convention $\phi'(0) = 0$, which no neighbouring weights share (for $|z|$ JAX takes the slope 1, and it moves). A linear subspace, so `nearest` is exact and unique.
    """

    kept: tuple[bool, ...] = eqx.field(static=True, converter=lambda kept: tuple(bool(k) for k in kept))
    outputs: bool = eqx.field(static=True, default=True)

    def misfit(self, units: int) -> str | None:
        if len(self.kept) == units:
            return None
        return f"kept names {len(self.kept)} units, this layer has {units}. Say True or False for every unit."

    def refuses(self, facts: Facts) -> str | None:
        if not facts.silent:
            return (
                "a silent unit stays silent only where phi(x; 0) = 0, which this phi is not. Copies holds for any phi."
            )
        if not self.outputs and facts.order < 2:
            return (
                f"silent units with output weights stay silent only where phi is of order 2 or more in u: this one is of order "
                f"{facts.order}"
                + (", and would stay only by a convention for the slope in its kink" if facts.kinks else "")
                + ". Take outputs=True."
            )
        return None

    def project(self, theta: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        point = theta.copy()
        point[~np.array(self.kept, bool), : None if self.outputs else inputs] = 0.0
        return point

    def normal_part(self, point: np.ndarray, flow: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        return flow - self.project(flow, inputs, facts)
