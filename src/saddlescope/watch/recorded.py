"""A watcher's recording: what its looks saw, and facts about how it looked."""

from typing import TYPE_CHECKING

import numpy as np

from .recording import Recording

if TYPE_CHECKING:
    from .watcher import Watcher

#: Steps that go back are told one by one so often, then counted.
MOST_BACK = 3


def recorded(watcher: "Watcher") -> Recording:
    """What was seen so far."""
    watcher.heard.take(0)
    step, loss = watcher.heard.losses.arrays()
    names, gaps = watcher.model.names, list(watcher.gaps)
    fields = watcher.snapshots.fields(len(names))
    overhead = watcher.budget.overhead()
    if watcher.heard.missed:
        gaps.append(watcher.heard.sentence())
    if watcher.num_back > MOST_BACK:
        gaps.append(
            f"steps went back {watcher.num_back} times in all: what was seen of them before is replaced each time"
        )
    gaps += getattr(watcher.model, "notes", [])
    looked, taken = sum(s.asked for s in watcher.snapshots.seen), len(watcher.snapshots.seen)
    if np.isfinite(watcher.budget.part) and (watcher.num_late or looked < taken):
        gaps.append(
            f"to keep looks to {watcher.budget.part:.1%} of the training's time, {taken} were taken, {watcher.num_late} of them later than planned, and hidden "
            f"layers looked at in {looked}; a larger budget buys more (budget=0.3, or None: whatever it takes)"
        )
    facts = dict(watcher.model.facts) | {
        "batches_per_epoch": watcher.batches_per_epoch,
        "seconds": watcher.budget.elapsed(),
        "overhead": overhead,
        "overhead_of_calls": watcher.budget.overhead_of_calls(),
        "budget": watcher.budget.part if np.isfinite(watcher.budget.part) else None,
        "setup_seconds": watcher.setup_seconds,
        "every": watcher.schedule.every,
        "gaps": gaps,
    }
    gradients = fields["gradient_norm"]
    # where no gradient was ever seen of any weight, those that never move are the frozen ones
    norms = fields["weight_norm"]
    if gradients.size and not np.all(np.isnan(gradients)):
        never = np.all(np.isnan(gradients), axis=0)
    elif len(norms) >= 3 and np.any(norms[0] != norms[-1]):
        never = np.all(norms == norms[0], axis=0)
    else:
        never = np.zeros(len(names), bool)
    return Recording(
        loss_step=step,
        loss=loss,
        weight_names=names,
        weight_shapes=watcher.model.shapes,
        frozen=np.asarray(watcher.model.frozen, bool) | never,
        facts=facts,
        **fields,
    )
