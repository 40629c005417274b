"""A plateau of an ordinary classifier: what it is, and when it will end, asked while the loss still stands.

Three layers with small weights learn scikit-learn's digits by SGD. The report at step 250 foretells the step at which the loss will be down by a tenth; training goes on,
and the report at its end says when that was.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import saddlescope


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.02)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    # a training of a second or two: looking may take what it takes (the default budget is 3% of the training's time)
    watcher = saddlescope.Watcher(model, probe=x[:200], targets=y[:200], optimizer=optimizer, budget=None)
    for step in range(900):
        batch = torch.randint(len(x), (100,))
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher(step, loss)
        if step in (250, 899):
            print(watcher.report(), end="\n\n")


if __name__ == "__main__":
    main()
