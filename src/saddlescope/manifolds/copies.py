r"""Equal units: what began as copies stays copies, whatever $\phi$ is."""

import numpy as np

from ..units import Facts
from ._groups import AbstractGroups


class Copies(AbstractGroups):
    r"""Units of a group are equal, up to a symmetry (Theorem 3, equal units; one unit less is one group of two).

    $$\theta_i = \pm\theta_j \;\; (i, j \text{ in a group}), \qquad \theta_i = 0 \;\; (i \text{ labelled } {-1}),$$

    with $\pm$ as `signs` and the parity of $\phi$ say: even $\phi$ turns $(u, v)$ to $(-u, v)$, odd $\phi$ to $(-u, -v)$. Equal units have equal gradients, and the
    symmetry carries gradients along. A group is best represented by its mean, after turning:

    $$d^2 = \sum_{\text{groups}} \sum_i |\theta_i - \bar\theta|^2 + \sum_{\text{silent}} |\theta_i|^2 .$$

    **Arguments:** `groups`, `signs`, as in `AbstractGroups`.

    **Holds** exactly, to rounding, for every $\phi$; signs of -1 for odd or even $\phi$, silent members where $\phi(x; 0) = 0$. A linear subspace, so `nearest` is exact and
    unique.
    """

    def project(self, theta: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        rows = self.turned(theta, inputs, facts)
        point = np.zeros_like(rows)
        for group in self.members():
            point[group] = np.mean(rows[group], axis=0)
        return self.turned(point, inputs, facts)

    def normal_part(self, point: np.ndarray, flow: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        return flow - self.project(flow, inputs, facts)
