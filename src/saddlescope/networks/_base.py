r"""What a network is to everything downstream: a function of one input, named arrays of weights, and lenses on its layers."""

import abc
from typing import TYPE_CHECKING

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ..units import AbstractUnit, Facts

Arrays = dict[str, Array]
Dims = dict[str, int]


class AbstractNetwork(eqx.Module):
    r"""A function $f(x)$ of one input whose only array leaves are its weights.

    **What a newcomer must write:** `__call__`, `arrays` and `with_arrays` (the weights by the names of an init file), `dims`
    (their named dimensions), `lenses` (one for each hidden layer). Where $f$ is linear in a fixed $\psi(x)$: `psi_name`,
    `psi` and `from_psi`, and squared loss is compressed without loss.
    """

    if not TYPE_CHECKING:
        # methods as Python makes them: equinox makes a tree of each one that is looked up, which takes as long as ten gradients of a small network
        __getattribute__ = object.__getattribute__

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " outputs"]: ...

    @abc.abstractmethod
    def arrays(self) -> Arrays:
        """The weights by name, shaped as in an init file. First-layer names come first."""

    @abc.abstractmethod
    def with_arrays(self, arrays: Arrays) -> "AbstractNetwork":
        """The same network with other weights, of any matching width."""

    @abc.abstractmethod
    def dims(self) -> dict[str, Dims]:
        """Name and size of every dimension of every array in `arrays`."""

    @abc.abstractmethod
    def lenses(self) -> "tuple[AbstractLens, ...]":
        """A lens on each hidden layer, first layer first."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What this is, in a few words."""

    @property
    @abc.abstractmethod
    def form(self) -> str:
        """What one x is; see `AbstractUnit.form`."""

    @property
    def homogeneity(self) -> int | None:
        """Degree of f in all its weights together, to leading order at zero: how many small factors a product has."""
        return None

    @property
    def psi_name(self) -> str | None:
        return None

    def psi(self, x: Float[Array, "..."]) -> Float[Array, " psi"]:
        raise NotImplementedError(f"{type(self).__name__} is not linear in a fixed psi.")

    def from_psi(self, psi: Float[Array, " psi"]) -> Float[Array, " outputs"]:
        """f, from psi(x) in place of x."""
        raise NotImplementedError(f"{type(self).__name__} is not linear in a fixed psi.")

    def num_weights(self) -> int:
        return sum(int(np.size(a)) for a in self.arrays().values())


def require_lens(lens: object, asked: str) -> None:
    """Raises `ValueError` where something else than a lens is given."""
    if not isinstance(lens, AbstractLens):
        raise ValueError(
            f"{asked} needs a lens on one hidden layer: found a {type(lens).__name__}. network.lenses()[0] is that on the first."
        )


class AbstractLens(eqx.Module):
    """Shows a hidden layer of any model as units `(u, v)` with facts, and takes a changed pair back.

    **Laws** (tested): `put(*get())` is the same network; `put(u, v)` followed by `get` gives back `u, v`.
    """

    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__  # as there

    network: eqx.AbstractVar[AbstractNetwork]
    unit: eqx.AbstractVar[AbstractUnit]

    @abc.abstractmethod
    def get(self) -> tuple[Float[Array, "units weights"], Float[Array, "units features outputs"]]: ...

    @abc.abstractmethod
    def put(self, u: Float[Array, "units weights"], v: Float[Array, "units features outputs"]) -> AbstractNetwork: ...

    @abc.abstractmethod
    def of(self, network: AbstractNetwork) -> "AbstractLens":
        """The lens on the same layer of another network of this form, of any width."""

    @abc.abstractmethod
    def supports(self, change: str) -> str | None:
        """None where `change` ("width", "u", "v") can be expressed, otherwise the reason why it cannot."""

    @abc.abstractmethod
    def features(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "units features"]:
        """phi of every unit of this layer for one input of the whole network (or its psi, where `lifted`)."""

    @abc.abstractmethod
    def rows(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "features psi"]:
        """psi of this layer's units. Raises `NotImplementedError` where they have none."""

    @property
    def facts(self) -> Facts:
        return self.unit.facts

    @property
    def tied(self) -> str | None:
        """Why other weights hang on this layer's, so that its units cannot be embedded, or stay on a manifold, by themselves; None where they are free.

        `put` then gives a network in which these weights are untied: its function can be looked at, but it is not of the same kind.
        """
        return None

    @property
    def direct(self) -> bool:
        """Whether the network is the sum of phi v over these units, with nothing after it."""
        return False
