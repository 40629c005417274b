r"""Many motions of one shape in one compiled call.

On a CPU the members are followed one after another inside the call, each with its own steps: side by side (vmap) every member would wait for the slowest, and pay
for the samples of all. On an accelerator they run side by side. Either way a member takes the steps that it would take alone.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax import lax
from jaxtyping import PyTree

from ._base import AbstractField
from .driver import Program, by_size, first_state, run_segment
from .state import Controls, Segment, State


def shape_of(field: AbstractField, y: np.ndarray) -> tuple:
    """What motions must share to be followed in one call: structure and shapes, hashable."""
    leaves, structure = jax.tree.flatten(field)
    return structure, tuple(np.shape(leaf) for leaf in leaves), np.shape(y)


def start_many(fields: Sequence[AbstractField], ys: Sequence[np.ndarray], controls: Sequence[Controls]) -> list[State]:
    """`start` for every member."""
    with jax.enable_x64(True):
        states = _start_many(fields[0])(*_stacked((list(fields), list(ys), [c.packed() for c in controls])))
        return [State.of(packed) for packed in _members(states, len(fields))]


def advance_many(
    fields: Sequence[AbstractField], states: Sequence[State], controls: Sequence[Controls], program: Program
) -> list[tuple[State, Segment]]:
    """`advance` for every member; all of them are due for the same program."""
    with jax.enable_x64(True):
        parts = (list(fields), [s.packed() for s in states], [c.packed() for c in controls])
        out = _members(_advance_many(fields[0])(*_stacked(parts), program), len(fields))
        return [(State.of(packed), Segment.of(*written)) for packed, *written in out]


def _first_of_many(fields: PyTree, ys: PyTree, controls: PyTree) -> PyTree:
    def first(member):
        field, y, asked = member
        return first_state(field, y, Controls.of(asked)).packed()

    return _mapped(first, (fields, ys, controls))


def _segments_of_many(fields: PyTree, states: PyTree, controls: PyTree, program: Program) -> PyTree:
    return _mapped(lambda member: run_segment(*member, program), (fields, states, controls))


_start_many = by_size(_first_of_many)
_advance_many = by_size(_segments_of_many, static_argnames="program")


def _mapped(function, members: PyTree) -> PyTree:
    if jax.default_backend() == "cpu":
        return lax.map(function, members)
    return jax.vmap(function)(members)


def _stacked(parts: tuple[list, ...]) -> list[PyTree]:
    return [jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *part) for part in parts]


def _members(stacked: PyTree, count: int) -> list:
    leaves, structure = jax.tree.flatten(stacked)
    arrays = [np.asarray(leaf) for leaf in leaves]
    return [jax.tree.unflatten(structure, [a[i] for a in arrays]) for i in range(count)]
