r"""A map on patches to learn: the task on which linear and ReLU kernels rest on the same plateaus.

Each input has one positive entry, in one patch. A positive entry passes a ReLU kernel's coordinate or does not,
whatever its size, so for both kernels the loss is a sum over the entries of one matrix, $L = \tfrac12\sum_{kp}
\lambda_k (M^*_{kp} - \sum_i v_{ip}\,\phi(u_{ik}))^2$, with plateaus at $\tfrac12 \sum_{j>k} s_j^2/\lambda_j$.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from . import _keys
from ._base import AbstractTask, Samples


@dataclass(frozen=True, kw_only=True)
class ConvolutionalTeacher(AbstractTask):
    r"""$y = \langle M^*, \text{patches of } x\rangle$, $M^* = \sum_k (s_k/\lambda_k)\, e_k g_k^\top$, no overlap.

    The inputs are $x = \sqrt{n\lambda_k}\; e_{pk}$ for every position p and kernel coordinate k, positions first, n =
    kernel_size x positions in all; hence $\mathbb E\,x_{pk}x_{p'k'} = \lambda_k\delta_{pp'}\delta_{kk'}$. The $g_k$ are
    unit vectors: mode k is read at position k (and, once positions run out, at the next output). The default has losses
    1, 0.4, 0, with rates 1.549 and 0.632 far enough apart to show a plateau.

    **Arguments:**

    - `kernel_size`: length of a patch; the network needs this kernel_size, and stride equal to it.
    - `positions`: number of patches.
    - `singular_values`: s, from 0 up, at most kernel_size and at most positions x outputs.
    - `input_eigenvalues`: lambda, above 0, one a kernel coordinate.
    - `outputs`: number of outputs.
    - `opposite`: both modes share one readout over all positions, with opposite signs: $g_1 = -g_2$. Then no ReLU kernel can
        serve two modes, and kernels gather on one ray a mode; otherwise those with two positive coordinates carry both.
        Needs two modes and one output. A linear network sees a single mode there.

    **Shapes:** x `[n, kernel_size x positions]`, y `[n, outputs]`.

    **Holds** exactly: nothing is random.

    **Raises:** `ValueError` for keys that do not fit together.
    """

    kind: ClassVar[str] = "convolutional_teacher"
    forms: ClassVar[tuple[str, ...]] = ("signals", "vectors")

    kernel_size: int = 2
    positions: int = 2
    singular_values: tuple[float, ...] = (math.sqrt(1.2 * 2.0), math.sqrt(0.8 * 0.5))
    input_eigenvalues: tuple[float, ...] = (2.0, 0.5)
    outputs: int = 1
    opposite: bool = False

    def __post_init__(self):
        kind = self.kind
        resolved = {
            "kernel_size": _keys.integer(kind, "kernel_size", self.kernel_size),
            "positions": _keys.integer(kind, "positions", self.positions),
            "singular_values": _keys.row(kind, "singular_values", self.singular_values),
            "input_eigenvalues": _keys.row(kind, "input_eigenvalues", self.input_eigenvalues, positive=True),
            "outputs": _keys.integer(kind, "outputs", self.outputs),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        modes, readouts = len(self.singular_values), self.positions * self.outputs
        if len(self.input_eigenvalues) != self.kernel_size:
            needs = f"{self.kernel_size} numbers, one a kernel coordinate"
            _keys.refuse(
                kind, "input_eigenvalues", needs, len(self.input_eigenvalues), "write it out, or change kernel_size"
            )
        if modes > min(self.kernel_size, readouts):
            needs = f"at most {self.kernel_size} (kernel_size) and {readouts} (positions x outputs) numbers"
            _keys.refuse(kind, "singular_values", needs, modes, "give fewer, or a larger kernel or more positions")
        if self.opposite and (modes != 2 or self.outputs != 1):
            _keys.refuse(kind, "opposite", "two singular_values and one output", modes, "leave it out")

    def build(self, form: str) -> Samples:
        kernel, positions, outputs = self.kernel_size, self.positions, self.outputs
        lam = np.array(self.input_eigenvalues)
        teacher = np.zeros((kernel, positions, outputs))
        for k, s in enumerate(self.singular_values):
            teacher[k, k % positions, k // positions] = s / lam[k]
        if self.opposite:
            signs = np.array([1.0, -1.0]) * np.array(self.singular_values) / lam[:2]
            teacher[:2, :, 0] = signs[:, None] / np.sqrt(positions)
        n = kernel * positions
        x = np.diag(np.sqrt(n * np.tile(lam, positions)))
        return Samples(x, x @ teacher.transpose(1, 0, 2).reshape(n, outputs))
