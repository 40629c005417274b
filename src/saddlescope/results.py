"""What can go wrong in a computation, as values whose text is the message.

A call that makes no sense raises `ValueError` at once. A computation that goes wrong is known only afterwards: it is a
value of `RESULTS`, raised as a `ComputationError` unless the caller says `throw=False`.
"""

from enum import Enum


class RESULTS(Enum):
    """How a computation went; the value is the message, the name is what files carry."""

    successful = "The computation did what was asked."
    max_steps = (
        "The integration used up `max_steps` before it reached its end. What was computed is kept: allow more steps, "
        "ask for a shorter time, or loosen `rtol`."
    )
    nonfinite = (
        "A loss or a weight is no longer finite. What was computed before is kept: look for initial weights or data "
        "of extreme size."
    )
    diverged = (
        "The loss grew beyond 1e6 times its initial value: the learning rate is above what the curvature allows "
        "(2 / largest Hessian eigenvalue). Use a smaller `learning_rate`."
    )
    stalled = (
        "The step size fell to the rounding of t: the flow slides along kinks that this network cannot follow "
        "exactly. Smooth data, fewer samples, or gradient descent go on from here."
    )
    not_stationary = (
        "The search stopped at a point that still moves: its speed |grad L| is above the tolerance. Start nearer to "
        "the plateau, or allow more iterations."
    )


class ComputationError(RuntimeError):
    """A computation went wrong; `result` says how.

    **Arguments:**

    - `result`: the value of `RESULTS`.
    - `detail`: what was found, in one line.
    """

    def __init__(self, result: RESULTS, detail: str = ""):
        self.result = result
        self.detail = detail
        super().__init__(f"{result.value} {detail}".strip())

    def __reduce__(self):
        # by its own arguments: the message that it was made with is none of them
        return type(self), (self.result, self.detail)
