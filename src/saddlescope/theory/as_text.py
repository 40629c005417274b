"""A prediction as a table and sentences that a newcomer can read; `summary` is what `as_json` gives."""

from collections.abc import Mapping
from typing import Any

from ..text import aligned, number, width_text, word

CAUSES = {
    "data": "the data: directions that the data favour grow first, whatever the initial weights",
    "initialisation": "the initial weights: units that happen to start ahead escape first",
    "both": "both: the data favour directions, and the initial weights decide which units carry them",
    "none": "there is no plateau but that at the origin, so nothing separates timescales",
}
STATUSES = {
    "theorem": "exact",
    "asymptotic": "exact up to an error that vanishes with the initial scale",
    "heuristic": "as reliable as was measured on random problems",
    "outside assumptions": "theory does not apply, so there is no time; heights of fixed points hold all the same",
}
#: Characters of one refused change.
LINE = 100
CHANGES = {"scale": "initial weights", "width": "units", "learning_rate": "learning rate"}


def prediction_text(summary: Mapping[str, Any]) -> str:
    stages = summary["stages"]
    if not stages and summary["outside"]:
        reasons = [f"  {reason}" for reason in summary["outside"]]
        return "\n".join(["No prediction: theory's assumptions fail, and outside them it gives no number.", *reasons])
    lines = [_table(summary), ""]
    lines += [_sentence(k, stage) for k, stage in enumerate(stages, start=1)]
    lines += ["", f"cause of the plateaus: {CAUSES[summary['cause']]}"]
    lines += [f"{name}: {STATUSES[name]}" for name in STATUSES if any(s["status"] == name for s in stages)]
    unknown = [str(k) for k, s in enumerate(stages, start=1) if s["separable"] is None]
    if unknown:
        lines.append(f"whether a plateau shows is not known of stage {', '.join(unknown)}")
    lines += [_merged(stage) for stage in summary["merged"]]
    lines += [f"assumption that fails: {reason}" for reason in summary["outside"]]
    lines += list(summary["notes"])
    lines += _what_if(summary["what_if"], len(stages))
    lines += ["", "heights in 1/2 mean squared error, times in (learning rate) x (steps)" + _meaning(stages)]
    return "\n".join(line for line in lines if line is not None)


def _meaning(stages: list[Mapping[str, Any]]) -> str:
    """Of +-, as far as it was measured."""
    given = {s["status"] for s in stages if s["t_end_error"] is not None}
    if not given:
        return ""
    if given == {"heuristic"}:
        return "; +- is as wide as the largest errors that were seen on random problems, no more"
    return "; +- holds 95 of 100 true values" + (", of heuristic ends perhaps fewer" if "heuristic" in given else "")


def _table(summary: Mapping[str, Any]) -> str:
    head = ["stage", "height", "t_start", "t_end", "+-", "width", "kind", "index", "status", "from"]
    rows = [
        [
            str(k),
            number(stage["height"]),
            number(stage["t_start"]),
            number(stage["t_end"], digits=8),
            number(stage["t_end_error"], digits=2),
            width_text(stage["effective_width"]),
            word(stage["kind"]),
            number(stage["index"]),
            word(stage["status"]),
            word(stage["source"]),
        ]
        for k, stage in enumerate(summary["stages"], start=1)
    ]
    end = summary["end"]
    rows.append(
        ["end", number(end["height"]), "", "", "", width_text(end["effective_width"]), word(end["kind"]), "", "", ""]
    )
    return aligned([head, *rows])


def _sentence(k: int, stage: Mapping[str, Any]) -> str:
    where = (
        "f = 0, the saddle at the origin"
        if stage["kind"] == "origin"
        else f"a saddle of width {width_text(stage['effective_width'])}"
    )
    left = (
        "which theory does not see it leave"
        if stage["t_end"] is None
        else f"which it leaves at t = {number(stage['t_end'])}"
    )
    rate = stage["escape"]["rate"]
    growth = (
        ""
        if rate is None
        else f" (what escapes grows by a factor e in {number(1 / rate, digits=3)})"
        if rate > 0
        else ""
    )
    cost = stage["cost"]
    price = (
        f"a formula; simulating would move {cost['whole_size']} weights"
        if not cost["state_size"]
        else f"{cost['evaluations']} evaluations of {cost['state_size']} numbers, in place of {cost['whole_size']} weights"
    )
    return f"{k}: loss {number(stage['height'])} near {where}, {left}{growth}; {stage['source']}: {price}."


def _merged(stage: Mapping[str, Any]) -> str:
    what = f"plateau at loss {number(stage['height'])}, width {width_text(stage['effective_width'])}"
    scale = stage["visible_scale"]
    if scale is None:
        return f"{what}: {stage['reason']}."
    return f"{what}: {stage['reason']}. It becomes visible below initial weights of about {number(scale, digits=2)}."


def _what_if(changes: list[Mapping[str, Any]], count: int) -> list[str]:
    lines = []
    for one in changes:
        what = (
            f"{CHANGES[one['change']]} {'x 10' if one['factor'] > 1 else '/ 10'} (to {number(one['value'], digits=3)})"
        )
        if one["count"] is None:
            lines.append(f"  {what}: no prediction: {_in_short(one['reason'])}")
            continue
        more = one["count"] - count
        change = "as many" if not more else f"{abs(more)} {'more' if more > 0 else 'fewer'}"
        ends = ", ".join("?" if t is None else number(t) for t in one["t_end"]) or "none"
        lines.append(f"  {what}: {one['count']} plateau{'' if one['count'] == 1 else 's'} ({change}), ends at {ends}")
    return ["what if:", *lines] if lines else []


def _in_short(reason: str) -> str:
    """A refusal in a line; of the reasons of several theories, only that they are none."""
    if len(reason) <= LINE:
        return reason
    return "no theory's assumptions hold there" if "; " in reason else f"{reason[: LINE - 3]}..."
