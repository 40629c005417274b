"""What a user says about the motion: which method moves the weights, how exactly, and until when."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class GradientFlowSpec:
    """Gradient flow, integrated with error control.

    **Arguments:**

    - `until`: `"converged"`, at a minimum; `"settled"`, within 1e-6 of the first loss of a known optimum; or a time, in
        units of (learning rate) x (steps).
    - `rtol`: relative error of one step, from 1e-13 (a few hundred roundings of 64 bits) to 1e-4 (beyond which steps
        overshoot: the loss rises, and plateaus appear that are not there).
    - `order`: of the method.
    - `max_steps`: accepted steps, after which the run stops and says so.
    - `estimate_error`: whether a companion run at another `rtol` (10 times it; a hundredth where it is above 3e-7) tells how exact
        the times are.
    """

    method: ClassVar[str] = "gradient_flow"

    until: Literal["converged", "settled"] | float = "converged"
    rtol: float = 1e-8
    order: Literal[8, 5] = 8
    max_steps: int = 200_000
    estimate_error: bool = True

    def __post_init__(self):
        if not isinstance(self.until, str) and self.until <= 0:
            raise ValueError(f"until needs a positive time, found {self.until}.")
        if not 1e-13 <= self.rtol <= 1e-4:
            raise ValueError(f"rtol needs a number from 1e-13 to 1e-4, found {self.rtol}.")
        if self.max_steps < 1:
            raise ValueError(f"max_steps needs an integer of at least 1, found {self.max_steps}.")


@dataclass(frozen=True, kw_only=True)
class GradientDescentSpec:
    """Gradient descent on the whole loss, with exactly `steps` steps.

    **Arguments:**

    - `learning_rate`: in `t` = (learning rate) x (steps).
    - `steps`: their number.
    """

    method: ClassVar[str] = "gradient_descent"

    learning_rate: float
    steps: int

    def __post_init__(self):
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate needs a positive number, found {self.learning_rate}.")
        if self.steps < 1:
            raise ValueError(f"steps needs an integer of at least 1, found {self.steps}.")


FLOWS = {cls.method: cls for cls in (GradientFlowSpec, GradientDescentSpec)}

FlowSpec = GradientFlowSpec | GradientDescentSpec
