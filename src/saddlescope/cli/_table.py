"""Summaries and claims as plain aligned text, for a terminal and for `grep` alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..text import aligned, number, width_text, word

LEGEND = (
    "height: loss of the saddle, in 1/2 mean squared error; t: (learning rate) x (steps){error}; "
    "width: units that the function needs; index: directions in which the loss falls at once"
)
#: What +- is, by what moved the weights.
ERRORS = {
    "solver": ", +- twice the difference from a run with 10 times the tolerance",
    "steps": ", +- one step, between whose ends the crossing is interpolated",
}


def stages_table(summary: Mapping[str, Any]) -> str:
    """The stages of a run and its end, one a row, and what each is in words; `-` for what is not known. `summary` is that of summary.json."""
    foretold = any((stage.get("predicted") or {}).get("t_end") is not None for stage in summary["stages"])
    head = [
        "stage",
        "height",
        "t_start",
        "t_end",
        "+-",
        *(["theory"] if foretold else []),
        "width",
        "kind",
        "index",
        "escape",
    ]
    rows = [
        [
            str(place),
            number(stage.get("height")),
            number(stage.get("t_start")),
            "censored" if stage.get("censored") else number(stage.get("t_end")),
            number(stage.get("t_end_error"), digits=2),
            *([number((stage.get("predicted") or {}).get("t_end"))] if foretold else []),
            width_text(stage.get("effective_width")),
            word(stage.get("kind")),
            number(stage.get("index")),
            word((stage.get("escape") or {}).get("law")),
        ]
        for place, stage in enumerate(summary["stages"], start=1)
    ]
    end = summary.get("end") or {}
    last = [
        number(end.get("height")),
        "",
        "",
        "",
        *([""] if foretold else []),
        width_text(end.get("effective_width")),
        word(end.get("kind")),
    ]
    rows.append(["end", *last, number(end.get("index")), ""])
    count = len(summary["stages"])
    cause = f"; cause: {summary['cause']}" if count and summary.get("cause") else ""
    ended = f"ended: {word(summary.get('ended'))}, loss {number(summary.get('final_loss'))}"
    named = [*((str(n), s) for n, s in enumerate(summary["stages"], start=1)), ("end", end)]
    words = [
        f"{name}: {_end_sentence(stage) if name == 'end' else _sentence(stage)}"
        for name, stage in named
        if "certificate" in stage
    ]
    words += [_unseen(stage) for stage in summary.get("predicted_only") or ()]
    # steps that are too long are why a run of descent may show no stage
    refused = (summary.get("prediction") or {}).get("outside") or ()
    words += [f"no theory: {reason}" for reason in refused if not count and "learning_rate" in reason]
    timed = any(stage.get("t_end_error") is not None for stage in summary["stages"])
    # only a solver has a tolerance
    descent = (summary.get("provenance") or {}).get("rtol", 0.0) is None
    kept = any(stage.get("censored") for stage in summary["stages"])
    censored = ["censored: no t_end, as the run stopped there or too early to tell where it goes next"] if kept else []
    legend = [LEGEND.format(error=ERRORS["steps" if descent else "solver"] if timed else "")] if count else []
    lines = [
        aligned([head, *rows]),
        *words,
        *legend,
        *censored,
        f"{count} stage{'' if count == 1 else 's'}{cause}; {ended}",
    ]
    return "\n".join(lines)


def _unseen(stage: Mapping[str, Any]) -> str:
    """What theory expected and the run did not show; what theory does not say is left out."""
    at = "" if stage.get("height") is None else f" at loss {number(stage['height'])}"
    said = [f"theory expects a plateau{at}"]
    if stage.get("effective_width") is not None:
        said.append(f"width {width_text(stage['effective_width'])}")
    if stage.get("t_end") is not None:
        said.append(f"until t = {number(stage['t_end'])}")
    return f"{', '.join(said)}: {stage.get('why') or 'not seen'}."


def _sentence(stage: Mapping[str, Any]) -> str:
    card = stage["certificate"]
    return card["sentence"] if card else "no fixed point was found near: height and width are those of the run itself."


def _end_sentence(end: Mapping[str, Any]) -> str:
    if end["certificate"]:
        return end["certificate"]["sentence"]
    if end.get("oscillation"):
        low, high = (number(loss) for loss in end["oscillation"])
        return f"at no fixed point: the loss goes up and down between {low} and {high}, as steps that are too long make it; height and width are those of the last state."
    return "at no fixed point that was found: height and width are those of the last state."


def claims_table(claims: Sequence[Mapping[str, Any]]) -> str:
    """The claims with their outcomes, one a row; the sentence last, as it is long."""
    head = ["outcome", "expected", "experiment", "panel", "claim", "value", "bounds", "sentence"]
    rows = [
        [
            word(claim.get("outcome")),
            word(claim.get("expected")),
            word(claim.get("experiment")),
            word(claim.get("panel")),
            word(claim.get("name")),
            number(claim.get("value")),
            _interval(claim.get("bounds")),
            word(claim.get("sentence")),
        ]
        for claim in claims
    ]
    return aligned([head, *rows])


def claims_counts(claims: Sequence[Mapping[str, Any]]) -> str:
    """How many claims of each experiment hold and fail, and below, those that came out otherwise than expected."""
    rows = [["experiment", "claims", "hold", "fail, as expected", "otherwise than expected"]]
    for name in dict.fromkeys(claim["experiment"] for claim in claims):
        own = [claim for claim in claims if claim["experiment"] == name]
        other = [claim for claim in own if claim["outcome"] != claim["expected"]]
        known = [claim for claim in own if claim["outcome"] == claim["expected"] != "holds"]
        rows.append([name, *map(str, (len(own), len(own) - len(known) - len(other), len(known), len(other)))])
    surprises = [claim for claim in claims if claim["outcome"] != claim["expected"]]
    return aligned(rows) + (f"\n\n{claims_table(surprises)}" if surprises else "")


def _interval(value: Any) -> str:
    return "-" if value is None else f"[{', '.join(number(bound) for bound in value)}]"
