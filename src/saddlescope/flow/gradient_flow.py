r"""Gradient flow, $\dot\theta = -\nabla L$: with error control tied to the scale at which the weights start.

From small weights an absolute tolerance that is not small against them decides when a plateau ends (a loose one moves it by tens of percent
without a word), so atol follows each block's own initial size.
"""

from collections.abc import Callable

import jax
import numpy as np

from ..integrate import advance, start
from ..networks import AbstractNetwork
from ..objective import Objective
from .motion import Motion
from .trajectory import Trajectory

Progress = Callable[[float | None, str], None]

#: Numbers in data and network above which they are moved to the device before the first segment.
LARGE = 100_000


def gradient_flow(
    network: AbstractNetwork,
    objective: Objective,
    *,
    until: str | float = "converged",
    rtol: float = 1e-8,
    order: int = 8,
    stiff: bool | None = None,
    compress: bool = True,
    max_steps: int = 200_000,
    can_rest: Callable[[AbstractNetwork], bool] | None = None,
    loss_stop: float | None = None,
    keep_states: bool = True,
    progress: Progress | None = None,
    resume: dict[str, np.ndarray] | None = None,
    throw: bool = True,
) -> Trajectory:
    r"""Follows $\dot\theta = -\nabla L$ from the weights of `network`.

    **Arguments:**

    - `until`: "converged" (needs `can_rest`), "settled" (within 1e-6 L(0) of a lower bound of the loss; also stops where converged), or a time.
    - `rtol`: relative tolerance of a step, from 1e-13 to 1e-4. The absolute one is rtol times the initial root mean square of the
        weight's block.
    - `order`: of the explicit method, 8 or 5.
    - `stiff`: whether long plateaus may be crossed with a Rosenbrock method, which takes a dense Hessian a step. None allows it up to
        400 weights, where no kinks are followed.
    - `compress`: whether to leave out units that the flow need not carry (see `compression`): the result is that of all units, without the rounding by which
        they would leave an exact symmetry.
    - `max_steps`: accepted steps.
    - `can_rest`: whether the flow can rest at a network: a claim about escape, made by `fixed_points.certify`.
    - `loss_stop`: stop after the first step at or below this loss.
    - `keep_states`: whether to keep more states than the first and last.
    - `progress`: called as progress(fraction or None, text) between segments.
    - `resume`: the `checkpoint` of an interrupted run with the same arguments. The result equals the uninterrupted one bit for bit.
    - `throw`: raise `ComputationError` where the flow goes wrong; otherwise `ended` and `result` say so.

    **Raises:** `ValueError` for a call that makes no sense, `ComputationError` as above.
    """
    motion = Motion(
        network,
        objective,
        until=until,
        rtol=rtol,
        stiff=stiff,
        compress=compress,
        max_steps=max_steps,
        can_rest=can_rest,
        loss_stop=loss_stop,
        keep_states=keep_states,
    )
    with jax.enable_x64(True):
        field = motion.field
        if sum(np.size(leaf) for leaf in jax.tree.leaves(field)) > LARGE:
            # to where it is computed once and not once a segment; little goes in faster as it is
            field = jax.tree.map(jax.numpy.asarray, field)
        motion.begin(start(field, motion.start, motion.first_controls()), resume)
        while motion.ended is None:
            try:
                following, part = advance(
                    field,
                    motion.state,
                    motion.controls(),
                    order=order,
                    steps=motion.segment_steps,
                    stiff=motion.stiff,
                    keep_states=keep_states,
                )
                motion.take(following, part)
                if progress is not None:
                    t, state = float(motion.state.t), motion.state
                    done = t / motion.t_stop if np.isfinite(motion.t_stop) else None
                    progress(done, f"t = {t:.6g}, loss = {float(state.loss):.6g}, {int(state.accepted)} steps")
            except KeyboardInterrupt:
                motion.ended = "interrupted"
        return motion.trajectory(throw)
