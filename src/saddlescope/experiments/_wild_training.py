"""Trains a case in a plain PyTorch loop with a watcher in it, forecasting as it goes: each forecast is on disk, sealed, before the next step is taken."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..watch import Recording, Watcher, forecast
from ._wild_cases import FAMILIES, Case
from ._wild_networks import build, pytorch
from ._wild_tasks import Data, data

#: Steps at most; a training stops a while after its probe loss has halved.
MOST_STEPS, STOP, AFTER = 12_000, 0.5, 1.05
PROBE = 256
#: Forecasts are made at steps that grow by this factor, from this one on.
FACTOR, FIRST = 1.08, 12
#: Hidden layers are looked at in one snapshot of so many: forecasts need norms and the probe.
LAYERS_EVERY = 12


class Trained(NamedTuple):
    """What a training leaves: its recording, and the file of its sealed forecasts."""

    recording: Recording
    sealed: Path


def train(case: Case, folder: Path) -> Trained:
    """Runs a case; its forecasts go to `folder`/NAME.jsonl, a line each, with the sha256 of the line before and of itself.

    **Raises:** `ValueError` in one line without PyTorch, or without the wheels that hold the pictures.
    """
    torch = pytorch()
    samples = data(case.task)
    x, y = tensors(torch, samples)
    net = build(
        case.kind, case.depth, case.activation, case.scale, tuple(samples.x.shape[1:]), samples.outputs, case.seed
    )
    optimizer = make_optimizer(torch, net, case.optimiser, case.learning_rate)
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(1234))[:PROBE]
    watcher = Watcher(
        net, x[chosen], targets=y[chosen], optimizer=optimizer, every=20, batches_per_epoch=len(x) // case.batch
    )
    watcher.budget.allows = Unhurried()
    sealed = folder / f"{case.name}.jsonl"
    sealed.unlink(missing_ok=True)
    width = FAMILIES[case.family].width
    seal, due, stop = "", FIRST, MOST_STEPS
    criterion = torch.nn.functional.cross_entropy if samples.classes else _half_squares
    for step, batch in enumerate(batches(torch, len(x), case.batch, case.seed)):
        if step >= stop:
            break
        loss = criterion(net(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher(step, loss)
        if step >= due:
            due = int(np.ceil(due * FACTOR))
            seen = watcher.recording()
            if stop == MOST_STEPS:
                seal = append(
                    sealed, {"case": case.name, "step": step, "forecast": forecast(seen, width=width).as_json()}, seal
                )
                known = seen.probe_loss[np.isfinite(seen.probe_loss)]
                if known[-1] < STOP * known[0]:
                    stop = min(int(step * AFTER), MOST_STEPS)
    recording = watcher.recording()
    recording.facts["source"] = case.name
    return Trained(recording, sealed)


class Unhurried:
    """In place of a budget in time, which would make snapshots depend on the machine: every look that is due, hidden layers in some of them."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, kind: str, reserve: float = 1.0) -> bool:
        if kind != "layers":
            return True
        self.asked += 1
        return self.asked % LAYERS_EVERY == 1


def append(path: Path, line: dict[str, Any], before: str) -> str:
    """Writes a line with its seal: sha256 of the seal before and the line's own text. Returns the seal."""
    text = json.dumps(line, sort_keys=True, allow_nan=False)
    seal = hashlib.sha256((before + text).encode()).hexdigest()
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"line": line, "sha256": seal}, sort_keys=True, allow_nan=False) + "\n")
    return seal


def sealed_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of forecasts, checked against their seals.

    **Raises:** `ValueError` where one was changed, left out or put in between.
    """
    found, before = [], ""
    for number, row in enumerate(path.read_text(encoding="utf-8").splitlines()):
        parsed = json.loads(row)
        text = json.dumps(parsed["line"], sort_keys=True, allow_nan=False)
        before = hashlib.sha256((before + text).encode()).hexdigest()
        if before != parsed["sha256"]:
            raise ValueError(f"{path.name}: line {number + 1} is not the one that was sealed.")
        found.append(parsed["line"])
    return found


def tensors(torch: Any, samples: Data) -> tuple[Any, Any]:
    """Inputs in float32, targets as classes or in float32."""
    y = torch.tensor(samples.y) if samples.classes else torch.tensor(samples.y, dtype=torch.float32)
    return torch.tensor(samples.x, dtype=torch.float32), y


def make_optimizer(torch: Any, net: Any, name: str, rate: float) -> Any:
    """SGD, with momentum 0.9, or Adam."""
    if name == "adam":
        return torch.optim.Adam(net.parameters(), lr=rate)
    return torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9 if name == "momentum" else 0.0)


def batches(torch: Any, samples: int, size: int, seed: int):
    """Indices of one batch after another, without replacement within an epoch, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(samples, generator=generator)
        for start in range(0, samples - size + 1, size):
            yield order[start : start + size]


def _half_squares(f: Any, y: Any) -> Any:
    return 0.5 * ((f - y) ** 2).sum(1).mean()
