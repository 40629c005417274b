"""A training that is gone on with: what was recorded of it before is taken up."""

import os
from pathlib import Path

import numpy as np

from .losses import Losses
from .recording import Recording
from .seen import Seen
from .snapshots import Snapshots


def resumed(before: Recording, step: int, losses: Losses, snapshots: Snapshots) -> list[str]:
    """Puts into `losses` and `snapshots` what was recorded before `step`, and says what was not seen or is replaced."""
    last = int(max(before.loss_step[-1], before.step[-1] if before.step.size else 0))
    kept = before.until(step - 1)
    gaps = [
        gap for gap in kept.facts["gaps"] if gap.startswith("steps went back") or gap.startswith("the training was")
    ]
    if step > last:
        said = f"the training was gone on with at step {step}: nothing was seen between {last} and {step}"
    else:
        said = f"the training was gone on with at step {step}: what was seen of {step} to {last} before is replaced by what came after"
    for s, value in zip(kept.loss_step, kept.loss, strict=True):
        losses.add(int(s), float(value))
    for i, s in enumerate(kept.step):
        layers = {
            name: (kind, exact, found)
            for j, (name, kind, exact) in enumerate(
                zip(kept.layer_names, kept.layer_kind, kept.layer_exact, strict=True)
            )
            if (found := {m: float(a[i, j]) for m, a in kept.measures.items() if not np.isnan(a[i, j])})
        }
        row = (getattr(kept, n)[i] for n in ("variation", "output", "probe_loss", "weight_norm", "weight_largest"))
        rate = float(kept.learning_rate[i])
        snapshots.add(int(s), Seen(*row, kept.gradient_norm[i], rate, layers, bool(layers)))
    return gaps if said in gaps else [*gaps, said]


def taken_up(path: Path, step: int, names: tuple[str, ...]) -> Recording | None:
    """The recording at `path` where the steps go on from it; otherwise it is put aside (recording-1.npz). None too where there is none."""
    if not path.exists():
        return None
    try:
        before: Recording | None = Recording.load(path)
    except (OSError, ValueError):
        before = None
    if before is None or not before.loss_step.size or step <= before.loss_step[0] or before.weight_names != names:
        n = next(n for n in range(1, 10**6) if not path.with_name(f"{path.stem}-{n}{path.suffix}").exists())
        os.replace(path, path.with_name(f"{path.stem}-{n}{path.suffix}"))
        return None
    return before
