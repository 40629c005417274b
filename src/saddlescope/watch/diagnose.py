"""Why the loss stands still: each stall gets a card that says what it is, from which numbers, and "don't know" where they do not say.

Causes that are facts come first (weights that do not move, units that pass nothing on, a schedule, epochs), then those read off the motion. A saddle is
only said of a state near a fixed point that something grows away from; that nothing grows is no proof of a minimum, so "converged" asks for a loss or a gradient that
is a small part of what it was. A certificate (`certificate.py`) answers what a recording cannot.
"""

import numpy as np

from .card import FALLS, Card
from .evidence import gather
from .exits import exit_seen
from .forecast import FALL, FAR_OUTPUT, Forecast, forecast
from .recording import Recording
from .stalls import Stall, find_stalls
from .widths import effective_widths, last_seen

#: Kinds that claim something of the point at which weights are, or that nobody knows.
AT_REST = ("saddle", "converged", "unknown")
#: A height above this part of the run's first is the first.
FIRST = 0.95
#: Most of the units, or of the weights; many of them; some.
MOST, MANY, SOME = 0.9, 0.5, 0.1
#: `reach` below which a state is near a fixed point, and above which it is on a slope.
NEAR, SLOPE = 0.15, 0.05
#: The same where the layers' gains follow the law, which is better evidence: norms of wide layers, most of which lies off the leading path, make `reach` large.
FAR = 1.0
#: Growth over a stall that is one.
GROWS = 1.5
#: A loss, and a gradient, that are a small part of what they were.
LOW_LOSS, LOW_GRADIENT = 0.02, 0.02
#: Correlation of successive changes of the loss: white noise has -0.5, alternation -1.
ALTERNATES = -0.75
#: `push` of steps that overshoot or are held by noise; of steps too short to see within the stall (times its steps).
OVERSHOOTS, NOISY, SHORT = 0.3, 2e-3, 0.1
#: The same that is said without doubt: a stall ten times as long would still lower the loss by no more than `SHORT`.
SURELY = SHORT / 10
#: Part of the alternation of the losses that the probe has to show: on a fixed batch only weights alternate.
SWINGS = 0.3
#: `travel`, a stall's steps over the weights: above it weights whose norms stay exactly the same are not moved by rounding.
MOVES = 1e-3
#: `efficiency` of steps that are wasted, and a scatter of the loss that is none.
WASTED, STEADY = 0.1, 0.01


def diagnose(recording: Recording) -> tuple[Card, ...]:
    """A card for each stall, in order.

    **Raises:** `ValueError` where fewer than 8 finite losses were seen.
    """
    return tuple(diagnose_stall(recording, stall) for stall in find_stalls(recording))


def diagnose_stall(recording: Recording, stall: Stall) -> Card:
    """The card of one stall."""
    e = gather(recording, stall)
    ahead = forecast(recording, stall.end if stall.ongoing else (stall.start + 3 * stall.end) // 4)
    kind, sentence = _cause(e, stall, ahead)
    if kind == "saddle" and not stall.ongoing and ahead.status == "law" and (seen := exit_seen(recording, FALL)):
        sentence += f"; {seen}"
    # the height that a run starts on is that of the origin, which is reached
    later = kind != "saddle" or e["relative_height"] < FIRST
    if kind in AT_REST and later and recording.facts.get("cross_entropy") and np.isfinite(e["norm_growth"]):
        sentence += f"; under cross-entropy a height is an infimum that growing norms approach: here they grow like step^{e['norm_growth']:.2g}"
    card = Card(kind, sentence, stall, e, forecast=ahead if stall.ongoing else None)
    return _located(recording, card, ahead) if kind == "saddle" else card


def _cause(e: dict[str, float], stall: Stall, ahead: Forecast) -> tuple[str, str]:
    """The first cause whose evidence is there. A comparison with NaN is false: what was not seen says nothing."""
    if e["frozen"] >= MANY:
        return "frozen", f"{e['frozen']:.0%} of the weights are frozen"
    if e["dead"] >= MOST:
        return "dead units", f"{e['dead']:.0%} of a layer's units are zero on every sample of the probe"
    if e["saturated"] >= MOST:
        return "saturated units", f"{e['saturated']:.0%} of a layer's units are saturated on the probe"
    if e["frozen"] + e["still"] >= MANY:
        if e["zero_gradient"] >= MANY and e["zero_gradient"] >= e["frozen"]:
            return (
                "unknown",
                f"the gradient of {e['zero_gradient']:.0%} of the weights is exactly 0: a fixed point of the model on this data, or no loss reaches them (detach)",
            )
        return "frozen", f"{e['frozen']:.0%} of the weights are frozen and {e['still']:.0%} get no gradient"
    if e["unmoved"] >= MANY and not e["travel"] <= MOVES:
        return (
            "frozen",
            f"{e['unmoved']:.0%} of the weights do not move although they get a gradient: they are not in this optimiser, or its steps are lost (in rounding, or never taken)",
        )
    changed = e["rate_after"]
    if not stall.ongoing and (changed > 1.3 or changed < 0.75) and e["rate_change_at"] < 0.25:
        return "schedule", f"the learning rate changed by a factor {changed:.3g} where the stall ends"
    if e["epoch_share"] > 0.6 and e["epoch_jump"] > 3:
        return "epochs", f"{e['epoch_share']:.0%} of all that the loss fell, it fell between epochs"
    return _of_motion(e, stall, ahead)


def _of_motion(e: dict[str, float], stall: Stall, ahead: Forecast) -> tuple[str, str]:
    grown = max(_or(e["gradient_growth"], 0.0), _or(e["variation_growth"], 0.0))
    near = e["reach"] < NEAR or not np.isfinite(e["reach"])
    # data that take turns alternate too: steps have to be large, or the probe to alternate
    alternates = e["alternation"] < ALTERNATES and e["spread"] > 1e-4
    alternates = alternates and (e["push"] > OVERSHOOTS or e["probe_alternation"] > SWINGS)
    # a saddle is one of a product: with one matrix, where the output's bias moves, or leaves where it saturates, the same growth is that of a slope
    saturated = e["offset"] > FAR_OUTPUT and e["bias_share"] > SOME and e["relative_height"] > MANY
    product = not e["matrices"] < 2 and not e["bias_share"] > MANY and not saturated
    if alternates:
        return (
            "large learning rate",
            f"the loss alternates from step to step (correlation of its changes {e['alternation']:.2f})",
        )
    if e["push"] > NOISY and e["efficiency"] < WASTED and e["spread"] < STEADY:
        return (
            "large learning rate",
            f"each step should lower the loss by {e['push']:.1%} of itself, and all of them together do {e['efficiency']:.1%} of that, without noise: they overshoot",
        )
    if e["push"] > OVERSHOOTS and e["relative_height"] > 0.5:
        return "large learning rate", f"each step should lower the loss by {e['push']:.0%} of itself, and does not"
    # a low loss that noise holds is no end; one that falls as its steps say is, and so is one whose batches differ: the trend is no scatter
    held = e["push"] > NOISY and e["scatter"] > 5 * STEADY and e["efficiency"] < WASTED
    if 0 <= e["relative_height"] < LOW_LOSS and not held:
        falls = f", and within this stretch still falls, to 1/{e['fell']:.3g}" if e["fell"] > FALLS else ""
        return "converged", f"the loss is {e['relative_height']:.2g} of what it was{falls}"
    if ahead.status == "law" and ahead.exit is not None and not e["reach"] >= FAR and grown > GROWS:
        low, high = ahead.interval or (ahead.exit, ahead.exit)
        when = f"step {ahead.exit:.0f} ({low:.0f} to {high:.0f})"
        told = (
            f"the loss is to be down by a tenth at {when}"
            if stall.ongoing
            else f"at step {ahead.step} a fall of the loss by a tenth was foretold for {when}"
        )
        return "saddle", f"{ahead.reason}; what the probe sees has grown by a factor {grown:.3g}; {told}"
    if product and near and not stall.ongoing and grown > GROWS and e["gradient_growth"] > GROWS:
        return (
            "saddle",
            f"near a fixed point (reach {e['reach']:.2g}) the gradient grew by a factor {e['gradient_growth']:.3g} before the loss fell",
        )
    if product and near and stall.ongoing and e["variation_growth"] > 2 * GROWS and e["reach"] < SLOPE:
        return (
            "saddle",
            f"near a fixed point (reach {e['reach']:.2g}) what the probe sees has grown by a factor {e['variation_growth']:.3g}",
        )
    wasted = e["efficiency"] < WASTED
    if e["push"] > NOISY and e["spread"] > STEADY and wasted and grown < 3 and e["reach"] > SLOPE:
        return (
            "noise",
            f"steps should lower the loss by {e['push']:.2%} each, and it scatters by {e['spread']:.1%} of itself instead",
        )
    moved = e["push"] * e["steps"]
    if e["reach"] > SLOPE and moved < SHORT and grown < GROWS and (not wasted or e["unmoved"] >= MANY):
        lowers = f"the slope is there (reach {e['reach']:.2g}), yet all steps of the stall should lower the loss by {moved:.2%}"
        # a loss that left the stall at the same rate, or might by as many steps again, may as well have been near a saddle
        if stall.ongoing and moved < SURELY:
            return "small learning rate", lowers
        left = (
            "which is not so little that steps too short are the only cause"
            if stall.ongoing
            else "but it was left at this learning rate, so that steps too short are not all"
        )
        return "unknown", f"{lowers}, {left}: a plateau of a saddle would look so as well"
    if stall.ongoing and e["gradient_left"] < LOW_GRADIENT and grown < GROWS and e["reach"] < SLOPE:
        return "converged", f"the gradient is {e['gradient_left']:.2g} of what it was, and nothing grows"
    known = [f"{k} {e[k]:.2g}" for k in ("reach", "push", "gradient_growth", "variation_growth") if np.isfinite(e[k])]
    if not known and e["matrices"] >= 1:
        return (
            "unknown",
            "losses and norms of weights do not say: a Watcher beside the loop also sees gradients and what the model puts out",
        )
    if not known:
        return (
            "unknown",
            "losses alone do not say: a Watcher beside the loop also sees gradients, weights and what the model puts out",
        )
    return "unknown", "the numbers do not say: " + ", ".join(known)


def _located(recording: Recording, card: Card, ahead: Forecast) -> Card:
    """A saddle's card with the layer whose width changes next, how its width was counted, and the widths."""
    # in the middle of the stall: towards its end the next units are in use already
    middle = card.stall.end if card.stall.ongoing else (card.stall.start + card.stall.end) // 2
    inside = recording.step <= middle
    kind, widths = effective_widths(recording)
    here = tuple(last_seen(widths[inside][:, j]) for j in range(widths.shape[1])) if inside.any() else ()
    layer = None
    if not card.stall.ongoing and here:
        after = [last_seen(widths[:, j]) for j in range(widths.shape[1])]
        gains = [(a - h) if np.isfinite(a - h) else -1.0 for a, h in zip(after, here, strict=True)]
        if max(gains) > 0:
            layer = recording.layer_names[int(np.argmax(gains))]
    elif here and np.any(np.isfinite(here)):
        layer = recording.layer_names[int(np.nanargmin(here))]
    if here and np.nansum(here) == 0 and np.any(np.isfinite(here)):
        kind = "origin"
    names = tuple(recording.layer_names[: len(here)])
    return Card(
        "saddle",
        card.sentence,
        card.stall,
        card.evidence,
        layer,
        kind,
        here,
        ahead.order,
        card.forecast,
        names,
        ahead.wait,
    )


def _or(value: float, otherwise: float) -> float:
    return value if np.isfinite(value) else otherwise
