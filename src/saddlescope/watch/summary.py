"""What is in a recording, in a few lines of text, where no report can be made of it."""

import numpy as np

from .recording import Recording


def summary(recording: Recording) -> str:
    """What is in a recording, in a few lines: no judgement."""
    lines = []
    if recording.loss.size:
        lines.append(
            f"loss      {recording.loss[0]:.6g} at step {recording.loss_step[0]}, {recording.loss[-1]:.6g} at step {recording.loss_step[-1]}"
        )
    if recording.step.size:
        lines.append(
            f"probe     varies by {recording.variation[0]:.3g} at step {recording.step[0]}, {recording.variation[-1]:.3g} at step "
            f"{recording.step[-1]}; {recording.step.size} snapshots"
        )
    for j, name in enumerate(recording.layer_names):
        widths = []
        for kind in ("rank", "rays", "copies", "active"):
            seen = recording.measures[kind][:, j]
            seen = seen[~np.isnan(seen)]
            if seen.size:
                widths.append(f"{kind} {seen[0]:.0f} to {seen[-1]:.0f}")
        units = recording.measures["units"][:, j]
        count = units[~np.isnan(units)]
        size = f" of {count[-1]:.0f} units" if count.size else ""
        lines.append(f"layer     {name} ({recording.layer_kind[j]}){size}: {', '.join(widths) or 'not seen'}")
        if recording.layer_exact[j]:
            lines.append(f"          {recording.layer_exact[j]}")
    frozen = [name for name, held in zip(recording.weight_names, recording.frozen, strict=True) if held]
    if frozen:
        lines.append(f"frozen    {', '.join(frozen)}")
    lines += [f"note      {sentence}" for sentence in [*recording.facts["gaps"], *recording.facts["skipped"]]]
    return "\n".join(lines) or "nothing was seen"
