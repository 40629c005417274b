"""The report as one page that loads nothing: pictures are inside it, and whatever came from a recording is escaped."""

import base64
import html
import io
import re

import numpy as np

from .card import Card
from .report import Report
from .stalls import doubt
from .widths import effective_widths

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; } img { width: 100%; max-width: 34rem; height: auto; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .5rem; } li { overflow-wrap: anywhere; }
.card { border: 1px solid #ccc; border-left: .4rem solid #6b6b6b; border-radius: .3rem; padding: .6rem 1rem; margin: .8rem 0; }
.card.saddle { border-left-color: #0072b2; } .card.converged { border-left-color: #009e73; } .kind { font-weight: 650; }
table { border-collapse: collapse; font-size: .85rem; } td, th { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #e4e4e4; }
.scroll { overflow-x: auto; } summary { cursor: pointer; } .lead { font-size: 1.05rem; }
"""


def page(report: Report) -> str:
    """The whole HTML."""
    r = report.recording
    title = html.escape(str(r.facts.get("source") or "a training run"))
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>saddlescope: {title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>",
        f"<p class='lead'>{html.escape(_lead(report))}</p>",
    ]
    panels = [
        f"<img alt='{html.escape(words)}' src='data:image/png;base64,{picture}'>" for words, picture in _panels(report)
    ]
    if panels:
        parts.append(f"<div class='panels'>{''.join(panels)}</div>")
    parts.append("<h2>Stalls</h2>")
    if report.problem:
        parts.append(f"<p>{html.escape(report.problem)}</p>")
    elif not report.cards:
        parts.append("<p>No stall: the loss never stood still.</p>")
    parts += [_card(card) for card in report.cards]
    parts += ["<h2>Forecast</h2>", f"<p>{html.escape(_sentence(str(report.now)))}.</p>"]
    missing = [*map(_sentence, map(str, r.facts.get("gaps", []))), *r.facts.get("skipped", [])]
    if missing:
        rows = "".join(f"<li>{html.escape(str(m))}</li>" for m in missing)
        parts.append(f"<h2>Not seen</h2><ul>{rows}</ul>")
    facts = "".join(
        f"<tr><td>{html.escape(str(k))}</td><td>{html.escape(str(v))}</td></tr>"
        for k, v in r.facts.items()
        if v not in (None, [], {})
    )
    parts.append(f"<h2>Facts</h2><div class='scroll'><table>{facts}</table></div>")
    parts.append("<p>Machine-readable: <a href='summary.json'>summary.json</a>.</p></body></html>")
    return "\n".join(parts)


def _lead(report: Report) -> str:
    if report.problem:
        return report.problem
    ongoing = [card for card in report.cards if card.stall.ongoing]
    if ongoing:
        last = ongoing[-1]
        verb = "is at {} and still falls" if last.falls else "stands at {}"
        return f"The loss {verb.format(f'{last.stall.height:.4g}')}: {last.kind}. {_sentence(last.sentence)}."
    past = len(report.cards)
    return f"The loss moves. {past} stall{'' if past == 1 else 's'} before." if past else "The loss never stood still."


def _card(card: Card) -> str:
    s = card.stall
    css = "saddle" if card.kind == "saddle" else "converged" if card.kind == "converged" else ""
    lines = [
        f"<div class='card {css}'><div><span class='kind'>{html.escape(card.kind)}</span> at {card.where}{doubt(s)}</div>",
        f"<div>{html.escape(_sentence(card.sentence))}.</div>",
    ]
    if card.kind == "saddle":
        lines.append(f"<div>{html.escape(_sentence(card.units))}.</div>")
    if card.forecast is not None:
        lines.append(f"<div>{html.escape(_sentence(str(card.forecast)))}.</div>")
    lines.append(f"<div>What to do: {html.escape(card.advice)}.</div>")
    numbers = "".join(
        f"<tr><td>{html.escape(k)}</td><td>{v:.4g}</td></tr>" for k, v in card.evidence.items() if np.isfinite(v)
    )
    lines.append(
        f"<details><summary>Evidence</summary><div class='scroll'><table>{numbers}</table></div></details></div>"
    )
    return "".join(lines)


def _sentence(words: str) -> str:
    """With a capital where it begins with a word, not with somebody's name for a file or a layer."""
    return words[0].upper() + words[1:] if re.match(r"[a-z]+[ ,:]", words) else words


def _panels(report: Report) -> list[tuple[str, str]]:
    """What is drawn: words and pictures in base64; nothing where no loss was seen."""
    r = report.recording
    if report.series is None:
        return []
    from .. import plots

    kind, widths = effective_widths(r)
    told = [f for f in (*report.history, report.now) if f.exit is not None and f.interval is not None]
    view = plots.WatchView(
        step=r.loss_step,
        loss=r.loss,
        smooth_step=report.series.step,
        smooth_loss=report.series.loss,
        stalls=tuple((c.stall.start, c.stall.end, c.kind) for c in report.cards),
        snapshot=r.step,
        widths=widths,
        layers=r.layer_names,
        width_kind=kind or "",
        forecast_step=np.array([f.step for f in told], float),
        forecast_exit=np.array([f.exit for f in told], float),
        forecast_low=np.array([f.interval[0] for f in told if f.interval], float),
        forecast_high=np.array([f.interval[1] for f in told if f.interval], float),
    )
    found = []
    for words, figure in plots.watch_panels(view):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": "saddlescope"})
        found.append((words, base64.b64encode(buffer.getvalue()).decode("ascii")))
    return found
