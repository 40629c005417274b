"""Your own loop in PyTorch, watched: three lines more, and the training is bit for bit what it was.

Thirty units that square what they see learn the difference of two squares, from small weights. The loss stands still twice; the watcher says how many units the
network needs meanwhile.
"""

import torch
from torch import nn

import saddlescope


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 30, bias=False), nn.Linear(30, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x) ** 2)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = torch.randn(400, 5)
    y = x[:, :1] ** 2 - 0.5 * x[:, 1:2] ** 2
    model = Squares()
    for weight in model.parameters():
        nn.init.normal_(weight, std=1e-2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)

    # the default budget is 3% of the training's time; here a step takes less time than a look at the network, so: whatever it takes
    watcher = saddlescope.Watcher(model, probe=x[:128], targets=y[:128], optimizer=optimizer, budget=None)
    for step in range(4000):
        loss = 0.5 * (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher(step, loss)

    seen = watcher.recording()
    needed = seen.measures["copies"][:, 0]
    last = -1.0
    for k, step in enumerate(seen.step):
        # from here on so many, at the next snapshot too
        if needed[k] > last and needed[min(k + 1, len(needed) - 1)] == needed[k]:
            last = needed[k]
            print(f"step {step:4d}  loss {seen.probe_loss[k]:.4f}  needs {last:.0f} of 30 units")
    print(watcher.report())


if __name__ == "__main__":
    main()
