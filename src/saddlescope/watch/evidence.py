r"""Numbers about a stall, from which a diagnosis is made and which stand on its card. NaN where something was not seen.

With g the norm of the gradient, W that of all weights, L the loss and $\eta$ the learning rate (over 1 - momentum):

- `reach` g W / L: by what part of itself the loss would fall if the weights moved by their own size along the slope. Small near a fixed point, of order 1 elsewhere.
- `push` $\eta g^2 / L$: by what part of itself the loss should fall in one step; `efficiency`: what it falls over that. 1 where steps are short, 0 where they overshoot or noise holds the loss.
"""

import numpy as np
from numpy.typing import NDArray

from .recording import Recording
from .stalls import Stall


def gather(recording: Recording, stall: Stall) -> dict[str, float]:
    """All numbers by name. They are taken on the stall alone, but for `relative_height`, learning rates and epochs."""
    inside = (recording.step >= stall.start) & (recording.step <= stall.end)
    losses = (recording.loss_step >= stall.start) & (recording.loss_step <= stall.end)
    found = {"steps": float(stall.end - stall.start), "snapshots": float(inside.sum())}
    found |= _of_losses(recording, stall, losses)
    found |= _of_gradients(recording, stall, inside)
    found["efficiency"] = (
        found["drift"] / (0.75 * found["steps"] * found["push"])
        if found["push"] > 0 and found["steps"] > 0
        else float("nan")
    )
    found |= _of_units(recording, stall, inside)
    found |= _of_schedule(recording, stall)
    found |= _of_epochs(recording)
    found |= _of_stillness(recording, inside)
    return found


def trained_gradient(recording: Recording) -> NDArray:
    """Norm of the gradient of all that is trained, [k]; NaN where none of it was seen."""
    squares = recording.gradient_norm[:, ~recording.frozen] ** 2
    seen = np.any(np.isfinite(squares), axis=1)
    return np.where(seen, np.sqrt(np.nansum(squares, axis=1)), np.nan)


def growth(values: NDArray) -> float:
    """From the least of the first half to the end of it, each a median of three: 1 where nothing grows."""
    values = values[np.isfinite(values)]
    if values.size < 6:
        return float("nan")
    smooth = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    least = float(np.min(smooth[: max(2, smooth.size // 2)]))
    return float(smooth[-1] / least) if least > 0 else float("nan")


def _of_losses(recording: Recording, stall: Stall, inside: NDArray) -> dict[str, float]:
    loss = recording.loss[inside]
    loss = loss[np.isfinite(loss)]
    first = recording.loss[np.isfinite(recording.loss)][:20]
    start = float(np.median(first)) if first.size else float("nan")
    found = {"relative_height": stall.height / start if start else float("nan"), "alternation": float("nan")}
    if loss.size < 8:
        return found | {"spread": float("nan"), "drift": float("nan")}
    # what is left of a running mean over five: a trend is no alternation
    change = np.diff(loss)
    centred = change - change.mean()
    square = float(centred @ centred)
    # differences of white noise have correlation -1/2 at lag 1, of an alternating series -1, of a smooth one +1
    found["alternation"] = float(centred[1:] @ centred[:-1]) / square if square > 0 else 0.0
    middle = float(np.median(loss))
    found["spread"] = float(1.4826 * np.median(np.abs(loss - middle))) / abs(middle) if middle else float("nan")
    quarter = max(2, loss.size // 4)
    found["drift"] = (
        float(np.median(loss[:quarter]) - np.median(loss[-quarter:])) / abs(middle) if middle else float("nan")
    )
    return found


def _of_gradients(recording: Recording, stall: Stall, inside: NDArray) -> dict[str, float]:
    names = ("reach", "push", "gradient_growth", "gradient_left", "variation_growth", "travel")
    found = dict.fromkeys(names, float("nan"))
    found["variation_growth"] = growth(recording.variation[inside])
    gradient = trained_gradient(recording)
    g = gradient[inside]
    if not np.any(np.isfinite(g)):
        return found
    middle = float(np.nanmedian(g))
    with np.errstate(invalid="ignore"):
        size = np.sqrt(np.nansum(recording.weight_norm[inside] ** 2, axis=1))
    rate = recording.learning_rate[inside]
    found["gradient_growth"] = growth(g)
    highest = float(np.nanmax(gradient))
    found["gradient_left"] = middle / highest if highest > 0 else 0.0
    height = abs(stall.height)
    if height > 0:
        found["reach"] = middle * float(np.nanmedian(size)) / height
        if np.any(np.isfinite(rate)):
            momentum = recording.facts.get("momentum") or 0.0
            pace = float(np.nanmedian(rate)) / (1 - momentum)
            found["push"] = pace * middle**2 / height
            found["travel"] = pace * middle * (stall.end - stall.start) / max(float(np.nanmedian(size)), 1e-300)
    return found


def _of_units(recording: Recording, stall: Stall, inside: NDArray) -> dict[str, float]:
    """The largest part of a layer's units that is dead, and saturated: on the stall, or where layers were last looked at before its end."""
    found = dict.fromkeys(("dead", "saturated"), float("nan"))
    for name in found:
        values = recording.measures[name]
        if values.shape[1] and np.any(np.isfinite(values[inside])):
            found[name] = float(np.nanmax(np.nanmedian(_finite_rows(values[inside]), axis=0)))
            continue
        before = _finite_rows(values[recording.step <= stall.end])
        if before.size:
            found[name] = float(np.nanmax(before[-1]))
    return found


def _finite_rows(values: NDArray) -> NDArray:
    """Rows and columns with something seen, so that no median is of nothing."""
    values = values[np.any(np.isfinite(values), axis=1)]
    return values[:, np.any(np.isfinite(values), axis=0)]


def _of_schedule(recording: Recording, stall: Stall) -> dict[str, float]:
    """The learning rate after the stall over that on it, if it changed near its end; how near, as a part of the stall."""
    rate, step = recording.learning_rate, recording.step
    known = np.isfinite(rate)
    found = {"rate_after": float("nan"), "rate_change_at": float("nan")}
    if known.sum() < 4:
        return found
    rate, step = rate[known], step[known]
    inside = (step >= stall.start) & (step <= stall.end)
    if not inside.any():
        return found
    here = float(np.median(rate[inside]))
    length = max(stall.end - stall.start, 1)
    after = (step > stall.end - 0.15 * length) & (step <= stall.end + 0.25 * length)
    found["rate_after"] = float(rate[after][-1]) / here if after.any() and here > 0 else 1.0
    changes = np.flatnonzero(np.abs(np.diff(np.log(np.maximum(rate, 1e-300)))) > 0.2)
    if changes.size:
        at = step[changes + 1]
        found["rate_change_at"] = float(np.min(np.abs(at - stall.end))) / length
    return found


def _of_epochs(recording: Recording) -> dict[str, float]:
    """The part of the whole fall of the loss that happens across ends of epochs, over what evenly spread falling would give."""
    period = recording.facts.get("batches_per_epoch")
    step, loss = recording.loss_step, recording.loss
    found = {"epoch_share": float("nan"), "epoch_jump": float("nan")}
    if not period or period < 8 or loss.size < 3 * period or np.any(np.diff(step) != 1):
        return found
    width = max(3, int(period) // 8)
    edges = np.arange((int(step[0]) // int(period) + 1) * int(period), int(step[-1]) - width, int(period)) - int(
        step[0]
    )
    edges = edges[edges >= width]
    if edges.size < 3:
        return found
    before, after = (
        np.array([np.nanmean(loss[e - width : e]) for e in edges]),
        np.array([np.nanmean(loss[e : e + width]) for e in edges]),
    )
    middle = np.array(
        [np.nanmean(loss[e + width : e + int(period) - width]) - np.nanmean(loss[e : e + width]) for e in edges[:-1]]
    )
    jumps = before - after
    total = float(np.nanmean(loss[:width]) - np.nanmean(loss[-width:]))
    found["epoch_share"] = float(jumps.sum()) / total if total > 0 else float("nan")
    # of one jump, in standard deviations of what the loss does inside an epoch
    inside = float(np.std(middle)) + 1e-300
    found["epoch_jump"] = float(np.median(jumps)) / inside
    return found


def _of_stillness(recording: Recording, inside: NDArray) -> dict[str, float]:
    """Parts of the weights, counted in numbers, that are frozen, and that should move and do not."""
    sizes = np.array([float(np.prod(shape)) if shape else 1.0 for shape in recording.weight_shapes])
    if not sizes.size or inside.sum() < 3:
        return {"frozen": float("nan"), "still": float("nan")}
    norms = recording.weight_norm[inside]
    seen = np.all(np.isfinite(norms), axis=0)
    constant = seen & (np.ptp(np.where(np.isfinite(norms), norms, 0.0), axis=0) == 0)
    gradient = recording.gradient_norm[inside]
    silent = np.all(~np.isfinite(gradient) | (gradient == 0), axis=0) & np.any(np.isfinite(recording.gradient_norm))
    still = constant & ~recording.frozen & (silent | ~np.any(np.isfinite(recording.gradient_norm)))
    frozen = recording.frozen & (constant | ~seen)
    matrices = np.array([len(shape) >= 2 for shape in recording.weight_shapes])
    total = float(sizes[matrices].sum()) or 1.0
    return {
        "frozen": float(sizes[matrices & frozen].sum()) / total,
        "still": float(sizes[matrices & still].sum()) / total,
    }
