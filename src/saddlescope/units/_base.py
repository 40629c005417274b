r"""What a unit is: a formula $\phi(x; u)$ and the facts about it that decide everything downstream.

A hidden neuron, a convolutional kernel and an attention head are all units: a layer computes
$f(x) = \sum_i \phi(x; u_i)\, v_i$. Which embeddings apply, which manifolds are invariant and whether timescales
separate between directions or between units follows from the facts, never from the name of the unit.
"""

import abc
from typing import ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Dims = dict[str, int]

#: Up to so many inputs slices are faster than looking products up one by one, which costs more still in the gradient (measured 2.7 times for 5 inputs).
FEW = 8


class Facts(NamedTuple):
    """What is true of $\\phi(x; u)$ as a function of $u$; held to the formula by one shared test.

    - `degree`: $\\phi(x; gu) = g^{degree} \\phi(x; u)$ for $g > 0$; None if there is no such number.
    - `linear`: $\\phi$ is linear in $u$.
    - `silent`: $\\phi(x; 0) = 0$.
    - `order`: the leading order in $u$ at $u = 0$.
    - `parity`: "odd" or "even" under $u \\to -u$, or "none".
    - `kinks`: $\\phi$ is piecewise linear in $u$, with kinks where a row of `kink_rows(x)` is orthogonal to $u$.
    """

    degree: int | None
    linear: bool
    silent: bool
    order: int
    parity: Literal["odd", "even", "none"]
    kinks: bool


class AbstractUnit(eqx.Module):
    r"""$\phi(x; u)$, one unit.

    **What a newcomer must write:** the formula `__call__(x, u) -> [features]`, the facts (`degree`, `linear`, `silent`,
    `order`, `parity`; see `Facts`), and `schema`, which names the arrays of one unit. For a neuron,
    `AbstractNeuron` asks for the activation and the facts alone. Everything else then works: simulation, stages,
    effective width, records and figures.

    **Worth writing** where it exists: `psi_name`, `psi` and `lift` with $\phi(x; u) = \psi(x)\, m(u)$, because squared loss then
    needs only second moments of $\psi$ (the cost no longer depends on the number of samples); `kink_rows` for a
    piecewise linear unit, because the flow can then follow its kinks exactly.
    """

    degree: eqx.AbstractVar[int | None]
    linear: eqx.AbstractVar[bool]
    silent: eqx.AbstractVar[bool]
    order: eqx.AbstractVar[int]
    parity: eqx.AbstractVar[Literal["odd", "even", "none"]]

    #: What one x is: "vectors" [inputs], "signals" [length], "tokens" [tokens, embedding] or "cubic" [2, inputs].
    form: ClassVar[str] = "vectors"

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."], u: Float[Array, " weights"]) -> Float[Array, " features"]:
        r"""$\phi(x; u)$ for one input and one unit."""

    @abc.abstractmethod
    def schema(self, x_shape: tuple[int, ...], outputs: int) -> dict[str, Dims]:
        """Names and dimensions of one unit's arrays, as in an init file; the last is v, the others make up u.

        Raises `ValueError` where an input of this shape makes no sense.
        """

    @property
    def kinks(self) -> bool:
        return False

    @property
    def facts(self) -> Facts:
        return Facts(self.degree, self.linear, self.silent, self.order, self.parity, self.kinks)

    @property
    def psi_name(self) -> str | None:
        r"""The name of $\psi$ where $\phi(x; u) = \psi(x)\, m(u)$, otherwise None."""
        return None

    def psi(self, x: Float[Array, "..."]) -> Float[Array, "features psi"]:
        raise NotImplementedError(f"{type(self).__name__} declares no psi.")

    def lift(self, u: Float[Array, " weights"]) -> Float[Array, " psi"]:
        r"""$m(u)$."""
        raise NotImplementedError(f"{type(self).__name__} declares no psi.")

    def kink_rows(self, x: Float[Array, "..."]) -> Float[Array, "features weights"]:
        r"""The rows $x_f$ with $\phi_f = $ slope $\times\, x_f \cdot u$, slope `kink_slopes[0]` or `[1]` by the sign of $x_f \cdot u$."""
        raise NotImplementedError(f"{type(self).__name__} declares no kinks.")

    def inner_rank(self, u: np.ndarray, tau: float) -> int | None:
        """Rank, up to a relative tau, of the bilinear form that a unit is made of; None where it is none of higher rank."""
        return None

    @property
    def kink_slopes(self) -> tuple[float, float]:
        return (0.0, 1.0)


class AbstractNeuron(AbstractUnit):
    r"""A neuron, $\phi(x; u) = \sigma(u \cdot x)$, one feature.

    **What a newcomer must write:** `activation`, and the facts as class variables.
    """

    @abc.abstractmethod
    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        r"""$\sigma(z)$, elementwise."""

    def __call__(self, x: Float[Array, " inputs"], u: Float[Array, " inputs"]) -> Float[Array, " 1"]:
        return self.activation(jnp.dot(x, u))[None]

    def schema(self, x_shape: tuple[int, ...], outputs: int) -> dict[str, Dims]:
        if len(x_shape) != 1:
            raise ValueError(
                f"A neuron takes inputs of shape [inputs]: the task gives {list(x_shape)} for one sample. Flatten x to "
                "[samples, inputs], or choose the architecture that fits it."
            )
        return {"u": {"inputs": x_shape[0]}, "v": {"outputs": outputs}}


def outer_features(x: Float[Array, " inputs"]) -> Float[Array, " pairs"]:
    """$x_a x_b$ for $a \\le b$, in the order of `numpy.triu_indices`: the moments that quadratic units need."""
    rows, columns = np.triu_indices(x.shape[0])  # NumPy's: known when compiling, not computed at every call
    return x[rows] * x[columns]


def outer_weights(u: Float[Array, " inputs"]) -> Float[Array, " pairs"]:
    """$m(u)$ with $m(u) \\cdot$ `outer_features(x)` $= (u \\cdot x)^2$: off-diagonal products count twice."""
    size = u.shape[0]
    if size <= FEW:
        once = np.where(np.arange(size) == 0, 1.0, 2.0)
        return jnp.concatenate([u[a] * u[a:] * once[: size - a] for a in range(size)])
    rows, columns = np.triu_indices(size)
    return np.where(rows == columns, 1.0, 2.0) * u[rows] * u[columns]


def features(
    unit: AbstractUnit, x: Float[Array, "..."], u: Float[Array, "units weights"]
) -> Float[Array, "units features"]:
    r"""$\phi(x; u_i)$ for every unit and one input."""
    return jax.vmap(unit, in_axes=(None, 0))(x, u)
