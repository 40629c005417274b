"""One page for people and one file for programs: every claim beside its number, pictures inside the page."""

import base64
import html
import json
from pathlib import Path

from ._base import Claim, Outcome

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
img { max-width: 100%; height: auto; }
.films { display: flex; flex-wrap: wrap; gap: .5rem; } .films img { width: min(100%, 21rem); border: 1px solid #ddd; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
pre { overflow-x: auto; background: #f6f6f6; padding: .7rem; font-size: .8rem; }
.holds { color: #00664f; font-weight: 600; } .fails { color: #a33; font-weight: 600; } .conditional { color: #8a5a00; font-weight: 600; }
"""


def write(outcomes: dict[str, tuple[str, Outcome]], out: Path, quick: bool) -> list[dict]:
    """Writes report.html and claims.json into `out` and returns the claims as they stand in the latter.

    **Arguments:** `outcomes`: experiment name -> (title, outcome).
    """
    claims = [c for _, outcome in outcomes.values() for c in outcome.claims]
    rows = [c.as_json() for c in claims]
    text = json.dumps({"schema": "saddlescope.claims/1", "quick": quick, "claims": rows}, indent=2, allow_nan=False)
    _put(out / "claims.json", text + "\n")
    held = sum(c.outcome == "holds" for c in claims)
    changed = [c for c in claims if c.outcome != c.expected]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'><title>saddlescope: reproduction</title>",
        f"<style>{STYLE}</style></head><body><h1>saddlescope: what the paper shows, in numbers</h1>",
        f"<p>{held} of {len(claims)} claims hold; {len(changed)} came out otherwise than expected.",
        " A quick run: fewer seeds than the claims are meant for." if quick else "",
        " Machine-readable: <a href='claims.json'>claims.json</a>.</p><ul>",
    ]
    for name, (title, outcome) in outcomes.items():
        good = sum(c.outcome == "holds" for c in outcome.claims)
        parts.append(
            f"<li><a href='#{name}'>{html.escape(title)}</a>: {good} of {len(outcome.claims)} claims hold</li>"
        )
    parts.append("</ul>")
    for name, (title, outcome) in outcomes.items():
        parts += _section(name, title, outcome)
    parts.append("</body></html>")
    _put(out / "report.html", "\n".join(parts))
    return rows


def _section(name: str, title: str, outcome: Outcome) -> list[str]:
    still = [p for p in outcome.pictures if p.suffix == ".png"]
    films = [p for p in outcome.pictures if p.suffix == ".gif"]
    parts = [f"<h2 id='{name}'>{html.escape(title)}</h2>"]
    parts += [f"<img alt='{html.escape(p.stem)}' src='{_data(p, 'image/png')}'>" for p in still]
    if films:
        parts.append("<div class='films'>")
        parts += [f"<img alt='film: {html.escape(p.stem)}' src='{_data(p, 'image/gif')}'>" for p in films]
        parts.append("</div>")
    if outcome.summary:
        parts.insert(1, f"<p>{html.escape(outcome.summary)}</p>")
    if outcome.table:
        parts.append(f"<h3>Numbers</h3><pre>{html.escape(outcome.table)}</pre>")
    head = "".join(
        f"<th>{h}</th>" for h in ("panel", "claim", "outcome", "value [smallest, largest]", "bounds", "seeds", "status")
    )
    parts.append(
        f"<h3>Claims</h3><div class='scroll'><table><tr>{head}</tr>{''.join(map(_row, outcome.claims))}</table></div>"
    )
    if outcome.setting:
        parts.append(f"<details><summary>Setting</summary><pre>{html.escape(_plain(outcome.setting))}</pre></details>")
    parts.append(f"<p>Again: <code>saddlescope reproduce {name}</code></p>")
    return parts


def _plain(text: str) -> str:
    """A docstring without its markup, for a page that loads nothing to render it."""
    for mark, letter in {
        "$": "",
        "*": "",
        "\\lambda": "λ",
        "\\sqrt": "√",
        "\\pm": "±",
        "\\tfrac": "",
        "\\frac": "",
    }.items():
        text = text.replace(mark, letter)
    return text


def _row(c: Claim) -> str:
    value = (
        "-" if c.value is None or c.interval is None else f"{c.value:.6g} [{c.interval[0]:.6g}, {c.interval[1]:.6g}]"
    )
    cells = (
        html.escape(c.panel),
        html.escape(c.sentence),
        f"<span class='{c.outcome}'>{c.outcome}</span>"
        + ("" if c.outcome == c.expected else f" (expected: {c.expected})"),
        value,
        f"[{c.bounds[0]:.7g}, {c.bounds[1]:.7g}]",
        str(c.seeds),
        c.status,
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
