r"""Numbers about a stall, from which a diagnosis is made and which stand on its card. NaN where something was not seen.

With g the norm of the gradient, W that of all weights, L the loss and $\eta$ the learning rate (over 1 - momentum):

- `reach` g W / L: by what part of itself the loss would fall if the weights moved by their own size along the slope. Small near a fixed point, of order 1 elsewhere.
- `push` $\eta g^2 / L$: by what part of itself the loss should fall in one step; `efficiency`: what it falls over that. 1 where steps are short, 0 where they overshoot or noise holds the loss.
- `spread`: of the loss about its median, over it; `scatter`: of its logarithm from step to step, in standard deviations of white noise, 0 of a loss that falls evenly.
- `fell`: the loss in the first quarter of the stall over that in the last.
- `norm_growth` d ln |W| / d ln step in the later half of the stall: how fast norms grow. Under cross-entropy no height is reached at rest.
- `offset`: the squared output over L: small near the origin, and where a bias has learned what it can.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .certificate import norm_growth
from .consistency import loss_scale, seen_gradients
from .recording import Recording
from .stalls import ENOUGH, Stall


def gather(recording: Recording, stall: Stall) -> dict[str, float]:
    """All numbers by name. They are taken on the stall alone, but for `relative_height`, learning rates and epochs."""
    recording = replace(recording, gradient_norm=seen_gradients(recording))
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
    found |= _of_weights(recording, inside)
    found["norm_growth"] = norm_growth(recording, stall.start, stall.end)
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
    # of a loss that can become negative no height is a small part of what it was
    positive = start > 0 and not np.any(recording.loss < 0) and not np.any(recording.probe_loss < 0)
    found = {"relative_height": stall.height / start if positive else float("nan"), "alternation": float("nan")}
    found["probe_alternation"] = _parity(recording, stall, inside)
    if loss.size < 8:
        return found | {"spread": float("nan"), "scatter": float("nan"), "drift": float("nan"), "fell": float("nan")}
    # what is left of a running mean over five: a trend is no alternation
    change = np.diff(loss)
    centred = change - change.mean()
    square = float(centred @ centred)
    # differences of white noise have correlation -1/2 at lag 1, of an alternating series -1, of a smooth one +1
    found["alternation"] = float(centred[1:] @ centred[:-1]) / square if square > 0 else 0.0
    middle = float(np.median(loss))
    found["spread"] = float(1.4826 * np.median(np.abs(loss - middle))) / abs(middle) if middle else float("nan")
    # of logarithms, second differences: an exponential has none, and white noise sqrt(6) of its own
    bends = np.diff(np.log(loss), 2) if np.all(loss > 0) else np.full(1, np.nan)
    found["scatter"] = float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6))
    quarter = max(2, loss.size // 4)
    early, late = float(np.median(loss[:quarter])), float(np.median(loss[-quarter:]))
    found["drift"] = (early - late) / abs(middle) if middle else float("nan")
    found["fell"] = early / late if min(early, late) > 0 else float("nan")
    return found


def _parity(recording: Recording, stall: Stall, inside: NDArray) -> float:
    """How far the probe's loss at even steps is from that at odd ones, over the same of the losses handed over: 1 where the weights swing, 0 where only the data take turns."""
    looked = (recording.step >= stall.start) & (recording.step <= stall.end)
    heard = _between_sides(recording.loss_step[inside], recording.loss[inside])
    seen = _between_sides(recording.step[looked], recording.probe_loss[looked]) * loss_scale(recording)
    return seen / heard if heard > 0 else float("nan")


def _between_sides(step: NDArray, loss: NDArray) -> float:
    """The difference between even and odd steps beside a parabola, 0 where it is below 3 standard errors; NaN where there are fewer than 3 of either."""
    step, loss = step[np.isfinite(loss)], loss[np.isfinite(loss)]
    odd = step % 2
    if min(np.sum(odd), np.sum(1 - odd)) < 3 or loss.size < 8:
        return float("nan")
    t = (step - step.mean()) / np.ptp(step)
    design = np.stack([odd, np.ones(t.size), t, t**2], axis=1).astype(float)
    found, *_ = np.linalg.lstsq(design, loss, rcond=None)
    left = loss - design @ found
    error = np.sqrt(float(left @ left) / (loss.size - 4) * np.linalg.pinv(design.T @ design)[0, 0])
    return abs(float(found[0])) if abs(found[0]) > 3 * error else 0.0


def _of_gradients(recording: Recording, stall: Stall, inside: NDArray) -> dict[str, float]:
    names = ("reach", "push", "gradient_growth", "gradient_left", "variation_growth", "travel", "offset")
    found = dict.fromkeys(names, float("nan"))
    output = recording.output[inside]
    if np.any(np.isfinite(output)) and stall.height:
        found["offset"] = float(np.nanmedian(output)) ** 2 / abs(stall.height)
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
    found["gradient_left"] = middle / highest if highest > 0 else float("nan")
    # stalls are read off the probe where it was looked at often enough; gradients are those of the loss handed over
    probed = np.isfinite(recording.probe_loss).sum() >= ENOUGH
    height = abs(stall.height) * (loss_scale(recording) if probed else 1.0)
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
        return dict.fromkeys(("frozen", "still", "zero_gradient", "unmoved"), float("nan"))
    norms = recording.weight_norm[inside]
    seen = np.all(np.isfinite(norms), axis=0)
    constant = seen & (np.ptp(np.where(np.isfinite(norms), norms, 0.0), axis=0) == 0)
    gradient = recording.gradient_norm[inside]
    silent = np.all(~np.isfinite(gradient) | (gradient == 0), axis=0) & np.any(np.isfinite(recording.gradient_norm))
    still = constant & ~recording.frozen & (silent | ~np.any(np.isfinite(recording.gradient_norm)))
    frozen = recording.frozen & (constant | ~seen)
    matrices = np.array([len(shape) >= 2 for shape in recording.weight_shapes])
    total = float(sizes[matrices].sum()) or 1.0
    pushed = np.all(np.isfinite(gradient) & (gradient > 0), axis=0) & constant & ~recording.frozen
    exactly = np.any(gradient == 0, axis=0) & still
    return {
        "frozen": float(sizes[matrices & frozen].sum()) / total,
        "still": float(sizes[matrices & still].sum()) / total,
        "zero_gradient": float(sizes[matrices & exactly].sum()) / total,
        "unmoved": float(sizes[matrices & pushed].sum()) / total,
    }


def _of_weights(recording: Recording, inside: NDArray) -> dict[str, float]:
    """`matrices` that are trained, where the model was seen and not a table; `bias_share`: the part of the squared gradient in the last quarter of the stall that is that of the output's bias, the last weight where it is a vector."""
    found = dict.fromkeys(("matrices", "bias_share"), float("nan"))
    dimensions = [len(shape) for shape in recording.weight_shapes]
    if not dimensions or recording.facts.get("framework") is None:
        return found
    found["matrices"] = float(sum(d >= 2 and not f for d, f in zip(dimensions, recording.frozen, strict=True)))
    if dimensions[-1] == 1 and not recording.frozen[-1]:
        squares = recording.gradient_norm[inside] ** 2
        total = np.nansum(squares, axis=1)
        known = (total > 0) & np.isfinite(squares[:, -1])
        if known.any():
            share = squares[known, -1] / total[known]
            found["bias_share"] = float(np.median(share[3 * share.size // 4 :]))
    return found
