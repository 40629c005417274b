r"""Many gradient flows: those of one shape share compiled calls, and every core has some to do.

Runs that differ in seed, scale or spectrum have the same shape. Each is followed exactly as it would be alone (`Motion`); what is shared is compilation and the
way in and out of compiled code. One that goes wrong ends by itself.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import numpy as np

from ..integrate import Program, advance_many, shape_of, start_many
from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS, ComputationError
from .motion import Motion
from .trajectory import Trajectory

Progress = Callable[[float | None, str], None]

#: Members of one compiled call: enough that entering it costs nothing, few enough that both cores are busy to the end.
CHUNK = 32
#: Buffers of one call take at most this much memory.
CALL_BYTES = 128 * 2**20


def gradient_flows(
    networks: Sequence[AbstractNetwork],
    objectives: Objective | Sequence[Objective],
    *,
    until: str | float | Sequence[float] = "settled",
    rtol: float = 1e-8,
    order: int = 8,
    stiff: bool | None = None,
    compress: bool = True,
    max_steps: int = 200_000,
    can_rest: Callable[[AbstractNetwork, Objective], bool] | None = None,
    loss_stop: float | Sequence[float] | None = None,
    keep_states: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Trajectory | Exception]:
    r"""`gradient_flow` from each of `networks`, in their order.

    **Arguments** as there, and:

    - `objectives`: one for all, or one each.
    - `until`, `loss_stop`: one for all, or one each.
    - `can_rest`: of a network and its objective.
    - `workers`: threads; as many as there are cores unless given.

    Returns a trajectory a member, whose `ended` and `result` say how it went; where a member could not start (weights of zero, a loss that is not finite), the
    `ValueError` that says why, in its place. A member equals the run alone to rounding of 64 bits (compilers may order sums differently).

    **Raises:** `ValueError` where the call itself makes no sense.
    """
    count = len(networks)
    each_objective = _each(objectives, count, "objectives")
    each_until, each_loss = _each(until, count, "until"), _each(loss_stop, count, "loss_stop")
    workers = workers or os.cpu_count() or 1
    found: list[Trajectory | Exception | None] = [None] * count
    motions: dict[int, Motion] = {}

    def made(i: int) -> Motion:
        with jax.enable_x64(True):
            objective = each_objective[i]
            return Motion(
                networks[i],
                objective,
                until=each_until[i],
                rtol=rtol,
                stiff=stiff,
                compress=compress,
                max_steps=max_steps,
                can_rest=None if can_rest is None else partial(_asked, can_rest, objective),
                loss_stop=each_loss[i],
                keep_states=keep_states,
            )

    for i in range(count):
        try:
            motions[i] = made(i)
        except ValueError as error:
            found[i] = error
    with ThreadPoolExecutor(workers) as pool:
        groups = defaultdict(list)
        for i, motion in motions.items():
            groups[shape_of(motion.field, motion.start)].append(i)
        sizes = {key: _size(len(group), motions[group[0]], workers) for key, group in groups.items()}
        begins = [item for key, group in groups.items() for item in _parts(group, sizes[key])]
        for members in pool.map(lambda item: _begun(motions, *item), begins):
            for i, error in members:
                if error is not None:
                    found[i] = error
                    del motions[i]
        done = count - len(motions)
        waiting = set(motions)
        while waiting:
            due = defaultdict(list)
            for i in waiting:
                motion = motions[i]
                if motion.ended is None:
                    program = Program.of(motion.state, order, motion.segment_steps, motion.stiff, keep_states)
                    due[(shape_of(motion.field, motion.start), program)].append(i)
            waiting = {i for group in due.values() for i in group}
            parts = [
                (program, *item) for (shape, program), group in due.items() for item in _parts(group, sizes[shape])
            ]
            for _ in pool.map(lambda item: _advanced(motions, *item), parts):
                pass
            if progress is not None:
                done = count - sum(1 for i in waiting if motions[i].ended is None)
                progress(done / count, f"{done} of {count} runs done")
    for i, motion in motions.items():
        found[i] = motion.trajectory(throw=False)
    return [ComputationError(RESULTS.nonfinite) if item is None else item for item in found]


def _asked(
    can_rest: Callable[[AbstractNetwork, Objective], bool], objective: Objective, network: AbstractNetwork
) -> bool:
    return can_rest(network, objective)


def _begun(motions: dict[int, Motion], part: list[int], size: int) -> list[tuple[int, ValueError | None]]:
    """Starts members of one shape; which could not, and why."""
    fields, ys, controls = [], [], []
    for i in part:
        fields.append(motions[i].field)
        ys.append(motions[i].start)
        controls.append(motions[i].first_controls())
    told: list[tuple[int, ValueError | None]] = []
    spare = size - len(part)
    states = start_many(fields + fields[:1] * spare, ys + ys[:1] * spare, controls + controls[:1] * spare)
    for i, state in zip(part, states[: len(part)], strict=True):
        try:
            motions[i].begin(state)
            told.append((i, None))
        except ValueError as error:
            told.append((i, error))
    return told


def _advanced(motions: dict[int, Motion], program: Program, part: list[int], size: int) -> None:
    """One segment of each of a part. The call is filled up with members that take no step, so that few sizes are compiled."""
    members = [motions[i] for i in part]
    fields, states, controls = [m.field for m in members], [m.state for m in members], [m.controls() for m in members]
    spare = size - len(part)
    idle = controls[0]._replace(steps=np.zeros((), np.int64))
    out = advance_many(fields + fields[:1] * spare, states + states[:1] * spare, controls + [idle] * spare, program)
    for motion, (state, segment) in zip(members, out[: len(part)], strict=True):
        motion.take(state, segment)


def _size(count: int, motion: Motion, workers: int) -> int:
    """Members of one call: up to CHUNK, a power of two so that few sizes are compiled, and so that every worker has a call where that is possible."""
    fit = max(1, CALL_BYTES // (8 * (motion.start.size + 32) * 256))
    return 2 ** int(np.log2(max(1, min(CHUNK, fit, -(-count // workers)))))


def _parts(group: Sequence[int], size: int) -> list[tuple[list[int], int]]:
    """A group cut into calls, each with its size: two sizes are compiled, that of full calls and an eighth of it for what is left over where that fills less than half of one."""
    rest, small, parts = sorted(group), max(1, size // 8), []
    while rest:
        take = size if len(rest) > size // 2 else small
        parts.append((rest[:take], take))
        rest = rest[take:]
    return parts


def _each(value, count: int, name: str) -> list:
    if isinstance(value, list | tuple | np.ndarray):
        if len(value) != count:
            raise ValueError(f"{name} needs one value, or one each of {count} networks: found {len(value)}.")
        return [v if isinstance(v, str | Objective) or v is None else float(v) for v in value]
    return [value] * count
