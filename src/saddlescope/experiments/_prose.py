"""Docstrings as HTML, for a page that loads nothing to render them: paragraphs, lists, emphasis, code, and formulas in plain letters."""

import html
import re

LETTERS = {
    **{
        "kappa": "κ",
        "lambda": "λ",
        "epsilon": "ε",
        "eps": "ε",
        "phi": "φ",
        "psi": "ψ",
        "theta": "θ",
        "mu": "μ",
        "sigma": "σ",
    },
    **{"sum": "Σ", "sqrt": "√", "pm": "±", "propto": "∝", "le": "≤", "ge": "≥", "approx": "≈", "to": "→", "cdot": "·"},
    **{
        "times": "×",
        "infty": "∞",
        "nabla": "∇",
        "dot": "",
        "mathbb": "",
        "mathcal": "",
        "top": "T",
        "quad": " ",
        "ln": "ln ",
    },
    **{
        "lvert": "|",
        "rvert": "|",
        "in": "∈",
        "delta": "δ",
        "Lambda": "Λ",
        "Sigma": "Σ",
        "alpha": "α",
        "beta": "β",
        "gamma": "γ",
    },
}


def as_html(text: str) -> str:
    """The text's paragraphs and lists; every character that HTML would read is escaped."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        first = next((i for i, line in enumerate(lines) if line.startswith("- ")), len(lines))
        if first:
            parts.append(f"<p>{inline(' '.join(lines[:first]))}</p>")
        items: list[str] = []
        for line in lines[first:]:
            if line.startswith("- "):
                items.append(line[2:])
            else:
                items[-1] += f" {line}"
        if items:
            parts.append(f"<ul>{''.join(f'<li>{inline(item)}</li>' for item in items)}</ul>")
    return "\n".join(parts)


def inline(text: str) -> str:
    """One paragraph: `code`, **strong**, *emphasis* and $formulas$."""
    parts = re.split(r"(`[^`]+`|\$\$[^$]+\$\$|\$[^$]+\$)", text)
    return "".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if len(part) > 2 and part[0] == part[-1] == "`":
        return f"<code>{html.escape(part[1:-1])}</code>"
    if len(part) > 2 and part[0] == part[-1] == "$":
        return _formula(part.strip("$"))
    text = html.escape(part)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def _formula(text: str) -> str:
    text = html.escape(text)
    text = re.sub(r"\\t?frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", text)
    text = re.sub(r"\\t?frac(\d)(\d)", r"\1/\2", text)
    text = re.sub(r"\\([a-zA-Z]+) ?", lambda found: LETTERS.get(found[1], found[1]), text)
    text = re.sub(r"\\[,;! ]", " ", text)
    for mark, tag in (("_", "sub"), ("^", "sup")):
        text = re.sub(rf"\{mark}\{{([^{{}}]*)\}}", rf"<{tag}>\1</{tag}>", text)
        text = re.sub(rf"\{mark}(&\w+;|\w)", rf"<{tag}>\1</{tag}>", text)
    return f"<i class='f'>{text.replace('{', '').replace('}', '')}</i>"
