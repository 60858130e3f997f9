"""One self-contained HTML page: sections of text, tables and inline SVG; no scripts, nothing fetched."""

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STYLE = """
:root { --ink: #1c2733; --soft: #5b6b7b; --line: #dfe5ea; --base: #8a97a5; --accent: #0b7a75; --warn: #b5532a }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); max-width: 1240px; margin: 3rem auto; padding: 0 1.5rem }
h1 { font-size: 1.9rem; margin: 0 }
h2 { margin: 3rem 0 .4rem; font-size: 1.3rem; border-top: 1px solid var(--line); padding-top: 1.4rem }
p { max-width: 46rem } .soft { color: var(--soft) }
code { font-size: .88em; background: #f3f6f8; padding: .1em .3em; border-radius: 3px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; margin: 1rem 0 }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { color: var(--soft); font-weight: 600 }
h3 { margin: 1.8rem 0 .2rem; font-size: 1.05rem } li { max-width: 46rem }
tr.thin td, td.thin { color: #a3aeb8 } td.best { font-weight: 700 } .wide { overflow-x: auto }
.heat { font-size: .84rem } .heat td, .heat th { padding: .3rem .4rem } .heat td + td, .heat th + th { text-align: center }
.heat td:first-child { position: sticky; left: 0; background: #fff }
.heat th { white-space: normal; vertical-align: bottom; max-width: 6.2rem; line-height: 1.25 }
.text td { white-space: normal; text-align: left } summary { cursor: pointer; color: var(--accent) }
svg { max-width: 100%; height: auto } .plots { display: flex; flex-wrap: wrap; gap: 1.5rem }
"""


@dataclass(frozen=True)
class Cell:
    """A table's cell with more than its text."""

    text: str
    kind: str = ""  # class: thin (grey), best (bold)
    fill: str = ""  # background, as CSS
    hint: str = ""  # shown while the pointer rests on it


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n" + "\n".join(parts) + "</section>"


def paragraph(text: str, soft: bool = False) -> str:
    return f'<p class="soft">{html.escape(text)}</p>' if soft else f"<p>{html.escape(text)}</p>"


def heading(text: str) -> str:
    return f"<h3>{html.escape(text)}</h3>"


def listing(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def folded(summary: str, *parts: str) -> str:
    """What is read only by those who ask for it."""
    return f"<details><summary>{html.escape(summary)}</summary>\n" + "\n".join(parts) + "</details>"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], thin: Sequence[bool] = (), kind: str = "") -> str:
    """A table; rows marked thin are greyed: their figures rest on too little to be read. `kind` is its class."""
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)
    marks = list(thin) or [False] * len(rows)
    body = "".join(
        f"<tr{' class=thin' if mark else ''}>" + "".join(map(table_cell, row)) + "</tr>"
        for row, mark in zip(rows, marks, strict=True))
    named = f' class="{kind}"' if kind else ""
    return f'<div class="wide"><table{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def table_cell(cell: Any) -> str:
    if not isinstance(cell, Cell):
        return f"<td>{html.escape(str(cell))}</td>"
    given = {"class": cell.kind, "style": cell.fill and f"background: {cell.fill}", "title": cell.hint}
    attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in given.items() if value)
    return f"<td{attributes}>{html.escape(cell.text)}</td>"


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
