"""The report as one page that loads nothing: what holds at a glance, then each figure beside its claims."""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import __version__
from ._base import Claim, Outcome
from ._prose import as_html

STYLE = """
:root { --ink: #1a1a1a; --soft: #595959; --line: #dcdcdc; --ground: #f6f7f8; --holds: #00664f; --fails: #9c2f00; --part: #7a5200; --news: #8b0047; }
* { box-sizing: border-box; } html { scroll-behavior: smooth; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; max-width: 92rem; margin: 0 auto; padding: 1rem clamp(.8rem, 3vw, 2.5rem); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .4rem 0; } h2 { font-size: 1.25rem; margin: 0 0 .5rem; } h3 { font-size: 1rem; margin: 1.1rem 0 .2rem; }
a { color: #0b5394; } code { background: var(--ground); padding: .05rem .25rem; border-radius: 3px; font-size: .88em; } i.f { font-family: Georgia, serif; }
img { max-width: 100%; height: auto; display: block; } figure { margin: 0 0 1rem; } figcaption { font-size: .85rem; color: var(--soft); }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; margin: .6rem 0; list-style: none; font-size: .9rem; }
.index { border-collapse: collapse; width: 100%; } .index td, .index th { text-align: left; vertical-align: top; padding: .45rem .7rem .45rem 0; border-bottom: 1px solid var(--line); }
.index th { font-weight: 400; } .verdict { font-weight: 600; white-space: nowrap; } .count { white-space: nowrap; } .squares { display: flex; flex-wrap: wrap; gap: 2px; max-width: 34rem; }
.s { display: inline-block; width: 1.05rem; height: 1.05rem; line-height: 1.05rem; text-align: center; color: #fff; font-size: .7rem; border-radius: 2px; text-decoration: none; font-weight: 700; }
.s.holds { background: #00805f; } .s.fails { background: #b8450f; } .s.conditional { background: #8a6000; } .s.news { outline: 2px solid var(--news); outline-offset: 1px; }
a.s, span.s { color: #fff !important; } .holds { color: var(--holds); } .fails { color: var(--fails); } .conditional { color: var(--part); } .news { color: var(--news); }
section { border-top: 3px solid var(--ink); padding-top: 1rem; margin-top: 2.5rem; }
.films { display: flex; flex-wrap: wrap; gap: .5rem; } .films img { width: max(calc(50% - .3rem), min(100%, 16rem)); border: 1px solid var(--line); }
ol.claims { list-style: none; margin: 0; padding: 0; } .claims li { padding: .4rem 0 .4rem .7rem; border-left: 4px solid #00805f; margin: .35rem 0; background: var(--ground); }
.claims li.fails { border-color: #b8450f; } .claims li.conditional { border-color: #8a6000; } .claims li { color: var(--ink); padding-right: .6rem; }
.claims b { margin-right: .3rem; } .numbers { display: block; font-size: .86rem; color: var(--soft); font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; background: var(--ground); padding: .7rem; font-size: .78rem; line-height: 1.4; } details { margin: .8rem 0; } summary { cursor: pointer; font-weight: 600; }
.foot { color: var(--soft); font-size: .85rem; margin-top: 2.5rem; }
@media (min-width: 75rem) { .beside { display: grid; grid-template-columns: minmax(0, 57fr) minmax(0, 43fr); gap: 2rem; align-items: start; } .pictures { position: sticky; top: .5rem; max-height: 100vh; overflow-y: auto; } }
@media (max-width: 40rem) { .index tr { display: block; border-bottom: 1px solid var(--line); padding: .4rem 0; } .index td, .index th { display: block; border: 0; padding: .1rem 0; } .verdict { white-space: normal; } }
@media (max-width: 40rem) { .wide { overflow-x: auto; } .wide img { max-width: none; width: 46rem; } }
@media print { .pictures { position: static; } section { break-inside: auto; } }
"""

#: What the numbers of a claim are, on the page.
NUMBERS = (
    "measured: median over seeds [smallest, largest], or a mean or part of the seeds [95% interval]; asked: where every seed, that interval, or that part has to lie; values: one a seed, unless the setting says otherwise; "
    "undecided: the interval reaches across a bound, so these seeds are too few; theorem, asymptotic, heuristic, conjecture: what stands behind the sentence"
)
#: More claims than these: those that hold are folded away.
MOST_SHOWN = 16
MARKS = {"holds": "✓", "fails": "✗", "conditional": "◐"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(outcomes: Mapping[str, tuple[str, Outcome]], out: Path, quick: bool, planned: int | None = None) -> str:
    """The whole page. Links lead to files beside it, in `out`; pictures are inside."""
    claims = [c for _, outcome in outcomes.values() for c in outcome.claims]
    held = sum(c.outcome == "holds" for c in claims)
    changed = sum(c.outcome != c.expected for c in claims)
    unsure = sum(c.undecided for c in claims)
    unfinished = planned is not None and planned > len(outcomes)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        "<meta name='viewport' content='width=device-width, initial-scale=1'><title>saddlescope: reproduction</title>",
        f"<style>{STYLE}</style></head><body><main><h1 id='top'>What the paper shows, in numbers</h1>",
        f"<p>{held} of {len(claims)} claims hold; {len(claims) - held} do not. "
        if held < len(claims)
        else f"<p>All of {len(claims)} claims hold. ",
        f"{changed} came out otherwise than expected. " if changed else "None came out otherwise than expected. ",
        f"{unsure} {'is' if unsure == 1 else 'are'} undecided: too few seeds for the bound. " if unsure else "",
        "Zhang, Saxe &amp; Latham (ICLR 2026), measured again by saddlescope.</p>",
    ]
    if quick:
        parts.append("<p><strong>A quick run</strong>: fewer seeds than the claims are meant for.</p>")
    if unfinished:
        parts.append(f"<p><strong>Not finished</strong>: {len(outcomes)} of {planned} experiments are done.</p>")
    parts.append(_index(outcomes))
    for name, (title, outcome) in outcomes.items():
        parts += _section(name, title, outcome, out, quick)
    parts.append(f"<p class='foot'>saddlescope {__version__}. As data: <a href='claims.json'>claims.json</a>.</p>")
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def verdict(claims: Sequence[Claim]) -> tuple[str, str]:
    """A class and words for an experiment: does it hold, and did anything come out otherwise than expected?"""
    changed = [c for c in claims if c.outcome != c.expected]
    missed = sum(c.outcome != "holds" for c in claims)
    if changed:
        return "news", f"{MARKS['fails']} {len(changed)} not as expected"
    if not missed:
        return "holds", f"{MARKS['holds']} holds"
    return "conditional", f"{MARKS['conditional']} holds but for {missed}, as expected"


def _index(outcomes: Mapping[str, tuple[str, Outcome]]) -> str:
    key = "".join(
        f"<li><span class='s {name}'>{mark}</span> {words}</li>"
        for (name, mark), words in zip(
            MARKS.items(),
            ("the claim holds", "it fails: a finding, explained in the setting", "it holds under a condition"),
            strict=True,
        )
    )
    key += "<li><span class='s fails news'>✗</span> outlined: otherwise than expected</li>"
    rows = []
    for name, (title, outcome) in outcomes.items():
        look, words = verdict(outcome.claims)
        squares = "".join(_square(name, number, c) for number, c in enumerate(outcome.claims, start=1))
        good = sum(c.outcome == "holds" for c in outcome.claims)
        rows.append(
            f"<tr><th scope='row'><a href='#{_id(name)}'>{html.escape(title)}</a></th>"
            f"<td class='verdict {look}'>{words}</td><td class='count'>{good} of {len(outcome.claims)}</td>"
            f"<td><div class='squares'>{squares}</div></td></tr>"
        )
    key += f"<li>{NUMBERS}</li>"
    return f"<ul class='key'>{key}</ul><table class='index'>{''.join(rows)}</table>"


def _square(name: str, number: int, c: Claim) -> str:
    told = html.escape(f"{c.panel}: {c.sentence} ({_said(c)})", quote=True)
    news = "" if c.outcome == c.expected else " news"
    return f"<a class='s {_word(c.outcome)}{news}' href='#{_id(name)}-{number}' title='{told}' aria-label='{told}'>{MARKS.get(c.outcome, '?')}</a>"


def _section(name: str, title: str, outcome: Outcome, out: Path, quick: bool) -> list[str]:
    still = [p for p in outcome.pictures if p.suffix == ".png"]
    films = [p for p in outcome.pictures if p.suffix == ".gif"]
    parts = [f"<section id='{_id(name)}'><h2>{html.escape(title)}</h2>"]
    if outcome.summary:
        parts.append(f"<p>{html.escape(outcome.summary)}</p>")
    # claims that are all folded away leave the whole width to the picture
    beside = (still or films) and (len(outcome.claims) <= MOST_SHOWN or not all(map(_plain, outcome.claims)))
    parts.append("<div class='beside'><div class='pictures'>" if beside else "<div><div>")
    for picture in still:
        vector = next((p for p in outcome.pictures if p.suffix == ".pdf" and p.stem == picture.stem), None)
        links = [_link(picture, out, "large"), *([_link(vector, out, "as PDF")] if vector else [])]
        caption = f"<figcaption>{', '.join(links)}</figcaption>"
        parts.append(
            f"<figure><div class='wide'><img alt='{html.escape(_alt(picture, title), quote=True)}' src='{_data(picture, 'image/png')}'></div>{caption}</figure>"
        )
    if films:
        shown = (f"<img alt='film: {html.escape(p.stem, quote=True)}' src='{_data(p, 'image/gif')}'>" for p in films)
        parts.append(f"<div class='films'>{''.join(shown)}</div>")
    parts.append("</div><div>")
    parts += _claims(name, outcome.claims)
    parts.append("</div></div>")
    if outcome.setting:
        parts.append(f"<details><summary>Setting, and what was found</summary>{as_html(outcome.setting)}</details>")
    if outcome.table:
        parts.append(f"<details><summary>Numbers</summary><pre>{html.escape(outcome.table)}</pre></details>")
    files = ", ".join(_link(path, out) for path in outcome.files)
    parts.append(
        f"<p>Again: <code>saddlescope reproduce {html.escape(name)}{' --quick' if quick else ''}</code>{'. Records: ' + files if files else ''}."
    )
    parts.append(" <a href='#top'>To the top</a></p></section>")
    return parts


def _claims(name: str, claims: Sequence[Claim]) -> list[str]:
    """Those that do not hold first where there are many; each group by panel, in the order in which panels appear."""
    numbered = list(enumerate(claims, start=1))
    if len(claims) <= MOST_SHOWN:
        return _by_panel(name, numbered)
    plain = [(n, c) for n, c in numbered if _plain(c)]
    told = [(n, c) for n, c in numbered if not _plain(c)]
    folded = [
        "<details><summary>",
        f"{len(plain)} claims that hold",
        "</summary>",
        *_by_panel(name, plain),
        "</details>",
    ]
    return [*_by_panel(name, told), *(folded if plain else [])]


def _plain(c: Claim) -> bool:
    return c.outcome == c.expected == "holds" and not c.undecided


def _by_panel(name: str, claims: Sequence[tuple[int, Claim]]) -> list[str]:
    parts = []
    for panel in dict.fromkeys(c.panel for _, c in claims):
        parts.append(f"<h3>{html.escape(panel)}</h3><ol class='claims'>")
        parts += [_claim(name, number, c) for number, c in claims if c.panel == panel]
        parts.append("</ol>")
    return parts


def _claim(name: str, number: int, c: Claim) -> str:
    word = _word(c.outcome)
    said = html.escape(_said(c))
    if c.outcome != c.expected:
        said += f" <span class='news'>(expected: {html.escape(c.expected)})</span>"
    elif c.outcome != "holds":
        said += ", as expected"
    value = (
        "no number"
        if c.value is None or c.interval is None
        else f"{_number(c.value)} [{_number(c.interval[0])}, {_number(c.interval[1])}]"
    )
    asked = (
        f"exactly {_number(c.bounds[0])}"
        if c.bounds[0] == c.bounds[1]
        else f"{_number(c.bounds[0])} to {_number(c.bounds[1])}"
    )
    condition = "" if c.condition is None else f" Condition: {html.escape(c.condition)}."
    if c.undecided:
        condition = f" {html.escape(str(c.condition).capitalize())}."
    return (
        f"<li id='{_id(name)}-{number}' class='{word}'><b class='{word}'>{MARKS.get(c.outcome, '?')} {said}</b> {html.escape(c.sentence)}{condition}"
        f"<span class='numbers'>measured {value}; asked {asked}; {c.seeds} value{'' if c.seeds == 1 else 's'}; {html.escape(c.status)}</span></li>"
    )


def _said(c: Claim) -> str:
    return f"{c.outcome}, undecided" if c.undecided else c.outcome


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _word(outcome: str) -> str:
    return outcome if outcome in MARKS else "conditional"


def _id(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _alt(picture: Path, title: str) -> str:
    return f"{title} ({picture.stem})"


def _link(path: Path, out: Path, words: str | None = None) -> str:
    """A link relative to the page, as both may be moved together."""
    place = Path(os.path.relpath(path, out)).as_posix()
    return f"<a href='{html.escape(place, quote=True)}'>{html.escape(words or place)}</a>"


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
