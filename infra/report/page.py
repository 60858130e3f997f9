"""One self-contained HTML page: sections of text, tables and inline SVG; no scripts, nothing fetched."""

import html
import io
from collections.abc import Sequence
from typing import Any

STYLE = """
:root { --ink: #1c2733; --soft: #5b6b7b; --line: #dfe5ea; --base: #8a97a5; --accent: #0b7a75; --warn: #b5532a }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); max-width: 1040px; margin: 3rem auto; padding: 0 1.5rem }
h1 { font-size: 1.9rem; margin: 0 }
h2 { margin: 3rem 0 .4rem; font-size: 1.3rem; border-top: 1px solid var(--line); padding-top: 1.4rem }
p { max-width: 46rem } .soft { color: var(--soft) }
code { font-size: .88em; background: #f3f6f8; padding: .1em .3em; border-radius: 3px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; margin: 1rem 0 }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { color: var(--soft); font-weight: 600 }
tr.thin td { color: #a3aeb8 } svg { max-width: 100%; height: auto } .plots { display: flex; flex-wrap: wrap; gap: 1.5rem }
"""


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n" + "\n".join(parts) + "</section>"


def paragraph(text: str, soft: bool = False) -> str:
    return f'<p class="soft">{html.escape(text)}</p>' if soft else f"<p>{html.escape(text)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], thin: Sequence[bool] = ()) -> str:
    """A table; rows marked thin are greyed: their figures rest on too little to be read."""
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)
    marks = list(thin) or [False] * len(rows)
    body = "".join(
        f"<tr{' class=thin' if mark else ''}>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row, mark in zip(rows, marks, strict=True))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plots(*figures: Any) -> str:
    return '<div class="plots">' + "".join(svg(figure) for figure in figures) + "</div>"


def svg(figure: Any) -> str:
    """A matplotlib figure as inline SVG."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    return text.getvalue()[text.getvalue().index("<svg"):]


def page(title: str, lead: str, sections: Sequence[str]) -> str:
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(title)}</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>"
            f'<p class="soft">{html.escape(lead)}</p>\n' + "\n".join(sections) + "</html>\n")
