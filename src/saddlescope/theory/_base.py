r"""What a prediction is: the stages of a run, from data and initial weights alone.

Nothing here has seen the simulation. Every number says what kind of statement it is (`status`) and how far from the truth it may be: an
expected error that covers the true one in 95 of 100 problems, of heuristic numbers where docs/theory*.md say so. Where an assumption fails there is no time but the reason.
"""

import abc
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..networks import AbstractNetwork
from ..objective import Objective

#: From the firmest to none. A theorem holds exactly; an asymptotic number up to an error that vanishes with the scale; a heuristic is right
#: as often as it was measured to be; outside its assumptions theory gives no time (of a fixed point that is there all the same the height, which does not depend on them).
Status = Literal["theorem", "asymptotic", "heuristic", "outside assumptions"]
STATUSES: tuple[Status, ...] = ("theorem", "asymptotic", "heuristic", "outside assumptions")

#: Numbers in a reduced state that cost as much as the rest of an evaluation.
NUMBERS = 100

Source = Literal["closed form", "quadrature", "reduced ODE"]
Cause = Literal["data", "initialisation", "both", "none"]
Width = int | list[int]


class Problem(NamedTuple):
    """What theory is given.

    - `network`: with its initial weights.
    - `objective`: the loss on the data.
    - `learning_rate`: of gradient descent; None for gradient flow.
    """

    network: AbstractNetwork
    objective: Objective
    learning_rate: float | None = None


class Cost(NamedTuple):
    """What a number cost, beside what the simulated run would have integrated.

    - `state_size`: weights that a reduced ODE moves; 0 for closed forms and quadratures.
    - `evaluations`: of the reduced gradient, of the integrand, or 1 for a closed form.
    - `whole_size`: weights of the whole network. A reduced ODE is smaller: asserted.
    """

    state_size: int
    evaluations: int
    whole_size: int


@dataclass(frozen=True)
class PredictedStage:
    """One plateau before it has happened. Times in (learning rate) x (steps), heights in loss.

    - `height`, `height_error`: the saddle's loss; half of a 95% interval. None where the fixed point is not known either.
    - `t_start`, `t_end`, `t_end_error`: `t_end` is the half-drop to the next height; its expected error as above.
    - `status`: of the weakest number given, `t_end` as a rule.
    - `kind`, `effective_width`: as `stages` would find them; no width where only a state could tell it (a merged saddle of a network with a skip connection).
    - `source`, `cost`: how `t_end` was obtained.
    - `recruits`: which modes of the data (order 1) or which units (order >= 2), counted from 0, end this stage.
    - `separable`: whether this plateau is visible at this scale (persistence of the speed's minimum at least 0.1 decades). A stage that is not is listed by
        the prediction's `merged`, not among its `stages`. None: not known, and `reason` says why.
    - `visible_scale`: the initial scale below which the plateau becomes visible, where it is not yet; None where it is, or no scale would do.
    - `index`, `escape_rate`: of the saddle, where a formula gives them.
    - `width_of_drop`: time from 90% to 10% of the drop that ends this stage; None where unknown.
    - `persistence`: expected decades of speed by which the plateau stands out; None where unknown.
    - `reason`: what is assumed, or which assumption fails.
    """

    height: float | None
    t_start: float | None
    t_end: float | None
    status: Status
    kind: str
    effective_width: Width | None
    height_error: float | None = None
    t_end_error: float | None = None
    source: Source = "closed form"
    cost: Cost = field(default_factory=lambda: Cost(0, 1, 0))
    recruits: tuple[int, ...] = ()
    separable: bool | None = True
    visible_scale: float | None = None
    index: int | None = None
    escape_rate: float | None = None
    width_of_drop: float | None = None
    persistence: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class PredictedEnd:
    """Where the run will rest; None for what theory does not say."""

    height: float | None
    effective_width: Width | None
    kind: str
    height_error: float | None = None


@dataclass(frozen=True)
class Prediction:
    """What theory says of a run.

    - `stages`: the plateaus that will be seen, in order.
    - `end`: where the run rests after them.
    - `cause`: what separates the timescales: directions of the `data`, units by their `initialisation`, `both`, or `none` where there is no plateau
        but the origin's. `cause_basis` is "facts".
    - `predictor`: which file of this room spoke.
    - `merged`: saddles whose plateaus are not separable at this scale, with the scale at which they would be.
    - `outside`: the assumptions that fail, in words; empty where none does.
    - `notes`: what else a reader should know, a sentence each.
    - `what_if`: how it changes with a factor 10 in scale, width and learning rate, where that was asked for.
    """

    stages: tuple[PredictedStage, ...]
    end: PredictedEnd
    cause: Cause
    predictor: str
    merged: tuple[PredictedStage, ...] = ()
    outside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict, repr=False)
    what_if: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def work(self) -> float:
        """What it cost in evaluations of a small reduced gradient, as far as its stages say."""
        costs = [stage.cost for stage in (*self.stages, *self.merged)]
        return max((cost.evaluations * (1.0 + cost.state_size / NUMBERS) for cost in costs), default=0.0)

    def __str__(self) -> str:
        """The table and sentences that `saddlescope predict` prints."""
        from .as_json import as_json
        from .as_text import prediction_text

        return prediction_text(as_json(self))


class AbstractPredictor(abc.ABC):
    """A theory with a domain.

    **What a newcomer must write:** `name`; `refuses(problem)`, None where its assumptions hold, otherwise which one fails, decided from facts of units
    and properties of the data, never from names of architectures; and `predict(problem)`. Then its line in `PREDICTORS` of `predict.py`:
    the first that does not refuse speaks. `finish.py` adds what holds of all.
    """

    name: str

    @abc.abstractmethod
    def refuses(self, problem: Problem) -> str | None: ...

    @abc.abstractmethod
    def predict(self, problem: Problem) -> Prediction: ...

    def rests_at_origin(self, problem: Problem) -> tuple[bool, float]:
        """Whether the loss rests at f = 0 first, and the work that it took to say so: the whole prediction's, where a theory knows no shorter way."""
        said = self.predict(problem)
        return any(stage.kind == "origin" for stage in said.stages), said.work


def outside(problem: Problem, reasons: tuple[str, ...]) -> Prediction:
    """A prediction that only says why there is none."""
    return Prediction((), PredictedEnd(None, None, "none"), "none", "none", outside=reasons)
