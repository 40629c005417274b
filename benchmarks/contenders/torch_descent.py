"""The loop that most papers on training dynamics run: full-batch gradient descent in PyTorch, one loss recorded a step."""

import math
import time
from typing import ClassVar

import numpy as np
import torch

from ._base import AbstractContender, Reading, Solve
from .jax_descent import Crossings
from .torch_models import checked, loss_of, model

#: Losses are read in blocks, to stop when all ends are found; reading costs nothing beside 16 steps.
BLOCK = 16


class TorchDescent(AbstractContender):
    """zero_grad, loss, backward, step; double precision; the default number of threads."""

    name: ClassVar[str] = "PyTorch, gradient descent"
    descends: ClassVar[bool] = True
    last_query: ClassVar[bool] = False

    def forms(self, problem) -> tuple[str, ...]:
        return ("samples",)

    def solver(self, problem, form: str) -> Solve:
        checked(problem, last_query=self.last_query)
        x, y = torch.tensor(problem.data.x), torch.tensor(problem.data.y)

        def solve(setting, until, levels, deadline=math.inf):
            began = time.monotonic()
            network = model(problem, last_query=self.last_query)
            optimiser = torch.optim.SGD(network.parameters(), lr=setting)
            ends, done, total = Crossings(setting, levels), 0, int(np.ceil(until / setting)) + 1
            while done < total and not ends.complete and time.monotonic() - began < deadline:
                losses = []
                for _ in range(min(BLOCK, total - done)):
                    optimiser.zero_grad()
                    loss = loss_of(network, x, y)
                    loss.backward()
                    optimiser.step()
                    losses.append(loss.item())
                if not np.all(np.isfinite(losses)):
                    break
                ends.see(done, np.array(losses))
                done += len(losses)
            return Reading(ends.found, done, 0, done, 1.0 if ends.complete else done / total)

        return solve


class TorchDescentLastQuery(TorchDescent):
    """The same with attention computed for the last position alone."""

    name: ClassVar[str] = "PyTorch, gradient descent, last query only"
    last_query: ClassVar[bool] = True

    def refuses(self, problem) -> str | None:
        return None if problem.network.form == "tokens" else "the same as without, except for tokens"
