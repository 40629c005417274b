"""torchdiffeq's dopri5 on PyTorch's gradients: stage ends from the losses that its accepted steps have seen anyway."""

import contextlib
import math
import time
from typing import ClassVar

import numpy as np
import torch
from torch.func import functional_call
from torchdiffeq import odeint

from ._base import AbstractContender, Reading, Solve, read_curve
from .torch_models import checked, model


class TorchDiffeq(AbstractContender):
    name: ClassVar[str] = "torchdiffeq dopri5"

    def forms(self, problem) -> tuple[str, ...]:
        return ("samples",)

    def solver(self, problem, form: str) -> Solve:
        checked(problem, last_query=True)
        x, y = torch.tensor(problem.data.x), torch.tensor(problem.data.y)
        network = model(problem, last_query=True)
        names, parameters = zip(*network.named_parameters(), strict=True)
        sizes, shapes = [p.numel() for p in parameters], [p.shape for p in parameters]
        start = torch.cat([p.detach().reshape(-1) for p in parameters])

        def loss_of(flat):
            parts = [part.reshape(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
            f = functional_call(network, dict(zip(names, parts, strict=True)), (x,))
            return 0.5 * ((f - y) ** 2).sum(dim=1).mean()

        class Flow(torch.nn.Module):
            def __init__(self, deadline):
                super().__init__()
                self.count, self.latest, self.curve = 0, None, []
                self.stop = time.monotonic() + deadline

            def forward(self, t, flat):
                with torch.enable_grad():
                    flat = flat.detach().requires_grad_(True)
                    loss = loss_of(flat)
                    (gradient,) = torch.autograd.grad(loss, flat)
                self.count += 1
                self.latest = (float(loss.detach()), float(gradient.norm()))
                if not self.curve:
                    self.curve.append((0.0, *self.latest))
                return -gradient

            def callback_accept_step(self, t0, y0, dt):
                # the last stage of an accepted step is at its end
                self.curve.append((float(t0 + dt), *self.latest))
                if time.monotonic() > self.stop:
                    raise TimeoutError

        def solve(setting, until, levels, deadline=math.inf):
            flow = Flow(deadline)
            with torch.no_grad(), contextlib.suppress(TimeoutError):
                odeint(
                    flow,
                    start,
                    torch.tensor([0.0, until], dtype=torch.float64),
                    rtol=setting,
                    atol=setting * problem.scale,
                    method="dopri5",
                )
            t, loss, speed = np.array(flow.curve).T
            ends, reached = read_curve(t, loss, speed, levels), min(1.0, t[-1] / until)
            return Reading(ends, flow.count, 0, (flow.count - 2) // 6, reached)

        return solve
